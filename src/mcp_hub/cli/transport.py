"""One write for all that is said at once, and bounds on what comes before a request.

Rule: what is held back goes out before the event loop waits for anything.

The server writes the head of a response and its body one right after the other, and so it does the events that arrived
together; each write would be a system call and a packet of its own. So small writes wait for more, no longer than until
whatever runs now has had its turn.
"""

import asyncio
from typing import Any, Final, cast, final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SMALL: Final = 4096
"""Bytes up to which writes are held back: joining so many costs less than writing them does."""

MOST_HEAD: Final = 64 * 1024
"""Bytes of a request's head."""
HEAD_SECONDS: Final = 10.0
"""Seconds until it has to be complete."""
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


@final
class Joining:
    """A transport whose small writes go out together with what follows them at once; all else is the transport's."""

    __slots__ = ("_call_soon", "_held", "_is_planned", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon = loop.call_soon
        self._held = b""
        self._is_planned = False
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, now or at the end of this turn; in order, whatever the sizes."""
        held, self._held = self._held, b""
        if len(held) + len(data) <= SMALL:
            self._held = held + data
            if not self._is_planned:
                self._is_planned = True
                self._call_soon(self._end_turn)
        elif held and len(data) > SMALL:
            self._transport.writelines((held, data))
        else:
            self._transport.write(held + data)

    def close(self) -> None:
        """Close once everything is written."""
        self._flush()
        self._transport.close()

    def _end_turn(self) -> None:
        self._is_planned = False
        if self._held:
            self._flush()

    def _flush(self) -> None:
        held, self._held = self._held, b""
        if held and not self.is_closing():
            self._transport.write(held)


class BoundedProtocol(HttpToolsProtocol):
    """The server's own protocol, on such a transport, with a bound on what comes before a request is known.

    Until its head is complete a request has passed no check at all, so its head may neither grow nor wait for ever.
    """

    head_seconds: float = HEAD_SECONDS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once per connection, by the event loop."""
        joining = Joining(cast("asyncio.Transport", transport), self.loop)
        super().connection_made(cast("asyncio.Transport", joining))
        self._head = 0
        self._patience: asyncio.TimerHandle | None = self.loop.call_later(self.head_seconds, joining.close)

    def data_received(self, data: bytes) -> None:
        """Called with whatever has arrived."""
        before = self.cycle
        reads_body = before and before.more_body
        super().data_received(data)
        if reads_body or self.cycle is not before:
            self._head = 0
            self._lose_patience()
        else:
            self._wait_for_head(len(data))

    def connection_lost(self, exc: Exception | None) -> None:
        """Called once, when the connection is gone."""
        self._lose_patience()
        super().connection_lost(exc)

    def _wait_for_head(self, more: int) -> None:
        self._head += more
        if self._head > MOST_HEAD:
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        elif self._patience is None:
            self._patience = self.loop.call_later(self.head_seconds, self.transport.close)

    def _lose_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
