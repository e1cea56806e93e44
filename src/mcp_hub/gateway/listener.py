"""Whoever hears notices of change, and what waits for it.

Rule: of each notice at most one waits, the latest, and never more than `MOST_WAITING` in all: a listener that does not
keep up is ended, and its client begins anew. Pure but for the future by which the reader waits.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Final, final

from mcp_hub.wire.jsonrpc import Fields

MOST_WAITING: Final = 256
"""Notices that may wait for one listener: more than the resources it may name do not fit a well-behaved server."""

Notice = tuple[str, Fields]
"""A method and its params without `_meta`."""
Owner = tuple[str, str, str]


class Over(StrEnum):
    """Why a listener hears nothing more."""

    CLOSED = "its client has gone"
    OVERFLOWED = "its client does not keep up"
    CUT = "what it is told of cannot be told any more"
    ENDED = "the hub stops"


@final
class Listener:
    """One listener. `owner` is the principal whose it is, `kinds` the lists and `uris` the resources it asked for.

    `uris` maps what the client calls a resource to the upstream and what that calls it.
    """

    __slots__ = ("_leave", "_waiting", "_woken", "kinds", "over", "owner", "uris")

    def __init__(self, owner: Owner, kinds: frozenset[str], leave: Callable[["Listener"], None]) -> None:
        self.owner = owner
        self.kinds = kinds
        self.uris: dict[str, tuple[str, str]] = {}
        self.over: Over | None = None
        self._leave = leave
        self._waiting: dict[str, Notice] = {}
        self._woken: asyncio.Future[None] | None = None

    def tell(self, key: str, notice: Notice) -> None:
        """Let a notice wait to be heard, in place of an earlier one of the same key."""
        if self.over is not None:
            return
        if key not in self._waiting and len(self._waiting) >= MOST_WAITING:
            self.finish(Over.OVERFLOWED)
            return
        self._waiting[key] = notice
        self._wake()

    def forget(self, key: str) -> None:
        """What waits under this key is not to be heard any more."""
        self._waiting.pop(key, None)

    async def heard(self) -> list[Notice]:
        """The notices that wait, at least one; none once it is over. For one reader at a time."""
        while not self._waiting and self.over is None:
            self._woken = asyncio.get_running_loop().create_future()
            await self._woken
        waiting, self._waiting = list(self._waiting.values()), {}
        return waiting

    def finish(self, why: Over) -> None:
        """From now on it hears nothing; what waited is forgotten."""
        if self.over is None:
            self.over = why
            self._waiting = {}
            self._wake()

    def resume(self) -> None:
        """Hear again, after having been too slow: for listeners that outlive the stream they are heard on."""
        if self.over is Over.OVERFLOWED:
            self.over = None

    def close(self) -> None:
        """Its client has gone: nobody upstream is asked on its behalf any more. May be called again."""
        self.finish(Over.CLOSED)
        self._leave(self)

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)
