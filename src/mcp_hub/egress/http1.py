"""One HTTP/1.1 connection, client side. Rule: one exchange at a time, and a connection in doubt is closed, not kept.

Framing is RFC 9112. A connection is in doubt when anything but one complete, self-delimiting response has arrived for
the request that was completely written: nothing after it, nothing before the next one.
"""

import asyncio
import re
import select
import sys
from typing import Final, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from mcp_hub.egress.errors import ConnectionLost, EgressError, NotHttp, ResponseTimedOut, TooLarge
from mcp_hub.egress.response import Body, Response, Rest

MAX_HEAD: Final = 64 * 1024
"""Bytes of header, and of anything else that is not body, that are read without getting on."""
MAX_HEADERS: Final = 128
SLICE: Final = 256 * 1024
"""A larger request is written in pieces of this size, each when the other side has taken the one before."""

LINGER: Final = 0.1
"""Seconds in which the end of a body may come of which nothing more is wanted."""

_KEEP_ALIVE: Final = re.compile(rb"(?:^|[,;\s])timeout=(\d{1,6})(?![^,;\s])", re.IGNORECASE)
_NO_BODY: Final = frozenset({204, 304})
_SWITCHING: Final = 101
_OK: Final = 200
_REDIRECT: Final = 300
_NEVER: Final = float("inf")


class Owner(Protocol):
    """Who holds a connection between exchanges."""

    def freed(self, link: "Link") -> None:
        """The exchange is over and the connection can take another."""
        ...

    def gone(self, link: "Link") -> None:
        """The connection is closed; said once."""
        ...


