"""How soon may a command be started again that ended by itself? Rule: pure; time is a value that is passed in."""

from dataclasses import dataclass
from typing import Final

LONG: Final = 60.0
"""Seconds after which a process has lived long enough that its end says nothing about the next one."""
FREE: Final = 3
"""Short lives in a row after which the next one has to wait."""
LONGEST_WAIT: Final = 60.0


@dataclass(frozen=True, slots=True)
class Restarts:
    """The short lives in a row of one command. Replaced, never changed."""

    short: int = 0
    not_before: float = 0.0

    def ended(self, lasted: float, now: float) -> "Restarts":
        """A process ended by itself after `lasted` seconds: from the fourth in a row on, 1 s to 60 s, doubling."""
        if lasted >= LONG:
            return Restarts()
        short = self.short + 1
        wait = min(LONGEST_WAIT, 2.0 ** min(short - FREE - 1, 10)) if short > FREE else 0.0
        return Restarts(short, now + wait)
