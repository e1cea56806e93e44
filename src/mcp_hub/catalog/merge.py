"""The catalogs of all upstreams as one.

Rule: the result depends on the upstreams as declared and on what each lists, never on who answered first; and adding
an upstream changes no name of another, unless both gave up their prefix. So prefixed names are given out first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, cast

from mcp_hub.catalog.names import SEPARATOR, digest_name, exposed_name, exposed_uri, split_uri
from mcp_hub.catalog.parts import Exposure, Kind, Part, bounded
from mcp_hub.catalog.routes import NO_PARAMS, Catalog, Route, Source
from mcp_hub.catalog.steps import STRIDE, Steps, finished
from mcp_hub.catalog.templates import Template
from mcp_hub.catalog.text import clean_text, label
from mcp_hub.wire.headers import header_map
from mcp_hub.wire.jsonrpc import Json

HUB: Final = "hub"
"""The namespace of the hub's own tools."""
CONNECTIONS_TOOL: Final = "hub__connections"

_SHOWN: Final = ("title", "description")
_BY_URI: Final = (Kind.RESOURCE, Kind.TEMPLATE)
_OF_APPS: Final = (Kind.TOOL, Kind.RESOURCE)
"""What an app asks its host for by its original name or URI."""

Entries = Sequence[tuple[Exposure, Part]]
Links = Mapping[tuple[str, str], str]
"""(upstream, original URI) to the exposed URI of a listed resource."""
Warnings = dict[str, list[str]]
"""Sentences by upstream."""


def merge(entries: Entries) -> Catalog:
    """What `merging` comes to, all at once."""
    return finished(merging(entries))


def merging(entries: Entries) -> Steps[Catalog]:
    """The merged catalog of upstreams in the order of their declaration; each keeps its own order inside.

    An upstream whose catalog is not known yet belongs here with an empty `Part`: its namespace stays its own.
    """
    warnings = {exposure.name: list(part.warnings) for exposure, part in entries}
    spaces = {HUB, *(space for exposure, _ in entries for space in (exposure.name, exposure.namespace) if space)}
    names: dict[Kind, dict[str, _Offer]] = {}
    for kind in Kind:
        names[kind] = yield from _Claims(kind, entries, spaces).settle(warnings)
    links = {(offer.exposure.name, offer.original): uri for uri, offer in names[Kind.RESOURCE].items()}
    items: dict[Kind, tuple[Json, ...]] = {}
    tables: dict[Kind, dict[str, Route]] = {}
    for kind, offers in names.items():
        definitions: list[Json] = []
        routes = tables[kind] = {}
        for number, (exposed, offer) in enumerate(offers.items(), 1):
            if number % STRIDE == 0:
                yield
            definitions.append(_definition(kind, exposed, offer, links, warnings))
            routes[exposed] = _route(kind, offer)
        items[kind] = tuple(definitions)
    sources = tuple(_source(exposure, part) for exposure, part in entries)
    with_apps = _with_apps(entries)
    of_apps = {kind: _originals_of_apps(names[kind], tables[kind], with_apps) for kind in _OF_APPS}
    said = tuple(f"{upstream}: {sentence}" for upstream, some in warnings.items() for sentence in bounded(some))
    return Catalog(tables, items, said, sources, _by_space(sources), of_apps)


@dataclass(frozen=True, slots=True)
class _Offer:
    """One permitted definition of one upstream, before it has an exposed name."""

    exposure: Exposure
    original: str
    item: Json


class _Claims:
    """Who gets which exposed name of one kind."""

    def __init__(self, kind: Kind, entries: Entries, spaces: set[str]) -> None:
        self._kind = kind
        self._spaces = spaces
        self._entries = entries
        self._offers: list[_Offer] = []
        self._taken: dict[str, int] = {}

    def settle(self, warnings: Warnings) -> Steps[dict[str, _Offer]]:
        """Every definition by the name it is exposed under, in the order of declaration."""
        yield from self._gather()
        unprefixed_last = sorted(
            range(len(self._offers)), key=lambda number: self._offers[number].exposure.namespace is None
        )
        for count, number in enumerate(unprefixed_last, 1):
            if count % STRIDE == 0:
                yield
            warning = self._claim(number)
            if warning is not None:
                warnings[self._offers[number].exposure.name].append(warning)
        return {exposed: self._offers[number] for exposed, number in sorted(self._taken.items(), key=itemgetter(1))}

    def _gather(self) -> Steps[None]:
        for exposure, part in self._entries:
            permits = exposure.filter(self._kind).permits
            for number, item in enumerate(part.of(self._kind), 1):
                if number % STRIDE == 0:
                    yield
                if permits(original := item[self._kind.key]):
                    self._offers.append(_Offer(exposure, original, item))

    def _claim(self, number: int) -> str | None:
        """Give one definition the first of its spellings that is free; a warning if that is not the first."""
        offer = self._offers[number]
        wanted, *others = _spellings(self._kind, offer)
        title = f'The {self._kind.noun} "{label(offer.original)}"'
        if self._free(wanted) and not self._foreign(wanted, offer.exposure):
            self._taken[wanted] = number
            return None
        owner = self._owner(wanted)
        for exposed in others:
            if self._free(exposed):
                self._taken[exposed] = number
                return f'{title} is exposed as "{exposed}": "{label(wanted)}" belongs to {owner}.'
        return f"{title} is left out: every name it could have is taken, the first by {owner}."

    def _free(self, exposed: str) -> bool:
        return exposed not in self._taken and exposed != CONNECTIONS_TOOL

    def _foreign(self, exposed: str, exposure: Exposure) -> bool:
        """Whether an unprefixed name reads like one of another upstream's, or would if that fell back to its prefix."""
        space = _space(self._kind, exposed)
        return exposure.namespace is None and space != exposure.name and space in self._spaces

    def _owner(self, exposed: str) -> str:
        number = self._taken.get(exposed)
        return self._offers[number].exposure.name if number is not None else f"{_space(self._kind, exposed)}"


