"""Pure: an outcome as HTTP status, header lines and body parts, or as the last events of a stream.

Rule: a large result is not copied here; only one that is small is joined with its envelope, to be written at once.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from mcp_hub.inbound.errors import http_status
from mcp_hub.inbound.outcome import Empty, Failure, HeaderLines, Outcome, Several, Written
from mcp_hub.wire.eras import Era
from mcp_hub.wire.jsonrpc import INTERNAL_ERROR, NULL, Reply, error_object, error_response, result_parts
from mcp_hub.wire.sse import encode_event

SMALL: Final = 64 * 1024

Part = bytes | Raw
Response = tuple[int, HeaderLines, Sequence[Part]]

STREAM_HEADERS: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
_JSON_TYPE: Final = (b"content-type", b"application/json")


class _Code(msgspec.Struct, gc=False):
    code: int


_code: Final = msgspec.json.Decoder(_Code)


def as_json(outcome: Outcome, number: Raw | None, era: Era) -> Response:
    """The response that holds nothing but this outcome; `number` is the request's id, `None` if it has none."""
    match outcome:
        case Reply(error=None):
            return _json(200, _result(outcome, number))
        case Reply():
            return _json(http_status(_code_of(outcome), era), (as_message(outcome, number),))
        case Failure():
            status = outcome.status or http_status(outcome.code, era)
            return _json(status, [as_message(outcome, number)], outcome.headers)
        case Several():
            return _json(200, [b"[" + b",".join(outcome.answers) + b"]"])
        case Empty(status=204):
            return 204, outcome.headers, (b"",)
        case Empty():
            return outcome.status, (*outcome.headers, (b"content-length", b"0")), (b"",)
        case Written():
            return 200, (), ()


def as_events(outcome: Outcome, number: Raw | None) -> Sequence[Part]:
    """The last events of a stream that has begun: each answer as an event of its own."""
    return tuple(encode_event(parts) for parts in as_messages(outcome, number))


def as_messages(outcome: Outcome, number: Raw | None) -> Sequence[Sequence[Part]]:
    """The last messages of a stream that has begun, each in parts."""
    match outcome:
        case Reply(error=None):
            return (_result(outcome, number),)
        case Reply() | Failure():
            return ((as_message(outcome, number),),)
        case Several():
            return [(answer,) for answer in outcome.answers]
        case Empty() | Written():
            return ()


def as_message(outcome: Reply | Failure, number: Raw | None) -> bytes:
    """One JSON-RPC response as bytes."""
    match outcome:
        case Failure():
            return error_response(number, error_object(outcome.code, outcome.message, outcome.data))
        case Reply(error=None):
            return b"".join(_result(outcome, number))
        case Reply(error=error):
            return error_response(number, error or {})


def _json(status: int, parts: Sequence[Part], headers: HeaderLines = ()) -> Response:
    size = sum(map(len, parts))
    if size <= SMALL:
        parts = (b"".join(parts),)
    return status, (_JSON_TYPE, (b"content-length", b"%d" % size), *headers), parts


def _result(reply: Reply, number: Raw | None) -> Sequence[Part]:
    return result_parts(NULL if number is None else number, b"{}" if reply.result is None else reply.result)


def _code_of(reply: Reply) -> int:
    if reply.error is None:
        return 0
    try:
        return _code.decode(reply.error).code
    except msgspec.DecodeError:
        return INTERNAL_ERROR
