"""A response while it arrives. Rule: no more of a body is held than its reader asked for, plus one read of slack.

`Body` has two sides: the connection fills it (`put`, `end`, `fail`, `wake`), one reader empties it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from io import BytesIO
from typing import Any, Final, Protocol

from mcp_hub.egress.errors import EgressError, ResponseTimedOut, TooLarge

HIGH_WATER: Final = 256 * 1024
"""Unread bytes at which the other side is made to wait."""
LONGEST_REST: Final = 16 * 1024
"""Bytes that may come after everything that was wanted before the connection is given up."""


class Source(Protocol):
    """The connection a body comes from."""

    def pause(self) -> None:
        """Read no more for now."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...

    def linger(self) -> None:
        """The rest of the body is of no interest: wait a moment for its end, or close."""
        ...

    def drop(self, error: EgressError | None = None) -> None:
        """Close at once; the body under way fails with `error`."""
        ...


class Body:
    """The bytes of one response. `length` is what was announced, None where nothing was."""

    __slots__ = ("_done", "_limit", "_parts", "_paused", "_sink", "_source", "_waiter", "error", "length", "size")

    def __init__(self, source: Source) -> None:
        self.length: int | None = None
        self.size = 0
        self.error: EgressError | None = None
        self._done = False
        self._limit = 0
        self._parts: list[bytes] = []
        self._paused = False
        self._sink: BytesIO | None = None
        self._source: Source | None = source
        self._waiter: asyncio.Future[None] | None = None

    # ── the connection's side ──

    def put(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            TooLarge: the reader set a limit and this is over it.
        """
        self.size += len(data)
        if self._sink is None:
            self._parts.append(data)
            if self.size > HIGH_WATER and not self._paused and self._source is not None:
                self._hold(self._source)
        elif self.size > self._limit:
            raise _too_large(self._limit)
        else:
            self._sink.write(data)

    def wake(self) -> None:
        """Let the reader take what was put. A reader that collects the whole body sleeps on until it ends."""
        if self._sink is None or self._source is None:
            waiter = self._waiter
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def end(self) -> None:
        """The body is complete; the connection is no longer this body's."""
        self._done = True
        self._source = None
        if self._waiter is not None:
            self.wake()

    def fail(self, error: EgressError) -> None:
        """The rest will not come."""
        self.error = error
        self._source = None
        if self._waiter is not None:
            self.wake()

    # ── the reader's side ──

    async def read(self, limit: int, within: float | None = None) -> bytes:
        """See `Response.read`."""
        body = self.whole(limit)
        return await self._collect(limit, within) if body is None else body

    def whole(self, limit: int) -> bytes | None:
        """See `Response.whole`."""
        if not self._done or self.size > limit:
            return None
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def chunks(self, idle: float | None) -> AsyncGenerator[bytes, None]:
        """See `Response.chunks`."""
        try:
            while True:
                if self._parts:
                    yield self._take()
                elif self._done:
                    return
                elif self.error is not None:
                    raise self.error
                else:
                    await self._wait(idle)
        finally:
            self.close()

    def close(self) -> None:
        """See `Response.close`."""
        if self._source is not None:
            self._source.drop()
        self._parts.clear()

    def linger(self) -> None:
        """See `Response.linger`."""
        source, self._source = self._source, None
        self._parts.clear()
        if source is not None:
            source.linger()

    async def _collect(self, limit: int, within: float | None) -> bytes:
        if max(self.size, self.length or 0) > limit:
            self.close()
            raise _too_large(limit)
        # Grown as bytes arrive, not as announced: an announcement costs the other side nothing. And getvalue() hands
        # its buffer over instead of copying it, so a large body is in memory once.
        sink = self._sink = BytesIO()
        self._limit = limit
        sink.write(self._take())
        try:
            if not self._done and self.error is None:
                await self._wait(within)
        finally:
            self.close()
            self._sink = None
        if self.error is not None:
            # Its traceback refers to this frame, and it to the traceback: the bytes must not wait for a collection.
            del sink
            raise self.error
        return sink.getvalue()

    def _take(self) -> bytes:
        parts = self._parts
        self._parts = []
        if self._sink is None:
            self.size = 0
        if self._paused and self._source is not None:
            self._paused = False
            self._source.resume()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _hold(self, source: Source) -> None:
        self._paused = True
        source.pause()

    async def _wait(self, seconds: float | None) -> None:
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        timer = None if seconds is None else loop.call_later(seconds, self._late, seconds)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _late(self, seconds: float) -> None:
        if self._source is not None:
            self._source.drop(ResponseTimedOut(f"The answer began but did not go on within {seconds:g} s."))


class Rest:
    """What is left of a body that nobody reads any more: filled by the connection like a `Body`, and keeps nothing."""

    __slots__ = ("length", "size")

    def __init__(self) -> None:
        self.length: int | None = None
        self.size = 0

    def put(self, data: bytes) -> None:
        """Let it go by.

        Raises:
            TooLarge: it is more than is worth waiting for.
        """
        self.size += len(data)
        if self.size > LONGEST_REST:
            raise _too_large(LONGEST_REST)

    def wake(self) -> None:
        """Nobody waits."""

    def end(self) -> None:
        """Nobody has to be told."""

    def fail(self, error: EgressError) -> None:
        """Nobody has to be told."""


class Response:
    """An answer whose head has arrived. Its body is read once, by one reader; whoever holds it reads or closes it.

    `headers` has lower-case names; a repeated header's values are joined by a comma, and cookies are left out.
    Redirects are answers like any other: they are never followed.
    """

    __slots__ = ("_apart", "_body", "close", "headers", "linger", "status", "whole")

    def __init__(
        self, status: int, headers: dict[bytes, bytes], body: Body, apart: dict[bytes, list[bytes]] | None = None
    ) -> None:
        """`apart` are the values of those headers that were repeated."""
        self.status = status
        self.headers = headers
        self._apart = apart
        self._body = body
        self.whole: Callable[[int], bytes | None] = body.whole
        """The whole body if it is here already and within a limit: then there is nothing to wait for."""
        self.close: Callable[[], None] = body.close
        """No more is wanted. A connection in the middle of a body is closed, never pooled."""
        self.linger: Callable[[], None] = body.linger
        """Everything wanted has come. The connection is kept if what is left is little and its end comes soon."""

    def values(self, name: bytes) -> list[bytes]:
        """The values of a header, in order, each as it came: for headers in which a comma does not say enough."""
        if self._apart is not None and name in self._apart:
            return self._apart[name]
        return [self.headers[name]] if name in self.headers else []

    def read(self, limit: int, within: float | None = None) -> Coroutine[Any, Any, bytes]:
        """The whole body, of at most `limit` bytes; `within` seconds from now, None: however long it takes.

        On cancellation the connection is closed.

        Raises:
            TooLarge: cut off as soon as the limit is passed, or announced to be.
            ResponseTimedOut, ConnectionLost, NotHttp: the rest did not come, or was not HTTP.
        """
        return self._body.read(limit, within)

    def chunks(self, idle: float | None) -> AsyncGenerator[bytes, None]:
        """The body as it arrives; the other side is made to wait while nobody takes it. Close the iterator when done.

        Raises:
            ResponseTimedOut: nothing came for `idle` seconds.
            ConnectionLost, NotHttp: the rest did not come, or was not HTTP. What came before has been handed over.
        """
        return self._body.chunks(idle)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The answer is larger than {limit} bytes, the most the hub takes here, and was cut off.")
