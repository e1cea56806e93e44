"""The headers that callers bring for upstreams, taken from their requests.

Rule: default deny. Only the headers that an upstream is configured to get are looked at, and only for whoever is let in
by the door behind this one; what says who calls, where from, or how the message is read is never one of them, whatever
the configuration says. A value that cannot be handed on as it is, stands twice, or holds the token that the caller is
known by here, ends the request.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final, final

from mcp_hub.credentials.values import wrong_with
from mcp_hub.inbound.asgi import Headers
from mcp_hub.inbound.door import Door
from mcp_hub.inbound.head import AUTHORIZATION
from mcp_hub.inbound.outcome import Refused
from mcp_hub.principal import Principal
from mcp_hub.secret import Secret
from mcp_hub.wire.jsonrpc import INVALID_REQUEST

_DENIED: Final = re.compile(
    r"authorization|cookie|set-cookie|host|origin|referer|forwarded|via|x-forwarded-.*|x-real-ip|proxy-.*|mcp-.*|sec-.*"
    r"|connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect|content-.*|accept.*|last-event-id"
)
"""Hop by hop, of the protocol, of a browser or of a proxy; and what a caller signs in to the hub with."""
_LEAST_TOKEN: Final = 16
"""Bytes: what is shorter is no token, and may stand in a value by chance."""


def takeable(names: Iterable[str]) -> frozenset[str]:
    """Those of these headers (lower case) that may be taken from a request at all."""
    return frozenset(name for name in names if not _DENIED.fullmatch(name))


def with_bringing(door: Door, names: Iterable[str]) -> Door:
    """The door, with what callers bring in these headers (lower case); the same door, at no cost, if there are none."""
    taken = takeable(names)
    return Bringing(door, taken) if taken else door


@final
class Bringing:
    """A `Door` that puts the headers of these names on whoever the other door lets in, and nothing else."""

    def __init__(self, door: Door, names: frozenset[str]) -> None:
        self._door = door
        self._names = frozenset(name.encode() for name in names)

    def known(self, authorization: bytes | None, /) -> Principal | None:
        """See `Door`: nobody, since what they bring is not in this header."""
        del authorization

    async def identify(self, headers: Headers, query: bytes, resource: str) -> Principal:
        """See `Door`.

        Raises:
            Refused: 400, for a header that cannot be handed on. It names the header and does not repeat its value.
        """
        caller = await self._door.identify(headers, query, resource)
        brought = self._brought(headers)
        return replace(caller, brought=brought) if brought else caller

    def watch(self, headers: Headers, resource: str, end: Callable[[], object]) -> Callable[[], None]:
        """See `Door`."""
        return self._door.watch(headers, resource, end)

    def _brought(self, headers: Headers) -> tuple[tuple[str, Secret], ...]:
        found: dict[str, Secret] = {}
        for raw, value in headers:
            if raw in self._names:
                name = raw.decode()
                if name in found:
                    raise _refused(name, "stands there more than once")
                if _holds_token(headers, value):
                    raise _refused(name, "holds the token that you sign in to the hub with, which never leaves it")
                found[name] = Secret(_text(name, value))
        return tuple(sorted((name, each) for name, each in found.items() if each.open()))


def _holds_token(headers: Headers, value: bytes) -> bool:
    tokens = [sent.rpartition(b" ")[2] for name, sent in headers if name == AUTHORIZATION]
    return any(len(token) >= _LEAST_TOKEN and token in value for token in tokens)


def _text(name: str, value: bytes) -> str:
    text = value.strip(b" \t").decode("latin-1")
    wrong = wrong_with(text) if text else ""
    if wrong:
        raise _refused(name, wrong)
    return text


def _refused(name: str, wrong: str) -> Refused:
    message = f"The header {name}, which this hub hands on to an upstream, {wrong}"
    return Refused(INVALID_REQUEST, message, status=400)
