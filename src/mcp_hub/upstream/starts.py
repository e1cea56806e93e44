"""Who may start a process now?

Rule: only some start at once, so that a hundred commands do not overwhelm a small machine; one that says nothing holds
up the others no longer than a moment.
"""

import asyncio
import os
from typing import Final, final

LONGEST: Final = 2.0
"""Seconds after which a process that is starting is not waited for any more."""
FEWEST: Final = 4


@final
class Starting:
    """One start. Ends when it is told to, or by itself after `LONGEST`; ending twice is ending once."""

    def __init__(self, free: asyncio.Semaphore, longest: float) -> None:
        self._free: asyncio.Semaphore | None = free
        self._timer = asyncio.get_running_loop().call_later(longest, self.end)

    def end(self) -> None:
        """Somebody else may start."""
        free, self._free = self._free, None
        if free is not None:
            self._timer.cancel()
            free.release()


@final
class Starts:
    """As many at once as there are processors, but at least a few; shared by all commands of a hub."""

    def __init__(self, most: int | None = None, longest: float = LONGEST) -> None:
        self._free = asyncio.Semaphore(most or max(FEWEST, os.cpu_count() or 1))
        self._longest = longest

    async def take(self) -> Starting:
        """Wait for a turn, first come, first served. Whoever takes it ends it."""
        await self._free.acquire()
        return Starting(self._free, self._longest)
