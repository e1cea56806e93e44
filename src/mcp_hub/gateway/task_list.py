"""The tasks of one caller at all legacy upstreams that list theirs, as one list.

Rule: as with other lists, an upstream that is dead or slow costs the deadline at most, and is named.
Source: MCP 2025-11-25, basic/utilities/tasks, "Listing Tasks".
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import msgspec
from msgspec import Raw

from mcp_hub.catalog.notes import META_UPSTREAMS, Absence, absences_meta
from mcp_hub.errors import BadRequest, BrokeProtocol, ConnectionNeeded, TimedOut, UpstreamError
from mcp_hub.gateway.ask import Ask
from mcp_hub.gateway.tasks import LIST, Tasks
from mcp_hub.wire.jsonrpc import Fields, Json, Malformed, Reply, encode, fields

MOST_PAGES: Final = 100
MOST: Final = 10_000
"""Tasks that are looked at of one upstream."""
_raws: Final = msgspec.json.Decoder(list[Raw])

Send = Callable[[str, Fields], Awaitable[Reply]]
"""Asks an upstream, by name, for one page of its tasks."""


async def listed(ask: Ask, upstreams: Iterable[str], tasks: Tasks, send: Send, *, deadline: float) -> bytes:
    """The encoded result of `tasks/list`, in one page.

    Raises:
        BadRequest: it names a cursor, and the hub gives none.
    """
    if bytes(ask.params.get("cursor", b"null")) != b"null":
        raise BadRequest(f"{LIST} does not know this cursor. List again from the start.")
    names = tuple(upstreams)
    parts = await asyncio.gather(*(_part(ask, name, tasks, send, deadline) for name in names))
    absences = [part for part in parts if isinstance(part, Absence)]
    result: Json = {"tasks": [task for part in parts if not isinstance(part, Absence) for task in part]}
    if absences:
        result["_meta"] = {META_UPSTREAMS: absences_meta(absences)}
    return encode(result)


async def _part(ask: Ask, name: str, tasks: Tasks, send: Send, deadline: float) -> list[Raw] | Absence:
    try:
        async with asyncio.timeout(deadline):
            found = await _walk(name, send)
        return [task for each in found if (task := tasks.of_list(ask, name, each)) is not None]
    except TimeoutError:
        return Absence(name, "unreachable", TimedOut(name, f"{name} did not list its tasks in time.").public)
    except Malformed:
        return Absence(name, "unreachable", f"{name} listed tasks in a form that is not the protocol's.")
    except ConnectionNeeded as need:
        return Absence(name, need.state, need.public, need.url)
    except UpstreamError as error:
        return Absence(name, "unreachable", error.public)


async def _walk(name: str, send: Send) -> list[Raw]:
    found: list[Raw] = []
    seen: set[bytes] = set()
    params: Fields = {}
    while True:
        page = await _page(name, send, params)
        found += _members(name, page)
        cursor = bytes(page.get("nextCursor", b"null"))
        if cursor == b"null" or cursor in seen or len(seen) >= MOST_PAGES or len(found) >= MOST:
            return found[:MOST]
        seen.add(cursor)
        params = {"cursor": Raw(cursor)}


async def _page(name: str, send: Send, params: Fields) -> Fields:
    reply = await send(name, params)
    if reply.result is None:
        raise BrokeProtocol(name, f"{name} refused to list its tasks.")
    return fields(reply.result)


def _members(name: str, page: Fields) -> list[Raw]:
    try:
        return _raws.decode(page.get("tasks", Raw(b"null")))
    except (msgspec.DecodeError, RecursionError) as error:
        raise BrokeProtocol(name, f"{name} listed tasks in a form that is not the protocol's.") from error
