"""JSON-RPC 2.0 messages as bytes whose members stay encoded until somebody owns them.

Rule: an envelope is decoded once; `id`, `params`, `result` and `error` stay `Raw` slices of the received bytes,
so a message that is only passed on costs no more than copying it, and no field of it is lost or re-modelled.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import msgspec
from msgspec import Raw

from mcp_hub.wire.results import Traits, traits_of

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
RESOURCE_NOT_FOUND: Final = -32002
URL_ELICITATION_REQUIRED: Final = -32042
"""Of revision 2025-11-25 only."""
HEADER_MISMATCH: Final = -32020
MISSING_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022

Json = dict[str, Any]
"""A decoded JSON object that is only passed through or owned by the catalog."""
Fields = dict[str, Raw]
"""A JSON object whose members are still encoded: keys in their order, unknown ones included."""

NULL: Final = Raw(b"null")
ABSENT: Final = Raw()


class Reply(msgspec.Struct, frozen=True, dict=True):
    """An answer: exactly one of `result` and `error`, each an encoded JSON object, passed on as it came."""

    result: Raw | bytes | None = None
    error: Raw | None = None

    @cached_property
    def traits(self) -> Traits:
        """What the hub has to know of the result; looked for once."""
        return traits_of(self.result or b"")


class Malformed(ValueError):
    """Bytes that are not the JSON-RPC they should be. `code` is the JSON-RPC error code that says so."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Message(msgspec.Struct, gc=False):
    """One JSON-RPC message of either direction; an absent member is `ABSENT`, which is falsy."""

    jsonrpc: str
    id: Raw = ABSENT
    method: str | None = None
    params: Raw = ABSENT
    result: Raw = ABSENT
    error: Raw = ABSENT

    @property
    def is_request(self) -> bool:
        """Whether it asks for an answer: a method and an id."""
        return self.method is not None and bool(self.id)

    @property
    def is_notification(self) -> bool:
        """Whether it is a method without an id (JSON-RPC 2.0 section 4.1: key presence decides)."""
        return self.method is not None and not self.id

    @property
    def is_response(self) -> bool:
        """Whether it answers a request of the receiver's."""
        return self.method is None and bool(self.result or self.error)


_message: Final = msgspec.json.Decoder(Message)
_batch: Final = msgspec.json.Decoder(list[Raw])
_fields: Final = msgspec.json.Decoder(Fields)
_any: Final = msgspec.json.Decoder()
_encoder: Final = msgspec.json.Encoder()
encode: Final = _encoder.encode
"""Any JSON value, `Raw` members included, to bytes."""

_UNDECODABLE: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
_QUOTE: Final = ord('"')
_INTEGER: Final = re.compile(rb"-?\d+(\.0+)?")
"""As JSON Schema has it, 1.0 is an integer, and some languages write theirs like that."""


# An escaped backslash, a whole pair of surrogates, half of one, or any other escape: the first that fits, so that
# `\\\\ud83d`, which is a backslash and five letters, is left alone.
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_MENDABLE: Final = 1024 * 1024
"""Bytes up to which a message is mended; it costs a step for every escape in it."""


def _mend(body: bytes) -> bytes:
    worth_it = len(body) <= _MENDABLE and _HALF.search(body) is not None
    return _ESCAPE.sub(_mended, body) if worth_it else body


def _mended(escape: re.Match[bytes]) -> bytes:
    """U+FFFD in place of half a surrogate pair, which a text that was cut in the middle of an emoji leaves behind."""
    return escape[0] if escape[1] is None else b"\\ufffd"


def parse(body: bytes) -> Message:
    """Decode one message. Half a surrogate pair, which is no text, becomes U+FFFD.

    Raises:
        Malformed: not UTF-8 JSON (-32700), or JSON that is not one JSON-RPC 2.0 message (-32600).
    """
    if not body.isascii():
        _require_text(body)
    try:
        message = _message.decode(body)
    except msgspec.ValidationError as error:
        raise Malformed(INVALID_REQUEST, "The body must be one JSON-RPC 2.0 message object") from error
    except _UNDECODABLE as error:
        mended = _mend(body)
        if mended != body:
            return parse(mended)
        raise Malformed(PARSE_ERROR, "The body is not valid JSON") from error
    if message.jsonrpc != "2.0":
        raise Malformed(INVALID_REQUEST, 'The member "jsonrpc" must be "2.0"')
    if message.method is None:
        if not (message.result or message.error):
            raise Malformed(INVALID_REQUEST, "The body is neither a request, a notification nor a response")
    elif message.id and memoryview(message.id)[0] != _QUOTE and not _is_integer(bytes(message.id)):
        # MCP basic: "Requests MUST include a string or integer ID. ... the ID MUST NOT be null."
        raise Malformed(INVALID_REQUEST, "A request's id must be a string or an integer")
    return message


