"""The hub on one pair of streams: a client that starts commands speaks to it line by line, in either era.

Rule: one process serves one client. Every message is one line, written whole; requests are served side by side, and
what ends the input ends everything that was under way.
Source: MCP 2026-07-28, basic/transports/stdio; 2025-11-25, basic/transports ("stdio") and basic/lifecycle.

| message                               | served as                                             |
|---------------------------------------|-------------------------------------------------------|
| `_meta` names a revision              | modern                                                |
| `initialize`                          | legacy; opens the session, once                       |
| anything else once that was served    | legacy                                                |
| anything else before                  | `ping` is answered, all else told to begin            |
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final, final

from msgspec import Raw

from mcp_hub.errors import BadRequest, UnknownMethod
from mcp_hub.gateway.ask import Ask, Gateway
from mcp_hub.gateway.listener import Listener, Over
from mcp_hub.gateway.notices import Notices
from mcp_hub.inbound.encode import as_message
from mcp_hub.inbound.errors import settled
from mcp_hub.inbound.incoming import Incoming, look_into
from mcp_hub.inbound.legacy import SUBSCRIBING, client_of, introduction, level_of, subscription
from mcp_hub.inbound.modern import REMOVED, climb, discovery
from mcp_hub.inbound.notices import LISTEN, listen, relay
from mcp_hub.inbound.outcome import Failure, Outcome, Refused
from mcp_hub.inbound.questions import Questions
from mcp_hub.principal import Principal
from mcp_hub.upstream.process import one_line
from mcp_hub.wire.eras import META_VERSION, Client, Era
from mcp_hub.wire.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    Malformed,
    Message,
    Reply,
    error_object,
    error_response,
    parse,
    value,
)

MOST: Final = 1000
"""Requests under way at once; more are refused."""
FAREWELL: Final = 1.0
"""Seconds in which what is under way may still be answered once the input has ended."""
_EMPTY: Final = b"{}"

Write = Callable[[bytes], Awaitable[None]]
"""Writes one message with the end of its line; one at a time."""


class _Subject:
    """What a failure is about; see `inbound.errors.Subject`."""

    __slots__ = ("era", "method")

    def __init__(self, method: str | None, era: Era) -> None:
        self.method = method
        self.era = era


@final
class Stdio:
    """Serves one client. `write` is called by one task at a time."""

    def __init__(self, gateway: Gateway, notices: Notices, caller: Principal, write: Write) -> None:
        self._gateway = gateway
        self._notices = notices
        self._caller = caller
        self._write = write
        self._lock = asyncio.Lock()
        self._session = f"stdio-{secrets.token_urlsafe(9)}"
        self._client: Client | None = None
        self._questions = Questions()
        self._listener: Listener | None = None
        self._relaying: asyncio.Task[None] | None = None
        self._running: dict[object, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, lines: AsyncIterator[bytes]) -> None:
        """Serve every line until there are no more; a client that is gone ends what was under way."""
        try:
            async for line in lines:
                if line.strip():
                    await self._take(line)
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=FAREWELL)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._hush()
            await self._gateway.end_session(self._session)

    async def _take(self, line: bytes) -> None:
        try:
            message = parse(line)
        except Malformed as error:
            await self._put(error_response(None, error_object(error.code, error.message)))
            return
        if message.is_response:
            self._questions.answered(message)
        elif not message.is_request:
            self._told(message)
        elif len(self._tasks) >= MOST:
            error = error_object(INTERNAL_ERROR, "Too many requests are under way; wait for some of them")
            await self._put(error_response(message.id, error))
        else:
            self._begin(message)

    def _begin(self, message: Message) -> None:
        key = _key(message.id)
        task = asyncio.ensure_future(self._answer(message))
        self._running[key] = task
        self._tasks.add(task)

        def over(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            if self._running.get(key) is done:
                del self._running[key]

        task.add_done_callback(over)

    def _told(self, message: Message) -> None:
        if message.method == "notifications/initialized" and self._listener is not None and self._relaying is None:
            self._relaying = asyncio.ensure_future(self._relay(self._listener))
        if message.method != "notifications/cancelled":
            return
        try:
            task = self._running.get(_key(look_into(message).params.get("requestId", Raw(b"null"))))
        except Malformed:
            return
        if task is not None:
            task.cancel()  # no response is owed to what was cancelled

    async def _answer(self, message: Message) -> None:
        subject = _Subject(message.method, Era.LEGACY)
        outcome = await settled(self._served(message, subject), subject)
        if isinstance(outcome, Reply | Failure):
            await self._put(as_message(outcome, message.id))

    async def _served(self, message: Message, subject: _Subject) -> Outcome:
        incoming = look_into(message)
        method = message.method or ""
        if incoming.meta is not None and META_VERSION in incoming.meta:
            subject.era = Era.MODERN
            return await self._modern(method, incoming)
        if method == "initialize":
            return await self._initialize(incoming)
        if method == "ping":
            return Reply(result=_EMPTY)
        if self._client is None:
            raise Refused(INVALID_REQUEST, "Begin with initialize, or say your revision in params._meta")
        return await self._legacy(self._client, method, incoming)

    async def _modern(self, method: str, incoming: Incoming) -> Outcome:
        client = climb(None, method, incoming.params, incoming.meta)
        if method == "server/discover":
            return Reply(result=discovery(await self._gateway.describe(self._caller, client.revision)))
        if method == LISTEN:
            return await listen(self._notices, self._put, self._caller, client, incoming)
        if method in REMOVED:
            raise UnknownMethod(f"Revision {client.revision} has no method {method}")
        ask = Ask(self._caller, client, method, incoming.params, incoming.meta or {}, self._put, param_headers=None)
        return await self._gateway.answer(ask)

    async def _initialize(self, incoming: Incoming) -> Reply:
        if self._client is not None:
            raise Refused(INVALID_REQUEST, "This session is open already")
        self._client = client = client_of(incoming.params)
        self._listener = self._notices.open(self._caller.key)
        return introduction(client, await self._gateway.describe(self._caller, client.revision))

    async def _legacy(self, client: Client, method: str, incoming: Incoming) -> Reply:
        if method == "logging/setLevel":
            await self._gateway.set_log_level(self._session, level_of(incoming.params))
            return Reply(result=_EMPTY)
        if method in SUBSCRIBING and self._listener is not None:
            return await subscription(self._notices, self._listener, method, incoming.params)
        if incoming.meta is None and "_meta" in incoming.params:
            raise BadRequest("params._meta must be an object")
        ask_client = partial(self._questions.ask, self._put)
        ask = Ask(
            self._caller, client, method, incoming.params, incoming.meta or {}, self._put, self._session, ask_client
        )
        return await self._gateway.answer(ask)

    async def _relay(self, listener: Listener) -> None:
        # A client that did not keep up has missed some notices; what is told from now on it shall have.
        while listener.over in (None, Over.OVERFLOWED):
            listener.resume()
            await relay(self._put, listener)

    async def _hush(self) -> None:
        if self._listener is not None:
            self._listener.close()
        if self._relaying is not None:
            self._relaying.cancel()
            await asyncio.wait([self._relaying])

    async def _put(self, message: bytes) -> None:
        # By a task of its own, which no cancellation cuts off half-way: half a line would spoil the next one.
        await asyncio.shield(asyncio.ensure_future(self._put_in_turn(one_line(message) + b"\n")))

    async def _put_in_turn(self, line: bytes) -> None:
        async with self._lock:
            await self._write(line)


def _key(number: Raw) -> object:
    key = value(number)
    return key if isinstance(key, str | int | float) else None
