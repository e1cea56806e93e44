"""One upstream's own catalog, fetched: every kind it offers, every cursor followed, within one deadline."""

import asyncio
from dataclasses import dataclass
from traceback import clear_frames
from typing import Final

import msgspec
from msgspec import Raw

from mcp_hub.catalog.parts import Kind, Part, reading
from mcp_hub.catalog.steps import Steps
from mcp_hub.errors import BrokeProtocol, TimedOut
from mcp_hub.upstream.answer import decoded
from mcp_hub.upstream.call import OWN_CAPABILITIES
from mcp_hub.upstream.credentialed import Credentialed
from mcp_hub.upstream.probe import Opening, own_call
from mcp_hub.upstream.turns import in_turns
from mcp_hub.wire.eras import LATEST_LEGACY, Client, Era
from mcp_hub.wire.jsonrpc import METHOD_NOT_FOUND, Fields, Json, Malformed, fields, text, value

MOST_PAGES: Final = 1_000
MOST_ITEMS: Final = 100_000
MOST_BYTES: Final = 32 * 1024 * 1024
"""Of one list, all its pages together."""
_CAPABILITY: Final = {
    Kind.TOOL: "tools",
    Kind.PROMPT: "prompts",
    Kind.RESOURCE: "resources",
    Kind.TEMPLATE: "resources",
}
_raws: Final = msgspec.json.Decoder(list[Raw])


@dataclass(frozen=True, slots=True)
class _Listing:
    items: tuple[Json, ...]
    warnings: tuple[str, ...]
    ttl_ms: int | None
    public: bool


@dataclass(frozen=True, slots=True)
class Fetch:
    """How to list one upstream: on which way, as which client, how long at most (seconds)."""

    name: str
    carrier: Credentialed
    info: Raw
    deadline: float
    most_pages: int = MOST_PAGES
    most_items: int = MOST_ITEMS
    most_bytes: int = MOST_BYTES

    async def part(self, opening: Opening) -> Part:
        """Everything the upstream offers, all kinds at once.

        Raises:
            TimedOut: not complete within the deadline.
            UpstreamError: a list could not be had. A kind the upstream does not know is empty instead.
        """
        try:
            async with asyncio.timeout(self.deadline):
                return _assembled(opening, await self._lists(opening))
        except TimeoutError as error:
            raise TimedOut(self.name, f"{self.name} did not list what it offers within {self.deadline:g} s.") from error

    async def _lists(self, opening: Opening) -> dict[Kind, _Listing]:
        kinds = [kind for kind in Kind if _CAPABILITY[kind] in opening.capabilities]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._list(kind, opening)) for kind in kinds]
        except ExceptionGroup as failures:
            for each in failures.exceptions:
                _forget(each)
            raise failures.exceptions[0] from failures
        return {kind: task.result() for kind, task in zip(kinds, tasks, strict=True)}

    async def _list(self, kind: Kind, opening: Opening) -> _Listing:
        walk = _Walk(self.name, kind, self.most_pages, self.most_items, self.most_bytes)
        try:
            while not walk.is_over:
                page = await self._page(kind, opening, walk.cursor)
                if page is None:
                    break
                walk.take(page)
        except Malformed as error:
            raise BrokeProtocol(self.name, f"{self.name} answered {kind.method} with invalid JSON.") from error
        return await in_turns(walk.listing())

    async def _page(self, kind: Kind, opening: Opening, cursor: Raw | None) -> Fields | None:
        params = {} if cursor is None else {"cursor": cursor}
        if opening.era is Era.MODERN:
            client = Client(Era.MODERN, opening.revision, OWN_CAPABILITIES, self.info)
        else:
            client = Client(Era.LEGACY, LATEST_LEGACY, OWN_CAPABILITIES, self.info)
        reply = await self.carrier.send(opening.era, own_call(client, kind.method, **params))
        if reply.result is not None:
            return fields(reply.result)
        error = decoded(self.name, reply.error or b"{}")
        if error.get("code") == METHOD_NOT_FOUND:
            return None
        raise BrokeProtocol(self.name, f"{self.name} answered {kind.method} with error {error.get('code')}.")


class _Walk:
    """One list, page by page. Ends at the last page, at a bound, or where the upstream walks in a circle."""

    def __init__(self, name: str, kind: Kind, most_pages: int, most_items: int, most_bytes: int) -> None:
        self._name = name
        self._kind = kind
        self._most_pages = most_pages
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._raws: list[Raw] = []
        self._seen: set[bytes] = set()
        self._warnings: list[str] = []
        self._ttls: list[int] = []
        self._bytes = 0
        self._public = True
        self.cursor: Raw | None = None
        self.is_over = False

    def take(self, page: Fields) -> None:
        self._raws += self._members(page)
        ttl = _ttl(page.get("ttlMs"))
        if ttl is not None:
            self._ttls.append(ttl)
        self._public = self._public and text(page.get("cacheScope")) == "public"
        self._bytes += sum(map(len, page.values()))
        self._follow(page.get("nextCursor"))

    def listing(self) -> Steps[_Listing]:
        items, warnings = yield from reading(self._kind, self._raws[: self._most_items])
        ttl = min(self._ttls, default=None)
        return _Listing(items, (*self._warnings, *warnings), ttl, self._public and bool(self._ttls))

    def _members(self, page: Fields) -> list[Raw]:
        try:
            return _raws.decode(page.get(self._kind.member, Raw(b"null")))
        except (msgspec.DecodeError, RecursionError) as error:
            raise BrokeProtocol(
                self._name, f"{self._name} answered {self._kind.method} without a list of {self._kind.member}."
            ) from error

    def _follow(self, cursor: Raw | None) -> None:
        # server/utilities/pagination: an empty string is a valid cursor; only its absence ends the list.
        if cursor is None or bytes(cursor) == b"null":
            self.is_over = True
        elif bytes(cursor) in self._seen:
            self._stop(f"{self._name} repeats a cursor of {self._kind.method}; the list ends there.")
        elif self._is_full():
            self._stop(f"{self._name} has more {self._kind.member} than the hub follows; the list is cut.")
        else:
            self._seen.add(bytes(cursor))
            self.cursor = Raw(bytes(cursor))

    def _is_full(self) -> bool:
        pages, items = len(self._seen) + 1, len(self._raws)
        return pages >= self._most_pages or items >= self._most_items or self._bytes >= self._most_bytes

    def _stop(self, warning: str) -> None:
        self._warnings.append(warning)
        self.is_over = True


def _assembled(opening: Opening, listings: dict[Kind, _Listing]) -> Part:
    ttls = [listing.ttl_ms for listing in listings.values() if listing.ttl_ms is not None]
    return Part(
        server_info=opening.server_info,
        capabilities=opening.capabilities,
        instructions=opening.instructions,
        items={kind: listing.items for kind, listing in listings.items()},
        ttl_ms=min(ttls, default=None),
        public=all(listing.public for listing in listings.values()),
        warnings=tuple(warning for listing in listings.values() for warning in listing.warnings),
    )


def _forget(error: BaseException | None) -> None:
    """Drop what the frames held that an error passed through, such as an answer of many megabytes.

    A group of errors and its members keep each other until the next collection, which may be long in coming.
    """
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__cause__


def _ttl(raw: Raw | None) -> int | None:
    try:
        ttl = value(raw) if raw is not None else None
    except Malformed:
        return None
    return max(0, ttl) if isinstance(ttl, int) and not isinstance(ttl, bool) else None
