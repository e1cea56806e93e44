"""Pages of a merged list, without memory between them.

Rule: a cursor says where the last page ended in words that outlive a change of the list, and only this hub's key can
have made it. An upstream that vanishes between two pages takes only its own definitions along.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from mcp_hub.catalog.parts import Kind

MAX_CURSOR: Final = 16_384
_MAC_LENGTH: Final = 16
_PURPOSE: Final = b"mcp-hub list cursor 1\0"

Owners = Sequence[tuple[str, str]]
"""(upstream, exposed name) of every definition of a list, in its order: `Catalog.owners`."""


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The last definition a page gave: whose, which, and as which of its upstream's and of all it came (from 0)."""

    upstream: str
    exposed: str
    inner: int
    outer: int


@dataclass(frozen=True, slots=True)
class Page:
    """One page: the definitions from `start` up to, not including, `stop`; `last` is `None` if nothing follows."""

    start: int
    stop: int
    last: Position | None


_positions: Final = msgspec.json.Decoder(Position)


def seal(key: bytes, kind: Kind, position: Position) -> str:
    """The cursor that stands for this position in lists of this kind."""
    payload = msgspec.json.encode(position)
    return base64.urlsafe_b64encode(_mac(key, kind, payload) + payload).decode("ascii").rstrip("=")


def unseal(key: bytes, kind: Kind, cursor: str) -> Position:
    """The position a cursor stands for.

    Raises:
        ValueError: not sealed with this key for this kind of list.
    """
    if len(cursor) > MAX_CURSOR:
        raise ValueError("The cursor is not one of this hub's")
    sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    mac, payload = sealed[:_MAC_LENGTH], sealed[_MAC_LENGTH:]
    if not hmac.compare_digest(mac, _mac(key, kind, payload)):
        raise ValueError("The cursor is not one of this hub's")
    return _positions.decode(payload)


def page(owners: Owners, declared: Sequence[str], position: Position | None, size: int) -> Page:
    """The page after a position, the first one after `None`; a size below 1 gives all that is left.

    `declared` are the upstreams in the order of their declaration, those with nothing to list included.
    """
    start = 0 if position is None else _after(owners, declared, position)
    stop = min(start + size, len(owners)) if size > 0 else len(owners)
    return Page(start, stop, _position(owners, stop - 1) if start < stop < len(owners) else None)


def _mac(key: bytes, kind: Kind, payload: bytes) -> bytes:
    return hmac.digest(key, b"%b%b\0%b" % (_PURPOSE, kind.encode(), payload), hashlib.sha256)[:_MAC_LENGTH]


def _position(owners: Owners, index: int) -> Position:
    upstream, exposed = owners[index]
    return Position(upstream, exposed, index - _first(owners, {upstream}), index)


def _first(owners: Owners, upstreams: set[str]) -> int:
    """The index of the first definition of one of these, the end if they have none."""
    return next((index for index, owner in enumerate(owners) if owner[0] in upstreams), len(owners))


def _after(owners: Owners, declared: Sequence[str], position: Position) -> int:
    """Where to go on, from the most to the least certain sign of where the last page ended."""
    try:
        return owners.index((position.upstream, position.exposed)) + 1
    except ValueError:
        pass
    if position.upstream not in declared:
        # Its own definitions are gone; those before it are taken to be as many as they were.
        return min(position.outer - position.inner, len(owners))
    later = set(declared[declared.index(position.upstream) + 1 :])
    own = _first(owners, {position.upstream})
    # The definition itself is gone: what came behind it has moved into its place.
    return min(own + position.inner, _first(owners, later)) if own < len(owners) else _first(owners, later)