class Link(asyncio.Protocol):
    """A connection to `name` (a host, for error sentences).

    `used` counts exchanges begun. `hint` is the server's own idle limit in seconds, None where it gave none.
    `freed_at` and `until` are the owner's notes: when it was freed, and until when it may be reused.
    """

    __slots__ = (
        "_alarm",
        "_answered",
        "_apart",
        "_body",
        "_complete",
        "_deadline",
        "_drained",
        "_dry",
        "_fault",
        "_has_head",
        "_head",
        "_header_bytes",
        "_header_count",
        "_headers",
        "_keep",
        "_loop",
        "_name",
        "_owner",
        "_parser",
        "_patience",
        "_paused",
        "_poll",
        "_transport",
        "_unsent",
        "_write_paused",
        "closed",
        "freed_at",
        "hint",
        "until",
        "used",
    )

    def __init__(self, name: str, owner: Owner) -> None:
        self._name = name
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._poll: select.poll | None = None
        self._paused = False
        self._write_paused = False
        self._drained: asyncio.Future[None] | None = None
        self._head: asyncio.Future[Response | None] | None = None
        self._body: Body | Rest | None = None
        self._headers: dict[bytes, bytes] = {}
        self._apart: dict[bytes, list[bytes]] | None = None
        self._header_bytes = self._header_count = self._dry = 0
        self._answered = self._complete = self._has_head = self._keep = self._unsent = False
        self._fault: EgressError | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._deadline = _NEVER
        self._patience = 0.0
        self.closed = False
        self.used = 0
        self.hint: int | None = None
        self.freed_at = self.until = 0.0

    def __repr__(self) -> str:
        state = "closed" if self.closed else "idle" if self._body is None else "busy"
        return f"<{type(self).__name__} {self._name} {state} used={self.used}>"

    # ── one exchange ──

    async def exchange(self, wire: bytes, first_byte: float) -> Response:
        """Write one encoded request; the response, as soon as its head is here.

        `first_byte` seconds for the whole of writing and waiting. Cancellation closes the connection.

        Raises:
            ConnectionLost, ResponseTimedOut, NotHttp, TooLarge: the connection is closed.
        """
        transport = self._transport
        if transport is None or self.closed or transport.is_closing():
            self.drop()
            raise ConnectionLost(f"{self._name} closed the connection.", sent=False)
        self.used += 1
        body = self._body = Body(self)
        self._headers, self._apart = {}, None
        self._header_bytes = self._header_count = self._dry = 0
        self._answered = self._complete = self._has_head = self._unsent = False
        head = self._head = self._loop.create_future()
        self._expect(first_byte)
        try:
            if len(wire) <= SLICE:
                transport.write(wire)
            else:
                await self._push(transport, wire, head)
            response = await head
        except asyncio.CancelledError:
            if self._body is body:
                self.drop()
            raise
        finally:
            if self._head is head:  # else it is somebody else's turn already
                self._deadline = _NEVER
        # The error travels in the body, not in the future: a cancelled caller would leave it unretrieved there.
        if response is None:
            raise body.error or self._lost(None)
        return response

    def drop(self, error: EgressError | None = None) -> None:
        """Close now. An exchange under way fails with `error`."""
        if self._transport is not None:
            self._transport.abort()
        self._close(error)

    def is_quiet(self) -> bool:
        """Nothing has arrived that the event loop has not read yet, the end of the connection included."""
        if self._transport is None or self.closed:
            return False
        if sys.platform == "win32":
            return True
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._poll.poll(0)

    async def _push(self, transport: asyncio.Transport, wire: bytes, head: "asyncio.Future[Response | None]") -> None:
        """Write in slices, as fast as they are taken; stops when the answer is there and is not a success."""
        self._unsent = True
        view = memoryview(wire)
        for start in range(0, len(wire), SLICE):
            if self._write_paused:
                self._drained = self._loop.create_future()
                await self._drained
            early = head.result() if head.done() else None
            refused = early is not None and early.status >= _REDIRECT
            if refused or self._complete or self.closed or transport.is_closing():
                return
            transport.write(view[start : start + SLICE])
        self._unsent = False

    def _expect(self, seconds: float) -> None:
        """Give the answer so long to begin. The alarm outlives an answer: most are there long before it rings."""
        self._patience = seconds
        self._deadline = deadline = self._loop.time() + seconds
        if self._alarm is None or self._alarm.when() > deadline:
            self._set_alarm(deadline)

    def _set_alarm(self, deadline: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._deadline <= self._loop.time():
            self.drop(ResponseTimedOut(f"{self._name} did not answer within {self._patience:g} s."))
        elif self._deadline < _NEVER:
            self._set_alarm(self._deadline)

    # ── the transport's calls ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        body = self._body
        if body is None:
            self.drop()  # nothing was asked
            return
        size = body.size
        self._answered = True
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if not self._complete:
                self.drop(self._fault or NotHttp(f"{self._name} answered with something that is not HTTP/1.1."))
                return
            self._keep = False
        if self._complete:
            self._finish(body)
        elif body.size > size:
            self._dry = 0
            body.wake()
        else:
            self._dry += len(data)
            if self._dry > MAX_HEAD:
                self.drop(self._oversize())

    def eof_received(self) -> None:
        body = self._body
        if body is not None and self._has_head and not self._delimited():
            self._body = None
            body.end()  # the end of the connection is what delimits such a body
        self.drop()

    def connection_lost(self, exc: Exception | None) -> None:
        self._close(self._lost(exc))

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self._wake_writer()

    # ── the body's calls ──

    def pause(self) -> None:
        """Read no more for now."""
        if self._transport is not None and not self.closed:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and self._paused and not self.closed:
            self._paused = False
            self._transport.resume_reading()

    def linger(self) -> None:
        """Wait a moment for the end of the body, of which nobody reads the rest; then close."""
        if self._body is not None:
            self._body = Rest()
            self.resume()
            self._expect(LINGER)

    # ── the parser's calls ──

    def on_message_begin(self) -> None:
        if self._complete:
            raise HttpParserError("a second response to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        self._header_bytes += len(name) + len(value)
        if self._header_count > MAX_HEADERS or self._header_bytes > MAX_HEAD:
            raise self._blame(self._oversize())
        if self._has_head:
            return  # a trailer
        name = name.lower()
        headers = self._headers
        if name not in headers:
            headers[name] = value.rstrip()
        elif name != b"set-cookie":
            apart = self._apart = self._apart or {}
            apart.setdefault(name, [headers[name]]).append(value.rstrip())
            headers[name] += b", " + value.rstrip()

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < _OK:
            self._interim(status)
            return
        headers = self._headers
        headers.pop(b"set-cookie", None)
        coding = headers.get(b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked":
            raise self._blame(NotHttp(f"{self._name} answered in a transfer coding that the hub does not read."))
        compression = headers.get(b"content-encoding")
        if compression is not None and compression.lower() != b"identity":
            raise self._blame(NotHttp(f"{self._name} answered compressed, which the hub did not ask for."))
        self._has_head = True
        self._keep = self._parser.should_keep_alive()
        body, head = self._body, self._head
        if isinstance(body, Body) and head is not None and not head.done():
            length = headers.get(b"content-length")
            if length is not None and status not in _NO_BODY:
                body.length = int(length)
            head.set_result(Response(status, headers, body, self._apart))

    def on_body(self, body: bytes) -> None:
        under_way = self._body
        if under_way is not None:
            try:
                under_way.put(body)
            except TooLarge as error:
                raise self._blame(error) from None

    def on_message_complete(self) -> None:
        if self._has_head:
            self._complete = True

    # ── what follows from them ──

    def _interim(self, status: int) -> None:
        if status == _SWITCHING:
            raise self._blame(NotHttp(f"{self._name} switched to another protocol, which the hub did not ask for."))
        self._headers, self._apart = {}, None

    def _finish(self, body: Body | Rest) -> None:
        """The response is complete: hand the connection back, or close it where it is in doubt."""
        self._body = None
        self._deadline = _NEVER
        body.end()
        if self._drained is not None:
            self._wake_writer()
        if self._keep and not self._unsent and not self.closed:
            if self._paused:
                self.resume()
            told = self._headers.get(b"keep-alive")
            if told is not None:
                self._note_hint(told)
            self._owner.freed(self)
        else:
            self.drop()

    def _note_hint(self, told: bytes) -> None:
        found = _KEEP_ALIVE.search(told)
        self.hint = int(found[1]) if found else None

    def _delimited(self) -> bool:
        return b"transfer-encoding" in self._headers or b"content-length" in self._headers

    def _close(self, error: EgressError | None) -> None:
        if self.closed:
            return
        self.closed = True
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        body, self._body = self._body, None
        if body is not None:
            body.fail(error or self._lost(None))
        head = self._head
        if head is not None and not head.done():
            head.set_result(None)
        self._wake_writer()
        self._owner.gone(self)

    def _wake_writer(self) -> None:
        drained = self._drained
        if drained is not None and not drained.done():
            drained.set_result(None)

    def _blame(self, error: EgressError) -> EgressError:
        self._fault = error
        return error

    def _lost(self, cause: Exception | None) -> ConnectionLost:
        when = "before its answer was complete" if self._answered else "without an answer"
        lost = ConnectionLost(f"{self._name} closed the connection {when}.", sent=True, answered=self._answered)
        lost.__cause__ = cause
        return lost

    def _oversize(self) -> TooLarge:
        return TooLarge(f"{self._name} answered with more header than the {MAX_HEAD} bytes the hub reads.")
