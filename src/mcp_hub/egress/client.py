"""The pooled HTTP/1.1 client of the forwarding path. Rule: a request that may have arrived is never sent again.

One exception, which the caller has to ask for (`Request.repeatable`). No redirect is followed, no proxy is read from
the environment, nothing is decompressed, no cookie is kept. Connections of one partition are no other's.
"""

import asyncio
from typing import Final

from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.errors import ConnectionLost, PoolFull
from mcp_hub.egress.lane import Lane, Load
from mcp_hub.egress.pool import Limits
from mcp_hub.egress.request import HeaderLines, Request, header_lines
from mcp_hub.egress.response import Response

PARTITIONS: Final = 2_000

__all__ = ["HeaderLines", "HttpClient", "Request", "Response", "header_lines"]


class HttpClient:
    """Sends requests over kept connections; belongs to one event loop. Whoever made it calls `aclose`.

    `per_origin` connections at most to one origin in one partition, `waiting` requests queued for them, and connections
    are kept `idle` seconds after their last use, or less where the server says so. At most so many `partitions` have
    connections, all origins together; one that uses none makes room.
    """

    __slots__ = ("_closed", "_dialer", "_idle", "_lanes", "_limits", "_partitions", "_sweeper")

    def __init__(
        self,
        dialer: Dialer,
        *,
        per_origin: int = 100,
        waiting: int = 1000,
        idle: float = 4.0,
        partitions: int = PARTITIONS,
    ) -> None:
        self._dialer = dialer
        self._limits = Limits(per_origin, waiting)
        self._idle = idle
        self._partitions = partitions
        self._lanes: dict[bytes, Lane] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.load}>"

    @property
    def load(self) -> Load:
        """What is going on at all origins together."""
        loads = [lane.load for lane in self._lanes.values()]
        return Load(*(sum(column) for column in zip(*loads, strict=True))) if loads else Load(0, 0, 0)

    async def send(self, request: Request) -> Response:
        """The response to `request`, as soon as its head is here. The caller reads or closes it.

        Cancellation closes the connection that the request went out on.

        Raises:
            ValueError: the request cannot be written; nothing was.
            Refused, ConnectFailed, ConnectTimedOut, PoolFull: nothing was written.
            ConnectionLost: see its `sent`.
            ResponseTimedOut, NotHttp, TooLarge: written; the other side may have acted on it.
        """
        wire = request.encode()
        key, partition = request.origin.key, request.partition
        if partition:
            key = b"%b %b" % (key, partition)  # which no origin's key contains
        lane = self._lanes.get(key) or self._new_lane(key, request)
        link = lane.take() or await lane.acquire(request.first_byte)
        was_kept = link.used > 0
        try:
            return await link.exchange(wire, request.first_byte)
        except ConnectionLost as lost:
            if lost.sent and (lost.answered or not was_kept or not request.repeatable):
                raise
        link = await lane.acquire(request.first_byte, fresh=True)
        return await link.exchange(wire, request.first_byte)

    async def aclose(self) -> None:
        """Close every connection; what is under way fails. Nothing can be sent any more."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for lane in self._lanes.values():
            lane.close()
        await asyncio.sleep(0)  # the transports' own closing is one turn of the loop away

    def _new_lane(self, key: bytes, request: Request) -> Lane:
        if request.partition:
            self._make_room()
        lane = Lane(request.origin, self._dialer, self._limits, self._idle, self._plan_sweep)
        self._lanes[key] = lane
        if self._closed:
            lane.close()
        return lane

    def _make_room(self) -> None:
        parted = [key for key in self._lanes if b" " in key]
        if len(parted) < self._partitions:
            return
        unused = next((key for key in parted if not self._lanes[key].is_used), None)
        if unused is None:
            raise PoolFull("Too many people use this hub at once. Try again in a moment.")
        self._lanes.pop(unused).close()

    def _plan_sweep(self) -> None:
        if self._sweeper is None and not self._closed:
            self._sweeper = asyncio.get_running_loop().call_later(self._idle, self._sweep)

    def _sweep(self) -> None:
        """Close what is too old, and forget origins that nobody uses."""
        self._sweeper = None
        loads = {key: lane.sweep() for key, lane in self._lanes.items()}
        for key, load in loads.items():
            if load == (0, 0, 0):
                del self._lanes[key]
        if any(load.idle for load in loads.values()):
            self._plan_sweep()
