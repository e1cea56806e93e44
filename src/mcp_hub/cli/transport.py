"""One write per response. Rule: what is held back goes out before the event loop waits for anything.

The server writes the head of a response and its body one right after the other, and each write would be a system call
and a packet of its own. So a small write waits for the next one, no longer than until whatever runs now has had its
turn.
"""

import asyncio
from typing import Any, Final, cast, final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SMALL: Final = 4096
"""Bytes up to which a write is held back: joining so many costs less than writing them does."""


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
        if held and len(data) > SMALL:
            self._transport.writelines((held, data))
        elif held or len(data) > SMALL:
            self._transport.write(held + data)
        else:
            self._held = data
            if not self._is_planned:
                self._is_planned = True
                self._call_soon(self._end_turn)

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


class JoiningProtocol(HttpToolsProtocol):
    """The server's own protocol, on such a transport."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once per connection, by the event loop."""
        joining = Joining(cast("asyncio.Transport", transport), self.loop)
        super().connection_made(cast("asyncio.Transport", joining))
