"""Which connection takes the next request? Rule: the decision is made here, on values, and carried out elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol


class Idle(Protocol):
    """A connection between two requests: `until` is the moment after which it must not be reused."""

    @property
    def until(self) -> float: ...


class Step(StrEnum):
    """What a request does: take an idle connection, open one, queue, or give up."""

    REUSE = "reuse"
    OPEN = "open"
    WAIT = "wait"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Limits:
    """Per origin: connections open at once, and requests that may queue for one."""

    connections: int
    waiting: int


class Assignment(NamedTuple):
    """The decision. `use` is the position in `idle` to take with REUSE; `close` are the positions to close."""

    step: Step
    use: int = -1
    close: Sequence[int] = ()


def assign(
    idle: Sequence[Idle], busy: int, waiting: int, limits: Limits, now: float, *, fresh: bool = False
) -> Assignment:
    """Decide for one request.

    `idle` is in the order in which the connections became idle; the youngest is taken, so that the surplus grows old
    and is closed. `busy` counts connections in use or being opened. `fresh` asks for a new connection: none is
    reused, and the oldest idle one is closed where that makes the room.
    """
    old = stale(idle, now)
    usable = [place for place in range(len(idle)) if place not in old]
    if usable and not fresh:
        return Assignment(Step.REUSE, usable[-1], old)
    if busy + len(usable) < limits.connections:
        return Assignment(Step.OPEN, close=old)
    if usable:
        return Assignment(Step.OPEN, close=[*old, usable[0]])
    return Assignment(Step.WAIT if waiting < limits.waiting else Step.REFUSE, close=old)


def stale(idle: Sequence[Idle], now: float) -> list[int]:
    """Positions of the connections that must not be reused any more."""
    return [place for place, each in enumerate(idle) if each.until <= now]
