"""S4: what the older era and the translation between the eras cost."""

from harness.contenders import Lab
from harness.load import compare, ratio
from harness.mcp import call
from harness.outcome import LOAD_COLUMNS, Outcome, at_most, load_rows

TITLE = "the same call in the other combinations of eras"
TARGETS = ("at most 1.5x the CPU of modern to modern",)


def run(lab: Lab) -> Outcome:
    """Two hubs, one in front of each era, each asked in both eras; a legacy client keeps one session."""
    with (
        lab.upstream(1, "--era", "modern") as modern,
        lab.upstream(1, "--era", "legacy") as legacy,
        lab.hub(modern, "modern", "modern to modern") as base,
        lab.hub(legacy, "legacy", "legacy to legacy") as old,
        lab.hub(legacy, "modern", "modern to legacy") as down,
        lab.hub(modern, "legacy", "legacy to modern") as up,
    ):
        samples = compare(lab, [(each, call(each.tool)) for each in (base, old, down, up)])
    verdicts = []
    for each in (old, down, up):
        times = ratio(samples[each.name], samples[base.name], lambda s: s.cpu_ms)
        verdicts.append(at_most(1.5, times, TARGETS[0], f"{times:.2f}x ({each.name})"))
    return Outcome(LOAD_COLUMNS, load_rows(samples), verdicts)
