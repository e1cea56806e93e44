"""Downstream legacy sessions: who owns them, how they end, how many there may be.

Rule: a session is found by its id *and* its owner. For everybody else it does not exist, and being asked for by
somebody else changes nothing about it, not even when it was last used. After a restart each is known by its digest
and its owner and sleeps until it is asked for, so that an unknown id costs no look into the store, and the limits
hold for those that sleep too.
Source: MCP 2025-11-25 basic/transports "Session Management", basic/security_best_practices "Session Hijacking".
"""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from mcp_hub.errors import Forbidden
from mcp_hub.gateway.listener import Listener
from mcp_hub.inbound.errors import contained
from mcp_hub.inbound.flight import Ended
from mcp_hub.inbound.questions import Questions
from mcp_hub.inbound.records import Owner, Records, client_of, digest
from mcp_hub.inbound.replay import Replay, Shelf
from mcp_hub.principal import Principal
from mcp_hub.single_flight import SingleFlight
from mcp_hub.store.base import SessionUse, StoredSession
from mcp_hub.wire.eras import Client

_ID_BYTES: Final = 32
PRIMED: Final = "2025-11-25"
"""The first revision whose clients know events without data; older ones take them for broken messages."""
EVERY: Final = 60.0
"""Seconds between two writings of when sessions were used; after a restart, one counts as used so much later."""

Stop = Callable[[Ended], None]


class State(StrEnum):
    """Where a session stands; requests are served in `OPENED` too, since clients race their own `initialized`."""

    OPENED = "opened"
    LIVE = "live"
    ENDED = "ended"


class Event(StrEnum):
    """What happens to a session."""

    INITIALIZED = "initialized"
    DELETED = "deleted by its client"
    EXPIRED = "idle for too long"
    CROWDED_OUT = "ended for a newer one"
    CLOSED = "its one stream has ended"


LIFE: Final = {
    (State.OPENED, Event.INITIALIZED): State.LIVE,
    (State.OPENED, Event.DELETED): State.ENDED,
    (State.OPENED, Event.EXPIRED): State.ENDED,
    (State.OPENED, Event.CROWDED_OUT): State.ENDED,
    (State.OPENED, Event.CLOSED): State.ENDED,
    (State.LIVE, Event.DELETED): State.ENDED,
    (State.LIVE, Event.EXPIRED): State.ENDED,
    (State.LIVE, Event.CROWDED_OUT): State.ENDED,
    (State.LIVE, Event.CLOSED): State.ENDED,
}
"""A pair that is missing changes nothing: an ended session stays ended, a second `initialized` says nothing new."""


class Session:
    """One client's session. `running` holds the requests being served by their ids, `streams` the open GET streams.

    `listener` hears the notices for it, once there is a stream or a subscription; `reading` is held by the one stream
    that brings them, since each may be sent on one stream only. `digest` stands for its id in the store, where `level`
    and `resources`, what it subscribed to, are kept too. `shelf` keeps its streams. `missed` says that it was restored
    and has heard nothing yet, `lasts` that it is kept in the store.
    """

    __slots__ = (
        "client", "created_at", "digest", "id", "last_used", "lasts", "level", "listener", "missed", "owner",
        "questions", "reading", "resources", "running", "shelf", "state", "streams",
    )  # fmt: skip

    def __init__(
        self,
        session_id: str,
        owner: Owner,
        client: Client,
        now: float,
        *,
        created_at: float = 0.0,
        replay: Replay | None = None,
    ) -> None:
        self.id = session_id
        self.shelf = Shelf(replay or Replay(), primes=client.revision >= PRIMED)
        self.digest = digest(session_id)
        self.created_at = created_at
        self.level: str | None = None
        self.resources: tuple[str, ...] = ()
        self.missed = False
        self.lasts = True
        self.owner = owner
        self.client = client
        self.last_used = now
        self.state = State.OPENED
        self.questions = Questions()
        self.running: dict[object, Stop] = {}
        self.streams: set[object] = set()
        self.listener: Listener | None = None
        self.reading = asyncio.Lock()

    @property
    def busy(self) -> bool:
        """Whether something of it is under way; such a session is not idle, however long ago it was asked anything."""
        return bool(self.running or self.streams)

    @property
    def key(self) -> str:
        """What it is found by."""
        return self.id

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state is State.ENDED

    def happen(self, event: Event) -> None:
        """Step through `LIFE`; what was under way in a session that ends is stopped."""
        self.state = LIFE.get((self.state, event), self.state)
        if self.state is State.ENDED:
            for stop in list(self.running.values()):
                stop(Ended.SESSION_OVER)
            if self.listener is not None:
                self.listener.close()
            self.shelf.clear()


