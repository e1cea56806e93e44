"""The modern era: every request stands alone, and says on itself and in its headers what it is.

Rule: the ladder. The first rung that fails decides the answer: metadata there (-32602), headers in agreement with the
body (-32020), revision served (-32022). Only then does a method count.
Source: MCP 2026-07-28 basic/index "Per-request protocol fields", basic/transports/streamable-http "Server Validation",
basic/versioning.
"""

from collections.abc import Awaitable
from functools import lru_cache
from typing import Final

from msgspec import Raw

from mcp_hub.errors import UnknownMethod
from mcp_hub.gateway.ask import Ask, Description, Gateway
from mcp_hub.gateway.notices import NoticesOf
from mcp_hub.inbound.exchange import Exchange
from mcp_hub.inbound.head import METHOD, NAME, PARAM, VERSION, Head
from mcp_hub.inbound.incoming import LONGEST_KEPT, Incoming
from mcp_hub.inbound.notices import LISTEN, listen
from mcp_hub.inbound.outcome import Empty, Outcome, Refused
from mcp_hub.inbound.outlet import Outlet
from mcp_hub.principal import Principal
from mcp_hub.wire.eras import (
    META_CLIENT_CAPABILITIES,
    META_CLIENT_INFO,
    META_SERVER_INFO,
    META_VERSION,
    MODERN_REVISIONS,
    NAME_BEARING,
    Client,
    Era,
)
from mcp_hub.wire.headers import decode_value
from mcp_hub.wire.jsonrpc import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    UNSUPPORTED_VERSION,
    Fields,
    Json,
    Malformed,
    Reply,
    encode,
    fields,
    text,
)

ROUTING: Final = frozenset({VERSION, METHOD, NAME, PARAM})
"""Headers that a program in front of the hub may have routed on."""

REMOVED: Final = frozenset(
    {"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"},
)
"""Methods of the legacy era only."""

_MODERN: Final = Era.MODERN
_BRACE: Final = ord("{")


class Modern:
    """Serves the modern messages of any caller; keeps nothing between them."""

    def __init__(self, gateway: Gateway, notices_of: NoticesOf) -> None:
        self._gateway = gateway
        self._notices_of = notices_of

    def post(self, exchange: Exchange, head: Head, caller: Principal, incoming: Incoming) -> Awaitable[Outcome]:
        """Serve one POSTed message; what it comes to has to be awaited.

        Raises:
            Refused: the message is no request or notification, or a rung of the ladder failed.
            HubError: from the gateway.
        """
        message = incoming.message
        if message.method is None:
            raise Refused(INVALID_REQUEST, "Clients of this revision send requests and notifications, no responses")
        if not message.id:
            return _notified(head, incoming.meta)
        return self.serve(exchange, head, caller, incoming)

    def serve(self, outlet: Outlet, head: Head | None, caller: Principal, incoming: Incoming) -> Awaitable[Outcome]:
        """Serve one request; `head` is `None` where there are no headers. What it comes to has to be awaited.

        Raises:
            Refused: a rung of the ladder failed.
            HubError: from the gateway.
        """
        params, meta = incoming.params, incoming.meta
        method = incoming.message.method or ""
        client = climb(head, method, incoming)
        if method == "server/discover":
            return self._discover(caller, client.revision)
        if method == LISTEN:
            if not outlet.takes_messages:
                raise Refused(
                    INVALID_REQUEST, f"{LISTEN} is answered by a stream; accept text/event-stream", status=406
                )
            return listen(self._notices_of(caller), outlet.emit, caller, client, incoming)
        if method in REMOVED:
            raise UnknownMethod(f"Revision {client.revision} has no method {method}")
        param_headers = None if head is None else head.params
        ask = Ask(caller, client, method, params, meta or {}, outlet.emit, param_headers=param_headers)
        return self._gateway.answer(ask)

    async def _discover(self, caller: Principal, revision: str) -> Outcome:
        return Reply(result=discovery(await self._gateway.describe(caller, revision)))


