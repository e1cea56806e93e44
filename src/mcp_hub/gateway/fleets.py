"""Who has which upstreams: everybody the same ones, or each caller a fleet of their own.

Rule: what is fetched, kept or sent with somebody's own credential is found by who they are and what they bring, and by
nothing else. A fleet is made when it is first asked for and ends when nobody has used it for long. While no upstream is
anybody's own there is one fleet for all, at no cost.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, final

from msgspec import Raw

from mcp_hub.catalog.parts import Part
from mcp_hub.errors import Forbidden
from mcp_hub.gateway.fleet import Ears, Fleet, Maker, Pattern
from mcp_hub.gateway.listener import Over, Owner
from mcp_hub.gateway.memory import Memory, OwnMemory
from mcp_hub.gateway.notices import Follow, Notices
from mcp_hub.gateway.places import DEFAULT_LIMITS, Limits, Places
from mcp_hub.gateway.view import Warned
from mcp_hub.principal import Principal
from mcp_hub.upstream.known import Known, Listener
from mcp_hub.upstream.supervise import supervise
from mcp_hub.upstream.upstream import Upstream

IDLE: Final = 1800.0
"""Seconds after which a fleet that nobody uses ends."""
MOST: Final = 1_000
"""Fleets at once. The one that was unused for the longest time makes room."""
MOST_OF_ONE: Final = 64
"""Fleets of one caller at once, who has one for whatever their requests bring. They make room for their own only."""
SWEEP: Final = 60.0
"""Seconds between two looks for fleets that nobody uses."""
_DIGEST: Final = 16

_FULL: Final = "This hub serves as many people at once as it can. Try again later."
_TOO_MANY: Final = "You use this hub with as many credentials at once as one person may. End some of these uses first."

Key = tuple[Owner, bytes, tuple[object, ...]]
"""Whose a fleet is, a digest of what their requests bring, and what is known of them where that counts."""


@final
class Fleets:
    """All fleets of this process. Belongs to one event loop; nothing is contacted before `start`.

    `make` makes the upstreams, `own` names those that each caller has for themselves, and `known` is what was known of
    the others. `by_claims` says that what else is known of a caller counts as brought. There are at most `most` fleets,
    `most_of_one` of them one caller's, and each ends `idle` seconds after its last use; `clock` gives seconds.
    """

    def __init__(
        self,
        pattern: Pattern,
        make: Maker,
        memory: Memory,
        *,
        own: Iterable[str] = (),
        known: Mapping[str, Known] | None = None,
        by_claims: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        most: int = MOST,
        most_of_one: int = MOST_OF_ONE,
        idle: float = IDLE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.names = tuple(pattern.exposures)
        self._pattern = pattern
        self._make = make
        self._memory = memory
        self._own = frozenset(own)
        self._by_claims = by_claims
        self._places, self._warned = Places(limits), Warned()
        self._most, self._most_of_one, self._idle, self._clock = most, most_of_one, idle, clock
        self._secret = secrets.token_bytes(_DIGEST)
        self._follow: Follow | None = None
        self._fleets: dict[Key, Fleet] = {}
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._farewells: set[asyncio.Task[None]] = set()
        self._runs_now = self._is_over = False
        self._common = Fleet(pattern, self._places, self._warned)
        for name in self.names:
            if name not in self._own:
                ears = Ears((self, memory), self, self.prepare, (known or {}).get(name))
                self._common.upstreams[name] = make(name, None, ears)
        self._shared = dict(self._common.upstreams)
        self._common.complete(None)

    def follow_by(self, follow: Follow) -> None:
        """How tasks are followed. Called once, first."""
        self._follow = follow
        self._common.complete(follow)

    # What the road and the inbound side ask

    def of(self, caller: Principal) -> Fleet:
        """The caller's fleet: a look-up, unless it is the first time.

        Raises:
            Forbidden: there are as many as there may be, in all or of this caller, and all of them are in use; or the
                hub stops.
        """
        if not self._own:
            return self._common
        key = (caller.key, self._brought(caller), self._claims(caller))
        fleet = self._fleets.get(key) or self._begun(key, caller)
        fleet.used = self._clock()
        return fleet

    def upstreams_of(self, caller: Principal) -> Mapping[str, Upstream]:
        """The caller's upstreams; raises as `of`."""
        return self.of(caller).upstreams

    def notices_of(self, caller: Principal) -> Notices:
        """Where the caller listens; raises as `of`."""
        return self.of(caller).notices

    async def ready(self, caller: Principal) -> Fleet:
        """The caller's fleet once it is known what is in it, or the deadline is over; raises as `of`."""
        while True:
            fleet = self.of(caller)
            await fleet.listing.view()
            if self.of(caller) is fleet:  # else it has turned out meanwhile that one of them has people sign in
                return fleet

    async def end_session(self, session: str, owner: Owner) -> None:
        """A client's session is over: close what was opened for it, in every fleet of its owner."""
        own = (each for (whose, *_), fleet in self._fleets.items() if whose == owner for each in fleet.own.values())
        ended = ("session", session)
        await asyncio.gather(*(each.end_sessions(ended) for each in (*self._shared.values(), *own)))

    # What changes

    def turn_own(self, name: str) -> None:
        """An upstream that all shared has turned out to have people sign in: from now on each has it for themselves.

        Whoever heard of changes together with everybody is cut off, and comes back to a fleet of their own.
        """
        shared = None if self._is_over else self._shared.pop(name, None)
        if shared is None:
            return
        self._own |= {name}
        self._common.notices.stop(Over.CUT)
        run = self._runs.pop(name, None)
        self._part([shared], [] if run is None else [run])
        for fleet in self._fleets.values():
            self._add_own(fleet, name)
            fleet.complete(self._follow)
            self._keep(fleet, [fleet.own[name]])

    def changed(self, name: str, known: Known, *, new_part: bool) -> None:
        """See `upstream.known.Listener`, of upstreams that all share."""
        for fleet in self._with(name):
            fleet.views.changed(name, known, new_part=new_part)
            fleet.notices.changed(name, known, new_part=new_part)

    def announced(self, name: str, kinds: frozenset[str]) -> None:
        """See `upstream.known.Notices`."""
        for fleet in self._with(name):
            fleet.notices.announced(name, kinds)

    def updated(self, name: str, params: Raw) -> None:
        """See `upstream.known.Notices`."""
        for fleet in self._with(name):
            fleet.notices.updated(name, params)

    async def prepare(self, name: str = "", part: Part | None = None) -> None:
        """See `Views.prepare`: in every fleet."""
        for fleet in self._with(name) if name else [self._common]:
            await fleet.views.prepare(name, part)

    # Their life

    def start(self) -> None:
        """Begin to contact the upstreams."""
        self._runs_now = True
        for name, upstream in self._shared.items():
            self._runs[name] = asyncio.ensure_future(supervise(name, upstream.run))

    async def run(self) -> None:
        """End fleets that nobody uses, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP)
            self.sweep()

    def sweep(self) -> None:
        """End the fleets that nobody has used for too long."""
        late = self._clock() - self._idle
        for key in [key for key, fleet in self._fleets.items() if fleet.used <= late and not fleet.is_used]:
            self._end(key)

    def stop_listening(self) -> None:
        """End every listener, and take no more: the hub stops."""
        for fleet in self._all():
            fleet.notices.stop()

    async def halt(self) -> None:
        """Contact nobody any more; what is called goes on. Returns when that is so."""
        self._is_over, runs = True, [*self._runs.values()]
        for fleet in self._fleets.values():
            runs += fleet.runs
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)

    async def aclose(self) -> None:
        """Close every session at every upstream. `halt` comes first."""
        own = (each for fleet in self._fleets.values() for each in fleet.own.values())
        await asyncio.gather(*(each.aclose() for each in (*self._shared.values(), *own)), *self._farewells)

    # Inside

    def _brought(self, caller: Principal) -> bytes:
        return self._digest([(name, value.open()) for name, value in caller.brought]) if caller.brought else b""

    def _claims(self, caller: Principal) -> tuple[object, ...]:
        if not self._by_claims:
            return ()
        return (caller.email, caller.email_verified, caller.label, caller.groups)

    def _digest(self, told: object) -> bytes:
        # With a secret of this process: what somebody brought cannot be guessed by it.
        text = repr(told).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, key=self._secret, digest_size=_DIGEST).digest()

    def _begun(self, key: Key, caller: Principal) -> Fleet:
        if self._is_over:
            raise Forbidden("The hub is stopping; call again in a moment.")
        mine = [each for each in self._fleets if each[0] == key[0]]
        if len(mine) >= self._most_of_one:
            self._make_room(mine, _TOO_MANY)
        elif len(self._fleets) >= self._most:
            self._make_room(self._fleets, _FULL)
        fleet = self._fleets[key] = Fleet(self._pattern, self._places, self._warned, caller, self._digest(key))
        for name in self.names:
            if name in self._own:
                self._add_own(fleet, name)
            else:
                fleet.upstreams[name] = self._shared[name]
        fleet.complete(self._follow)
        self._keep(fleet, list(fleet.own.values()), self._memory.of(caller))
        return fleet

    def _add_own(self, fleet: Fleet, name: str) -> None:
        listeners: list[Listener] = [fleet.views, fleet.notices]
        if fleet.caller is not None:
            listeners.append(self._memory.of(fleet.caller))
        ears = Ears(listeners, fleet.notices, fleet.views.prepare, partition=fleet.partition)
        fleet.upstreams[name] = fleet.own[name] = self._make(name, fleet.caller, ears)

    def _keep(self, fleet: Fleet, upstreams: Sequence[Upstream], memory: OwnMemory | None = None) -> None:
        if self._runs_now and not self._is_over:
            fleet.runs.append(asyncio.ensure_future(_kept(upstreams, memory)))

    def _make_room(self, among: Iterable[Key], full: str) -> None:
        unused = [key for key in among if not self._fleets[key].is_used]
        if not unused:
            raise Forbidden(full)
        self._end(min(unused, key=lambda key: self._fleets[key].used))

    def _end(self, key: Key) -> None:
        fleet = self._fleets.pop(key)
        fleet.notices.stop(Over.CUT)
        self._part(list(fleet.own.values()), fleet.runs)

    def _part(self, upstreams: Sequence[Upstream], runs: Sequence[asyncio.Task[None]]) -> None:
        for each in upstreams:
            each.retire()
        for run in runs:
            run.cancel()
        farewell = asyncio.ensure_future(_parted(upstreams, runs))
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    def _all(self) -> Iterator[Fleet]:
        yield self._common
        yield from self._fleets.values()

    def _with(self, name: str) -> list[Fleet]:
        """The fleets in which this is the upstream that all share."""
        return [each for each in self._all() if name not in each.own]


async def _kept(upstreams: Sequence[Upstream], memory: OwnMemory | None) -> None:
    """Keep a caller's own upstreams, which begin with what was known of them before."""
    known = {} if memory is None else await memory.recall()
    async with asyncio.TaskGroup() as group:
        for each in upstreams:
            if each.name in known:
                each.recall(known[each.name])
            group.create_task(supervise(each.name, each.run))


async def _parted(upstreams: Sequence[Upstream], runs: Sequence[asyncio.Task[None]]) -> None:
    await asyncio.gather(*runs, return_exceptions=True)
    await asyncio.gather(*(each.aclose() for each in upstreams))
