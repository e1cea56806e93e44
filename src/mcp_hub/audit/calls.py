"""Who called what, kept in memory for a moment and stored in batches.

Rule: recording costs a call one tuple; everything else happens later. Neither arguments nor results are recorded.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Final, Generic, Literal, TypeVar, final

import structlog

from mcp_hub.audit.clean import one_line
from mcp_hub.errors import HubError
from mcp_hub.principal import Principal

Outcome = Literal["ok", "tool_error", "error", "refused", "not_connected", "unreachable", "timeout", "cancelled"]
"""How a call ended. `tool_error`: the tool said so itself; `not_connected`: its user has to connect first, or anew;
`error`: anything else that went wrong on the way."""

_LONGEST: Final = 256
"""Characters kept of a name that somebody else chose: a made-up one may be as long as a request body."""

_fit: Final = lru_cache(maxsize=1024)(one_line)
"""Names repeat, call after call, and none of them is longer than is kept of it."""

_log: Final = structlog.stdlib.get_logger("mcp_hub.audit")

_Waiting = tuple[float, Principal, str, str, str, str, Outcome, float]
Row = TypeVar("Row")

Columns = tuple[float, str, str, str, str, str, str, str, str, float]
"""One call: at, tenant, issuer, subject, client, upstream, method, name, outcome, milliseconds."""


@final
class CallLog(Generic[Row]):
    """The call log of one event loop.

    At most `most` calls wait, and when more come the oldest are dropped and counted in `dropped`. A batch leaves
    `flush_after` seconds after its first call, or as soon as `batch` calls wait. `append` may raise a `HubError` and
    nothing else; then it is asked again every `flush_after` seconds. What waits when the process is killed is lost;
    `aclose` stores it. `make_row` makes what the store takes, its own record type, out of the columns of one call.
    """

    def __init__(
        self,
        append: Callable[[Sequence[Row]], Awaitable[None]],
        make_row: Callable[[Columns], Row],
        *,
        flush_after: float = 1.0,
        batch: int = 500,
        most: int = 10_000,
    ) -> None:
        self._append = append
        self._make_row = make_row
        self._flush_after = flush_after
        self._batch = batch
        self._most = most
        self._waiting: deque[_Waiting] = deque(maxlen=most)
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._failing = False
        self.dropped = 0

    def record(
        self,
        caller: Principal,
        *,
        client: str,
        upstream: str,
        method: str,
        name: str,
        outcome: Outcome,
        milliseconds: float,
    ) -> None:
        """Note one call that just ended. Needs a running event loop; never raises, never waits."""
        waiting = self._waiting
        if len(waiting) == self._most:
            self.dropped += 1
        waiting.append(
            (time.time(), caller, client[:_LONGEST], upstream, method, name[:_LONGEST], outcome, milliseconds)
        )
        if self._flushing is None:
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self._flush_after, self._start_flush)
            elif len(waiting) == self._batch and not self._failing:
                self._start_flush()

    async def aclose(self) -> None:
        """Store what waits. If the store fails now, what could not be stored is counted as dropped and logged."""
        if self._flushing is not None:
            await self._flushing
        self._stop_timer()
        while self._waiting and await self._store_batch():
            pass
        if self._waiting:
            _log.error("calls not recorded", count=len(self._waiting))
            self.dropped += len(self._waiting)
            self._waiting.clear()

    def _start_flush(self) -> None:
        self._stop_timer()
        self._flushing = asyncio.get_running_loop().create_task(self._flush())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _flush(self) -> None:
        try:
            while await self._store_batch() and len(self._waiting) >= self._batch:
                pass
        finally:
            # Even after a fault of ours, which the event loop reports, the next calls find the log alive.
            self._flushing = None
            if self._waiting:
                self._timer = asyncio.get_running_loop().call_later(self._flush_after, self._start_flush)

    async def _store_batch(self) -> bool:
        """Store the oldest calls, at most a batch; on failure they wait again and the answer is False."""
        taken = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
        try:
            await self._append([self._row(call) for call in taken])
        except HubError as failed:
            if not self._failing:
                _log.warning("call records wait, the store does not take them", reason=failed.public)
            self._failing = True
            self._put_back(taken)
            return False
        self._failing = False
        return True

    def _put_back(self, taken: list[_Waiting]) -> None:
        room = self._most - len(self._waiting)
        self.dropped += max(len(taken) - room, 0)
        self._waiting.extendleft(reversed(taken[max(len(taken) - room, 0) :]))

    def _row(self, call: _Waiting) -> Row:
        at, caller, client, upstream, method, name, outcome, milliseconds = call
        who = (caller.tenant, _fit(caller.issuer), _fit(caller.subject))
        return self._make_row((at, *who, _fit(client), upstream, _fit(method), _fit(name), outcome, milliseconds))
