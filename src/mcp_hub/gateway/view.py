"""The merged view of all upstreams, built anew whenever one of them changes, and kept as encoded lists.

Rule: a view never changes. A new one is built and the reference swapped, so readers need no lock and a list that
was asked for twice is encoded once.
"""

import asyncio
import logging
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, final

from mcp_hub.catalog.access import EVERYTHING
from mcp_hub.catalog.capabilities import Said, advertised, extender, listing_tasks, with_tasks
from mcp_hub.catalog.merge import merging
from mcp_hub.catalog.notes import META_UPSTREAMS, Absence, absences_meta, cache_scope, instructions, ttl_ms
from mcp_hub.catalog.parts import Exposure, Kind, Part
from mcp_hub.catalog.routes import Catalog
from mcp_hub.catalog.steps import STRIDE, Steps, equal, finished
from mcp_hub.credentials.state import State
from mcp_hub.upstream.known import Known
from mcp_hub.upstream.turns import in_turns
from mcp_hub.upstream.upstream import Upstream
from mcp_hub.wire.eras import META_SERVER_INFO, Era
from mcp_hub.wire.jsonrpc import Json, encode

Entries = Sequence[tuple[Exposure, Part | None]]

LARGE: Final = 2_000
"""Definitions in all from which on merging them at once would hold everybody up."""

MOST_WARNED: Final = 1_000
"""Warnings that are remembered, so that they are not repeated."""

log = logging.getLogger(__name__)

_HUB_LINE: Final = (
    "mcp_hub: several MCP servers behind one address. The part of a name before the two underscores says whose it is."
)


@final
class View:
    """What the callers see at one moment."""

    def __init__(
        self,
        entries: Sequence[tuple[Exposure, Part | None]],
        absences: Sequence[Absence],
        server_info: Json,
        default_ttl: int,
        eras: Mapping[str, Era | None],
        *,
        catalog: Catalog,
        is_own: bool = False,
    ) -> None:
        """`catalog` is what the parts of `entries` are when they are merged; `is_own` if some are one caller's own."""
        known = [(exposure, part) for exposure, part in entries if part is not None]
        parts = [part for _, part in known]
        filtered = any(_filters(exposure) for exposure, _ in known)
        self.catalog = catalog
        self.absences = tuple(absences)
        self._said = [Said(exposure.name, eras.get(exposure.name), part.capabilities) for exposure, part in known]
        self.with_tasks: Mapping[Era, frozenset[str]] = {era: with_tasks(self._said, era) for era in Era}
        self.listing_tasks = listing_tasks(self._said) & self.with_tasks[Era.LEGACY]
        self.extender: Mapping[Era, str | None] = {era: extender(self._said, era) for era in Era}
        self.instructions = instructions(
            _HUB_LINE, [(exposure.title, part.instructions) for exposure, part in known], self.absences
        )
        self.ttl_ms = ttl_ms(parts, default_ttl)
        self.cache_scope = cache_scope(parts, filtered=filtered or is_own)
        self._server_info = server_info
        self._encoded: dict[tuple[Kind, Era], bytes] = {}
        self._owners: dict[Kind, tuple[tuple[str, str], ...]] = {}

    def capabilities(self, revision: str) -> Json:
        """What the hub says it can do, to a client of this revision."""
        return advertised(self._said, revision)

    def listing(self, kind: Kind, era: Era) -> bytes:
        """The whole list of a kind as an encoded result; encoded once, then kept."""
        return self.kept(kind, era) or finished(self.encoding(kind, era))

    def kept(self, kind: Kind, era: Era) -> bytes | None:
        """What `listing` gives, if it has been asked for before."""
        return self._encoded.get((kind, era))

    def encoding(self, kind: Kind, era: Era) -> Steps[bytes]:
        """What `listing` gives, step by step; kept from then on."""
        items = self.catalog.items[kind]
        pieces: list[bytes] = []
        for start in range(0, len(items), STRIDE):
            pieces.append(encode(items[start : start + STRIDE])[1:-1])
            yield
        # The list is the first member of the result, and the only thing in it that may be long.
        head, empty, tail = self.page(kind, era, (), None).partition(b"[]")
        listed = self._encoded[kind, era] = b"".join((head, b"[", b",".join(pieces), b"]", tail)) if empty else head
        return listed

    def owners(self, kind: Kind) -> tuple[tuple[str, str], ...]:
        """See `Catalog.owners`; looked for once."""
        if kind not in self._owners:
            self._owners[kind] = self.catalog.owners(kind)
        return self._owners[kind]

    def page(self, kind: Kind, era: Era, items: Iterable[Json], cursor: str | None) -> bytes:
        """A part of a list as an encoded result; `cursor` is where the next part begins."""
        result: Json = {kind.member: list(items)}
        if cursor is not None:
            result["nextCursor"] = cursor
        meta: Json = {}
        if era is Era.MODERN:
            result |= {"ttlMs": self.ttl_ms, "cacheScope": self.cache_scope, "resultType": "complete"}
            meta[META_SERVER_INFO] = self._server_info
        if self.absences:
            meta[META_UPSTREAMS] = absences_meta(self.absences)
        if meta:
            result["_meta"] = meta
        return encode(result)