def _spellings(kind: Kind, offer: _Offer) -> Sequence[str]:
    """The names a definition can have, the wished one first."""
    exposure, original = offer.exposure, offer.original
    if kind in _BY_URI:
        own = exposed_uri(exposure.name, original)
        return exposed_uri(exposure.namespace, original), own, exposed_uri(exposure.name, own)
    shown, limit = exposure.rename.get(original), exposure.name_limit
    return (
        exposed_name(exposure.name, exposure.namespace, original, limit, shown),
        exposed_name(exposure.name, exposure.name, original, limit, shown),
        digest_name(exposure.name, exposure.name, original, limit, shown),
    )


def _space(kind: Kind, exposed: str) -> str | None:
    """The namespace that an exposed name seems to carry."""
    if kind in _BY_URI:
        split = split_uri(exposed)
        return None if split is None else split[0]
    space, separator, _ = exposed.partition(SEPARATOR)
    return space if separator else None


def _definition(kind: Kind, exposed: str, offer: _Offer, links: Links, warnings: Warnings) -> Json:
    """The definition as it is listed: a copy with the exposed name, all else as the upstream sent it."""
    copy = {**offer.item, kind.key: exposed}
    meta = copy.get("_meta")
    if kind is Kind.TOOL and isinstance(meta, dict):
        copy["_meta"] = _linked(cast("Json", meta), offer.exposure, links)
    for member in _SHOWN:
        shown = copy.get(member)
        if isinstance(shown, str):
            copy[member] = clean_text(shown)
            if copy[member] is not shown:
                warnings[offer.exposure.name].append(
                    f'The {member} of the {kind.noun} "{label(offer.original)}" '
                    "held characters that cannot be seen, or too many; they were removed."
                )
    return copy


def _linked(meta: Json, exposure: Exposure, links: Links) -> Json:
    """A tool's `_meta` with the URI of its app (MCP Apps; the flat key is the older form) as the hub lists it."""

    def exposed(uri: str) -> str:
        return links.get((exposure.name, uri)) or exposed_uri(exposure.namespace, uri)

    app = meta.get("ui")
    if isinstance(app, dict) and isinstance(uri := cast("Json", app).get("resourceUri"), str):
        meta = {**meta, "ui": {**cast("Json", app), "resourceUri": exposed(uri)}}
    if isinstance(uri := meta.get("ui/resourceUri"), str):
        meta = {**meta, "ui/resourceUri": exposed(uri)}
    return meta


def _with_apps(entries: Entries) -> frozenset[str]:
    """The upstreams that have a tool with an app."""
    return frozenset(exposure.name for exposure, part in entries if any(map(_has_app, part.of(Kind.TOOL))))


def _has_app(tool: Json) -> bool:
    meta = tool.get("_meta")
    return isinstance(meta, dict) and ("ui" in meta or "ui/resourceUri" in meta)


def _originals_of_apps(
    offers: Mapping[str, _Offer], routes: Mapping[str, Route], with_apps: frozenset[str]
) -> Mapping[str, Route]:
    found: dict[str, Route | None] = {}
    for exposed, offer in offers.items():
        if offer.exposure.name in with_apps and offer.original not in offers:
            found[offer.original] = None if offer.original in found else routes[exposed]
    return {original: route for original, route in found.items() if route is not None}


def _route(kind: Kind, offer: _Offer) -> Route:
    params = header_map(offer.item.get("inputSchema")) if kind is Kind.TOOL else None
    return Route(offer.exposure.name, offer.original, params or NO_PARAMS)


def _source(exposure: Exposure, part: Part) -> Source:
    templates = tuple(
        Template(item[Kind.TEMPLATE.key])
        for item in part.of(Kind.TEMPLATE)
        if exposure.resources.permits(item[Kind.TEMPLATE.key])
    )
    offers = "resources" in part.capabilities or bool(part.of(Kind.RESOURCE) or part.of(Kind.TEMPLATE))
    return Source(exposure.name, exposure.namespace, exposure.resources, templates, offers)


def _by_space(sources: Sequence[Source]) -> Mapping[str, tuple[Source, ...]]:
    """Sources by namespace; unprefixed ones can be found under their own name if nobody else is."""
    spaces: dict[str, tuple[Source, ...]] = {}
    for source in sources:
        if source.namespace is not None:
            spaces[source.namespace] = (*spaces.get(source.namespace, ()), source)
    for source in sources:
        if source.namespace is None:
            spaces.setdefault(source.upstream, (source,))
    return spaces
