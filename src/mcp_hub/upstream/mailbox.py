"""Announcements that come between other messages, until somebody takes them.

Rule: bounded. What is announced twice before it was taken is told once: it says no more than that something changed.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Final, final

from mcp_hub.wire.jsonrpc import Message

MOST: Final = 1000
"""Different announcements that wait; more are left out until these were taken."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""And what they may hold in all."""

log = logging.getLogger(__name__)


@final
class Mailbox:
    """For one reader; filled without waiting."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: dict[tuple[str | None, bytes], Message] = {}
        self._held = 0
        self._news = asyncio.Event()
        self._is_closed = False
        self._overflowed = False

    def put(self, message: Message) -> None:
        """Keep one announcement until it is taken."""
        key = message.method, bytes(message.params)
        if key in self._waiting:
            return
        self._held += len(key[1])
        if len(self._waiting) >= MOST or self._held > MOST_BYTES:
            self._held -= len(key[1])
            if not self._overflowed:
                self._overflowed = True
                log.warning("%s announces more than can be heard; some of it is left out", self._name)
            return
        self._waiting[key] = message
        self._news.set()

    def close(self) -> None:
        """No more will come; what waits can still be taken."""
        self._is_closed = True
        self._news.set()

    async def any(self) -> bool:
        """Wait until something is there to be taken; `False` if nothing ever will be."""
        while not (self._waiting or self._is_closed):
            self._news.clear()
            await self._news.wait()
        return bool(self._waiting)

    async def told(self) -> AsyncGenerator[list[Message]]:
        """What has come, together, until no more will."""
        while await self.any():
            taken, self._waiting, self._held = list(self._waiting.values()), {}, 0
            yield taken
