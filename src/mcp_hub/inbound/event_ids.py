"""Event ids: which stream an event is on, where on it, and for whose request.

Rule: an id is all that a client has left after a restart, so it says enough for an honest answer.

| event id                        | stands on                          | `Last-Event-ID` with it              |
|---------------------------------|------------------------------------|--------------------------------------|
| `c.STREAM.EVENT` or `….REQUEST` | the stream of a call               | continues that stream                |
| `e.STREAM.EVENT`                | its last event                     | nothing follows: 405                 |
| `n.STREAM.EVENT`                | a GET stream of notices            | continues it, or begins a new one    |

`REQUEST` is the id of the request, so that its client can be told that its answer is lost even after a restart.
"""

import base64
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from msgspec import Raw

from mcp_hub.wire.jsonrpc import Malformed, value

_LONGEST_NUMBER: Final = 64
"""Bytes of a request id that is repeated in the event ids of its stream."""
_ID: Final = re.compile(r"([cen])\.([\w-]{8})\.([0-9]{1,15})(?:\.([\w-]{1,96}))?", re.ASCII)


class Kind(StrEnum):
    """What a stream is for, and the mark of a call's last event."""

    CALL = "c"
    NOTICES = "n"
    END = "e"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a client left off: the kind and name of a stream, the number of an event, the id of a call's request."""

    kind: Kind
    stream: str
    event: int
    request: Raw | None


def place_of(event_id: str) -> Place | None:
    """What an event id says; `None` if it is none of ours."""
    found = _ID.fullmatch(event_id)
    if found is None:
        return None
    kind, stream, event, request = found.groups()
    number = None if request is None else _number(request)
    if request is not None and number is None:
        return None
    return Place(Kind(kind), stream, int(event), number)


def suffix_of(request: Raw | None) -> str:
    """What the ids of a call's events end in; nothing where its id is none, or too long."""
    if request is None or len(request) > _LONGEST_NUMBER:
        return ""
    return f".{base64.urlsafe_b64encode(request).decode().rstrip('=')}"


def _number(said: str) -> Raw | None:
    try:
        number = base64.urlsafe_b64decode(f"{said}{'=' * (-len(said) % 4)}")
        return Raw(number) if type(value(number)) in (str, int, float) else None
    except (ValueError, Malformed):
        return None
