"""The request's media types and its body, read with a bound.

Rule: a body is cut off while it streams. What was declared too long is refused unread, and what turns out too long is
dropped at the first byte over, so a request never holds more than the limit.
"""

from functools import lru_cache
from typing import Final, NamedTuple

from mcp_hub.inbound.asgi import Event, Receive
from mcp_hub.inbound.outcome import Gone, Refused
from mcp_hub.wire.jsonrpc import INVALID_REQUEST

MAX_REQUEST: Final = 4 * 1024 * 1024
"""Bytes of a body where nothing else is configured."""

_JSON: Final = b"application/json"
_DIGITS: Final = 15
"""More digits than any limit has; longer numbers are not even converted."""
_SHORT: Final = 256
"""Clients send one of a few `Accept` values; only short ones are worth remembering."""


class Accepts(NamedTuple):
    """The two media types this endpoint writes, and which of them the client takes."""

    json: bool
    events: bool


def accepts(value: bytes | None) -> Accepts:
    """Read an `Accept` header; without one the client takes anything (RFC 9110 section 12.5.1)."""
    if value is None:
        return Accepts(json=True, events=True)
    return _remembered(value) if len(value) <= _SHORT else _read_accept(value)


def _read_accept(value: bytes) -> Accepts:
    types = {part.partition(b";")[0].strip() for part in value.lower().split(b",")}
    return Accepts(
        json=not types.isdisjoint({b"*/*", b"application/*", _JSON}),
        events=not types.isdisjoint({b"*/*", b"text/*", b"text/event-stream"}),
    )


_remembered: Final = lru_cache(maxsize=128)(_read_accept)


def is_json(content_type: bytes | None) -> bool:
    """Whether a `Content-Type` names JSON, whatever its parameters say."""
    if content_type == _JSON:
        return True
    return content_type is not None and content_type.partition(b";")[0].strip().lower() == _JSON


async def read_body(receive: Receive, declared: bytes | None, limit: int) -> bytes:
    """Read the whole body of at most `limit` bytes; `declared` is its `Content-Length`.

    Raises:
        Refused: 413, and the connection ends so that the rest is not even received.
        Gone: the client hung up before the end.
    """
    if declared is not None and declared.isdigit() and (len(declared) > _DIGITS or int(declared) > limit):
        raise _too_large(limit)
    event = await receive()
    if event["type"] == "http.request" and not event.get("more_body", False):
        body: bytes = event.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        return body
    return await _gather(event, receive, limit)


async def _gather(event: Event, receive: Receive, limit: int) -> bytes:
    body = bytearray()
    while event["type"] == "http.request":
        part = event.get("body", b"")
        if len(body) + len(part) > limit:
            raise _too_large(limit)
        body += part
        if not event.get("more_body", False):
            return bytes(body)
        event = await receive()
    raise Gone


def _too_large(limit: int) -> Refused:
    message = f"The request is larger than the {limit} bytes this hub reads; send less at once"
    return Refused(INVALID_REQUEST, message, status=413, headers=((b"connection", b"close"),))
