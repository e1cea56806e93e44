"""One call of a session that may be spoken to from beside: its time, and what its caller is told.

Rule: the time of a call runs only while its upstream has to act, never while its client has.
"""

import asyncio
from typing import Final, final

from msgspec import Raw

from mcp_hub.upstream.answer import OnMessage
from mcp_hub.upstream.call import PROGRESS, Call
from mcp_hub.upstream.dialect import restored, wants_log
from mcp_hub.wire.jsonrpc import Message

PATIENCE: Final = 1.0
"""Seconds that the stream waits for one slow reader before what that one is told is left out."""
_LOG: Final = "notifications/message"


@final
class UnderWay:
    """A `Subject`. `wait` are the seconds without any sign of the call until `clock` ends it.

    `number` and `token` are set by whoever sends it: its id, and the caller's own progress token.
    """

    __slots__ = ("_clock", "_patience", "_telling", "_wait", "_waiting", "call", "is_over", "number", "token")

    def __init__(self, call: Call, wait: float, clock: asyncio.Timeout) -> None:
        self.call: Call | None = call
        self.number = 0
        self.token: Raw | None = None
        self.is_over = False
        self._wait = wait
        self._clock = clock
        self._waiting = 0
        self._patience = PATIENCE
        self._telling: asyncio.Task[None] | None = None

    def asking(self) -> None:
        """See `Subject.asking`."""
        self._waiting += 1
        self.heard()

    def answered(self) -> None:
        """See `Subject.answered`."""
        self._waiting -= 1
        self.heard()

    def heard(self) -> None:
        """There is a sign of it: its time begins anew, or stands still while its client is asked."""
        if not (self.is_over or self._clock.expired()):
            until = asyncio.get_running_loop().time() + self._wait
            self._clock.reschedule(None if self._waiting else until)

    def timed(self, on_message: OnMessage) -> OnMessage:
        """The same, with the time standing still while a message of the call's own stream is dealt with."""

        async def handle(message: Message, data: bytes) -> None:
            self.asking()
            try:
                await on_message(message, data)
            finally:
                self.answered()

        return handle

    async def tell(self, message: Message, data: bytes) -> None:
        """Tell the caller what came beside; returns when the next may follow.

        Raises:
            Malformed: the params are not what JSON-RPC calls params.
        """
        self.heard()
        if self.call is None:
            return
        if message.method == PROGRESS:
            if self.token is None:
                return
            data = restored(message, self.token)
        elif message.method == _LOG and not wants_log(self.call, message):
            return
        await self.pass_on(data)

    async def pass_on(self, data: bytes) -> None:
        """Put one encoded notification on the caller's stream; returns when the next may follow."""
        if self.call is None or self.is_over or self._is_told_something:
            return  # whoever does not read what his call is told may not hold up the other calls of the session
        # By a task of its own: what becomes of it is this caller's business, and not the stream's.
        self._telling = asyncio.ensure_future(self.call.emit(data))
        self._telling.add_done_callback(_leave_be)
        started = asyncio.get_running_loop().time()
        await asyncio.wait([self._telling], timeout=self._patience)
        self._patience -= asyncio.get_running_loop().time() - started

    def end(self) -> None:
        """Its time is over; nothing more is told."""
        if not self._clock.expired():
            self._clock.reschedule(None)
        self.is_over = True

    @property
    def _is_told_something(self) -> bool:
        return self._telling is not None and not self._telling.done()

    async def told(self) -> None:
        """Wait until the caller has been told what was begun."""
        if self._telling is not None:
            await asyncio.wait([self._telling])

    def drop(self) -> None:
        """Nobody waits for the call any more."""
        if self._telling is not None:
            self._telling.cancel()


def _leave_be(telling: asyncio.Task[None]) -> None:
    if not telling.cancelled():
        telling.exception()  # what could not be told is lost; the call has an answer of its own
