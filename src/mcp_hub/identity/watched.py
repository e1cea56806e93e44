"""Long streams, and whether those who opened them may still have them.

Rule: a stream was allowed when it was opened; when access is taken away from anybody, it is asked again, once for all
streams of one token, and ended if the answer is no.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, final

from mcp_hub.identity.bearer import AUTHORIZATION, Headers

MayStay = Callable[[Headers, str], Awaitable[bool]]
End = Callable[[], object]
_NONE: Final = frozenset[bytes]()


@final
class Watched:
    """The open streams, by what they were opened with. `may_stay` never raises."""

    def __init__(self, may_stay: MayStay) -> None:
        self._may_stay = may_stay
        self._streams: dict[tuple[bytes, str], set[_Stream]] = {}
        self._again = False
        self._checking: asyncio.Task[None] | None = None

    def __bool__(self) -> bool:
        return bool(self._streams)

    def add(self, headers: Headers, resource: str, end: End) -> Callable[[], None]:
        """Watch a stream; returns what ends the watch."""
        key = b"".join(value for name, value in headers if name == AUTHORIZATION), resource
        stream = _Stream(end)
        self._streams.setdefault(key, set()).add(stream)

        def leave() -> None:
            streams = self._streams.get(key, set())
            streams.discard(stream)
            if not streams:
                self._streams.pop(key, None)

        return leave

    def check(self) -> None:
        """Ask again for all of them, soon."""
        if not self._streams:
            return
        self._again = True
        if self._checking is None:
            self._checking = asyncio.ensure_future(self._check())

    async def aclose(self) -> None:
        """End what is under way."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)

    async def _check(self) -> None:
        try:
            while self._again:
                self._again = False
                for (value, resource), streams in list(self._streams.items()):
                    if not await self._may_stay([(AUTHORIZATION, value)], resource):
                        for stream in list(streams):
                            stream.end()
        finally:
            self._checking = None


class _Stream:
    """One stream; equal only to itself."""

    __slots__ = ("end",)

    def __init__(self, end: End) -> None:
        self.end = end