class Asleep:
    """A session of before the restart that was not asked for since."""

    __slots__ = ("key", "last_used", "owner")

    busy: Final = False

    def __init__(self, use: SessionUse, last_used: float) -> None:
        self.key = use.id
        self.owner = use.owner
        self.last_used = last_used


class Sessions(Protocol):
    """Where the sessions are kept; ids are unguessable, and whatever ends one also tells the road."""

    async def open(self, owner: Principal, client: Client, *, lasts: bool = True) -> Session:
        """Begin a session. One that does not last ends with this process, like the stream it belongs to.

        Raises:
            Forbidden: the caller has as many as one may have, and every one of them is in use.
        """
        ...

    async def find(self, session_id: str, owner: Principal) -> Session | None:
        """The caller's own session of this id, now used; `None` if there is none, or it is somebody else's."""
        ...

    async def keep(self, session: Session) -> None:
        """Let what has changed in a session survive a restart; returns when it would."""
        ...

    async def end(self, session: Session, why: Event) -> None:
        """End a session and what is under way in it."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds a session may be idle, and how many there may be of one principal and altogether."""

    idle: float = 1800.0
    per_principal: int = 100
    total: int = 10_000


DEFAULT_LIMITS: Final = Limits()


class MemorySessions:
    """The sessions of this process, of which `records` keeps what must survive it.

    Idle ones go when any session is asked for, or when `sweep` is called. `on_end` is told the id and the owner of each
    that ends, `on_wake` the id and the log level of each that a restart had put to sleep.
    """

    def __init__(
        self,
        on_end: Callable[[str, Owner], Coroutine[Any, Any, None]],
        limits: Limits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.monotonic,
        *,
        records: Records | None = None,
        replay: Replay | None = None,
        on_wake: Callable[[str, str], Awaitable[None]] | None = None,
    ) -> None:
        self._on_end = on_end
        self._on_wake = on_wake
        self._limits = limits
        self._clock = clock
        self._records = records
        self._replay = replay or Replay()
        self._all: OrderedDict[str | bytes, Session | Asleep] = OrderedDict()
        self._owned: dict[Owner, OrderedDict[str | bytes, Session | Asleep]] = {}
        self._farewells: set[asyncio.Task[None]] = set()
        self._waking = SingleFlight[bytes, Session | None]()
        self._written = clock()

    def __len__(self) -> int:
        return len(self._all)

    async def recall(self) -> None:
        """Know the sessions of before the restart again; those that are too old or too many end. Called once, first.

        Raises:
            StoreFailed: the store cannot be read.
        """
        if self._records is None:
            return
        now, today = self._clock(), self._records.now()
        for use in await self._records.uses():
            self._add(Asleep(use, now - max(0.0, today - use.used_at - EVERY)))
        self.sweep()
        for mine in list(self._owned.values()):
            while len(mine) > self._limits.per_principal:
                self._crowd_out(mine.values())
        while len(self._all) > self._limits.total:
            self._crowd_out(self._all.values())

    async def open(self, owner: Principal, client: Client, *, lasts: bool = True) -> Session:
        """See `Sessions.open`. The oldest idle session makes room if there are too many."""
        self.sweep()
        self._make_room(owner.key)
        created = self._records.now() if self._records is not None else 0.0
        session = self._session(secrets.token_urlsafe(_ID_BYTES), owner.key, client, created)
        session.lasts = lasts
        self._add(session)
        await self.keep(session)
        return session

    async def find(self, session_id: str, owner: Principal) -> Session | None:
        """See `Sessions.find`.

        Raises:
            StoreFailed: it is from before the restart, and the store cannot be read.
        """
        if self._overdue():
            self.sweep()
        session = self._all.get(session_id)
        if not isinstance(session, Session):
            return await self._woken(session_id, owner)
        if session.owner != owner.key:
            return None
        self._use(session)
        return session

    async def keep(self, session: Session) -> None:
        """See `Sessions.keep`."""
        if self._records is not None and session.lasts:
            await self._records.keep(session)

    async def end(self, session: Session, why: Event) -> None:
        """See `Sessions.end`."""
        if self._forget(session):
            self._part(session, why)
            if self._records is not None and session.lasts:
                await self._records.drop(session.digest)

    async def settle(self) -> None:
        """Wait until the road has been told of every session that has ended."""
        while self._farewells:
            await asyncio.wait(self._farewells)

    def sweep(self) -> None:
        """End every session that has been idle for too long."""
        while (session := self._overdue()) is not None:
            self._end_soon(session, Event.EXPIRED)

    async def run(self) -> None:
        """Write from time to time when the sessions were used, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            self.sweep()
            await self.flush()

    async def flush(self) -> None:
        """Write now when the sessions were used."""
        if self._records is None:
            return
        now, today, before = self._clock(), self._records.now(), self._written
        self._written = now
        used = [
            (each.digest, today if each.busy else today - (now - each.last_used))
            for each in self._all.values()
            if isinstance(each, Session) and (each.busy or each.last_used > before)
        ]
        await self._records.touch(used)

    async def _woken(self, session_id: str, owner: Principal) -> Session | None:
        records = self._records
        key = digest(session_id)
        asleep = self._all.get(key)
        if records is None or not isinstance(asleep, Asleep) or asleep.owner != owner.key:
            return None
        return await self._waking.run(key, lambda: self._wake(session_id, asleep, records))

    async def _wake(self, session_id: str, asleep: Asleep, records: Records) -> Session | None:
        stored = await records.read(asleep.key)
        if not self._forget(asleep):
            return None  # it ended meanwhile
        if stored is None or stored.owner != asleep.owner:
            return None
        session = self._restored(session_id, stored)
        self._add(session)
        if session.level is not None and self._on_wake is not None:
            await self._on_wake(session.id, session.level)
        return session

    def _overdue(self) -> Session | Asleep | None:
        # In order of last use, so the first one that is in time ends the walk.
        deadline = self._clock() - self._limits.idle
        while (first := next(iter(self._all.values()), None)) is not None and first.last_used <= deadline:
            if not first.busy:
                return first
            self._use(first)
        return None

    def _use(self, session: Session | Asleep) -> None:
        session.last_used = self._clock()
        self._all.move_to_end(session.key)
        self._owned[session.owner].move_to_end(session.key)

    def _add(self, session: Session | Asleep) -> None:
        self._all[session.key] = session
        self._owned.setdefault(session.owner, OrderedDict())[session.key] = session

    def _forget(self, session: Session | Asleep) -> bool:
        if self._all.pop(session.key, None) is None:
            return False
        owned = self._owned[session.owner]
        del owned[session.key]
        if not owned:
            del self._owned[session.owner]
        return True

    def _make_room(self, owner: Owner) -> None:
        mine = self._owned.get(owner)
        if mine is not None and len(mine) >= self._limits.per_principal:
            self._crowd_out(mine.values())
        elif len(self._all) >= self._limits.total:
            self._crowd_out(self._all.values())

    def _crowd_out(self, candidates: Iterable[Session | Asleep]) -> None:
        oldest = next((session for session in candidates if not session.busy), None)
        if oldest is None:
            raise Forbidden("Too many sessions are open and every one is in use; end one, then begin another")
        self._end_soon(oldest, Event.CROWDED_OUT)

    def _end_soon(self, session: Session | Asleep, why: Event) -> None:
        """End a session that needs no haste on disk: a restart would find it too old, or one too many, by itself."""
        self._forget(session)
        if isinstance(session, Session):
            self._part(session, why)
        if self._records is not None:
            self._records.drop_soon(session.digest if isinstance(session, Session) else session.key)

    def _part(self, session: Session, why: Event) -> None:
        session.happen(why)
        # Apart, since upstreams that are slow to say goodbye must not hold up whoever made this one end.
        farewell = asyncio.create_task(contained(self._on_end(session.id, session.owner)))
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    def _session(self, session_id: str, owner: Owner, client: Client, created: float) -> Session:
        return Session(session_id, owner, client, self._clock(), created_at=created, replay=self._replay)

    def _restored(self, session_id: str, stored: StoredSession) -> Session:
        session = self._session(session_id, stored.owner, client_of(stored), stored.created_at)
        session.level = stored.log_level
        session.resources = stored.resources
        session.state = State.LIVE
        session.missed = True
        return session