def climb(head: Head | None, method: str, incoming: Incoming) -> Client:
    """Who sent the request, if every rung of the ladder holds; `head` is `None` where there are no headers.

    Raises:
        Refused: naming the first rung that does not.
    """
    if head is not None and head.repeated and (twice := ROUTING & head.repeated):
        raise _mismatch(f"{min(twice).decode()} stands more than once")
    said = incoming.said
    client = (_kept_client if len(said) <= LONGEST_KEPT else _known_client)(said)
    revision = _revision(incoming.meta) if client is None else client.revision
    if head is not None:
        _compare(head, revision, method, incoming.params)
    return client or _client(incoming.meta or {}, revision)


def discovery(hub: Description) -> bytes:
    """The `server/discover` result (server/discover "DiscoverResult")."""
    result: Json = {
        "resultType": "complete",
        "supportedVersions": MODERN_REVISIONS,
        "capabilities": hub.capabilities,
        "ttlMs": hub.ttl_ms,
        "cacheScope": hub.cache_scope,
        "_meta": {META_SERVER_INFO: hub.server_info},
    }
    return encode(result | {"instructions": hub.instructions} if hub.instructions else result)


def _revision(meta: Fields | None) -> str | None:
    if meta is None:
        raise _no_meta("params._meta must be an object")
    for key in (META_VERSION, META_CLIENT_CAPABILITIES):
        if key not in meta:
            raise _no_meta(f"params._meta has no {key}")
    return text(meta[META_VERSION])


def _client(meta: Fields, revision: str | None) -> Client:
    if revision is None:
        raise _no_meta(f"{META_VERSION} must be a string")
    if revision not in MODERN_REVISIONS:
        raise _unsupported(revision)
    return Client(
        _MODERN,
        revision,
        _object(meta, META_CLIENT_CAPABILITIES),
        _object(meta, META_CLIENT_INFO) if META_CLIENT_INFO in meta else None,
    )


def _known_client(said: bytes) -> Client | None:
    """Who says this of itself; `None` where a rung fails, which `climb` then finds in its turn."""
    try:
        meta = fields(said) if said else None
        return _client(meta or {}, _revision(meta))
    except (Malformed, Refused):
        return None


_kept_client: Final = lru_cache(maxsize=512)(_known_client)


def _compare(head: Head, revision: str | None, method: str, params: Fields) -> None:
    if head.version is None or head.version != revision:
        raise _mismatch("MCP-Protocol-Version must repeat the body's protocol version")
    if head.text(METHOD) != method:
        raise _mismatch("Mcp-Method must repeat the body's method")
    member = NAME_BEARING.get(method)
    if member is not None:
        named = head.text(NAME)
        value = params.get(member)
        if value is None and named is None:
            return  # the gateway says what a call without a name lacks
        if (meant := decode_value(named)) is None or meant != text(value):
            raise _mismatch(f"Mcp-Name must repeat the body's params.{member}")


def _object(meta: Fields, key: str) -> Raw:
    raw = meta[key]
    if memoryview(raw)[0] != _BRACE:
        raise _no_meta(f"{key} must be an object")
    return raw


async def _notified(head: Head, meta: Fields | None) -> Empty:
    # This revision knows no client notifications over HTTP: one of a served revision is taken and dropped.
    said = head.version
    for revision in (said, text(meta[META_VERSION]) if meta and META_VERSION in meta else said):
        if revision not in MODERN_REVISIONS and revision is not None:
            raise _unsupported(revision)
    return Empty(202)


def _no_meta(problem: str) -> Refused:
    return Refused(INVALID_PARAMS, f"{problem}; every request of this revision carries its metadata there", status=400)


def _mismatch(problem: str) -> Refused:
    return Refused(HEADER_MISMATCH, f"Header mismatch: {problem}", status=400)


def _unsupported(revision: str) -> Refused:
    requested = revision.encode("utf-8", "replace").decode()
    data = {"supported": MODERN_REVISIONS, "requested": requested}
    return Refused(UNSUPPORTED_VERSION, "Unsupported protocol version", data, status=400)
