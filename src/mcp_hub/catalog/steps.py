"""Long work in short steps: a generator that yields wherever somebody else may have a turn, and returns what it made.

Rule: who drives the steps decides what happens between them; the work itself knows of no clock and no event loop.
"""

from collections.abc import Generator, Sequence
from typing import Final, TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]
STRIDE: Final = 100
"""Definitions that are looked at in one step: a few milliseconds at most."""


def finished(steps: Steps[T]) -> T:
    """What the steps come to, all of them taken at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def equal(one: Sequence[object], other: Sequence[object]) -> Steps[bool]:
    """Whether two sequences hold equal things."""
    if one is other:
        return True
    if len(one) != len(other):
        return False
    for start in range(0, len(one), STRIDE):
        if one[start : start + STRIDE] != other[start : start + STRIDE]:
            return False
        yield
    return True
