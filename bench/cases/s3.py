"""S3: what a single caller waits."""

import statistics

from harness.contenders import Lab
from harness.load import compare
from harness.mcp import call
from harness.outcome import Outcome, at_most

TITLE = "time added to one call at a time (p50)"
TARGETS = ("at most 1.5x what nginx adds", "signed in with a personal token: at most 1.5x, too")


def run(lab: Lab) -> Outcome:
    """One connection, one call after the other; what a proxy adds is its median minus the direct one of its round."""
    with (
        lab.upstream(1, "--era", "modern") as upstream,
        lab.direct(upstream) as direct,
        lab.nginx(upstream) as nginx,
        lab.hub(upstream) as hub,
        lab.signed_in_hub(upstream) as signed_in,
    ):
        samples = compare(lab, [(each, call(each.tool)) for each in (direct, nginx, hub, signed_in)], connections=1)
    p50 = {name: [sample.p50_ms for sample in taken] for name, taken in samples.items()}
    added = {
        name: statistics.median(mine - bare for mine, bare in zip(values, p50[direct.name], strict=True))
        for name, values in p50.items()
    }
    rows = [(name, f"{statistics.median(values):.3f}", f"{added[name]:.3f}") for name, values in p50.items()]
    verdicts = []
    for target, running in zip(TARGETS, (hub, signed_in), strict=True):
        times = added[running.name] / added[nginx.name]
        verdicts.append(at_most(1.5, times, target, f"{times:.2f}x"))
    return Outcome(("", "p50 ms", "added ms"), rows, verdicts)
