"""One received message, decoded as far as this room looks into it.

Rule: a client says the same of itself on each of its requests, so what `_meta` says is decoded once for the same bytes.
"""

from functools import lru_cache
from typing import Final

import msgspec

from mcp_hub.wire.jsonrpc import Fields, Malformed, Message, fields

LONGEST_KEPT: Final = 1024
"""Bytes of a `_meta` that is remembered."""


class Incoming(msgspec.Struct, frozen=True):
    """`meta` is `params["_meta"]`, and `None` where there is none or it is no object; `said` is the same, encoded.

    `meta` may be that of other requests too: it is never changed.
    """

    message: Message
    params: Fields
    meta: Fields | None
    said: bytes


def look_into(message: Message) -> Incoming:
    """Decode `params` and `_meta`, one level each.

    Raises:
        Malformed: `params` is not an object.
    """
    params = fields(message.params)
    raw = params.get("_meta")
    if raw is None:
        return Incoming(message, params, None, b"")
    said = bytes(raw)
    return Incoming(message, params, (_kept if len(said) <= LONGEST_KEPT else _members)(said), said)


def _members(said: bytes) -> Fields | None:
    try:
        return fields(said)
    except Malformed:
        return None


_kept: Final = lru_cache(maxsize=512)(_members)
