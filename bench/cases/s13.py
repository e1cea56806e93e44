"""S13: what stays behind when calls go on for long."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from harness.contenders import Lab, Running
from harness.load import load, warm_up
from harness.mcp import call
from harness.outcome import Outcome, Verdict, at_most
from harness.process import Failed

TITLE = "half load for as long as --minutes says"
TARGETS = ("memory flat: at most 5 % more in the last third than in the first", "descriptors flat", "tasks flat")
CONNECTIONS = 64
PARTS = 12
REST = 1.5
"""Seconds without a call before each look, so that nothing under way is counted."""
_SLACK = 2
"""Descriptors or tasks more or less that are no trend."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the hub held at rest."""

    bytes: int
    descriptors: int
    tasks: int


def run(lab: Lab) -> Outcome:
    """Half of what the hub can do, in parts, with a look at the hub at rest after each."""
    with lab.upstream(1, "--era", "modern") as upstream, lab.hub(upstream, watched=True) as hub:
        warm_up(lab, hub, call(hub.tool), CONNECTIONS)
        most = load(lab, hub, call(hub.tool), CONNECTIONS, max(1.0, lab.seconds))
        pause = round(1000 * CONNECTIONS / (most / 2))
        load(lab, hub, call(hub.tool), CONNECTIONS, max(1.0, lab.seconds), pause_ms=pause)
        looks, rates = [], []
        for _ in range(PARTS):
            rates.append(load(lab, hub, call(hub.tool), CONNECTIONS, lab.minutes * 60 / PARTS, pause_ms=pause))
            looks.append(_look(hub))
    said = f"{statistics.mean(rates):,.0f} calls/s of {most:,.0f}, for {lab.minutes:g} minutes."
    return Outcome(("", "first third", "last third"), _rows(looks), _verdicts(looks), [said])


def _look(hub: Running) -> Look:
    if hub.process is None:
        raise Failed("the hub has no process of its own")
    time.sleep(REST)
    return Look(hub.process.resident_bytes(), hub.process.descriptors(), hub.process.tell()["tasks"])


def _thirds(values: Sequence[int]) -> tuple[float, float]:
    third = len(values) // 3
    return statistics.median(values[:third]), statistics.median(values[-third:])


def _rows(looks: Sequence[Look]) -> list[tuple[str, str, str]]:
    memory = [f"{size / 1e6:.1f}" for size in _thirds([look.bytes for look in looks])]
    descriptors = [f"{count:.0f}" for count in _thirds([look.descriptors for look in looks])]
    tasks = [f"{count:.0f}" for count in _thirds([look.tasks for look in looks])]
    return [("memory, MB", *memory), ("descriptors", *descriptors), ("tasks", *tasks)]


def _verdicts(looks: Sequence[Look]) -> list[Verdict]:
    first, last = _thirds([look.bytes for look in looks])
    verdicts = [at_most(1.05, last / first, TARGETS[0], f"{last / first - 1:+.1%}")]
    for target, values in (
        (TARGETS[1], [look.descriptors for look in looks]),
        (TARGETS[2], [look.tasks for look in looks]),
    ):
        begin, end = _thirds(values)
        verdicts.append(at_most(_SLACK, abs(end - begin), target, f"{begin:.0f}, then {end:.0f}"))
    return verdicts
