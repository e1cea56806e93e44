"""The hub on one pair of streams: a client that starts commands speaks to it line by line, in either era.

Rule: one process serves one client. Every message is one line, written whole; what ends the input ends everything that
was under way. How a message is served says `inbound.conversation`.
Source: MCP 2026-07-28, basic/transports/stdio; 2025-11-25, basic/transports ("stdio") and basic/lifecycle.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, final

from mcp_hub.gateway.ask import Gateway
from mcp_hub.gateway.listener import Over
from mcp_hub.gateway.notices import NoticesOf
from mcp_hub.inbound.conversation import Conversation
from mcp_hub.inbound.errors import contained
from mcp_hub.inbound.legacy import STRANGER, Legacy
from mcp_hub.inbound.modern import Modern
from mcp_hub.inbound.sessions import Event, MemorySessions
from mcp_hub.principal import Principal
from mcp_hub.upstream.process import one_line
from mcp_hub.wire.jsonrpc import Malformed, error_object, error_response

FAREWELL: Final = 1.0
"""Seconds in which what is under way may still be answered once the input has ended."""

Write = Callable[[bytes], Awaitable[None]]
"""Writes one message with the end of its line; one at a time. Raises `OSError` once the client is gone."""


@final
class Stdio:
    """Serves one client; an `Outlet`. `write` is called by one task at a time."""

    def __init__(self, gateway: Gateway, notices_of: NoticesOf, caller: Principal, write: Write) -> None:
        self.takes_messages = True
        self.pause = None
        self._caller = caller
        self._sessions = MemorySessions(gateway.end_session)
        self._legacy = Legacy(gateway, self._sessions, notices_of)
        self._modern = Modern(gateway, notices_of)
        self._write = write
        self._lock = asyncio.Lock()
        self._is_gone = asyncio.Event()

    async def serve(self, lines: AsyncIterator[bytes]) -> None:
        """Serve every line until there are no more; a client that is gone ends what was under way."""
        session = await self._sessions.open(self._caller, STRANGER, lasts=False)
        conversation = Conversation(self._legacy, session, self._caller, self, modern=self._modern)
        relaying = asyncio.ensure_future(contained(self._relay(conversation)))
        reading = asyncio.ensure_future(self._read(conversation, lines))
        leaving = asyncio.ensure_future(self._is_gone.wait())
        try:
            await asyncio.wait({reading, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
        finally:
            for task in (relaying, reading, leaving):
                task.cancel()
            await asyncio.gather(relaying, reading, leaving, return_exceptions=True)
            await conversation.aclose()
            await self._sessions.end(session, Event.CLOSED)
            await self._sessions.settle()

    async def say(self, message: bytes) -> bool | None:
        """See `Outlet.say`."""
        await self.emit(message)

    async def emit(self, message: bytes) -> None:
        """See `Outlet.emit`."""
        # By a task of its own, which no cancellation cuts off half-way: half a line would spoil the next one.
        await asyncio.shield(asyncio.ensure_future(self._write_in_turn(one_line(message) + b"\n")))

    async def _read(self, conversation: Conversation, lines: AsyncIterator[bytes]) -> None:
        async for line in lines:
            if line.strip():
                await self._take(conversation, line)
        await conversation.idle(FAREWELL)

    async def _take(self, conversation: Conversation, line: bytes) -> None:
        try:
            await conversation.take(line)
        except Malformed as error:
            await self.emit(error_response(None, error_object(error.code, error.message)))

    async def _relay(self, conversation: Conversation) -> None:
        await conversation.introduced.wait()
        over: Over | None = Over.OVERFLOWED
        # A client that did not keep up has missed some notices; what is told from now on it shall have.
        while over is Over.OVERFLOWED:
            listener = self._legacy.listener(conversation.session, self._caller)
            listener.resume()
            over = await conversation.relay(listener)

    async def _write_in_turn(self, line: bytes) -> None:
        async with self._lock:
            if self._is_gone.is_set():
                return
            try:
                await self._write(line)
            except OSError:
                self._is_gone.set()
