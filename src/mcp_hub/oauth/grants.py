"""The grants of everybody, as long as somebody uses them.

Rule: one object per principal and upstream, so that of many calls one renews. What another process did is noticed by
the changes that the store tells of. What is under way when the hub ends is waited for: a pair of tokens that was got
and not stored would be lost at both sides.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, NoReturn, Protocol, final
from weakref import WeakValueDictionary

from mcp_hub.credentials.needed import Place
from mcp_hub.credentials.watchers import Watchers
from mcp_hub.errors import StoreFailed
from mcp_hub.oauth.granted import NO_HEADERS, Granted, Work
from mcp_hub.oauth.renewing import LEASE, Renewing
from mcp_hub.oauth.sealed import open_access_token
from mcp_hub.principal import Principal
from mcp_hub.secret import Secret
from mcp_hub.single_flight import SingleFlight
from mcp_hub.store.connections import Grant, Whose
from mcp_hub.vault.vault import Vault

NOTED_EVERY: Final = 30.0
"""Seconds after which it is stored what was used."""


class UsedStore(Protocol):
    """The part of the store that this uses itself; see `ConnectionStore`. Every method raises `StoreFailed` only."""

    async def grant(self, whose: Whose) -> Grant | None: ...
    async def want_scopes(self, grant: str, wanted: frozenset[str]) -> None: ...
    async def touch_grants(self, used: Mapping[str, float]) -> None: ...


@final
class Grants:
    """Makes the accesses with grants. Belongs to one event loop.

    `run` has to run for it, and for `watchers`. `now` gives unix seconds.
    """

    def __init__(
        self,
        store: UsedStore,
        vault: Vault,
        renewing: Renewing,
        watchers: Watchers,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.used: dict[str, float] = {}
        self.watchers = watchers
        self._store = store
        self._vault = vault
        self._renewing = renewing
        self._now = now
        self._kept: WeakValueDictionary[Whose, Granted] = WeakValueDictionary()
        self._flights: SingleFlight[Whose, None] = SingleFlight()
        self._beside: dict[Whose, asyncio.Task[None]] = {}
        self._under_way = 0
        self._quiet = asyncio.Event()

    def access(self, caller: Principal, place: Place, also: Mapping[str, Secret] = NO_HEADERS) -> Granted:
        """The access of this principal there, with headers that `also` go there for everybody; the same one while
        somebody holds it."""
        whose = Whose(*caller.key, place.upstream)
        found = self._kept.get(whose)
        if found is None:
            found = self._kept[whose] = Granted(caller, place, self, self._now, also=also)
        return found

    def trouble(self, whose: Whose) -> str:
        """Why this process could not renew it the last time, in a public sentence; empty where it could, or has not
        tried."""
        found = self._kept.get(whose)
        return "" if found is None else found.trouble

    async def run(self) -> NoReturn:
        """Store what was used, now and then, until this is cancelled."""
        while True:
            await asyncio.sleep(NOTED_EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Store when grants were used; what the store does not take now waits."""
        used = dict(self.used)
        self.used.clear()
        try:
            if used:
                await self._store.touch_grants(used)
        except StoreFailed:
            for grant, at in used.items():
                self.used.setdefault(grant, at)

    async def settled(self) -> None:
        """Wait until nothing is being renewed."""
        while self._under_way or self._beside:
            self._quiet.clear()
            await self._quiet.wait()

    async def aclose(self) -> None:
        """Wait for the renewals under way, no longer than a lease lasts, and store what waits."""
        with suppress(TimeoutError):  # then nobody answers any more, and there is nothing to lose
            async with asyncio.timeout(LEASE):
                await self.settled()
        await self._flights.aclose()
        await asyncio.gather(*self._beside.values(), return_exceptions=True)
        await self.flush()

    # What `granted.Source` says

    async def grant(self, whose: Whose) -> Grant | None:
        """See `Source`."""
        return await self._store.grant(whose)

    async def token(self, grant: Grant) -> Secret:
        """See `Source`."""
        return await open_access_token(self._vault, grant)

    async def renewed(self, known: Grant) -> Grant | None:
        """See `Source`."""
        return await self._renewing.renewed(known)

    async def want(self, grant: str, scopes: frozenset[str]) -> None:
        """See `Source`."""
        await self._store.want_scopes(grant, scopes)

    async def alone(self, whose: Whose, work: Work) -> None:
        """See `Source`."""
        await self._flights.run(whose, lambda: self._counted(work))

    def beside(self, whose: Whose, work: Work) -> None:
        """See `Source`."""
        if whose not in self._beside:
            task = asyncio.ensure_future(self.alone(whose, work))
            self._beside[whose] = task
            task.add_done_callback(lambda done: self._landed(whose, done))

    async def _counted(self, work: Work) -> None:
        self._under_way += 1
        try:
            await work()
        finally:
            self._under_way -= 1
            self._quiet.set()

    def _landed(self, whose: Whose, task: asyncio.Task[None]) -> None:
        self._beside.pop(whose, None)
        self._quiet.set()
        if not task.cancelled():
            task.exception()  # which whoever asks next is told, if it lasts
