"""What the hub itself has to know of a result that it otherwise passes on.

Rule: one pass over a result answers everything, however large it is, and builds nothing of its text.
"""

from typing import Final

import msgspec
from msgspec import Raw

OWN_META: Final = b"io.mcp-hub"
"""What the keys of `_meta` begin with that only the hub itself writes."""
_ABSENT: Final = Raw()
_COMPLETE: Final = b'"complete"'
_TRUE: Final = b"true"


class Traits(msgspec.Struct, frozen=True, gc=False):
    """`asks`: it asks for input, `is_task`: it is a task (`resultType`). `failed`: the tool said so itself (`isError`).

    `links`: it is not known to be a tool's result without any URI or task id that the hub exposes as another one, and
    without any words that are the hub's.
    """

    asks: bool = False
    failed: bool = False
    links: bool = True
    is_task: bool = False


class _Block(msgspec.Struct, gc=False):
    uri: Raw = _ABSENT
    resource: Raw = _ABSENT


class _Result(msgspec.Struct, gc=False, rename={"kind": "resultType", "failed": "isError", "meta": "_meta"}):
    kind: Raw = _ABSENT
    failed: Raw = _ABSENT
    meta: Raw = _ABSENT


class _ToolResult(_Result, gc=False, kw_only=True):
    content: list[_Block]


_of_any: Final = msgspec.json.Decoder(_Result)
_of_tool: Final = msgspec.json.Decoder(_ToolResult)
_string: Final = msgspec.json.Decoder(str)


def traits_of(result: Raw | bytes) -> Traits:
    """Total: of something that is no valid result, nothing is known."""
    try:
        told = _of_tool.decode(result)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _of_another_shape(result)
    links = not _is_plain(told) or (bool(told.meta) and _may_refer(told.meta))
    for block in told.content:
        if block.uri or block.resource:
            links = True
            break
    return _traits(told, links=links)


def _of_another_shape(result: Raw | bytes) -> Traits:
    try:
        told = _of_any.decode(result)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return Traits()
    return _traits(told, links=True)


def _traits(told: _Result, *, links: bool) -> Traits:
    kind = None if _is_plain(told) else _kind(told)
    return Traits(kind == "input_required", bytes(told.failed) == _TRUE, links, kind == "task")


def _is_plain(told: _Result) -> bool:
    return not told.kind or bytes(told.kind) == _COMPLETE


def _kind(told: _Result) -> str | None:
    try:
        return _string.decode(told.kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _may_refer(meta: Raw) -> bool:
    # The keys of `_meta` that hold a URI or a task id, or are the hub's own; spelled with escapes, they would begin
    # like the last one.
    body = bytes(meta)
    return b"esourceUri" in body or b"/related-task" in body or OWN_META in body or b"\\u00" in body
