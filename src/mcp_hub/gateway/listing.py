"""Lists for callers, and whose tool, prompt or resource a name is.

Rule: one upstream that is dead or slow costs a list at most the listing deadline, and only while nothing at all is
known of it; the others are listed meanwhile and the missing one is named.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import final

from msgspec import Raw

from mcp_hub.catalog import cursors
from mcp_hub.catalog.names import may_be_of
from mcp_hub.catalog.parts import Exposure, Kind
from mcp_hub.catalog.routes import Route
from mcp_hub.errors import BadRequest, ConnectionNeeded, UnknownName
from mcp_hub.gateway.ask import Ask
from mcp_hub.gateway.view import View, Views
from mcp_hub.upstream.turns import in_turns
from mcp_hub.upstream.upstream import Upstream
from mcp_hub.wire.eras import Era
from mcp_hub.wire.jsonrpc import text

_KINDS = {kind.method: kind for kind in Kind}


@final
class Listing:
    """The merged catalog as callers use it. `deadline` is in seconds; `page_size` 0 means one page for all."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        exposures: Mapping[str, Exposure],
        views: Views,
        *,
        deadline: float,
        page_size: int,
        cursor_key: bytes,
    ) -> None:
        self._upstreams = upstreams
        self._views = views
        self._namespaces = {name: exposure.namespace for name, exposure in exposures.items()}
        self.deadline = deadline
        self._page_size = page_size
        self._cursor_key = cursor_key
        self._given_up: set[str] = set()

    def namespace(self, upstream: str) -> str | None:
        """What stands before the upstream's URIs; `None` if they are exposed as they are."""
        return self._namespaces[upstream]

    @property
    def legacy_tasks(self) -> frozenset[str]:
        """The legacy upstreams whose calls can be tasks."""
        return self._views.current().with_tasks[Era.LEGACY]

    async def view(self) -> View:
        """The view of this moment. Waits for first contacts, no longer than the deadline."""
        waiting = [each for each in self._upstreams.values() if not each.is_settled]
        if waiting or self._given_up:
            await self._first_contacts(waiting)
        return self._views.current()

    def known_tool(self, name: str) -> Route | None:
        """Whose tool this is, as far as is known at this moment: a look-up that waits for nothing."""
        return self._views.current().catalog.tool(name)

    async def tool(self, name: str) -> Route:
        """Whose tool this is.

        Raises:
            ConnectionNeeded: it would be an upstream's to which the caller has to connect first.
            UnknownName: nobody's, as far as is known.
        """
        route = self.known_tool(name) or (await self.view()).catalog.tool(name)
        return route if route is not None else self._nobody("tool", name)

    async def prompt(self, name: str) -> Route:
        """Whose prompt this is; raises as `tool` does."""
        route = self._views.current().catalog.prompt(name) or (await self.view()).catalog.prompt(name)
        return route if route is not None else self._nobody("prompt", name)

    async def resource(self, uri: str) -> Route:
        """Whose resource this is; raises as `tool` does."""
        route = self._views.current().catalog.resource(uri) or (await self.view()).catalog.resource(uri)
        return route if route is not None else self._nobody("resource", uri)

    async def answer(self, ask: Ask) -> bytes:
        """The encoded result of one of the four list methods."""
        view = await self.view()
        for upstream in self._upstreams.values():
            upstream.refresh_if_stale()
        kind = _KINDS[ask.method]
        cursor = ask.params.get("cursor")
        if cursor is not None and bytes(cursor) == b"null":
            cursor = None  # so do clients write a member that they leave empty
        if self._page_size == 0 and cursor is None:
            era = ask.client.era
            return view.kept(kind, era) or await in_turns(view.encoding(kind, era))
        return self._page(view, kind, ask, cursor)

    def _page(self, view: View, kind: Kind, ask: Ask, cursor: Raw | None) -> bytes:
        try:
            position = None if cursor is None else cursors.unseal(self._cursor_key, kind, text(cursor) or "")
        except ValueError as error:
            raise BadRequest(f"{ask.method} does not know this cursor. List again from the start.") from error
        page = cursors.page(view.owners(kind), tuple(self._upstreams), position, self._page_size)
        following = None if page.last is None else cursors.seal(self._cursor_key, kind, page.last)
        return view.page(kind, ask.client.era, view.catalog.items[kind][page.start : page.stop], following)

    async def _first_contacts(self, unsettled: Sequence[Upstream]) -> None:
        self._given_up &= {each.name for each in unsettled}
        waiting = [asyncio.ensure_future(each.settled()) for each in unsettled if each.name not in self._given_up]
        try:
            if waiting:
                await asyncio.wait(waiting, timeout=self.deadline)
            self._given_up |= {each.name for each in unsettled if not each.is_settled}  # nobody waits twice
        finally:
            for task in waiting:
                task.cancel()

    def _nobody(self, kind: str, name: str) -> Route:
        needed = self._needed(kind, name)
        if needed is not None:
            raise needed
        shown = name[:100]
        missing = [each.reason for each in self._upstreams.values() if each.known.part is None]
        because = f"Missing at the moment: {' '.join(missing)}" if missing else "List again: it may have a new name."
        raise UnknownName(kind, name, f"No {kind} is called {shown!r} here. {because}")

    def _needed(self, kind: str, name: str) -> ConnectionNeeded | None:
        # The call itself brings the link then, also to clients that remember the name from another day.
        for upstream in self._upstreams.values():
            needed = upstream.needed
            if needed is not None and may_be_of(self._namespaces[upstream.name], name, is_uri=kind == "resource"):
                return needed
        return None
