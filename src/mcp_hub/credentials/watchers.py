"""Who waits for a change of somebody's connection.

Rule: whoever keeps something of a connection in memory is told when that connection changes: at once where this process
has changed it, before whoever did so goes on; and within `POLL` seconds where another one has. What could not be looked
up is found by the next look, so nothing is missed; some are told although theirs has not changed.
"""

import asyncio
from collections.abc import Callable
from typing import Final, NoReturn, Protocol, final
from weakref import WeakMethod, finalize

from mcp_hub.errors import StoreFailed
from mcp_hub.store.connections import Changes, Whose

POLL: Final = 0.5
"""Seconds between two looks whether another process has changed a connection."""

Changed = Callable[[], object]


class ChangeStore(Protocol):
    """The part of `ConnectionStore` that says what changed."""

    async def connection_generation(self) -> int:
        """See `ConnectionStore`."""
        ...

    async def connection_changes(self, since: int) -> Changes:
        """See `ConnectionStore`."""
        ...

    def on_connections_changed(self, tell: Callable[[Changes], object]) -> None:
        """See `ConnectionStore`."""
        ...


@final
class Watchers:
    """Tells of changes in one store. Belongs to one event loop; `run` has to run for it."""

    def __init__(self, store: ChangeStore) -> None:
        self._store = store
        self._waiting: dict[Whose, dict[object, Changed]] = {}
        self._generation: int | None = None
        store.on_connections_changed(self._told)

    def add(self, whose: Whose, changed: Changed) -> Callable[[], None]:
        """Call `changed`, which must not block or fail, whenever this connection has. Returns what ends that."""
        key = object()
        self._waiting.setdefault(whose, {})[key] = changed

        def leave() -> None:
            waiting = self._waiting.get(whose, {})
            waiting.pop(key, None)
            if not waiting:
                self._waiting.pop(whose, None)

        return leave

    def add_while_alive(self, whose: Whose, method: Changed) -> None:
        """The same for a method, for as long as somebody else holds the object it belongs to."""
        weak = WeakMethod(method)

        def changed() -> None:
            bound = weak()
            if bound is not None:
                bound()

        owner = weak()
        finalize(getattr(owner, "__self__", owner), self.add(whose, changed)).atexit = False

    async def run(self) -> NoReturn:
        """Notice what other processes change, until cancelled."""
        while True:
            await asyncio.sleep(POLL)
            await self.look()

    async def look(self) -> None:
        """Tell of everything that changed since the last look."""
        if not self._waiting:
            return
        try:
            changes = await self._changes()
        except StoreFailed:
            return
        if changes is not None:
            self._told(changes)

    async def _changes(self) -> Changes | None:
        now, known = await self._store.connection_generation(), self._generation
        if known is None:
            return Changes(now, now, None)  # nobody has looked yet: whatever is kept may be older than that
        return await self._store.connection_changes(known) if now != known else None

    def _told(self, changes: Changes) -> None:
        # What another process did before `since` is still to be looked up.
        if self._generation is None or changes.since <= self._generation:
            self._generation = max(self._generation or 0, changes.generation)
        for whose in list(self._waiting) if changes.whose is None else changes.whose:
            for changed in list(self._waiting.get(whose, {}).values()):
                changed()
