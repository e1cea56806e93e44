"""The transport of revision 2024-11-05: one stream to the client, opened by GET, and POSTs beside it.

Rule: the stream is the session. It has one owner and one id, which stands in the address that the stream names first;
with the stream ends the session, and nothing of it can be taken up again. What a client does not read waits in a
bounded queue, and one that reads nothing for long is given up.
Source: MCP 2024-11-05, basic/transports "HTTP with SSE".

| request                                              | answer                                                |
|------------------------------------------------------|-------------------------------------------------------|
| GET of the stream's address                          | the stream: `endpoint`, then every message            |
| POST to the address it named, by the stream's owner  | 202; what it asks is answered on the stream           |
| the same by anybody else, or with an unknown id      | 404                                                   |
| any other method                                     | 405                                                   |
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final, final
from urllib.parse import parse_qs, quote, urlsplit

from mcp_hub.gateway.ask import Gateway
from mcp_hub.gateway.listener import Listener
from mcp_hub.gateway.notices import NoticesOf
from mcp_hub.inbound.asgi import Receive, Scope, Send
from mcp_hub.inbound.body import MAX_REQUEST, accepts, is_json, read_body
from mcp_hub.inbound.carry import carry
from mcp_hub.inbound.conversation import Conversation
from mcp_hub.inbound.door import Door, admitted, while_allowed
from mcp_hub.inbound.exchange import Exchange
from mcp_hub.inbound.flight import Ended, Patrol, Phase, Timing
from mcp_hub.inbound.guard import Guard
from mcp_hub.inbound.head import ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, Head, read_head
from mcp_hub.inbound.legacy import STRANGER, Legacy
from mcp_hub.inbound.outcome import Empty, Outcome, Refused, Written
from mcp_hub.inbound.sessions import Event, Sessions
from mcp_hub.principal import Principal
from mcp_hub.wire.jsonrpc import INVALID_REQUEST
from mcp_hub.wire.sse import named_event

STREAM_PATH: Final = "/sse"
MESSAGES_PATH: Final = "/messages"
SESSION_ID: Final = "session_id"

MOST_QUEUED: Final = 1024 * 1024
"""Bytes that wait on one stream before those who have more to say have to wait."""
MOST_HELD: Final = 64 * 1024 * 1024
"""Bytes that wait and would like to; beyond them the client is given up."""

_LONGEST_QUERY: Final = 4096
_TIMING: Final = Timing()
_WRITTEN: Final = "/%:@!$&'()*+,;=~"
"""What stays as it is in a path that is part of a URL already."""
_ALLOW_GET: Final = ((b"allow", b"GET"),)
_ALLOW_POST: Final = ((b"allow", b"POST"),)


@final
class EventStream:
    """An `Outlet` onto one stream. `emit` may be called by many tasks; `write` belongs to the stream's own one."""

    def __init__(self, exchange: Exchange) -> None:
        self.takes_messages = True
        self.pause = None
        self._exchange = exchange
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._waiting = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._ends = False
        self._is_over = False

    async def emit(self, message: bytes) -> None:
        """See `Outlet.emit`."""
        await self.put(named_event("message", message))

    async def say(self, message: bytes) -> bool | None:
        """See `Outlet.say`."""
        await self.emit(message)

    async def put(self, event: bytes) -> None:
        """Queue one encoded event, as soon as there is room; dropped once the stream is over."""
        held = self._queued + self._waiting
        if held and held + len(event) > MOST_HELD:
            self._exchange.flight.end(Ended.NOT_READ)
        self._waiting += len(event)
        try:
            while self._queued >= MOST_QUEUED and not self._is_over:
                self._room.clear()
                await self._room.wait()
        finally:
            self._waiting -= len(event)
        if not self._is_over:
            self._queue.append(event)
            self._queued += len(event)
            self._news.set()

    def end(self) -> None:
        """Nothing more is said: `write` returns when the queue is empty."""
        self._ends = True
        self._news.set()

    async def write(self) -> None:
        """Write what is queued until the end. A client that does not read ends the task, as `Exchange.push` says."""
        try:
            while not self._ends or self._queue:
                while self._queue:
                    await self._write_next()
                self._news.clear()
                if not self._ends:
                    await self._news.wait()
        finally:
            self._is_over = True
            self._queue.clear()
            self._room.set()

    async def _write_next(self) -> None:
        event = self._queue.popleft()
        await self._exchange.push(event)
        self._queued -= len(event)
        self._room.set()


