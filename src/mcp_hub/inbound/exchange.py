"""One HTTP request and the writing of its response: a JSON body, or an event stream once something comes before it.

Rule: which of the two it becomes is decided as late as possible, so that an answer which is alone gets its HTTP status
and a length, and only one that is late or preceded by notifications becomes a stream. In a session that stream may
outlive the response: its client continues it on another one, and whatever is told goes where the client is.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from enum import Enum, auto
from typing import Final

from msgspec import Raw

from mcp_hub.inbound.asgi import Receive, Send
from mcp_hub.inbound.body import Accepts
from mcp_hub.inbound.encode import SMALL, STREAM_HEADERS, Part, as_events, as_json, as_message, as_messages
from mcp_hub.inbound.event_ids import Kind
from mcp_hub.inbound.flight import Ended, Flight, Patrol, Phase, Timing
from mcp_hub.inbound.outcome import Empty, Failure, HeaderLines, Outcome, Written
from mcp_hub.inbound.replay import Shelf, Stream
from mcp_hub.wire.eras import Era
from mcp_hub.wire.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST
from mcp_hub.wire.sse import COMMENT, encode_event

_CHUNK: Final = 128 * 1024
"""Bytes given to the server at once, so that a slow reader holds back the copying and not only the sending."""

_CHALLENGE: Final = ((b"www-authenticate", b"Bearer"),)
_LAST_WORD: Final = {
    Ended.CANCELLED: Empty(204),
    Ended.SESSION_OVER: Failure(INVALID_REQUEST, "This session has ended; begin a new one with initialize", status=404),
    Ended.NOT_ALLOWED: Failure(
        INVALID_REQUEST,
        "Your access was taken away; sign in again",
        status=401,
        headers=((b"www-authenticate", b"Bearer"),),
    ),
    Ended.STALLED: Failure(
        INVALID_REQUEST, "The request did not arrive in time", status=408, headers=((b"connection", b"close"),)
    ),
}

_TOO_LARGE: Final = Failure(
    INTERNAL_ERROR, "The answer is too large to be kept for a client that hung up. The request may have had effects."
)
_DESERTED: Final = Failure(
    INTERNAL_ERROR, "The request was ended, since its client was away for too long. It may have had effects."
)


class _Stage(Enum):
    NEW = auto()
    STREAM = auto()
    OVER = auto()


# Once each, since Python 3.11 takes its time to find a member of an enumeration.
_NEW: Final = _Stage.NEW
_STREAM: Final = _Stage.STREAM
_OVER: Final = _Stage.OVER
_SENDING: Final = Phase.SENDING
_LEGACY: Final = Era.LEGACY

_JSON_ONLY: Final = Accepts(json=True, events=False)


class Exchange:
    """Owned by the task of its HTTP request; `emit` and `keep_alive` may also be called from other tasks.

    `era`, `method` and `number` are filled in as the request becomes known; `headers` are added to the response. With a
    `shelf`, a stream that the response becomes is kept there.
    """

    __slots__ = (
        "_asked", "_lock", "_send", "_stage", "_stream", "accepts", "era", "flight", "headers", "method", "number",
        "shelf",
    )  # fmt: skip

    def __init__(self, receive: Receive, send: Send, timing: Timing, patrol: Patrol) -> None:
        self._send = send
        self._lock: asyncio.Lock | None = None
        self._stage = _NEW
        self._stream: Stream | None = None
        self._asked = False
        self.shelf: Shelf | None = None
        self.accepts = _JSON_ONLY
        self.era = _LEGACY
        self.method: str | None = None
        self.number: Raw | None = None
        self.headers: HeaderLines = ()
        self.flight = Flight(receive, timing, patrol, self.keep_alive)

    @property
    def takes_messages(self) -> bool:
        """See `Outlet`: whether the response may become a stream."""
        return self.accepts.events

    async def emit(self, message: bytes) -> None:
        """Put one message before the answer; dropped if the client takes no stream or the answer is going out."""
        if self._stream is not None:
            await self._stream.put(message)
        elif self.shelf is None:
            await self.push(encode_event((message,)))
        else:
            await self.say(message)

    async def say(self, message: bytes) -> bool:
        """Put one message before the answer of a kept stream; whether its client gets it, or can still come for it."""
        if self._stream is None:
            await self.push(b"")
        if self._stream is None:
            return False
        await self._stream.put(message)
        return True

    def keep_on(self, shelf: Shelf) -> None:
        """Let a stream that the response becomes be kept there."""
        self.shelf = shelf
        self.flight.early = shelf.primes

    async def pause(self, retry: int | None) -> None:
        """Close the response for a while, if its client knows that it is to come back for the rest of the stream.

        `retry` is in milliseconds, `None` where nobody said anything.
        """
        if self._stream is None and self.shelf is not None and self.shelf.primes:
            await self.push(b"")
        if self._stream is not None:
            await self._stream.pause(retry)

    async def join(self, stream: Stream, after: int) -> None:
        """Make this response continue a stream, from behind the event of this number."""
        self._stream = stream
        await self.keep_alive()
        await stream.join(self, after)

    async def close(self) -> None:
        """See `replay.Connection`."""
        if self._lock is None:
            return
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(self.flight.timing.write), self._lock:
                if self._stage is _STREAM:
                    self._stage = _OVER
                    await self._send({"type": "http.response.body", "body": b""})

    def give_way(self) -> None:
        """See `replay.Connection`."""
        self.flight.end(Ended.HUNG_UP)

    async def keep_alive(self) -> None:
        """Show the client, and every proxy between, that there is more to come: makes the response a stream."""
        if self._lock is None or not self._lock.locked():  # else it is being shown
            await self.push(COMMENT)

    def finish(self, outcome: Outcome) -> Awaitable[None]:
        """Write the rest of the response."""
        if self._stream is not None:
            return self._finish_kept(self._stream, outcome)
        self.flight.enter(_SENDING)
        return self._finish(outcome) if self._lock is None else self._finish_in_turn(self._lock, outcome)

    async def abandon(self) -> None:
        """Close the response of a request that was ended, saying no more than its client may still be told."""
        why = self.flight.ended
        if why is None:
            return
        if why not in _LAST_WORD:
            if self._stream is not None and self._asked:
                self._stream.leave(self)
                await self._stream.end(as_messages(_DESERTED, self.number), b"")
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self.flight.timing.write):
                if why is Ended.CANCELLED:
                    # 2025-11-25 basic/utilities/cancellation: no response is owed, so a stream that ends without one.
                    await self.keep_alive()
                await self.finish(_LAST_WORD[why])

    async def push(self, event: bytes) -> None:
        """Write one encoded event, whole; a client that does not take a piece of it in time is given up."""
        if not self.accepts.events:
            return
        if self._lock is None:
            self._lock = asyncio.Lock()
        try:
            async with asyncio.timeout(self.flight.timing.write) as limit, self._lock:
                if self._stage is _NEW and not self.flight.hung_up:
                    start = {"type": "http.response.start", "status": 200}
                    await self._send({**start, "headers": [*STREAM_HEADERS, *self.headers]})
                    self._stage = _STREAM
                    if self.shelf is not None:
                        event = self._begin(self.shelf) + event
                if self._stage is _STREAM and len(event) > _CHUNK:
                    await self._send_in_pieces(event, limit)
                elif self._stage is _STREAM and event:
                    await self._send({"type": "http.response.body", "body": event, "more_body": True})
        except TimeoutError:
            self.flight.end(Ended.NOT_READ)
        except OSError:
            self._lose()

    async def _send_in_pieces(self, event: bytes, limit: asyncio.Timeout) -> None:
        view = memoryview(event)
        for start in range(0, len(view), _CHUNK):
            limit.reschedule(asyncio.get_running_loop().time() + self.flight.timing.write)
            chunk = bytes(view[start : start + _CHUNK])
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    def _begin(self, shelf: Shelf) -> bytes:
        self._asked = True
        self._stream = stream = shelf.open(Kind.CALL, self.number, self)
        self.flight.outlives = self._outlive
        return stream.prime()

    async def _outlive(self, grace: float) -> None:
        if self._stream is not None:
            self._stream.leave(self)
            await self._stream.deserted(grace)

    def _lose(self) -> None:
        # So may a server say that the client has gone. Nothing more is written; only some requests end with that.
        self._stage = _OVER
        if self._stream is not None:
            self._stream.leave(self)
        if self.flight.hang_up_ends:
            self.flight.end(Ended.HUNG_UP)

    async def _finish_in_turn(self, lock: asyncio.Lock, outcome: Outcome) -> None:
        async with lock:
            if self._stream is None:
                await self._finish(outcome)
                return
        await self._finish_kept(self._stream, outcome)  # it began while the lock was waited for

    async def _finish_kept(self, stream: Stream, outcome: Outcome) -> None:
        if self._asked:
            await stream.end(as_messages(outcome, self.number), as_message(_TOO_LARGE, self.number))
        stream.leave(self)
        await self.close()

    async def _finish(self, outcome: Outcome) -> None:
        stage, self._stage = self._stage, _OVER
        if stage is _STREAM:
            await self._write(as_events(outcome, self.number))
        elif stage is _NEW and not isinstance(outcome, Written):
            status, headers, parts = as_json(outcome, self.number, self.era)
            await self._send({"type": "http.response.start", "status": status, "headers": [*headers, *self.headers]})
            if len(parts) == 1 and len(parts[0]) <= SMALL:
                await self._send({"type": "http.response.body", "body": bytes(parts[0])})
            else:
                await self._write(parts)

    async def _write(self, parts: Sequence[Part]) -> None:
        for part in parts:
            view = memoryview(part)
            for start in range(0, len(view), _CHUNK):
                self.flight.enter(_SENDING)
                chunk = bytes(view[start : start + _CHUNK])
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})
