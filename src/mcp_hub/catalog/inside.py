"""Changing single values inside an encoded object, whatever they are and by whatever rule.

Rule: only the objects on the way to a value are opened, and what needs no change is given back as the object it was.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import Raw

from mcp_hub.wire.jsonrpc import INVALID_PARAMS, Malformed, encode, fields

T = TypeVar("T")
Change = Callable[[Raw, T], Raw]
"""Rewrites one encoded value by what it is given; gives the same object back if nothing in it had to change."""

_list: Final = msgspec.json.Decoder(list[Raw])


def at(changes: Mapping[str, Change[T]]) -> Change[T]:
    """Changes some members of an object. What it makes raises `Malformed` for an object that is not valid JSON."""

    def change(raw: Raw, given: T) -> Raw:
        if not starts(raw, b"{"):
            return raw
        members = fields(raw)
        changed = {key: inner(members[key], given) for key, inner in changes.items() if key in members}
        if all(value is members[key] for key, value in changed.items()):
            return raw
        return Raw(encode({**members, **changed}))

    return change


def each(inner: Change[T]) -> Change[T]:
    """Changes every element of an array. What it makes raises as that of `at` does."""

    def change(raw: Raw, given: T) -> Raw:
        if not starts(raw, b"["):
            return raw
        elements = _elements(raw)
        changed = [inner(element, given) for element in elements]
        if all(new is old for new, old in zip(changed, elements, strict=True)):
            return raw
        return Raw(encode(changed))

    return change


def starts(raw: Raw, mark: bytes) -> bool:
    """Whether the value begins like this: with `{` an object, with `[` an array."""
    return bytes(raw).lstrip(b" \t\r\n").startswith(mark)


def _elements(raw: Raw) -> list[Raw]:
    try:
        return _list.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Malformed(INVALID_PARAMS, "This part of the message is not valid JSON") from error
