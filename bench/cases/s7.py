"""S7: how long the first list takes."""

import statistics
import time

from harness.contenders import Lab, Upstream
from harness.mcp import LIST, Endpoint, ask
from harness.outcome import Outcome, at_most
from harness.process import Failed

TITLE = "tools/list, the same, cold, one upstream slow to answer"
TARGETS = ("at most the slowest upstream alone plus 20 %",)
SLOW_MS, OTHERS_MS, UPSTREAMS, TOOLS = 500, 50, 50, 20


def run(lab: Lab) -> Outcome:
    """A new hub each time: first in front of the slow upstream alone, then in front of all fifty."""
    slow = ("--era", "modern", "--tools", str(TOOLS), "--first-delay-ms", str(SLOW_MS), "--delay-ms", str(OTHERS_MS))
    alone, together = [], []
    for _ in range(lab.rounds):
        alone.append(_first_list(lab, 1, slow))
        together.append(_first_list(lab, UPSTREAMS, slow))
    times = statistics.median(many / one for one, many in zip(alone, together, strict=True))
    rows = [
        (f"an upstream that takes {SLOW_MS} ms for each answer, alone", f"{statistics.median(alone):.2f}"),
        (f"the same and {UPSTREAMS - 1} that take {OTHERS_MS} ms", f"{statistics.median(together):.2f}"),
        ("what one after the other would take, at least", f"{(SLOW_MS + (UPSTREAMS - 1) * OTHERS_MS) / 1000:.2f}"),
    ]
    return Outcome(("", "seconds"), rows, [at_most(1.2, times, TARGETS[0], f"{times:.2f}x")])


def _first_list(lab: Lab, ports: int, flags: tuple[str, ...]) -> float:
    """Seconds from the moment the hub says it listens to the end of its first answer, which must be complete."""
    with lab.upstream(ports, *flags) as upstreams, lab.bare_hub(upstreams) as (_, url):
        begin = time.monotonic()
        found = len(ask(Endpoint(url), LIST)["tools"])
        took = time.monotonic() - begin
        _check_complete(found, upstreams)
    return took


def _check_complete(found: int, upstreams: Upstream) -> None:
    expected = TOOLS * len(upstreams.ports)
    if found != expected:
        raise Failed(f"the first list holds {found} tools instead of {expected}")
