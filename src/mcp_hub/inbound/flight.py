"""One request in the air: what happens to it when it takes long, and how it is ended from outside.

Rule: a request that is done soon pays for its place on a list and nothing else. Only one that is late gets a limit for
what it is doing, or, while its answer is awaited, a companion task that listens for the client hanging up and asks for
keep-alive comments.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Final

from mcp_hub.inbound.asgi import Receive

KeepAlive = Callable[[], Awaitable[None]]


class Ended(StrEnum):
    """Why a request was ended before it was answered."""

    HUNG_UP = "hung up"
    CANCELLED = "cancelled by the client"
    SESSION_OVER = "its session is over"
    NOT_ALLOWED = "its caller's access was taken away"
    STALLED = "the request did not arrive in time"
    NOT_READ = "the answer was not read in time"


class Phase(Enum):
    """What the request is doing."""

    READING = auto()
    ANSWERING = auto()
    SENDING = auto()


_READING: Final = Phase.READING  # once, since Python 3.11 takes its time to find a member of an enumeration


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: until a request counts as late, to read a body, between keep-alives, until the first of them where that
    lets the client resume the stream, of grace for a legacy client that hung up, to get one write taken.

    A request counts as late between once and twice `late` after it began.
    """

    late: float = 0.05
    read: float = 60.0
    keep_alive: float = 15.0
    early: float = 1.0
    grace: float = 60.0
    write: float = 30.0


class Patrol:
    """One timer for all requests of an endpoint: tells each of them that it is late, if it is still there by then."""

    def __init__(self, late: float) -> None:
        self._late = late
        self._fresh: dict[Flight, None] = {}
        self._older: dict[Flight, None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def watch(self, flight: "Flight") -> asyncio.AbstractEventLoop:
        """Put a request on the list; the running event loop, which is looked for only when a round begins."""
        self._fresh[flight] = None
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.call_later(self._late, self._round)
        return self._loop

    def leave(self, flight: "Flight") -> None:
        """Take a request off the list, if it still stands there."""
        if self._fresh.pop(flight, self) is self:
            self._older.pop(flight, None)

    def _round(self) -> None:
        late, self._older, self._fresh = self._older, self._fresh, {}
        for flight in late:
            flight.be_late()
        if self._loop is not None and self._older:
            self._loop.call_later(self._late, self._round)
        else:
            self._loop = None


class Flight:
    """Belongs to the task that made it. `end` may be called from anywhere on the loop, any number of times.

    `keep_alive` is awaited when an answer has been awaited for another `Timing.keep_alive` seconds.
    With `early`, the first of them comes soon.
    `hang_up_ends` says that closing the response is how this request is cancelled, `hung_up` that its client has done
    so, as far as was noticed. `outlives` waits until nobody can want the answer any more, given the seconds of grace;
    without it, that is when they have passed.
    """

    __slots__ = (
        "_companion",
        "_keep_alive",
        "_late",
        "_patrol",
        "_phase",
        "_receive",
        "_task",
        "_timer",
        "early",
        "ended",
        "hang_up_ends",
        "hung_up",
        "outlives",
        "timing",
    )

    def __init__(self, receive: Receive, timing: Timing, patrol: Patrol, keep_alive: KeepAlive) -> None:
        self.timing = timing
        self.ended: Ended | None = None
        self.hang_up_ends = False
        self.hung_up = False
        self.early = False
        self.outlives: Callable[[float], Awaitable[None]] | None = None
        self._task = asyncio.current_task(patrol.watch(self))
        self._receive = receive
        self._keep_alive = keep_alive
        self._phase = _READING
        self._late = False
        self._companion: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._patrol = patrol

    def enter(self, phase: Phase) -> None:
        """Begin a phase, or begin it again: each write of a long answer has its limit for itself."""
        self._phase = phase
        if self._late:
            self._begin()

    def end(self, why: Ended) -> None:
        """Cancel the request's task, unless it is over or being ended already."""
        if self._task is not None and self.ended is None:
            self.ended = why
            self._task.cancel()

    def recover(self) -> bool:
        """Whether the cancellation just caught came from `end`; if so it is taken back, and the task lives on."""
        if self.ended is None or self._task is None:
            return False
        return self._task.uncancel() == 0

    def land(self) -> None:
        """The request is over: nothing watches it or can end it any more."""
        self._task = None
        if self._late:
            self._disarm()
        else:
            self._patrol.leave(self)
        self.outlives = None
        del self._keep_alive  # a method of the owner's: kept, it would leave a cycle behind for every request
        if self._companion is not None:
            self._companion.cancel()

    def be_late(self) -> None:
        """From now on every phase has its limit, the present one included."""
        self._late = True
        self._begin()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self) -> None:
        self._disarm()
        loop = asyncio.get_running_loop()
        match self._phase:
            case Phase.READING:
                self._timer = loop.call_later(self.timing.read, self.end, Ended.STALLED)
            case Phase.ANSWERING:
                if self._companion is None:
                    self._companion = loop.create_task(self._accompany())
            case Phase.SENDING:
                self._timer = loop.call_later(self.timing.write, self.end, Ended.NOT_READ)

    async def _accompany(self) -> None:
        keep_alive = self._keep_alive
        with suppress(OSError):  # how a server may say that the client has gone
            wait = min(self.timing.early, self.timing.keep_alive) if self.early else self.timing.keep_alive
            while not await self._has_hung_up(wait):
                await keep_alive()
                wait = self.timing.keep_alive
        self.hung_up = True
        if not self.hang_up_ends:
            # Hanging up is no cancelling in that era, and the answer may still be fetched, if its stream has begun.
            await (self.outlives or asyncio.sleep)(self.timing.grace)
        self.end(Ended.HUNG_UP)

    async def _has_hung_up(self, within: float) -> bool:
        try:
            async with asyncio.timeout(within):
                while (await self._receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            return False
        return True
