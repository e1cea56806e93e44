"""One upstream: what is known of it, and the way to it.

Rule: whatever happens to this upstream, it happens here and to nobody else. It is tried again by itself, its last
good list stays, and calls to it fail fast while it is down.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final, final

from mcp_hub.catalog.parts import Part, kept
from mcp_hub.credentials.access import Access
from mcp_hub.credentials.state import State
from mcp_hub.errors import (
    BrokeProtocol,
    Busy,
    ConnectionNeeded,
    HubError,
    RefusedCredential,
    TimedOut,
    Unreachable,
    UpstreamError,
)
from mcp_hub.upstream.announcements import Announcements
from mcp_hub.upstream.answer import NotModern, SessionGone
from mcp_hub.upstream.call import Call, Owner
from mcp_hub.upstream.carrier import CATALOG_OWNER, Lost, Told, Way
from mcp_hub.upstream.contact import Contact
from mcp_hub.upstream.credentialed import Credentialed
from mcp_hub.upstream.health import OPENS_AFTER, Health
from mcp_hub.upstream.known import Known, Listener, Notices
from mcp_hub.upstream.pace import Pace
from mcp_hub.upstream.probe import Opening
from mcp_hub.upstream.settings import Settings
from mcp_hub.upstream.turns import in_turns
from mcp_hub.wire.eras import Client, Era
from mcp_hub.wire.jsonrpc import Json, Message, Reply

SHORTEST_LIFE: Final = 1.0
"""Seconds a fetched list is used at least, unless a change of it is announced."""
DOUBT: Final = 5.0
"""Seconds between two fetches for which calls that were refused are the reason."""
SWEEP: Final = 30.0
"""Seconds between two looks for sessions that nobody uses."""

log = logging.getLogger(__name__)


@final
class Upstream:
    """The way to one MCP server, for whoever `access` is of. `run()` supervises it; everything else may be called with
    or without that."""

    def __init__(
        self,
        settings: Settings,
        access: Access,
        way: Way,
        listeners: Sequence[Listener],
        *,
        known: Known | None = None,
        notices: Notices | None = None,
        clock: Callable[[], float] = time.monotonic,
        sweep: float = SWEEP,
        prepare: Callable[[str, Part], Awaitable[None]] | None = None,
    ) -> None:
        """`prepare` is awaited with each new list, before it is the list of this upstream."""
        self.name = settings.name
        self.url = settings.url
        self.known = known or Known()
        self._settings = settings
        self._listeners = listeners
        self._clock = clock
        self._sweep = sweep
        self._prepare = prepare
        self._announcements = Announcements(self.name, notices, self.refresh_soon)
        self._access = access
        self._carrier = Credentialed(way(self), access)
        self._contact = Contact(
            settings,
            self._carrier,
            changed=self.refresh_soon,
            heard=self._announcements.heard,
            updated=self._announcements.updated,
        )
        self._doubting = Pace(self.refresh_soon, DOUBT)
        self._poke = asyncio.Event()
        self._asked = False
        self._is_another = False
        self._settled = asyncio.Event()
        self._usable = asyncio.Event()
        self._refreshed = asyncio.Event()
        self.under_way = 0

    # What others ask

    @property
    def state(self) -> State:
        """How it stands, in one of the five words."""
        health = self.known.health
        if health.needed:
            return State(health.needed)
        if health.refused:
            return State.RECONNECT_NEEDED
        return State.READY if health.tried and not health.failures else State.UNREACHABLE

    @property
    def reason(self) -> str:
        """One public sentence while it is not ready; empty while it is."""
        if self.state is State.READY:
            return ""
        return self.known.health.reason or f"The first contact with {self.name} is still under way."

    @property
    def needed(self) -> ConnectionNeeded | None:
        """What its user has to do before it is of use; `None` while nothing."""
        health = self.known.health
        if not health.needed:
            return None
        return ConnectionNeeded(self.name, health.reason, url=health.link, state=health.needed)

    @property
    def is_stale(self) -> bool:
        """Whether there is a list, but from before the trouble or the restart."""
        return self.known.part is not None and (self.state is not State.READY or self.known.fetched is None)

    @property
    def is_settled(self) -> bool:
        """Whether there is a list, or the first contact is over, whatever came of it; the first one with an account,
        where that has changed."""
        return self.known.part is not None or self._settled.is_set()

    async def settled(self) -> None:
        """Wait until it is settled."""
        if not self.is_settled:
            await self._usable.wait()

    async def era(self) -> Era:
        """The era it speaks, found out now if that is still under way.

        Raises:
            UpstreamError, ConnectionNeeded: it cannot be found out.
        """
        return self.known.era or await self._found_era()

    async def send(self, call: Call) -> Reply:
        """Send one request in the era this upstream speaks. Nothing is ever sent twice, three proven cases excepted.

        Raises:
            ConnectionNeeded: the user has to act first.
            UpstreamError, HubFault: what came of it, in a public sentence.
        """
        if self.known.health.failures:
            self._require_open()
        era = self.known.era
        if era is None:
            era = await self._found_era()
        self.under_way += 1
        try:
            reply = await self._carrier.send(era, call)
        except BrokeProtocol:
            raise  # one answer that makes no sense says nothing about the next
        except (UpstreamError, ConnectionNeeded) as error:
            self._note(error)
            raise
        finally:
            self.under_way -= 1
        health = self.known.health
        if health.failures or health.refused or health.needed:
            self._learn(replace(self.known, health=health.succeeded()))
        return reply

    @asynccontextmanager
    async def listen(self, wanted: Json, client: Client) -> AsyncGenerator[Told]:
        """A stream of a modern client's own; see `Credentialed.listen`."""
        self.under_way += 1
        try:
            async with self._carrier.listen(wanted, client) as told:
                yield told
        finally:
            self.under_way -= 1

    async def end_sessions(self, owner: Owner) -> None:
        """The owner is gone: close the legacy session kept for it."""
        await self._carrier.end(owner)

    async def subscribe(self, uris: Iterable[str]) -> frozenset[str]:
        """Those of these resources of its own whose changes it will tell of; each is to be unsubscribed again.

        Waits for the first contact and for its answer, each no longer than lists may take.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.listing):
                await self._settled.wait()
        health, contact = self.known.health, self._contact
        deaf = self.known.era is Era.LEGACY and not contact.watch.is_on
        return frozenset() if health.failures or deaf else await contact.subscriptions.subscribe(uris)

    def unsubscribe(self, uris: Iterable[str]) -> None:
        """One listener less for each of these resources, which `subscribe` had granted."""
        self._contact.subscriptions.unsubscribe(uris)

    def refresh_soon(self) -> None:
        """Ask for the list to be fetched again; returns at once, and many askings make one fetch."""
        self._learn(replace(self.known, health=self.known.health.soon(self._clock())))
        self._refreshed.clear()
        self._ask()

    def watch(self, changed: Callable[[], object]) -> Callable[[], None]:
        """Call `changed` whenever the connection by which it is used has changed; see `Access.watch`."""
        return self._access.watch(changed)

    async def refreshed(self) -> None:
        """Wait until a fetch that began after the last `refresh_soon` is over, whatever came of it."""
        await self._refreshed.wait()

    def refresh_if_stale(self) -> None:
        """Ask for a fetch if the list is older than its upstream or the configuration lets it become."""
        known = self.known
        if not known.health.is_well:
            return  # it is tried again when its time has come, and no earlier because somebody lists
        if known.fetched is not None and self._clock() - known.fetched > self._lifetime(known):
            self._ask()

    # The supervisor

    def recall(self, known: Known) -> None:
        """Know this of before a restart, until the first contact; for an upstream that does not run yet."""
        self._learn(known)
        if known.part is not None:
            self._usable.set()

    async def run(self) -> None:
        """Keep this upstream: first contact, then a fetch whenever one is asked for or a failure's wait is over."""
        end_watch = self._access.watch(self._access_changed)
        try:
            while True:
                await self._refresh()
                await self._next_reason_to_refresh()
        finally:
            end_watch()
            self._contact.stop()
            self._announcements.stop()
            self._doubting.stop()

    def retire(self) -> None:
        """It is used no more: what is sent by mistake is refused and does not reach it, and nobody waits for it."""
        for each in (self._settled, self._usable, self._refreshed):
            each.set()
        self._carrier.retire(Unreachable(self.name, f"The way to {self.name} was just closed. Call again."))

    async def aclose(self) -> None:
        """Close every session at the upstream. Whoever runs `run` ends that first."""
        await self._contact.aclose()
        await self._carrier.aclose()

    async def _refresh(self) -> None:
        self._asked = False
        is_another, self._is_another = self._is_another, False
        started, announced = self._clock(), self._announcements.waiting()
        try:
            anew = not self.known.health.is_well
            opening, part = await self._contact.make(anew=anew, as_another=is_another)
        except ConnectionNeeded as error:
            self._need(error)
        except RefusedCredential as error:
            self._note(error)
        except HubError as error:
            self._fail(error)  # whatever it is: without its lists it is of no use, and hurrying would not help
        else:
            self._welcome(opening, await self._readied(part), started)
            self._announcements.pass_on(announced)
        finally:
            if not self._is_another:
                self._settled.set()
                self._usable.set()
            if not self._asked:  # else somebody waits for a fetch that has not begun yet
                self._refreshed.set()

    async def _readied(self, part: Part) -> Part:
        # Both may take long, if the lists are long; nobody is held up by them, and only then is the new list the list.
        before = self.known.part
        part = part if before is None else await in_turns(kept(part, before))
        if part is not before and self._prepare is not None:
            await self._prepare(self.name, part)
        return part

    async def _next_reason_to_refresh(self) -> None:
        while not self._asked:
            self._poke.clear()
            health = self.known.health
            wait = self._sweep if health.is_well else min(self._sweep, health.retry_at - self._clock())
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, wait)):
                    await self._poke.wait()
            health = self.known.health
            if not health.is_well and health.retry_at <= self._clock():
                return
            await self._carrier.end_idle(spared=CATALOG_OWNER)

    def _ask(self) -> None:
        self._asked = True
        self._poke.set()

    def _welcome(self, opening: Opening, part: Part, started: float) -> None:
        now = self._clock()
        before = self.known.part
        for warning in part.warnings:
            log.warning("%s: %s", self.name, warning)
        if before is not None and any(before.items.values()) and not any(part.items.values()):
            log.warning("%s: offers nothing any more; before, it did", self.name)
        self._learn(
            Known(self.known.health.succeeded(), opening, opening.era, part, now, (now - started) * 1000),
            new_part=part is not before,
        )

    # What it says by the way

    def overheard(self, message: Message) -> None:
        """See `Ear.overheard`."""
        self._announcements.overheard(message)

    def lost(self, error: UpstreamError) -> None:
        """See `Ear.lost`."""
        self._fail(error)

    # What failures teach

    def _require_open(self) -> None:
        health = self.known.health
        if not health.allows(self._clock()):
            seconds = max(1, round(health.retry_at - self._clock()))
            raise Unreachable(self.name, f"{health.reason} The hub tries again in {seconds} s.")

    async def _found_era(self) -> Era:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.introduction + self._settings.listing):
                await self._settled.wait()
        if self.known.era is None:
            raise self.needed or Unreachable(self.name, self.reason)
        return self.known.era

    def _access_changed(self) -> None:
        """Its user has connected, or has ended that: perhaps as somebody else there."""
        self._is_another = True
        self._settled.clear()
        self._usable.clear()
        self.refresh_soon()

    def _note(self, error: UpstreamError | ConnectionNeeded) -> None:
        match error:
            case ConnectionNeeded() if self._access.ready() is not None:
                self._doubting.ask()  # perhaps it is this one call for which there is not enough
            case ConnectionNeeded():
                self._need(error)
            case RefusedCredential():
                self._plan(self.known.health.rejected(error.public, self._clock()))
            case NotModern() | SessionGone():
                # The memory of its era may be wrong: find out again, but never repeat what may have run.
                self._doubting.ask()
            case Busy() | TimedOut() | Lost():
                pass  # slow is not unreachable, a full queue is ours, and what one caller broke was that caller's
            case _:
                self._fail(error)

    def _need(self, error: ConnectionNeeded) -> None:
        self._contact.stop()
        health, known = self.known.health.needs(error.state, error.public, error.url), self.known
        if error.state != "not_connected" or known.part is None:
            self._learn(replace(known, health=health))
        else:  # what another account was offered is nobody's any more
            self._learn(Known(health, era=known.era), new_part=True)

    def _fail(self, error: HubError) -> None:
        before = self.known.health
        health = before.failed(error.public, self._clock())
        if health is not before and health.failures in (1, OPENS_AFTER):
            log.warning("%s", error.public, exc_info=error.__cause__ if log.isEnabledFor(logging.DEBUG) else None)
        self._plan(health)

    def _plan(self, health: Health) -> None:
        self._learn(replace(self.known, health=health))
        self._poke.set()  # the supervisor now has a time to try again at

    def _learn(self, known: Known, *, new_part: bool = False) -> None:
        if not new_part and known == self.known:
            return
        self.known = known
        for listener in self._listeners:
            listener.changed(self.name, known, new_part=new_part)

    def _lifetime(self, known: Known) -> float:
        advertised = known.part.ttl_ms if known.part is not None else None
        # An upstream that lets its list live for no time at all is still not asked more often than this.
        return self._settings.ttl if advertised is None else max(SHORTEST_LIFE, advertised / 1000)
