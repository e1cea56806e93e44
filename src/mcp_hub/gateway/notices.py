"""Notices of change, from every upstream to whoever asked for them.

Rule: a listener hears of the lists and resources that it named and that its upstream granted, and of nothing else.
A list is announced when the merged one changed, or when an upstream said so and its list has been fetched since; many
changes in a short time are one notice.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, final

from msgspec import Raw

from mcp_hub.catalog.names import exposed_uri
from mcp_hub.catalog.parts import Kind
from mcp_hub.catalog.routes import Catalog, Route
from mcp_hub.errors import ConnectionNeeded, Forbidden, UnknownName
from mcp_hub.gateway.listener import Listener, Notice, Over, Owner
from mcp_hub.gateway.places import Places
from mcp_hub.gateway.view import LARGE, Views
from mcp_hub.principal import Principal
from mcp_hub.upstream.call import CHANGES, UPDATED
from mcp_hub.upstream.known import Known
from mcp_hub.upstream.upstream import Upstream
from mcp_hub.wire.eras import Client
from mcp_hub.wire.jsonrpc import Fields, Json, Malformed, encode, fields, text

KINDS: Final = frozenset(CHANGES.values())
DELAY: Final = 0.1
"""Seconds in which changes are gathered before they are told."""
LONGEST_URI: Final = 2048
LARGEST: Final = 8 * 1024
"""Bytes of a resource notice up to which everything in it is passed on; of a larger one, the URI alone."""
_METHODS: Final = {kind: method for method, kind in CHANGES.items()}
_LISTS: Final = {
    "tools": (Kind.TOOL,),
    "prompts": (Kind.PROMPT,),
    "resources": (Kind.RESOURCE, Kind.TEMPLATE),
}

NoticesOf = Callable[[Principal], "Notices"]
"""Where a caller listens."""
Find = Callable[[str], Awaitable[Route]]
Follow = Callable[[Listener, Principal, Client, Sequence[str]], AbstractAsyncContextManager[frozenset[str]]]


@final
class Notices:
    """All listeners of one fleet. Given to each upstream as its listener, and as the taker of its notices."""

    def __init__(self, views: Views, *, places: Places | None = None, delay: float = DELAY) -> None:
        self._views = views
        self._places = Places() if places is None else places
        self._delay = delay
        self._upstreams: Mapping[str, Upstream] = {}
        self._namespaces: Mapping[str, str | None] = {}
        self._find: Find = _nobody
        self._follow: Follow = _no_tasks
        self._listeners: set[Listener] = set()
        self._by_uri: dict[str, set[Listener]] = {}
        self._announced: set[str] = set()
        self._last: Catalog | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def watch(
        self,
        upstreams: Mapping[str, Upstream],
        namespaces: Mapping[str, str | None],
        find: Find,
        follow: "Follow | None" = None,
    ) -> None:
        """The upstreams, the namespaces of their URIs, how to find whose a resource is, and how to follow tasks.

        Called once, first.
        """
        self._upstreams = upstreams
        self._namespaces = namespaces
        self._find = find
        self._follow = follow or _no_tasks

    # What the inbound side asks

    def open(self, owner: Owner, kinds: frozenset[str] = KINDS) -> Listener:
        """A listener for changes of these lists. Its user closes it.

        Raises:
            Forbidden: there are too many already, or the hub stops.
        """
        if self._stopped:
            raise Forbidden("The hub is stopping; connect again in a moment.")
        self._places.take(owner)
        if not self._listeners:  # what changed before is no news for whoever comes now
            self._last = self._views.current().catalog
            self._announced.clear()
        listener = Listener(owner, kinds, self._leave)
        self._listeners.add(listener)
        return listener

    def has(self, listener: Listener) -> bool:
        """Whether it is told of what changes here."""
        return listener in self._listeners

    @property
    def are_heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    async def subscribe(self, listener: Listener, uris: Iterable[str]) -> frozenset[str]:
        """Those of these resources that the listener will be told of: unknown ones, and those whose upstream does not
        tell of changes or cannot be reached, are left out.

        Raises:
            BadRequest, Forbidden: too many resources, of this listener or in all.
        """
        new = frozenset(uri for uri in uris if uri not in listener.uris)
        self._places.require_resources(len(listener.uris), len(new))
        routes: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for uri in sorted(new):
            route = await self._route(uri)
            if route is not None:
                routes[route.upstream][uri] = route.original
        async with asyncio.TaskGroup() as group:
            for upstream, originals in routes.items():
                group.create_task(self._subscribe(listener, upstream, originals))
        return frozenset(uri for uri in uris if uri in listener.uris)

    def follow(
        self, listener: Listener, caller: Principal, client: Client, tasks: Sequence[str]
    ) -> AbstractAsyncContextManager[frozenset[str]]:
        """Tell the listener of these tasks while entered; gives those that it will really be told of.

        Raises:
            MissingCapability, BadRequest: on entering, the client may not, or these are too many.
        """
        return self._follow(listener, caller, client, tasks)

    def unsubscribe(self, listener: Listener, uri: str) -> None:
        """The listener is no longer told of this resource; nothing happens if it was not."""
        if uri in listener.uris:
            upstream, original = listener.uris.pop(uri)
            self._places.resources -= 1
            listener.forget(uri)
            self._unlink(listener, uri)
            self._upstreams[upstream].unsubscribe([original])

    def stop(self, why: Over = Over.ENDED) -> None:
        """End every listener; nobody who comes later is told anything here."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for listener in self._listeners:
            listener.finish(why)

    # What the upstreams say

    def changed(self, name: str, known: Known, *, new_part: bool) -> None:
        """See `upstream.Listener`."""
        del name, known
        if new_part:
            self._look_soon()

    def announced(self, name: str, kinds: frozenset[str]) -> None:
        """See `upstream.Notices`."""
        del name
        self._announced |= kinds
        self._look_soon()

    def updated(self, name: str, params: Raw) -> None:
        """See `upstream.Notices`."""
        found = _members(params)
        if found is None:
            return
        uri = exposed_uri(self._namespaces.get(name), found[0])
        listeners = {each for key in _self_and_parents(uri) for each in self._by_uri.get(key, ())}
        if listeners and self._may_hear(name, uri):
            notice: Notice = (UPDATED, {**found[1], "uri": Raw(encode(uri))})
            for listener in listeners:
                listener.tell(uri, notice)

    # Inside

    async def _route(self, uri: str) -> Route | None:
        try:
            return await self._find(uri) if len(uri) <= LONGEST_URI else None
        except (UnknownName, ConnectionNeeded):
            return None

    async def _subscribe(self, listener: Listener, upstream: str, originals: Mapping[str, str]) -> None:
        for uri in originals:  # before it is granted, so that the first notice cannot come too early
            self._by_uri.setdefault(uri, set()).add(listener)
        granted: frozenset[str] = frozenset()
        try:
            granted = await self._upstreams[upstream].subscribe(originals.values())
        finally:
            for uri, original in originals.items():
                self._keep(listener, uri, (upstream, original), granted=original in granted)

    def _keep(self, listener: Listener, uri: str, held: tuple[str, str], *, granted: bool) -> None:
        if granted and (uri in listener.uris or listener.over is Over.CLOSED):
            self._upstreams[held[0]].unsubscribe([held[1]])  # granted twice, or to nobody any more
        elif granted:
            listener.uris[uri] = held
            self._places.resources += 1
        if uri not in listener.uris:
            listener.forget(uri)
            self._unlink(listener, uri)

    def _unlink(self, listener: Listener, uri: str) -> None:
        listeners = self._by_uri.get(uri)
        if listeners is not None:
            listeners.discard(listener)
            if not listeners:
                del self._by_uri[uri]

    def _leave(self, listener: Listener) -> None:
        if listener not in self._listeners:
            return
        self._listeners.discard(listener)
        self._places.give_back(listener.owner)
        for uri in list(listener.uris):
            self.unsubscribe(listener, uri)

    def _may_hear(self, name: str, uri: str) -> bool:
        # Another upstream may use the same URI, and what a filter hides is not told of either.
        route = self._views.current().catalog.resource(uri)
        return route is not None and route.upstream == name

    def _look_soon(self) -> None:
        if self._timer is None and self._listeners and not self._stopped:
            self._timer = asyncio.get_running_loop().call_later(self._delay, self._look)

    def _look(self) -> None:
        self._timer = None
        announced, self._announced = self._announced, set()
        catalog, before = self._views.current().catalog, self._last
        self._last = catalog
        for kind in KINDS:
            if kind in announced or before is None or _differs(kind, before, catalog):
                self._tell_all(kind)

    def _tell_all(self, kind: str) -> None:
        method = _METHODS[kind]
        for listener in self._listeners:
            if kind in listener.kinds:
                listener.tell(method, (method, {}))


