"""The request headers this room reads, collected in one pass.

Rule: a header that decides something may stand only once. Two copies are never merged or picked from, since another
program in front of the hub may have picked the other one; whoever reads a header asks `repeated` first.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from mcp_hub.inbound.asgi import Headers

AUTHORIZATION: Final = b"authorization"
HOST: Final = b"host"
ORIGIN: Final = b"origin"
ACCEPT: Final = b"accept"
CONTENT_TYPE: Final = b"content-type"
CONTENT_LENGTH: Final = b"content-length"
VERSION: Final = b"mcp-protocol-version"
METHOD: Final = b"mcp-method"
NAME: Final = b"mcp-name"
SESSION: Final = b"mcp-session-id"
LAST_EVENT: Final = b"last-event-id"
PARAM: Final = b"mcp-param-"

_READ: Final = frozenset(
    {AUTHORIZATION, HOST, ORIGIN, ACCEPT, CONTENT_TYPE, CONTENT_LENGTH, VERSION, METHOD, NAME, SESSION, LAST_EVENT}
)
_LONGEST_KEPT: Final = 128
"""Bytes of a value whose text is remembered: revisions, methods and most names come again and again."""
_NOTHING: Final = frozenset[bytes]()


class Head:
    """What one request's headers say. `params` holds the `Mcp-Param-*` lines under their full lower-case names.

    `version` is the text of `MCP-Protocol-Version`.
    """

    __slots__ = ("params", "raw", "repeated", "version")

    def __init__(self, values: dict[bytes, bytes], repeated: frozenset[bytes], params: dict[str, str]) -> None:
        self.raw: Callable[[bytes], bytes | None] = values.get
        """The value as it came, or `None`; repeated lines are joined by commas, as RFC 9110 section 5.3 reads them."""
        self.repeated = repeated
        self.params = params
        self.version = None if VERSION not in values else self.text(VERSION)

    def text(self, name: bytes) -> str | None:
        """The value without surrounding blanks (RFC 9110 section 5.5), or `None` if absent.

        Bytes outside ASCII become lone surrogates, which no decoded JSON string holds, and so equal none.
        """
        value = self.raw(name)
        return None if value is None else (_kept_text if len(value) <= _LONGEST_KEPT else _text)(value)


def _text(value: bytes) -> str:
    return value.decode("ascii", "surrogateescape").strip(" \t")


_kept_text: Final = lru_cache(maxsize=2048)(_text)


def read_head(headers: Headers) -> Head:
    """Collect what this room reads; every other header is left alone."""
    values: dict[bytes, bytes] = {}
    params: dict[str, str] = {}
    repeated = _NOTHING
    for name, value in headers:
        if name in _READ:
            if name in values:
                repeated |= {name}
                values[name] += b", " + value
            else:
                values[name] = value
        elif name.startswith(PARAM):
            key = name.decode("ascii", "surrogateescape")
            if key in params:
                repeated |= {PARAM}
            params[key] = value.strip(b" \t").decode("ascii", "surrogateescape")
    return Head(values, repeated, params)
