"""A request as it goes on the wire. Rule: nothing is written before every byte of its head has been checked.

Syntax is RFC 9110 (tokens, field values) and RFC 9112 (request line). The client writes the fields that say where a
message goes and where it ends; a caller cannot.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NewType

import msgspec

from mcp_hub.wire.origin import Origin

HeaderLines = NewType("HeaderLines", bytes)
"""Checked and encoded header fields, each with its line end. Only `header_lines` makes one."""

_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(rb"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?|")
_TARGET: Final = re.compile(rb"/[\x21\x22\x24-\x7e]*")
_KNOWN_METHODS: Final = frozenset({b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
OURS: Final = frozenset(
    {
        b"accept-encoding",
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields that route or delimit a message, lower-case: never a caller's."""


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> HeaderLines:
    """Header fields, encoded. Make those that never change once, and give them to each request as `head`.

    Raises:
        ValueError: a name is not a token or is the client's to write, or a value has a control character or a space
            at its end. The value itself is not repeated: it may be a secret.
    """
    return HeaderLines(b"".join([_line(name, value) for name, value in headers]))


def _line(name: bytes, value: bytes) -> bytes:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not a valid header name")
    if name.lower() in OURS:
        raise ValueError(f"the header {name.decode()} is written by the hub itself and cannot be set")
    if not _VALUE.fullmatch(value):
        raise ValueError(f"the value of the header {name.decode()} contains a character that no header can carry")
    return b"%b: %b\r\n" % (name, value)


class Request(msgspec.Struct, frozen=True):
    """One request. `Host`, `Content-Length` and `Accept-Encoding` are added; no other field is.

    `first_byte` are the seconds from writing it to the head of the response. `repeatable` says that it may be sent
    twice, which happens only where a kept connection turns out to be dead before anything came back. `partition` is
    whose connections it may go out on: those of another are never used for it.
    """

    method: bytes
    origin: Origin
    target: bytes
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes = b""
    first_byte: float = 30.0
    repeatable: bool = False
    head: HeaderLines = HeaderLines(b"")
    partition: bytes = b""

    def encode(self) -> bytes:
        """The whole request, as it is written.

        Raises:
            ValueError: a part of it cannot be sent; nothing has been.
        """
        body = self.body
        return b"%b%b%b%b\r\n%b" % (
            _opening(self.method, self.target, self.origin.authority),
            self.head,
            header_lines(self.headers) if self.headers else b"",
            b"Content-Length: %d\r\n" % len(body) if body or self.method != b"GET" else b"",
            body,
        )


@lru_cache(maxsize=1024)
def _opening(method: bytes, target: bytes, authority: bytes) -> bytes:
    """The lines that every request to one address begins with."""
    if method not in _KNOWN_METHODS:
        raise ValueError(f"{method!r} is not a method that the hub sends")
    if not _TARGET.fullmatch(target):
        raise ValueError("the path of the request has to start with / and be plain, percent-encoded text")
    return b"%b %b HTTP/1.1\r\nHost: %b\r\nAccept-Encoding: identity\r\n" % (method, target, authority)
