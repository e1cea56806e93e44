"""Where the ids of tasks stand in messages of both eras.

Rule: only ids change, in the places the protocol gives them; a `taskId` anywhere else is somebody's data.
Source: MCP 2025-11-25, basic/utilities/tasks; 2026-07-28, extension `io.modelcontextprotocol/tasks`.
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Raw

from mcp_hub.catalog.inside import Change, at, each
from mcp_hub.wire.eras import Era
from mcp_hub.wire.jsonrpc import encode, fields, text

RELATED: Final = "io.modelcontextprotocol/related-task"
"""The key in `_meta` by which a legacy message says of which task it is."""
STATUS: Final = {Era.LEGACY: "notifications/tasks/status", Era.MODERN: "notifications/tasks"}
"""The notification of a task's new state."""

Rename = Callable[[str], str | None]
"""Another side's id to this side's, `None` if it has none here: then it stays what it is."""


def rewrite_ids(raw: bytes | Raw, method: str, era: Era, rename: Rename) -> bytes | Raw:
    """The result of a request, or the params of a notification or a question, with other ids.

    `tools/call` of the legacy era is a call as a task; the result of any other is not of a method that holds ids.

    Raises:
        Malformed: a part that had to be opened is not valid JSON.
    """
    if not _may_hold_id(raw):
        return raw
    change = _PLACES[era].get(method, _RELATED_ONLY)
    return change(raw if isinstance(raw, Raw) else Raw(raw), rename)


def _may_hold_id(raw: bytes | Raw) -> bool:
    # A key of ASCII letters can also be spelled with escapes, all of which begin like this.
    body = bytes(raw)
    return b'"taskId"' in body or b"\\u00" in body


def _id(raw: Raw, rename: Rename) -> Raw:
    given = text(raw)
    renamed = None if given is None else rename(given)
    return raw if renamed is None else Raw(encode(renamed))


_META: Final[Change[Rename]] = at({RELATED: at({"taskId": _id})})
_RELATED_ONLY: Final[Change[Rename]] = at({"_meta": _META})
_STATE: Final[Change[Rename]] = at({"taskId": _id, "_meta": _META, "result": _RELATED_ONLY})
_CREATED: Final[Change[Rename]] = at({"task": _STATE, "_meta": _META})
_LIST: Final[Change[Rename]] = at({"tasks": each(_STATE), "_meta": _META})


def _of_call(raw: Raw, rename: Rename) -> Raw:
    # The result is a task only if it says so; else a `taskId` in it is the tool's own.
    is_task = text(fields(raw).get("resultType")) == "task"
    return (_STATE if is_task else _RELATED_ONLY)(raw, rename)


_PLACES: Final[Mapping[Era, Mapping[str, Change[Rename]]]] = {
    Era.LEGACY: {
        "tools/call": _CREATED,
        "tasks/get": _STATE,
        "tasks/cancel": _STATE,
        "tasks/list": _LIST,
        STATUS[Era.LEGACY]: _STATE,
    },
    Era.MODERN: {"tools/call": _of_call, "tasks/get": _STATE, STATUS[Era.MODERN]: _STATE},
}
