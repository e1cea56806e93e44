"""Which era does this upstream speak? Asked, never guessed from its name or an earlier failure.

A modern request is tried first. What its outcome proves:

    DiscoverResult that offers 2026-07-28                          modern
    DiscoverResult without it                                      legacy
    error -32022 that names 2026-07-28, -32020, -32021             modern
    any other JSON-RPC error, any other 4xx                        legacy
    401, 403, 429, 5xx, no connection, no answer in time           nothing: raised, and not remembered

Source: MCP 2026-07-28, basic/versioning and basic/transports/streamable-http (backward compatibility).
"""

from dataclasses import dataclass
from typing import Any, Final, cast

from msgspec import Raw

from mcp_hub.errors import BrokeProtocol, Unreachable
from mcp_hub.upstream.answer import NotModern, SessionGone, decoded
from mcp_hub.upstream.call import OWN_CAPABILITIES, Call, nowhere
from mcp_hub.upstream.carrier import CATALOG_OWNER
from mcp_hub.upstream.credentialed import Credentialed
from mcp_hub.upstream.modern import own_client, own_meta
from mcp_hub.wire.eras import LATEST_MODERN, META_SERVER_INFO, Client, Era
from mcp_hub.wire.jsonrpc import (
    HEADER_MISMATCH,
    MISSING_CAPABILITY,
    UNSUPPORTED_VERSION,
    Json,
    Malformed,
    Reply,
    value,
)

DISCOVER: Final = "server/discover"
_MODERN_ONLY: Final = frozenset({HEADER_MISMATCH, MISSING_CAPABILITY})


@dataclass(frozen=True, slots=True)
class Opening:
    """What an upstream says of itself when first spoken to."""

    era: Era
    revision: str
    server_info: Json
    capabilities: Json
    instructions: str


async def probe(name: str, carrier: Credentialed, info: Raw, *, pinned: Era | None) -> Opening:
    """Find out the era and the upstream's description of itself; a legacy one opens the catalog's session with it.

    Raises:
        UpstreamError, ConnectionNeeded, HubFault: nothing was found out.
    """
    if pinned is not Era.LEGACY:
        opening = await _try_modern(name, carrier, info)
        if opening is not None:
            return opening
        if pinned is Era.MODERN:
            raise BrokeProtocol(name, f"{name} does not speak {LATEST_MODERN}, which its configuration pins.")
    return await _open_legacy(name, carrier, info)


async def _try_modern(name: str, carrier: Credentialed, info: Raw) -> Opening | None:
    client = own_client(info)
    try:
        reply = await carrier.send(Era.MODERN, own_call(client, DISCOVER))
    except (NotModern, SessionGone):
        return None
    if reply.result is None:
        return _blank_modern() if _proves_modern(reply) else None
    found = decoded(name, reply.result)
    versions = found.get("supportedVersions")
    if not isinstance(versions, list) or LATEST_MODERN not in versions:
        return None
    meta = _object(found.get("_meta"))
    return _opening(Era.MODERN, LATEST_MODERN, _object(meta.get(META_SERVER_INFO)), found)


async def _open_legacy(name: str, carrier: Credentialed, info: Raw) -> Opening:
    client = Client(Era.LEGACY, "2025-11-25", OWN_CAPABILITIES, info)
    try:
        opened = await carrier.opened(CATALOG_OWNER, client)
    except (NotModern, SessionGone) as error:
        raise Unreachable(name, f"{name} does not speak Streamable HTTP at this URL. Check its URL.") from error
    return _opening(Era.LEGACY, str(opened["protocolVersion"]), _object(opened.get("serverInfo")), opened)


def own_call(client: Client, method: str, **params: Raw) -> Call:
    """A request that the hub makes for itself; it may be repeated."""
    return Call(CATALOG_OWNER, client, method, params, own_meta(client), nowhere, repeatable=True)


def _proves_modern(reply: Reply) -> bool:
    try:
        error = _object(value(reply.error or b"{}"))
    except Malformed:
        return False
    if error.get("code") == UNSUPPORTED_VERSION:
        supported = _object(error.get("data")).get("supported")
        return isinstance(supported, list) and LATEST_MODERN in supported
    return error.get("code") in _MODERN_ONLY


def _blank_modern() -> Opening:
    return Opening(Era.MODERN, LATEST_MODERN, {}, {"tools": {}, "resources": {}, "prompts": {}}, "")


def _opening(era: Era, revision: str, server_info: Json, found: Json) -> Opening:
    instructions = found.get("instructions")
    return Opening(
        era,
        revision,
        server_info,
        _object(found.get("capabilities")),
        instructions if isinstance(instructions, str) else "",
    )


def _object(raw: Any) -> Json:
    return cast("Json", raw) if isinstance(raw, dict) else {}
