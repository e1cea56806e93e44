"""What a result of one era needs to be a result of the other. Results between equals pass untouched.

Source: MCP 2026-07-28, changelog (`resultType`, caching hints, -32602 for a missing resource).
"""

from typing import Final

from msgspec import Raw

from mcp_hub.catalog.rewrite import with_member, without_member
from mcp_hub.gateway.parking import Asked
from mcp_hub.wire.eras import CACHEABLE, Era
from mcp_hub.wire.jsonrpc import (
    INVALID_PARAMS,
    RESOURCE_NOT_FOUND,
    Reply,
    encode,
    fields,
)

_COMPLETE: Final = b'"complete"'


def to_client(reply: Reply, method: str, client: Era, upstream: Era | None) -> Reply:
    """The reply in the client's era."""
    if client is upstream or upstream is None or isinstance(reply, Asked):
        return reply
    if reply.error is not None:
        return Reply(error=_error(reply.error, method, client))
    if reply.result is None:
        return reply
    if client is Era.MODERN:
        return Reply(result=_modern(reply.result, method))
    return Reply(result=without_member(reply.result, "resultType"))


def _modern(result: Raw | bytes, method: str) -> bytes:
    if method in CACHEABLE:
        # A legacy upstream says nothing about keeping its answer, so nothing is promised for it.
        result = with_member(with_member(result, "cacheScope", b'"private"'), "ttlMs", b"0")
    return with_member(result, "resultType", _COMPLETE)


def _error(error: Raw, method: str, client: Era) -> Raw:
    if method != "resources/read":
        return error
    old, new = (RESOURCE_NOT_FOUND, INVALID_PARAMS) if client is Era.MODERN else (INVALID_PARAMS, RESOURCE_NOT_FOUND)
    members = fields(error)
    if bytes(members.get("code", b"")) != b"%d" % old:
        return error
    return Raw(encode({**members, "code": new}))
