"""Names to addresses. Rule: one look-up per name at a time, and its result is never kept.

A resolver that hangs holds one of the few look-up threads; sharing the look-up keeps one dead name at one thread,
however many callers ask for it, so that the other names still resolve.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to numeric addresses, best first. Raises OSError or UnicodeError where there are none."""


class SharedLookups:
    """The system's resolver. Cancelling a caller leaves the look-up to the others who wait for it."""

    __slots__ = ("_running",)

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[list[str]]] = {}

    async def __call__(self, host: str, port: int) -> list[str]:
        """The addresses of `host`, each once, in the resolver's order."""
        lookup = self._running.get(host)
        if lookup is None:
            lookup = asyncio.create_task(_look_up(host, port))
            self._running[host] = lookup
            lookup.add_done_callback(partial(self._ended, host))
        return await asyncio.shield(lookup)

    def _ended(self, host: str, lookup: asyncio.Task[list[str]]) -> None:
        self._running.pop(host, None)
        if not lookup.cancelled():
            lookup.exception()  # seen here: the last caller may have given up before it was raised


async def _look_up(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
