"""A merged catalog, and whose each name in it is.

Rule: names are looked up in tables. Only a URI that no upstream listed is split to find its namespace, because
templates and results bring URIs that no list holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from mcp_hub.catalog.access import Filter
from mcp_hub.catalog.names import split_uri
from mcp_hub.catalog.parts import Kind
from mcp_hub.catalog.templates import Template, expands
from mcp_hub.wire.headers import ParamHeaders
from mcp_hub.wire.jsonrpc import Json

_TOOL: Final = Kind.TOOL  # once, since Python 3.11 takes its time to find a member of an enumeration
NO_PARAMS: Final[ParamHeaders] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Route:
    """Where an exposed name leads: to `original` of `upstream`; `params` are the arguments a tool wants mirrored."""

    upstream: str
    original: str
    params: ParamHeaders = field(default_factory=lambda: NO_PARAMS)


@dataclass(frozen=True, slots=True)
class Source:
    """One upstream as a giver of resources: what may be read there and how its URIs can be recognised."""

    upstream: str
    namespace: str | None
    resources: Filter
    templates: tuple[Template, ...]
    offers: bool

    def permits(self, uri: str) -> bool:
        """Whether the filter lets this URI be read: by itself, or as an expansion of a template that it permits."""
        if self.resources.permits(uri):
            return True
        return not self.resources.denies(uri) and self.expands(uri)

    def expands(self, uri: str) -> bool:
        """Whether the URI can be an expansion of a listed template."""
        return expands(self.templates, uri)


@dataclass(frozen=True, slots=True)
class Catalog:
    """What is offered, in its final order and words, and the way back to each upstream's own words.

    Values only: a change makes a new catalog, so readers need no lock.
    """

    tables: Mapping[Kind, Mapping[str, Route]]
    items: Mapping[Kind, tuple[Json, ...]]
    warnings: tuple[str, ...]
    sources: tuple[Source, ...]
    spaces: Mapping[str, tuple[Source, ...]]
    """Sources by the namespace their URIs carry."""
    of_apps: Mapping[Kind, Mapping[str, Route]] = field(default_factory=dict[Kind, Mapping[str, Route]])
    """Originals of upstreams with apps, for apps know no others; none that several have, or that is somebody's name."""

    @property
    def tools(self) -> Mapping[str, Route]:
        """Routes by exposed tool name, in the order of the list."""
        return self.tables[Kind.TOOL]

    @property
    def prompts(self) -> Mapping[str, Route]:
        """Routes by exposed prompt name, in the order of the list."""
        return self.tables[Kind.PROMPT]

    @property
    def upstreams(self) -> tuple[str, ...]:
        """The merged upstreams as declared, those without any definition included."""
        return tuple(source.upstream for source in self.sources)

    def tool(self, name: str) -> Route | None:
        """Whose tool this is, `None` if nobody's."""
        return self.tables[_TOOL].get(name) or self._of_app(_TOOL, name)

    def prompt(self, name: str) -> Route | None:
        """Whose prompt this is, `None` if nobody's."""
        return self.tables[Kind.PROMPT].get(name)

    def owner(self, kind: Kind, exposed: str) -> Route | None:
        """Whose listed definition this is, `None` if no list holds it."""
        return self.tables[kind].get(exposed)

    def resource(self, uri: str) -> Route | None:
        """Who can be asked for this URI, listed or not; `None` if nobody, or if it cannot be told who.

        A listed URI is its owner's. Else the namespace decides. Without one it may be an app's own; else it is the only
        unprefixed upstream that offers resources at all, and among several the first with a template that fits.
        """
        listed = self.tables[Kind.RESOURCE].get(uri)
        if listed is not None:
            return listed
        split = split_uri(uri)
        if split is not None and split[0] in self.spaces:
            return _chosen(self.spaces[split[0]], split[1])
        bare = [source for source in self.sources if source.namespace is None and source.offers]
        return self._of_app(Kind.RESOURCE, uri) or _chosen(bare, uri)

    def _of_app(self, kind: Kind, original: str) -> Route | None:
        routes = self.of_apps.get(kind)
        return None if routes is None else routes.get(original)

    def owners(self, kind: Kind) -> tuple[tuple[str, str], ...]:
        """(upstream, exposed name) of every definition, in the order of the list."""
        return tuple((route.upstream, exposed) for exposed, route in self.tables[kind].items())


def _chosen(sources: Sequence[Source], uri: str) -> Route | None:
    """The only source, else the first with a template that fits. If its filter says no, nobody else is asked."""
    fitting = sources if len(sources) == 1 else (source for source in sources if source.expands(uri))
    chosen = next(iter(fitting), None)
    return Route(chosen.upstream, uri) if chosen is not None and chosen.permits(uri) else None
