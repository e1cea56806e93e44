"""Something that many have reasons for, done no more often than once in a while.

Rule: whoever asks last is heard too: what is asked for too early is done when the pause is over, once for all of them.
"""

import asyncio
from collections.abc import Callable
from typing import final


@final
class Pace:
    """Calls `do` in the event loop, at once or later, at most every `pause` seconds."""

    __slots__ = ("_do", "_earliest", "_pause", "_timer")

    def __init__(self, do: Callable[[], None], pause: float) -> None:
        self._do = do
        self._pause = pause
        self._earliest = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def ask(self) -> None:
        """There is a reason."""
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() >= self._earliest:
            self._now(loop)
        else:
            self._timer = loop.call_at(self._earliest, self._now, loop)

    def stop(self) -> None:
        """What was asked for and has not been done is not done any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _now(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._earliest = loop.time() + self._pause
        self._do()
