"""S1: what one call costs."""

from harness.contenders import Lab
from harness.load import compare, ratio
from harness.mcp import call
from harness.outcome import LOAD_COLUMNS, Outcome, at_most, load_rows

TITLE = "tools/call, modern to modern, header added, 16 at once"
TARGETS = ("CPU per call at most 3x nginx",)


def run(lab: Lab) -> Outcome:
    """Direct, nginx and the hub by turns, each in front of the same upstream."""
    with (
        lab.upstream(1, "--era", "modern") as upstream,
        lab.direct(upstream) as direct,
        lab.nginx(upstream) as nginx,
        lab.hub(upstream) as hub,
    ):
        samples = compare(lab, [(each, call(each.tool)) for each in (direct, nginx, hub)])
    times = ratio(samples[hub.name], samples[nginx.name], lambda s: s.cpu_ms)
    return Outcome(LOAD_COLUMNS, load_rows(samples), [at_most(3, times, TARGETS[0], f"{times:.2f}x")])