def _is_integer(number: bytes) -> bool:
    return number.isdigit() or _INTEGER.fullmatch(number) is not None


def parse_batch(body: bytes) -> list[bytes]:
    """Split a batch into its messages, each still encoded.

    Raises:
        Malformed: not a JSON array, or an empty one.
    """
    if not body.isascii():
        _require_text(body)
    try:
        parts = _batch.decode(body)
    except _UNDECODABLE as error:
        raise Malformed(PARSE_ERROR, "The body is not valid JSON") from error
    if not parts:
        raise Malformed(INVALID_REQUEST, "A batch must hold at least one message")
    return [bytes(part) for part in parts]


def is_batch(body: bytes) -> bool:
    """Whether the body is a JSON array rather than an object, by its first character."""
    return body[:64].lstrip(b" \t\r\n").startswith(b"[")


def fields(raw: Raw | bytes) -> Fields:
    """The members of a JSON object, each still encoded; `ABSENT` gives an empty object.

    Raises:
        Malformed: not a JSON object (-32602).
    """
    if not raw:
        return {}
    try:
        return _fields.decode(raw)
    except _UNDECODABLE as error:
        raise Malformed(INVALID_PARAMS, "Expected a JSON object here") from error


def value(raw: Raw | bytes) -> Any:
    """Decode a JSON value completely.

    Raises:
        Malformed: what was skipped until now is not valid after all: a lone surrogate, too deep a nesting (-32602).
    """
    try:
        return _any.decode(raw)
    except _UNDECODABLE as error:
        raise _not_text() from error


def text(raw: Raw | None) -> str | None:
    """The string in `raw`, or `None` if it is absent or not a string; raises as `value` does."""
    if raw is None:
        return None
    try:
        decoded = _any.decode(raw)
    except _UNDECODABLE as error:
        raise _not_text() from error
    return decoded if isinstance(decoded, str) else None


def request(number: Raw | int, method: str, params: Mapping[str, Any] | Raw) -> bytes:
    """Encode a request."""
    return encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def notification(method: str, params: Fields | Json | None = None) -> bytes:
    """Encode a notification; `params` is left out if `None`."""
    if params is None:
        return encode({"jsonrpc": "2.0", "method": method})
    return encode({"jsonrpc": "2.0", "method": method, "params": params})


def result_parts(number: Raw, result: Raw | bytes) -> tuple[bytes, Raw | bytes, bytes]:
    """A response around an encoded result, in three parts so that a large result is not copied once more."""
    return b'{"jsonrpc":"2.0","id":%b,"result":' % bytes(number), result, b"}"


def error_response(number: Raw | None, error: Raw | Json) -> bytes:
    """Encode an error response; an unreadable request's id is `null` (JSON-RPC 2.0 section 5)."""
    return encode({"jsonrpc": "2.0", "id": NULL if number is None else number, "error": error})


def response(number: Raw, reply: Reply) -> bytes:
    """Encode the response that gives a reply to a request."""
    if reply.error is not None:
        return error_response(number, reply.error)
    return b"".join(result_parts(number, reply.result or b"{}"))


def error_object(code: int, message: str, data: Any = None) -> Json:
    """An error object; `data` is left out if `None`."""
    if data is None:
        return {"code": code, "message": message}
    return {"code": code, "message": message, "data": data}


def _not_text() -> Malformed:
    return Malformed(INVALID_PARAMS, "This part of the message is not valid JSON text")


def _require_text(body: bytes) -> None:
    # Skipped members are not checked for UTF-8 by the decoder, and must not travel on unchecked.
    try:
        str(body, "utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(PARSE_ERROR, "The body is not UTF-8") from error