@final
class Sse:
    """Two ASGI callables, `stream` and `messages`. `public_url` is where clients may see the hub behind a proxy.

    `resource` is what tokens for both have to be for.
    """

    def __init__(
        self,
        gateway: Gateway,
        sessions: Sessions,
        notices_of: NoticesOf,
        *,
        door: Door,
        resource: str = "",
        allowed_hosts: Iterable[str],
        allowed_origins: Iterable[str] = (),
        max_request: int = MAX_REQUEST,
        timing: Timing = _TIMING,
        public_url: str | None = None,
    ) -> None:
        self._sessions = sessions
        self._legacy = Legacy(gateway, sessions, notices_of)
        self._door = door
        self._resource = resource
        self._guard = Guard(allowed_hosts, allowed_origins)
        self._max_request = max_request
        self._timing = timing
        self._patrol = Patrol(timing.late)
        public = urlsplit(public_url or "")
        self._public = public.netloc.lower().encode("ascii", "replace"), public.path.rstrip("/")
        self._open: dict[str, Conversation] = {}

    def __len__(self) -> int:
        return len(self._open)

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request to the stream's address."""
        exchange = Exchange(receive, send, self._timing, self._patrol)
        stream = self._stream(scope, exchange)
        await carry(exchange, while_allowed(self._door, scope["headers"], self._resource, exchange.flight, stream))

    async def messages(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request to the address that a stream has named."""
        exchange = Exchange(receive, send, self._timing, self._patrol)
        await carry(exchange, self._message(scope, receive, exchange))

    async def _stream(self, scope: Scope, exchange: Exchange) -> Outcome:
        head, caller = await self._admitted(scope)
        if scope["method"] != "GET":
            message = "This is the address of the older transport: GET opens its stream. Others POST to /mcp"
            raise Refused(INVALID_REQUEST, message, status=405, headers=_ALLOW_GET)
        exchange.accepts = accepts(head.raw(ACCEPT))
        if not exchange.accepts.events:
            raise Refused(INVALID_REQUEST, "A GET must accept text/event-stream", status=406)
        session = await self._sessions.open(caller, STRANGER, lasts=False)
        session.streams.add(exchange)
        try:
            listener = self._legacy.listener(session, caller)
            stream = EventStream(exchange)
            self._open[session.id] = conversation = Conversation(self._legacy, session, caller, stream)
            exchange.flight.hang_up_ends = True
            exchange.flight.enter(Phase.ANSWERING)
            address = f"{self._prefix(scope, head)}{MESSAGES_PATH}?{SESSION_ID}={session.id}"
            await stream.put(named_event("endpoint", address.encode("ascii")))
            await _hold(conversation, listener, stream)
            return Written()
        finally:
            self._open.pop(session.id, None)
            session.streams.discard(exchange)
            await self._sessions.end(session, Event.CLOSED)

    async def _message(self, scope: Scope, receive: Receive, exchange: Exchange) -> Outcome:
        head, caller = await self._admitted(scope)
        if scope["method"] != "POST":
            raise Refused(INVALID_REQUEST, "Messages are sent here by POST", status=405, headers=_ALLOW_POST)
        conversation = await self._conversation(scope["query_string"], caller)
        if not is_json(head.raw(CONTENT_TYPE)):
            raise Refused(INVALID_REQUEST, "Content-Type must be application/json", status=415)
        body = await read_body(receive, head.raw(CONTENT_LENGTH), self._max_request)
        exchange.flight.enter(Phase.ANSWERING)
        await conversation.take(body)
        return Empty(202)

    async def _admitted(self, scope: Scope) -> tuple[Head, Principal]:
        headers = scope["headers"]
        head = read_head(headers)
        self._guard.check(head)
        return head, await admitted(self._door, headers, scope.get("query_string", b""), self._resource)

    async def _conversation(self, query: bytes, caller: Principal) -> Conversation:
        named = _session_id(query)
        if named is None:
            message = f"The address must name one {SESSION_ID}, as the stream's first event gave it"
            raise Refused(INVALID_REQUEST, message, status=400)
        session = await self._sessions.find(named, caller)
        conversation = None if session is None else self._open.get(session.id)
        if conversation is None:
            raise Refused(INVALID_REQUEST, f"No such session; open a stream at {STREAM_PATH}", status=404)
        return conversation

    def _prefix(self, scope: Scope, head: Head) -> str:
        # Clients resolve it against the address they asked, so what a proxy takes off must stand in it again.
        host, path = self._public
        if host and (head.raw(HOST) or b"").lower() == host:
            return quote(path, safe=_WRITTEN)
        return quote(scope.get("root_path", "").rstrip("/"))


async def _hold(conversation: Conversation, listener: Listener, stream: EventStream) -> None:
    """Keep a stream until the session is over, or the hub stops and nothing is under way any more."""

    async def bring() -> None:
        await conversation.relay(listener)
        await conversation.idle()
        stream.end()

    bringing = asyncio.ensure_future(bring())
    try:
        await stream.write()
    finally:
        bringing.cancel()
        await asyncio.gather(bringing, return_exceptions=True)
        await conversation.aclose()


def _session_id(query: bytes) -> str | None:
    if len(query) > _LONGEST_QUERY:
        return None
    try:
        named = parse_qs(query.decode("latin-1"), max_num_fields=16).get(SESSION_ID, [])
    except ValueError:
        return None
    return named[0] if len(named) == 1 else None