def _differs(kind: str, before: Catalog, after: Catalog) -> bool:
    return any(_other(before.items[each], after.items[each]) for each in _LISTS[kind])


def _other(one: tuple[Json, ...], other: tuple[Json, ...]) -> bool:
    # Long lists were compared when they were merged: what is equal is the same.
    return one is not other and (max(len(one), len(other)) > LARGE or one != other)


def _members(params: Raw) -> tuple[str, Fields] | None:
    """The URI of a resource notice, and what else is passed on of it."""
    try:
        members = fields(params)
        uri = text(members.get("uri"))
    except Malformed:
        return None
    if uri is None or len(uri) > LONGEST_URI:
        return None
    return uri, {key: raw for key, raw in members.items() if key != "_meta"} if len(params) <= LARGEST else {}


def _self_and_parents(uri: str) -> Iterator[str]:
    """The URI and whatever it can be a part of: a notice may be about a part of what was subscribed to."""
    yield uri
    end = uri.rfind("/")
    while end > 0:
        yield uri[:end]
        yield uri[: end + 1]
        end = uri.rfind("/", 0, end)


async def _nobody(uri: str) -> Route:
    raise UnknownName("resource", uri, "There are no upstreams yet.")


@asynccontextmanager
async def _no_tasks(
    listener: Listener, caller: Principal, client: Client, tasks: Sequence[str]
) -> AsyncGenerator[frozenset[str]]:
    del listener, caller, client, tasks
    yield frozenset()


def acknowledged(kinds: frozenset[str], uris: Iterable[str], tasks: Iterable[str] = ()) -> Json:
    """The filter of MCP 2026-07-28 and its extension for tasks that says this."""
    asked: Json = {f"{kind}ListChanged": True for kind in sorted(kinds)}
    named = {"resourceSubscriptions": list(uris), "taskIds": list(tasks)}
    return asked | {key: several for key, several in named.items() if several}
