"""Long streams, and whether those who opened them may still have them.

Rule: a stream was allowed when it was opened; when access is taken away from anybody, or has ended by itself where it
does so, it is asked again, once for all streams of one token, and ended if the answer is no.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import final

from mcp_hub.identity.bearer import AUTHORIZATION, Headers

MayStay = Callable[[Headers, str], Awaitable[bool]]
End = Callable[[], object]
_Key = tuple[bytes, str]


@final
class Watched:
    """The open streams, by what they were opened with. `may_stay` never raises."""

    def __init__(self, may_stay: MayStay) -> None:
        self._may_stay = may_stay
        self._streams: dict[_Key, set[_Stream]] = {}
        self._due: dict[_Key, None] = {}
        self._checking: asyncio.Task[None] | None = None

    def __bool__(self) -> bool:
        return bool(self._streams)

    def add(self, headers: Headers, resource: str, end: End) -> Callable[[], None]:
        """Watch a stream; returns what ends the watch."""
        key = opened_with(headers), resource
        stream = _Stream(end)
        self._streams.setdefault(key, set()).add(stream)

        def leave() -> None:
            streams = self._streams.get(key, set())
            streams.discard(stream)
            if not streams:
                self._streams.pop(key, None)

        return leave

    def check(self, is_meant: Callable[[bytes], bool] = bool) -> None:
        """Ask again, soon: for all of them, or for those that were opened with what `is_meant`."""
        self._due.update((key, None) for key in self._streams if is_meant(key[0]))
        if self._due and self._checking is None:
            self._checking = asyncio.ensure_future(self._check())

    async def aclose(self) -> None:
        """End what is under way."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)

    async def _check(self) -> None:
        try:
            while self._due:
                key = next(iter(self._due))
                del self._due[key]
                value, resource = key
                if not await self._may_stay([(AUTHORIZATION, value)], resource):
                    for stream in list(self._streams.get(key, ())):
                        stream.end()
        finally:
            self._checking = None


def opened_with(headers: Headers) -> bytes:
    """What a request showed of its sender."""
    return b"".join(value for name, value in headers if name == AUTHORIZATION)


class _Stream:
    """One stream; equal only to itself."""

    __slots__ = ("end",)

    def __init__(self, end: End) -> None:
        self.end = end