@final
class Warned:
    """Logs each warning about a merged catalog once, although a view is built at every change, and for many callers."""

    def __init__(self) -> None:
        self._told: dict[str, None] = {}

    def warn(self, warnings: Iterable[str]) -> None:
        """Log those of these that are new."""
        for warning in warnings:
            if warning not in self._told:
                log.warning("%s", warning)
            self._told.pop(warning, None)
            self._told[warning] = None
        while len(self._told) > MOST_WARNED:
            del self._told[next(iter(self._told))]


@final
class Views:
    """Keeps the current view of a set of upstreams. Given to each upstream as its listener.

    `own` are those of them that are one caller's own. `warned` may be shared by many.
    """

    def __init__(
        self,
        exposures: Mapping[str, Exposure],
        server_info: Json,
        default_ttl: int,
        *,
        own: Container[str] = (),
        warned: Warned | None = None,
    ) -> None:
        self._exposures = exposures
        self._server_info = server_info
        self._default_ttl = default_ttl
        self._upstreams: Mapping[str, Upstream] = {}
        self._absences: dict[str, Absence | None] = {}
        self._eras: dict[str, Era | None] = {}
        self._own = own
        self._warned = Warned() if warned is None else warned
        self._view: View | None = None
        self._merged: tuple[Entries, Catalog] | None = None
        self._merging = asyncio.Lock()

    def watch(self, upstreams: Mapping[str, Upstream]) -> None:
        """The upstreams to merge, in declaration order. Called before the first `current`, and when they are others."""
        self._upstreams = upstreams
        self._view = None

    async def prepare(self, name: str = "", part: Part | None = None) -> None:
        """Merge what is known with what an upstream is about to become known for, without holding anybody up.

        The caller makes it known before it awaits anything else.
        """
        async with self._merging:
            known = self._parts()
            parts = [(exposure, part if part is not None and exposure.name == name else has) for exposure, has in known]
            if sum(map(_size, parts)) > LARGE:
                before = self._merged[1] if self._merged is not None else None
                self._merged = parts, await in_turns(_merging(parts, before))

    def current(self) -> View:
        """The view of this moment: a look-up unless something changed since the last one."""
        if self._view is None:
            self._view = self._build()
        return self._view

    def changed(self, name: str, known: Known, *, new_part: bool) -> None:
        """An upstream has changed: if callers can see it, the next reader gets a new view."""
        moved = self._eras.get(name) is not known.era  # which decides what is offered to whom
        if new_part or moved or self._absences.get(name) != _absence(self._upstreams[name]):
            self._view = None

    def _build(self) -> View:
        entries = self._parts()
        if self._merged is None or not _same(entries, self._merged[0]):
            self._merged = entries, finished(_merging(entries, None))
        self._absences = {name: _absence(upstream) for name, upstream in self._upstreams.items()}
        absences = [absence for absence in self._absences.values() if absence is not None]
        self._eras = {name: upstream.known.era for name, upstream in self._upstreams.items()}
        is_own = any(name in self._own for name in self._upstreams)
        view = View(
            entries,
            absences,
            self._server_info,
            self._default_ttl,
            self._eras,
            catalog=self._merged[1],
            is_own=is_own,
        )
        self._warned.warn(view.catalog.warnings)
        return view

    def _parts(self) -> Entries:
        return [(self._exposures[name], upstream.known.part) for name, upstream in self._upstreams.items()]


def _size(entry: tuple[Exposure, Part | None]) -> int:
    return 0 if entry[1] is None else sum(map(len, entry[1].items.values()))


def _same(one: Entries, other: Entries) -> bool:
    return all(mine is theirs for (_, mine), (_, theirs) in zip(one, other, strict=True))


def _merging(entries: Entries, before: Catalog | None) -> Steps[Catalog]:
    """The merged catalog; lists that are as they were before are the very same, so that nobody need compare them."""
    # Who is not known yet takes part without definitions, so that nobody else gets its names meanwhile.
    catalog = yield from merging([(exposure, part or Part()) for exposure, part in entries])
    if before is None:
        return catalog
    items = dict(catalog.items)
    for kind, listed in before.items.items():
        if (yield from equal(items[kind], listed)):
            items[kind] = listed
    return replace(catalog, items=items)


def _absence(upstream: Upstream) -> Absence | None:
    if upstream.state is State.READY:
        return None
    link = upstream.known.health.link
    return Absence(upstream.name, upstream.state.value, upstream.reason, link, stale=upstream.is_stale)


def _filters(exposure: Exposure) -> bool:
    return any(each != EVERYTHING for each in (exposure.tools, exposure.prompts, exposure.resources))
