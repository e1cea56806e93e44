"""S1: what one call costs."""

from harness.contenders import Lab, Running
from harness.load import compare, ratio
from harness.mcp import call
from harness.outcome import LOAD_COLUMNS, Outcome, at_most, load_rows

TITLE = "tools/call, modern to modern, header added, 16 at once"
TARGETS = ("CPU per call at most 3x nginx", "signed in with a personal token: at most 3x nginx, too")


def run(lab: Lab) -> Outcome:
    """Direct, nginx, the hub and the hub that asks for a token by turns, each in front of the same upstream."""
    with (
        lab.upstream(1, "--era", "modern") as upstream,
        lab.direct(upstream) as direct,
        lab.nginx(upstream) as nginx,
        lab.hub(upstream) as hub,
        lab.signed_in_hub(upstream) as signed_in,
    ):
        samples = compare(lab, [(each, call(each.tool)) for each in (direct, nginx, hub, signed_in)])

    def times(ours: Running, theirs: Running) -> float:
        return ratio(samples[ours.name], samples[theirs.name], lambda s: s.cpu_ms)

    bare, known = times(hub, nginx), times(signed_in, nginx)
    verdicts = [
        at_most(3, bare, TARGETS[0], f"{bare:.2f}x"),
        at_most(3, known, TARGETS[1], f"{known:.2f}x ({times(signed_in, hub):.2f}x the hub without)"),
    ]
    return Outcome(LOAD_COLUMNS, load_rows(samples), verdicts)
