"""The MCP endpoint: one ASGI callable, one path, both eras.

Rule: nothing of a request is believed before `Host`, `Origin` and the caller are known, and nothing raised below this
file leaves it, except the cancellation that comes from above.

Which era a POSTed message is of, first row that fits (MCP 2026-07-28 basic/versioning "Backward Compatibility"):

| body `_meta` names a revision | `MCP-Protocol-Version`       | otherwise                   | served as            |
|-------------------------------|------------------------------|-----------------------------|----------------------|
| yes                           | any                          | any, even `initialize`      | modern               |
| no                            | outside the handshake ones   | any, even with a session id | modern: the ladder   |
|                               |                              |                             | says what is missing |
| no                            | a handshake revision or none | `initialize`                | legacy, a new session|
| no                            | a handshake revision or none | a session id                | legacy, that session |
| no                            | a handshake revision or none | neither                     | legacy: 400          |

The two ambiguous cases are the first and the last row. A session id beside modern metadata is ignored, since the
metadata says more than a client's left-over header; `initialize` is then a method that revision does not have. A
message that shows no sign of either era is told to begin with `initialize`, because only old clients leave out both.
"""

from collections.abc import Awaitable, Iterable
from functools import partial
from typing import Final

from mcp_hub.gateway.ask import Gateway
from mcp_hub.gateway.notices import NoticesOf
from mcp_hub.inbound.asgi import Headers, Receive, Scope, Send
from mcp_hub.inbound.batch import serve_batch
from mcp_hub.inbound.body import MAX_REQUEST, accepts, is_json, read_body
from mcp_hub.inbound.carry import carry
from mcp_hub.inbound.door import Door, admitted, while_allowed
from mcp_hub.inbound.exchange import Exchange
from mcp_hub.inbound.flight import Patrol, Phase, Timing
from mcp_hub.inbound.guard import Guard
from mcp_hub.inbound.head import ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, SESSION, Head, read_head
from mcp_hub.inbound.incoming import Incoming, look_into
from mcp_hub.inbound.legacy import Legacy
from mcp_hub.inbound.modern import Modern
from mcp_hub.inbound.notices import LISTEN, check_size
from mcp_hub.inbound.outcome import Outcome, Refused
from mcp_hub.inbound.sessions import Sessions
from mcp_hub.principal import Principal
from mcp_hub.wire.eras import LEGACY_REVISIONS, META_VERSION, Era
from mcp_hub.wire.jsonrpc import INVALID_REQUEST, Malformed, is_batch, parse

_TIMING: Final = Timing()
_MODERN: Final = Era.MODERN
_ANSWERING: Final = Phase.ANSWERING
_HANDSHAKE: Final = frozenset(LEGACY_REVISIONS)
_ALLOW: Final = ((b"allow", b"GET, POST, DELETE"),)
_ALLOW_POST: Final = ((b"allow", b"POST"),)


class Endpoint:
    """The ASGI callable. Holds no state of a request between calls; sessions are in `sessions`.

    `resource` is the URL of this endpoint, as tokens for it say.
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
    ) -> None:
        self._door = door
        self._resource = resource
        self._guard = Guard(allowed_hosts, allowed_origins)
        self._max_request = max_request
        self._timing = timing
        self._patrol = Patrol(timing.late)
        self._modern = Modern(gateway, notices_of)
        self._legacy = Legacy(gateway, sessions, notices_of)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request; a WebSocket is refused, anything else is nothing of this endpoint's."""
        if scope["type"] != "http":
            await _decline(scope, receive, send)
            return
        exchange = Exchange(receive, send, self._timing, self._patrol)
        await carry(exchange, self._serve(scope, receive, exchange))

    async def _serve(self, scope: Scope, receive: Receive, exchange: Exchange) -> Outcome:
        headers, query = scope["headers"], scope.get("query_string", b"")
        head = read_head(headers)
        self._guard.check(head)
        # A query has no meaning here, but a token in it would have one elsewhere.
        caller = None if query else self._door.known(head.raw(AUTHORIZATION))
        if caller is None:
            caller = await admitted(self._door, headers, query, self._resource)
        exchange.accepts = accepts(head.raw(ACCEPT))
        if scope["method"] == "POST":
            if not exchange.accepts.json or not is_json(head.raw(CONTENT_TYPE)):
                raise _wrong_media(exchange)
            body = await read_body(receive, head.raw(CONTENT_LENGTH), self._max_request)
            exchange.flight.enter(_ANSWERING)
            return await self._post(exchange, head, headers, caller, body)
        other = self._other(exchange, head, caller, scope["method"])
        return await while_allowed(self._door, headers, self._resource, exchange.flight, other)

    def _post(
        self, exchange: Exchange, head: Head, headers: Headers, caller: Principal, body: bytes
    ) -> Awaitable[Outcome]:
        if _names_modern(head):
            exchange.era = _MODERN
        try:
            message = parse(body)
        except Malformed:
            if is_batch(body):
                return self._batch(exchange, head, caller, body)
            raise
        exchange.number = message.id or None
        exchange.method = message.method
        incoming = look_into(message)
        if exchange.era is _MODERN or (incoming.meta is not None and META_VERSION in incoming.meta):
            exchange.era = _MODERN
            exchange.flight.hang_up_ends = True
            if message.method == LISTEN:
                check_size(len(body))
                listening = self._modern.post(exchange, head, caller, incoming)
                return while_allowed(self._door, headers, self._resource, exchange.flight, listening)
            return self._modern.post(exchange, head, caller, incoming)
        if message.method == "initialize" and message.is_request:
            return self._legacy.initialize(exchange, head, caller, incoming)
        return self._in_session(exchange, head, caller, incoming)

    async def _in_session(self, exchange: Exchange, head: Head, caller: Principal, incoming: Incoming) -> Outcome:
        session = await self._legacy.session(head, caller)
        exchange.keep_on(session.shelf)
        return await self._legacy.post(exchange, session, caller, incoming, exchange.flight.end)

    async def _batch(self, exchange: Exchange, head: Head, caller: Principal, body: bytes) -> Outcome:
        if exchange.era is _MODERN:
            raise Refused(INVALID_REQUEST, "This revision knows no batches; send each message by itself", status=400)
        session = await self._legacy.session(head, caller)
        exchange.keep_on(session.shelf)
        post = partial(self._legacy.post, exchange, session, caller)
        return await serve_batch(post, session.client.revision, body, exchange.flight.end)

    async def _other(self, exchange: Exchange, head: Head, caller: Principal, method: str) -> Outcome:
        if method not in ("GET", "DELETE"):
            raise Refused(INVALID_REQUEST, f"{method} means nothing here", status=405, headers=_ALLOW)
        if head.raw(SESSION) is None or _names_modern(head):
            message = f"{method} belongs to a session, which initialize opens; without one there is POST only"
            raise Refused(INVALID_REQUEST, message, status=405, headers=_ALLOW_POST)
        session = await self._legacy.session(head, caller)
        if method == "DELETE":
            return await self._legacy.delete(session)
        return await self._legacy.listen(exchange, session, caller, head)


def _names_modern(head: Head) -> bool:
    return head.version is not None and head.version not in _HANDSHAKE


def _wrong_media(exchange: Exchange) -> Refused:
    if not exchange.accepts.json:
        return Refused(INVALID_REQUEST, "Accept must name application/json and text/event-stream", status=406)
    return Refused(INVALID_REQUEST, "Content-Type must be application/json", status=415)


async def _decline(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
