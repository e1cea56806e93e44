"""S12: what a call costs as upstreams are added."""

from contextlib import ExitStack

from harness.contenders import Lab
from harness.load import compare, ratio
from harness.mcp import call
from harness.outcome import LOAD_COLUMNS, Outcome, at_most, load_rows

TITLE = "the same call with 1, 10 and 100 upstreams"
TARGETS = ("flat: CPU per call with 100 at most 1.1x with 1",)
COUNTS = (1, 10, 100)


def run(lab: Lab) -> Outcome:
    """Three hubs by turns; the tool that is called belongs to the last upstream of each."""
    with ExitStack() as stack:
        hubs = []
        for count in COUNTS:
            upstreams = stack.enter_context(lab.upstream(count, "--era", "modern"))
            name = f"{count} upstream{'s' if count > 1 else ''}"
            hubs.append(stack.enter_context(lab.hub(upstreams, name=name)))
        samples = compare(lab, [(each, call(each.tool)) for each in hubs])
    times = ratio(samples[hubs[-1].name], samples[hubs[0].name], lambda s: s.cpu_ms)
    return Outcome(LOAD_COLUMNS, load_rows(samples), [at_most(1.1, times, TARGETS[0], f"{times:.2f}x")])
