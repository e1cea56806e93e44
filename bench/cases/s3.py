"""S3: what a single caller waits."""

import statistics

from harness.contenders import Lab
from harness.load import compare
from harness.mcp import call
from harness.outcome import Outcome, at_most

TITLE = "time added to one call at a time (p50)"
TARGETS = ("at most 1.5x what nginx adds",)


def run(lab: Lab) -> Outcome:
    """One connection, one call after the other; what a proxy adds is its median minus the direct one of its round."""
    with (
        lab.upstream(1, "--era", "modern") as upstream,
        lab.direct(upstream) as direct,
        lab.nginx(upstream) as nginx,
        lab.hub(upstream) as hub,
    ):
        samples = compare(lab, [(each, call(each.tool)) for each in (direct, nginx, hub)], connections=1)
    p50 = {name: [sample.p50_ms for sample in taken] for name, taken in samples.items()}
    added = {
        name: statistics.median(mine - bare for mine, bare in zip(values, p50[direct.name], strict=True))
        for name, values in p50.items()
    }
    rows = [(name, f"{statistics.median(values):.3f}", f"{added[name]:.3f}") for name, values in p50.items()]
    times = added[hub.name] / added[nginx.name]
    return Outcome(("", "p50 ms", "added ms"), rows, [at_most(1.5, times, TARGETS[0], f"{times:.2f}x")])
