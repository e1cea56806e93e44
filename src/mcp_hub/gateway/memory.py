"""What is known of the upstreams, kept across restarts: each one's era and its last good list.

Rule: a list is remembered for whom it was fetched, and recalled for nobody else.
"""

import asyncio
import logging
import time
from collections.abc import Container, Mapping
from typing import Final, NamedTuple, final

from mcp_hub.catalog.parts import Part, decode_part, encode_part
from mcp_hub.errors import StoreFailed
from mcp_hub.principal import Principal
from mcp_hub.store.base import Remembered, Store
from mcp_hub.upstream.known import Known
from mcp_hub.wire.eras import Era
from mcp_hub.wire.jsonrpc import encode

SHARED: Final = "shared"
"""Whom a catalog is visible to: everybody, since it was fetched with a credential that all share."""

log = logging.getLogger(__name__)


class Reader(NamedTuple):
    """Whom a list is visible to, in their tenant."""

    tenant: str
    visibility: str


def reader(caller: Principal) -> Reader:
    """Nobody but this caller."""
    return Reader(caller.tenant, encode(caller.key).decode())


@final
class Memory:
    """Recalls what was known at the last run, and stores every new list. `urls` are by upstream name.

    `fleeting` are the upstreams of which nobody's own list is kept, since it depends on what each request brings.
    A listener of the upstreams that all share: it notes names and lets a task of its own write, so that no call waits
    for the store.
    """

    def __init__(self, store: Store, tenant: str, urls: Mapping[str, str], fleeting: Container[str] = ()) -> None:
        self._store = store
        self._shared = Reader(tenant, SHARED)
        self._urls = dict(urls)
        self._fleeting = fleeting
        self._due: dict[tuple[Reader, str], Known] = {}
        self._is_due = asyncio.Event()

    async def recall(self, whose: Reader | None = None) -> dict[str, Known]:
        """What was known, by upstream, to all or to one; nothing of an upstream that has moved to another URL since.

        Raises:
            StoreFailed: the store cannot be read.
        """
        tenant, visibility = whose or self._shared
        stored = await self._store.remembered(tenant, visibility)
        return {
            each.upstream: Known(era=_era(each.era), part=_part(each))
            for each in stored
            if self._urls.get(each.upstream) == each.url
        }

    def changed(self, name: str, known: Known, *, new_part: bool) -> None:
        """Note a new list; see `upstream.known.Listener`."""
        self.note(self._shared, name, known, new_part=new_part)

    def of(self, caller: Principal) -> "OwnMemory":
        """The same for the upstreams that are this caller's own."""
        return OwnMemory(self, reader(caller))

    def note(self, whose: Reader, name: str, known: Known, *, new_part: bool) -> None:
        """Note a new list for those who may see it; no list any more is noted too."""
        if new_part and not (name in self._fleeting and whose != self._shared):
            self._due[whose, name] = known
            self._is_due.set()

    async def run(self) -> None:
        """Write what is due, until cancelled. A store that fails is reported, and asked again with the next list."""
        while True:
            await self._is_due.wait()
            self._is_due.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write what is due now."""
        while self._due:
            (whose, name), known = next(iter(self._due.items()))
            try:
                await self._write(whose, name, known)
            except StoreFailed as error:
                log.warning("the list of %s could not be stored: %s", name, error.public)
            if self._due.get((whose, name)) is known:  # nothing newer has come, and the writing was not cancelled
                del self._due[whose, name]

    async def _write(self, whose: Reader, name: str, known: Known) -> None:
        if known.part is None and whose != self._shared:
            await self._store.forget(whose.tenant, name, whose.visibility)  # their connection has ended
            return
        catalog = encode_part(known.part) if known.part is not None else None
        era, url = known.era.value if known.era is not None else None, self._urls[name]
        await self._store.remember(Remembered(whose.tenant, name, whose.visibility, url, era, catalog, time.time()))


@final
class OwnMemory:
    """One caller's part of a memory: a listener of the upstreams that are their own."""

    def __init__(self, memory: Memory, whose: Reader) -> None:
        self._memory = memory
        self._whose = whose

    async def recall(self) -> dict[str, Known]:
        """What was known to them; nothing where the store cannot be read, since all of it can be fetched anew."""
        try:
            return await self._memory.recall(self._whose)
        except StoreFailed as error:
            log.warning("what was known to a caller could not be read: %s", error.public)
            return {}

    def changed(self, name: str, known: Known, *, new_part: bool) -> None:
        """See `upstream.known.Listener`."""
        self._memory.note(self._whose, name, known, new_part=new_part)


def _era(stored: str | None) -> Era | None:
    return Era(stored) if stored in tuple(Era) else None


def _part(stored: Remembered) -> Part | None:
    if stored.catalog is None:
        return None
    try:
        return decode_part(stored.catalog)
    except ValueError:
        log.warning("the stored list of %s is of another version and is fetched anew", stored.upstream)
        return None
