"""One received message, decoded as far as this room looks into it."""

import msgspec

from mcp_hub.wire.jsonrpc import Fields, Malformed, Message, fields


class Incoming(msgspec.Struct, frozen=True):
    """`meta` is `params["_meta"]`, and `None` where there is none or it is no object."""

    message: Message
    params: Fields
    meta: Fields | None


def look_into(message: Message) -> Incoming:
    """Decode `params` and `_meta`, one level each.

    Raises:
        Malformed: `params` is not an object.
    """
    params = fields(message.params)
    raw = params.get("_meta")
    if raw is None:
        return Incoming(message, params, None)
    try:
        return Incoming(message, params, fields(raw))
    except Malformed:
        return Incoming(message, params, None)
