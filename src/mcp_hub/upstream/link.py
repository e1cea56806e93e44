"""One session over one line that carries messages both ways: requests out, answers and everything around them in.

Rule: what the other side says reaches the request it is about, or nobody; one that breaks off, floods or babbles harms
only the requests that it was asked itself.
Source: MCP 2025-11-25, basic/transports ("stdio"); 2026-07-28, basic/transports/stdio; 2024-11-05, basic/transports
("HTTP with SSE").
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol, final

from msgspec import Raw

from mcp_hub.errors import BrokeProtocol, TimedOut, Unreachable, UpstreamError
from mcp_hub.upstream.answer import checked
from mcp_hub.upstream.call import ACKNOWLEDGED, NOTICES, PROGRESS, Call
from mcp_hub.upstream.carrier import Lost
from mcp_hub.upstream.channel import Limits
from mcp_hub.upstream.dialect import CANNOT_ASK, restored, wants_log
from mcp_hub.upstream.duplex import Duplex
from mcp_hub.upstream.questions import CANCELLED, Questions
from mcp_hub.wire.eras import Era
from mcp_hub.wire.jsonrpc import (
    Fields,
    Malformed,
    Message,
    Reply,
    is_batch,
    notification,
    parse,
    parse_batch,
    request,
    response,
)

MOST_WAITING: Final = 16
"""Messages about one request that wait for it to take them; beyond them the other side has to wait for a moment."""
PATIENCE: Final = 1.0
"""Seconds that the other side waits for one slow reader before what that one is told is left out."""
AT_ONCE: Final = 64
"""Messages of one line that are read before others have their turn."""
GRACE: Final = 2.0
"""Seconds in which what was read is still taken once the line is ended."""
LOG_MESSAGE: Final = "notifications/message"
_ANNOUNCEMENTS: Final = NOTICES | {ACKNOWLEDGED}
"""What is about the upstream's lists and resources, and not about any request."""

log = logging.getLogger(__name__)


class LinkOver(Lost):
    """The other side was gone before it took the request: it did not run."""


Failed = Callable[[UpstreamError], None]
"""Told why a message did not arrive, where that turns out later."""


class Line(Protocol):
    """What carries whole messages both ways: the pipes of a process, or a stream with POSTs beside it."""

    @property
    def name(self) -> str:
        """The upstream's."""
        ...

    async def line(self) -> bytes | None:
        """The next message, `None` when no more will come. For one reader."""
        ...

    async def write(self, message: bytes, failed: Failed, /) -> None:
        """Write one message as soon as the other side takes it."""
        ...

    def write_now(self, message: bytes, /) -> None:
        """Write one message that may be lost."""
        ...

    async def settle(self) -> None:
        """Wait a moment, after the last message, for the reason that it was the last."""
        ...

    async def end(self) -> None:
        """End it; returns when nothing of it is left."""
        ...

    def farewell(self) -> Unreachable:
        """How it has ended, as an error of whatever was under way."""
        ...


@dataclass(slots=True, eq=False)
class _Pending:
    """One request under way. What it is sent waits here, in order, until it takes it."""

    call: Call | None
    waiting: deque[tuple[Message, bytes]] = field(default_factory=deque[tuple[Message, bytes]])
    news: asyncio.Event = field(default_factory=asyncio.Event)
    room: asyncio.Event = field(default_factory=asyncio.Event)
    failure: UpstreamError | None = None
    open_questions: int = 0
    was_asking: bool = False
    patience: float = PATIENCE
    is_answered: bool = False
    is_over: bool = False

    def asking(self) -> None:
        self.open_questions += 1

    def answered(self) -> None:
        self.open_questions -= 1
        self.was_asking = True

    async def put(self, message: Message, data: bytes) -> bool:
        """Whether there was room for it. An answer needs none, and nothing comes after it."""
        if message.method is not None and not await self._has_room():
            return False
        if not (self.is_over or self.is_answered):
            self.is_answered = message.method is None
            self.waiting.append((message, data))
            self.news.set()
        return True

    async def _has_room(self) -> bool:
        # Whoever does not read what his call is told may not hold up the other calls of this process.
        while len(self.waiting) >= MOST_WAITING and self.patience > 0 and not self.is_over:
            self.room.clear()
            started = asyncio.get_running_loop().time()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.patience):
                    await self.room.wait()
            self.patience -= asyncio.get_running_loop().time() - started
        return len(self.waiting) < MOST_WAITING

    async def take(self) -> tuple[Message, bytes]:
        while not self.waiting:
            if self.failure is not None:
                raise self.failure
            self.news.clear()
            await self.news.wait()
        self.room.set()
        taken = self.waiting.popleft()
        if not self.waiting:
            self.patience = PATIENCE
        return taken

    def fail(self, failure: UpstreamError) -> None:
        self.failure = failure
        self.news.set()

    def end(self) -> None:
        self.is_over = True
        self.waiting.clear()
        self.room.set()


