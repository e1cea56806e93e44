"""S1: what one call costs."""

from harness.contenders import Lab, Running
from harness.load import compare, ratio
from harness.mcp import call
from harness.outcome import LOAD_COLUMNS, Outcome, at_most, load_rows

TITLE = "tools/call, modern to modern, header added, 16 at once"
TARGETS = (
    "CPU per call at most 3x nginx",
    "signed in with a personal token: at most 3x nginx, too",
    "with a credential of the caller's own: as with a shared one, within the noise of the same run",
)
LEAST_NOISE = 0.05


def run(lab: Lab) -> Outcome:
    """Direct, nginx and the hub by turns, each in front of the same upstream.

    The hub as it is, asking for a token, and asking for one and sending a credential of the caller's own.
    """
    with (
        lab.upstream(1, "--era", "modern") as upstream,
        lab.direct(upstream) as direct,
        lab.nginx(upstream) as nginx,
        lab.hub(upstream) as hub,
        lab.signed_in_hub(upstream) as signed_in,
        lab.signed_in_hub(upstream, own_key=True) as own,
    ):
        samples = compare(lab, [(each, call(each.tool)) for each in (direct, nginx, hub, signed_in, own)])

    def times(ours: Running, theirs: Running) -> float:
        return ratio(samples[ours.name], samples[theirs.name], lambda s: s.cpu_ms)

    bare, known, costs = times(hub, nginx), times(signed_in, nginx), times(own, signed_in)
    verdicts = [
        at_most(3, bare, TARGETS[0], f"{bare:.2f}x"),
        at_most(3, known, TARGETS[1], f"{known:.2f}x ({times(signed_in, hub):.2f}x the hub without)"),
        at_most(1 + LEAST_NOISE, costs, TARGETS[2], f"{costs:.2f}x"),
    ]
    return Outcome(LOAD_COLUMNS, load_rows(samples), verdicts)
