"""The connections to one origin. Rule: a place in the pool is never lost, and nobody overtakes the queue.

A place is taken when a request starts opening a connection, and travels with it: to the next request in the queue, to
the idle ones, or back when the connection is gone. Handing over is synchronous, so that neither a cancelled nor a
newly arrived request can come in between.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.errors import (
    ConnectFailed,
    ConnectionLost,
    ConnectTimedOut,
    DialFailed,
    DialRefused,
    DialTimedOut,
    PoolFull,
    Refused,
)
from mcp_hub.egress.http1 import Link
from mcp_hub.egress.pool import Limits, Step, assign, stale
from mcp_hub.wire.origin import Origin

_CHECKED_AFTER: Final = 0.01
"""Seconds idle after which a connection is looked at before reuse. The event loop has seen any shorter one itself."""
_MARGIN: Final = 1.0
"""Seconds by which a server's own idle limit is undercut: the request has to be there before the limit is."""

_Waiter = asyncio.Future[Link | None]


class Load(NamedTuple):
    """How many connections are in use or being opened, how many idle, how many requests queue."""

    active: int
    idle: int
    waiting: int

    def __str__(self) -> str:
        return f"{self.active} active, {self.idle} idle, {self.waiting} waiting"


class Lane:
    """Connections to `origin`, kept idle for `keep` seconds. `on_idle` is told that `sweep` will be needed."""

    __slots__ = (
        "_busy",
        "_closed",
        "_dialer",
        "_idle",
        "_keep",
        "_limits",
        "_links",
        "_loop",
        "_on_idle",
        "_origin",
        "_queue",
    )

    def __init__(
        self, origin: Origin, dialer: Dialer, limits: Limits, keep: float, on_idle: Callable[[], None]
    ) -> None:
        self._origin = origin
        self._dialer = dialer
        self._limits = limits
        self._keep = keep
        self._on_idle = on_idle
        self._loop = asyncio.get_running_loop()
        self._idle: list[Link] = []
        self._links: set[Link] = set()
        self._queue: deque[_Waiter] = deque()
        self._busy = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._origin}: {self.load}>"

    @property
    def load(self) -> Load:
        """What is going on here now."""
        return Load(self._busy, len(self._idle), len(self._queue))

    @property
    def is_used(self) -> bool:
        """Whether a request is under way or waits."""
        return self._busy > 0 or bool(self._queue)

    def take(self) -> Link | None:
        """The idle connection used last, if there is nothing to open, close or wait for; else `acquire` finds one."""
        idle = self._idle
        if not idle:
            return None
        link, now = idle[-1], self._loop.time()
        if link.until <= now or idle[0].until <= now:
            return None
        if now - link.freed_at >= _CHECKED_AFTER and not link.is_quiet():
            return None
        self._busy += 1
        return idle.pop()

    async def acquire(self, seconds: float, *, fresh: bool = False) -> Link:
        """A connection for one exchange; `fresh` for one that was never used.

        Queues for at most `seconds`; opening one takes as long as the dialer allows.

        Raises:
            PoolFull, Refused, ConnectFailed, ConnectTimedOut: nothing was sent.
        """
        while not self._closed:
            place = self._place(fresh=fresh)
            if isinstance(place, asyncio.Future):
                place = await self._wait(place, seconds)
                if self._closed:
                    break
            if place is None:
                return await self._open()
            if not place.closed and not fresh and place.is_quiet():
                return place
            place.drop()
        raise ConnectFailed(f"No connection to {self._origin.host}: the hub is shutting down.")

    def freed(self, link: Link) -> None:
        """An exchange is over: the connection goes to the queue, or becomes idle."""
        keep = self._keep if link.hint is None else min(self._keep, link.hint - _MARGIN)
        if self._closed or keep <= 0:
            link.drop()
            return
        link.freed_at = self._loop.time()
        waiter = self._next() if self._queue else None
        if waiter is not None:
            waiter.set_result(link)
            return
        self._busy -= 1
        link.until = link.freed_at + keep
        if not self._idle:
            self._on_idle()
        self._idle.append(link)

    def gone(self, link: Link) -> None:
        """A connection is closed: its place is free."""
        if link not in self._links:
            return  # lost before the dialer handed it over; whoever opened it gives its place back
        self._links.remove(link)
        if link in self._idle:
            self._idle.remove(link)
        else:
            self._leave()

    def sweep(self) -> Load:
        """Close what has been idle for too long; what is left."""
        for link in [self._idle[place] for place in stale(self._idle, self._loop.time())]:
            link.drop()
        return self.load

    def close(self) -> None:
        """Close every connection and turn the queue away."""
        self._closed = True
        while waiter := self._next():
            waiter.set_result(None)
        for link in list(self._links):
            link.drop(ConnectionLost("The hub is shutting down.", sent=True))

    def _place(self, *, fresh: bool) -> Link | _Waiter | None:
        """Carry out one decision: a connection, a place in the queue, or None: open one."""
        idle = self._idle
        decision = assign(idle, self._busy, len(self._queue), self._limits, self._loop.time(), fresh=fresh)
        chosen = idle[decision.use] if decision.step is Step.REUSE else None
        if decision.close:
            for link in [idle[place] for place in decision.close]:
                link.drop()
        if chosen is not None:
            idle.remove(chosen)
            self._busy += 1
            return chosen
        if decision.step is Step.OPEN:
            self._busy += 1
            return None
        if decision.step is Step.WAIT:
            waiter: _Waiter = self._loop.create_future()
            self._queue.append(waiter)
            return waiter
        raise self._full()

    async def _open(self) -> Link:
        opened = False
        try:
            _, link = await self._dialer.dial(self._origin, partial(Link, self._origin.host, self))
            opened = not link.closed and not self._closed
        except DialRefused as error:
            raise Refused(error.public) from error
        except DialTimedOut as error:
            raise ConnectTimedOut(error.public) from error
        except DialFailed as error:
            raise ConnectFailed(error.public) from error
        finally:
            if not opened:
                self._leave()
        if not opened:
            link.drop()
            raise ConnectFailed(f"{self._origin.host} closed the connection at once.")
        self._links.add(link)
        return link

    async def _wait(self, waiter: _Waiter, seconds: float) -> Link | None:
        try:
            async with asyncio.timeout(seconds):
                return await waiter
        except TimeoutError:
            self._give_back(waiter)
            raise self._full() from None
        except asyncio.CancelledError:
            self._give_back(waiter)
            raise

    def _give_back(self, waiter: _Waiter) -> None:
        """What a request that stopped waiting was, or was not, given."""
        if waiter.cancelled():
            if waiter in self._queue:
                self._queue.remove(waiter)
            return
        link = waiter.result()
        if link is None:
            self._leave()
        elif not link.closed:
            self.freed(link)

    def _leave(self) -> None:
        """A place is free: the next in the queue takes it, to open a connection of its own."""
        waiter = self._next()
        if waiter is None:
            self._busy -= 1
        else:
            waiter.set_result(None)

    def _next(self) -> _Waiter | None:
        while self._queue:
            waiter = self._queue.popleft()
            if not waiter.done():
                return waiter
        return None

    def _full(self) -> PoolFull:
        return PoolFull(f"Too many requests to {self._origin.host} at once ({self.load}). Try again in a moment.")
