"""What is known of the upstreams, kept across restarts: each one's era and its last good list."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Final, final

from mcp_hub.catalog.parts import Part, decode_part, encode_part
from mcp_hub.errors import StoreFailed
from mcp_hub.store.base import Remembered, Store
from mcp_hub.upstream.known import Known
from mcp_hub.wire.eras import Era

SHARED: Final = "shared"
"""Whom a catalog is visible to: everybody, since it was fetched with a credential that all share."""

log = logging.getLogger(__name__)


@final
class Memory:
    """Recalls what was known at the last run, and stores every new list. `urls` are by upstream name.

    A listener of upstreams: it notes names and lets a task of its own write, so that no call waits for the store.
    """

    def __init__(self, store: Store, tenant: str, urls: Mapping[str, str]) -> None:
        self._store = store
        self._tenant = tenant
        self._urls = dict(urls)
        self._due: dict[str, Known] = {}
        self._is_due = asyncio.Event()

    async def recall(self) -> dict[str, Known]:
        """What was known, by upstream; nothing of an upstream that has moved to another URL since.

        Raises:
            StoreFailed: the store cannot be read.
        """
        stored = await self._store.remembered(self._tenant)
        return {
            each.upstream: Known(era=_era(each.era), part=_part(each))
            for each in stored
            if each.visibility == SHARED and self._urls.get(each.upstream) == each.url
        }

    def changed(self, name: str, known: Known, *, new_part: bool) -> None:
        """Note a new list; see `upstream.Listener`."""
        if new_part:
            self._due[name] = known
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
            name, known = next(iter(self._due.items()))
            try:
                await self._store.remember(self._row(name, known))
            except StoreFailed as error:
                log.warning("the list of %s could not be stored: %s", name, error.public)
            if self._due.get(name) is known:  # nothing newer has come, and the writing was not cancelled
                del self._due[name]

    def _row(self, name: str, known: Known) -> Remembered:
        catalog = encode_part(known.part) if known.part is not None else None
        era = known.era.value if known.era is not None else None
        return Remembered(self._tenant, name, SHARED, self._urls[name], era, catalog, time.time())


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
