"""S9: what streams and sessions hold while nothing happens on them."""

import time
from collections.abc import Callable
from contextlib import ExitStack

from harness.contenders import Lab, Running
from harness.mcp import Endpoint, open_session, open_stream
from harness.outcome import Outcome, Verdict, at_most
from harness.process import Failed

TITLE = "1,000 idle streams, 1,000 idle sessions"
TARGETS = ("at most 30 KB for each listen stream", "at most 10 KB for each legacy session")
COUNT, BEFORE = 1000, 100
"""How many are measured, and how many are opened first, so that nothing is counted which is there once for all."""
PER_NAME = 50
_SETTLE = 0.5


def run(lab: Lab) -> Outcome:
    """Resident memory before and after, in a hub of its own for each of the two."""
    verdicts: list[Verdict] = []
    rows: list[tuple[str, str]] = []
    for limit, target, name, measure in (
        (30, TARGETS[0], "an idle subscriptions/listen stream", _streams),
        (10, TARGETS[1], "an idle legacy session", _sessions),
    ):
        with lab.upstream(1, "--era", "modern") as upstream, lab.hub(upstream, watched=True) as hub:
            size = measure(hub) / 1000
        rows.append((name, f"{size:.1f}"))
        verdicts.append(at_most(limit, size, target, f"{size:.1f} KB"))
    return Outcome(("", "KB of memory"), rows, verdicts)


def _streams(hub: Running) -> float:
    with ExitStack() as stack:
        return _growth(hub, lambda who: stack.enter_context(open_stream(Endpoint(hub.to.url, who=who))))


def _sessions(hub: Running) -> float:
    return _growth(hub, lambda who: open_session(hub.to.url, who))


def _growth(hub: Running, open_one: Callable[[str], object]) -> float:
    """Bytes by which the hub grows for each that is opened."""
    if hub.process is None:
        raise Failed("the hub has no process of its own")
    for number in range(BEFORE):
        open_one(f"before-{number // PER_NAME}")
    time.sleep(_SETTLE)
    before = hub.process.resident_bytes()
    for number in range(COUNT):
        open_one(f"somebody-{number // PER_NAME}")
    time.sleep(_SETTLE)
    return (hub.process.resident_bytes() - before) / COUNT
