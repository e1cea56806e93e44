"""One HTTP request and the writing of its response: a JSON body, or an event stream once something comes before it.

Rule: which of the two it becomes is decided as late as possible, so that an answer which is alone gets its HTTP status
and a length, and only one that is late or preceded by notifications becomes a stream.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from enum import Enum, auto
from typing import Final

from msgspec import Raw

from mcp_hub.inbound.asgi import Receive, Send
from mcp_hub.inbound.body import Accepts
from mcp_hub.inbound.encode import SMALL, STREAM_HEADERS, Part, as_events, as_json
from mcp_hub.inbound.flight import Ended, Flight, Patrol, Phase, Timing
from mcp_hub.inbound.outcome import Empty, Failure, HeaderLines, Outcome, Written
from mcp_hub.wire.eras import Era
from mcp_hub.wire.jsonrpc import INVALID_REQUEST
from mcp_hub.wire.sse import COMMENT, encode_event

_CHUNK: Final = 128 * 1024
"""Bytes given to the server at once, so that a slow reader holds back the copying and not only the sending."""

_LAST_WORD: Final = {
    Ended.CANCELLED: Empty(204),
    Ended.SESSION_OVER: Failure(INVALID_REQUEST, "This session has ended; begin a new one with initialize", status=404),
    Ended.STALLED: Failure(
        INVALID_REQUEST, "The request did not arrive in time", status=408, headers=((b"connection", b"close"),)
    ),
}


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

    `era`, `method` and `number` are filled in as the request becomes known; `headers` are added to the response.
    """

    __slots__ = ("_lock", "_send", "_stage", "accepts", "era", "flight", "headers", "method", "number")

    def __init__(self, receive: Receive, send: Send, timing: Timing, patrol: Patrol) -> None:
        self._send = send
        self._lock: asyncio.Lock | None = None
        self._stage = _NEW
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
        await self.push(encode_event((message,)))

    async def keep_alive(self) -> None:
        """Show the client, and every proxy between, that there is more to come: makes the response a stream."""
        if self._lock is None or not self._lock.locked():  # else it is being shown
            await self.push(COMMENT)

    def finish(self, outcome: Outcome) -> Awaitable[None]:
        """Write the rest of the response."""
        self.flight.enter(_SENDING)
        return self._finish(outcome) if self._lock is None else self._finish_in_turn(self._lock, outcome)

    async def abandon(self) -> None:
        """Close the response of a request that was ended, saying no more than its client may still be told."""
        why = self.flight.ended
        if why is None or why not in _LAST_WORD:
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
                if self._stage is _NEW:
                    start = {"type": "http.response.start", "status": 200}
                    await self._send({**start, "headers": [*STREAM_HEADERS, *self.headers]})
                    self._stage = _STREAM
                if self._stage is _STREAM and len(event) > _CHUNK:
                    await self._send_in_pieces(event, limit)
                elif self._stage is _STREAM:
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

    def _lose(self) -> None:
        # So may a server say that the client has gone. Nothing more is written; only some requests end with that.
        self._stage = _OVER
        if self.flight.hang_up_ends:
            self.flight.end(Ended.HUNG_UP)

    async def _finish_in_turn(self, lock: asyncio.Lock, outcome: Outcome) -> None:
        async with lock:
            await self._finish(outcome)

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