@final
class Link:
    """A line and the requests under way there. `over` is called once, when it has ended without being told to.

    `may_ask` are the methods by which a legacy upstream may ask its client; `None` while it may not ask at all.
    `heard` takes announcements, which are of no request; `awake` is called once it has said anything, or has ended.
    """

    def __init__(
        self,
        line: Line,
        limits: Limits,
        *,
        heard: Callable[[Message], None],
        over: "Callable[[Link, bool], None]",
        awake: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = line.name
        self.may_ask: frozenset[str] | None = None
        self.is_over = False
        self._line = line
        self._limits = limits
        self._heard = heard
        self._over = over
        self._awake = awake
        self._duplex = Duplex[_Pending]()
        self._questions = Questions[_Pending](self._write_answer)
        self._babbles = False
        self._hurries = False
        self._is_ending = False
        self._reader = asyncio.ensure_future(self._read())

    async def ask(
        self,
        method: str,
        params: Callable[[int], tuple[Fields, Raw | None]],
        *,
        call: Call | None = None,
        wait: float | None,
        cancellable: bool = True,
    ) -> Reply:
        """Send one request and read its answer; what comes before it goes to the call.

        `params` makes the request's params for its number, and says which progress token the number stands for.
        `wait` are the seconds without any sign of it, `None` for no end. Cancellation cancels the request there too,
        unless it is one of those that open a session and cannot be cancelled.

        Raises:
            LinkOver: the other side is gone, the request was not taken.
            RefusedCredential, TimedOut, Unreachable, Busy, BrokeProtocol: as their names say.
        """
        if self.is_over or self._is_ending:
            next_step = "It is tried again when it is next needed; if that does not help, its log says why."
            raise LinkOver(self.name, f"{self.name} has ended by itself. {next_step}")
        pending = _Pending(call)
        of_one_client = call is not None and call.client.era is Era.LEGACY
        number = self._duplex.open(pending, is_call=call is not None, of_one_client=of_one_client)
        if self._duplex.is_one_of_several(number):
            self._questions.join(pending)
        try:
            given, token = params(number)
            await self._write(request(number, method, given), pending, wait)
            return await self._answer(pending, number, token, wait)
        except LinkOver:
            self.is_over = True
            raise
        except (asyncio.CancelledError, TimedOut):
            if cancellable:
                reason = {"requestId": number, "reason": "the caller gave up"}
                self._line.write_now(notification(CANCELLED, reason))
            raise
        finally:
            self._duplex.close(number)
            self._questions.leave(pending)
            pending.end()

    def tell(self, body: bytes) -> None:
        """Send a notification; lost if the other side does not read."""
        self._line.write_now(body)

    async def end(self) -> None:
        """End the line and wait until nothing of it is left."""
        self._is_ending = True
        await self._line.end()
        _, stuck = await asyncio.wait([self._reader], timeout=GRACE)
        if stuck:  # somebody does not take what was read for him
            self._reader.cancel()
            self._finish()

    async def ended(self) -> None:
        """Wait until nothing is left of a line that is ending by itself."""
        await asyncio.wait([self._reader])
        await self._line.end()

    async def _write(self, body: bytes, pending: _Pending, wait: float | None) -> None:
        try:
            async with asyncio.timeout(wait):
                await self._line.write(body, pending.fail)
        except TimeoutError as error:
            raise TimedOut(self.name, f"{self.name} does not read what it is sent. The call was not made.") from error

    async def _answer(self, pending: _Pending, number: int, token: Raw | None, wait: float | None) -> Reply:
        while True:
            message, data = await self._next(pending, wait)
            try:
                if message.method is None:
                    return checked(self.name, message, number)
                await _emit(pending.call, message, data, token)
            except Malformed as error:
                sentence = f"{self.name} sent a message whose parts are not valid JSON."
                raise BrokeProtocol(self.name, sentence) from error

    async def _next(self, pending: _Pending, wait: float | None) -> tuple[Message, bytes]:
        while True:
            try:
                async with asyncio.timeout(wait):
                    return await pending.take()
            except TimeoutError as error:
                is_asking = pending.open_questions > 0
                if not (is_asking or pending.was_asking):  # else it was the client that took its time
                    effects = "The call may have had effects."
                    raise TimedOut(self.name, f"{self.name} did not answer in time. {effects}") from error
                pending.was_asking = is_asking

    # What the other side says

    async def _read(self) -> None:
        try:
            await self._take_all()
            self.is_over = True
            await self._line.settle()
        finally:  # a fault of our own ends it, too: nobody would hear of what it says from now on
            had_pending = self._finish()
            if not self._is_ending:
                self._over(self, had_pending)
                await self._line.end()

    async def _take_all(self) -> None:
        taken = 0
        while (line := await self._line.line()) is not None:
            if line.strip():
                await self._take(line)
            if taken == 0:
                self._awake()
            taken += 1
            if taken % AT_ONCE == 0:
                await asyncio.sleep(0)  # lines that wait are taken without a pause: others need their turn

    def _finish(self) -> bool:
        """Whether there was anything under way, which has failed with this."""
        self.is_over = True
        self._awake()
        pending = self._duplex.pending()
        for each in pending:
            each.fail(self._line.farewell())
        return bool(pending)

    async def _take(self, line: bytes) -> None:
        try:
            for part in parse_batch(line) if is_batch(line) else (line,):
                await self._route(parse(part), part)
        except Malformed:
            # "The server MUST NOT write anything to its stdout that is not a valid MCP message": many greet there.
            if not self._babbles:
                self._babbles = True
                log.warning("%s writes between its messages what is none; it is left out", self.name)

    async def _route(self, message: Message, data: bytes) -> None:
        if message.is_request:
            self._asked(message)
            return
        pending = self._duplex.whose(message)
        if message.method == CANCELLED:
            self._questions.withdraw(message)
        elif message.method is not None and len(data) > self._limits.event:
            log.warning("%s sent a notification of more than %d bytes; it is left out", self.name, self._limits.event)
        elif message.method in _ANNOUNCEMENTS:
            self._heard(message)
        elif pending is not None and not await pending.put(message, data):
            self._leave_out()

    def _leave_out(self) -> None:
        if not self._hurries:
            self._hurries = True
            log.warning("%s tells a call more than its client reads; some of it is left out", self.name)

    def _asked(self, asked: Message) -> None:
        if asked.method == "ping":
            self._line.write_now(response(asked.id, Reply(result=b"{}")))
        elif self.may_ask is None:
            return  # 2026-07-28: clients write no responses
        elif not self._questions.ask(asked, self._duplex.candidates(), self.may_ask):
            self._line.write_now(response(asked.id, Reply(error=CANNOT_ASK)))

    async def _write_answer(self, answer: bytes) -> None:
        await self._line.write(answer, _unheard)


def _unheard(failure: UpstreamError) -> None:
    del failure  # nobody waits for this message to arrive


async def _emit(call: Call | None, message: Message, data: bytes, token: Raw | None) -> None:
    if call is None:
        return
    if message.method == PROGRESS:
        if token is not None:
            await call.emit(restored(message, token))
    elif message.method == LOG_MESSAGE:
        if wants_log(call, message):
            await call.emit(data)
    else:
        await call.emit(data)
