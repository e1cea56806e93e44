"""Downstream legacy sessions: who owns them, how they end, how many there may be.

Rule: a session is found by its id *and* its owner. For everybody else it does not exist, and being asked for by
somebody else changes nothing about it, not even when it was last used.
Source: MCP 2025-11-25 basic/transports "Session Management", basic/security_best_practices "Session Hijacking".
"""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from mcp_hub.errors import Forbidden
from mcp_hub.gateway.listener import Listener
from mcp_hub.inbound.errors import contained
from mcp_hub.inbound.flight import Ended
from mcp_hub.inbound.questions import Questions
from mcp_hub.principal import Principal
from mcp_hub.wire.eras import Client

_ID_BYTES: Final = 32

Owner = tuple[str, str, str]
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
    that brings them, since each may be sent on one stream only.
    """

    __slots__ = (
        "client", "id", "last_used", "listener", "owner", "questions", "reading", "running", "state", "streams",
    )  # fmt: skip

    def __init__(self, session_id: str, owner: Owner, client: Client, now: float) -> None:
        self.id = session_id
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

    def happen(self, event: Event) -> None:
        """Step through `LIFE`; what was under way in a session that ends is stopped."""
        self.state = LIFE.get((self.state, event), self.state)
        if self.state is State.ENDED:
            for stop in list(self.running.values()):
                stop(Ended.SESSION_OVER)
            if self.listener is not None:
                self.listener.close()


class Sessions(Protocol):
    """Where the sessions are kept; ids are unguessable, and whatever ends one also tells the road."""

    async def open(self, owner: Principal, client: Client) -> Session:
        """Begin a session.

        Raises:
            Forbidden: the caller has as many as one may have, and every one of them is in use.
        """
        ...

    async def find(self, session_id: str, owner: Principal) -> Session | None:
        """The caller's own session of this id, now used; `None` if there is none, or it is somebody else's."""
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
    """Sessions of this process. Idle ones go when any session is asked for, or when `sweep` is called."""

    def __init__(
        self,
        on_end: Callable[[str], Coroutine[Any, Any, None]],
        limits: Limits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_end = on_end
        self._limits = limits
        self._clock = clock
        self._all: OrderedDict[str, Session] = OrderedDict()
        self._owned: dict[Owner, OrderedDict[str, Session]] = {}
        self._farewells: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._all)

    async def open(self, owner: Principal, client: Client) -> Session:
        """See `Sessions.open`. The oldest idle session makes room if there are too many."""
        await self.sweep()
        await self._make_room(owner.key)
        session = Session(secrets.token_urlsafe(_ID_BYTES), owner.key, client, self._clock())
        self._all[session.id] = session
        self._owned.setdefault(owner.key, OrderedDict())[session.id] = session
        return session

    async def find(self, session_id: str, owner: Principal) -> Session | None:
        """See `Sessions.find`."""
        if self._overdue():
            await self.sweep()
        session = self._all.get(session_id)
        if session is None or session.owner != owner.key:
            return None
        self._use(session)
        return session

    async def end(self, session: Session, why: Event) -> None:
        """See `Sessions.end`."""
        if self._all.pop(session.id, None) is None:
            return
        owned = self._owned[session.owner]
        del owned[session.id]
        if not owned:
            del self._owned[session.owner]
        session.happen(why)
        # Apart, since upstreams that are slow to say goodbye must not hold up whoever made this one end.
        farewell = asyncio.create_task(contained(self._on_end(session.id)))
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    async def settle(self) -> None:
        """Wait until the road has been told of every session that has ended."""
        while self._farewells:
            await asyncio.wait(self._farewells)

    async def sweep(self) -> None:
        """End every session that has been idle for too long."""
        while (session := self._overdue()) is not None:
            await self.end(session, Event.EXPIRED)

    def _overdue(self) -> Session | None:
        # In order of last use, so the first one that is in time ends the walk.
        deadline = self._clock() - self._limits.idle
        while (first := next(iter(self._all.values()), None)) is not None and first.last_used <= deadline:
            if not first.busy:
                return first
            self._use(first)
        return None

    def _use(self, session: Session) -> None:
        session.last_used = self._clock()
        self._all.move_to_end(session.id)
        self._owned[session.owner].move_to_end(session.id)

    async def _make_room(self, owner: Owner) -> None:
        mine = self._owned.get(owner)
        if mine is not None and len(mine) >= self._limits.per_principal:
            await self._crowd_out(mine.values())
        elif len(self._all) >= self._limits.total:
            await self._crowd_out(self._all.values())

    async def _crowd_out(self, candidates: Iterable[Session]) -> None:
        oldest = next((session for session in candidates if not session.busy), None)
        if oldest is None:
            raise Forbidden("Too many sessions are open and every one is in use; end one, then begin another")
        await self.end(oldest, Event.CROWDED_OUT)
