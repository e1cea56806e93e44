"""S11: what callers of healthy upstreams notice of two that are in trouble."""

import statistics
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from harness.contenders import Lab, Running, Upstream
from harness.load import Samples, compare, median
from harness.mcp import Question, ask, call
from harness.outcome import Outcome, at_most
from harness.process import Failed

TITLE = "one dead and one dripping upstream among ten"
TARGETS = ("p99 of the others as without them, within the noise of the same run",)
DRIP_MS = 20
CONNECTIONS = 4
CALLERS, PAUSE, PATIENCE = 4, 0.1, 1.0
"""Callers of each troubled upstream, seconds between two calls of each, and seconds after which it gives up."""
LEAST_NOISE, MOST_NOISE = 0.1, 0.3
"""What counts as noise at least, and what a machine that is not quiet may excuse at most."""


def run(lab: Lab) -> Outcome:
    """Three hubs in front of ten upstreams by turns; at each, the first and the last one are called all the time."""
    with ExitStack() as stack:
        well = stack.enter_context(lab.upstream(10, "--era", "modern"))
        hubs = [stack.enter_context(lab.hub(well, name=name)) for name in ("all ten well", "all ten well, again")]
        hubs.append(stack.enter_context(_troubled(lab)))
        turns = []
        for hub in hubs:
            stack.enter_context(_calling(hub, "u0__echo"))
            stack.enter_context(_calling(hub, "u9__echo"))
            turns.append((replace(hub, tool="u5__echo"), call("u5__echo")))
        samples = compare(lab, turns, connections=CONNECTIONS)
    return _outcome(samples)


@contextmanager
def _troubled(lab: Lab) -> Iterator[Running]:
    """A hub whose first upstream drips and whose last one died after it had been listed."""
    with (
        lab.upstream(9, "--era", "modern", "--drip-ms", str(DRIP_MS)) as nine,
        lab.upstream(1, "--era", "modern") as doomed,
        lab.hub(Upstream((*nine.ports, *doomed.ports), nine.process), name="one dead, one dripping") as hub,
    ):
        doomed.process.kill()
        # What arrives is counted by the process of the nine, at one of its own ports.
        yield replace(hub, upstream=nine)


@contextmanager
def _calling(hub: Running, tool: str) -> Iterator[None]:
    """A few callers who go on whatever they are answered."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(PAUSE):
            _try(hub, call(tool))

    callers = [threading.Thread(target=go_on) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    try:
        yield
    finally:
        over.set()
        for caller in callers:
            caller.join()


def _try(hub: Running, question: Question) -> None:
    try:
        ask(hub.to, question, PATIENCE)
    except Failed:
        return  # which is what a troubled upstream is for


def _outcome(samples: Samples) -> Outcome:
    first, again, troubled = samples.values()
    pairs = list(zip(first, again, troubled, strict=True))
    noise = max(abs(b.p99_ms / a.p99_ms - 1) for a, b, _ in pairs)
    limit = 1 + min(max(noise, LEAST_NOISE), MOST_NOISE)
    times = statistics.median(2 * c.p99_ms / (a.p99_ms + b.p99_ms) for a, b, c in pairs)
    rows = [
        (name, *(f"{median(taken, of):.2f}" for of in (lambda s: s.p50_ms, lambda s: s.p99_ms)))
        for name, taken in samples.items()
    ]
    said = f"{times:.2f}x (noise: {noise:.0%})"
    return Outcome(("", "p50 ms", "p99 ms"), rows, [at_most(limit, times, TARGETS[0], said)])
