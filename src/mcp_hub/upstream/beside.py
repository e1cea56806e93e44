"""The stream of a session beside its calls, where some servers ask and log without saying for which call.

Rule: what comes there is about a call under way in this session, or about nobody's. Open only while a client that can
be asked may be asked; whatever becomes of it, the calls go on.
Source: MCP 2025-11-25, basic/transports ("Listening for Messages from the Server").
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Final, Protocol, final

from msgspec import Raw

from mcp_hub.credentials.credential import Credential
from mcp_hub.egress.request import HeaderLines
from mcp_hub.egress.response import Response
from mcp_hub.errors import TimedOut, UpstreamError
from mcp_hub.upstream.answer import content_type, require_well
from mcp_hub.upstream.call import NOTICES, PROGRESS, PROGRESS_TOKEN, Call
from mcp_hub.upstream.channel import Channel
from mcp_hub.upstream.dialect import CANNOT_ASK, restored
from mcp_hub.upstream.duplex import Duplex
from mcp_hub.upstream.questions import CANCELLED, Questions
from mcp_hub.upstream.stream import pieces
from mcp_hub.upstream.under_way import UnderWay
from mcp_hub.wire.eras import Era
from mcp_hub.wire.jsonrpc import Malformed, Message, Reply, fields, response

KEPT: Final = 60.0
"""Seconds that a stream is kept open after the last call."""
PATIENCE: Final = 1.0
"""Seconds that the first call waits for the stream: servers throw away what they ask while there is none."""
PAUSES: Final = (1.0, 5.0, 30.0)
"""Seconds before a stream is opened anew, by how often it was cut after less than the longest of them."""
QUIET: Final = 300.0
"""Seconds without a byte after which a stream is taken for dead."""
MOST: Final = 32
"""Streams open at one upstream: each keeps a connection, and the calls need some of those that are left."""
AT_ONCE: Final = 64
"""Messages of one stream that are taken before others have their turn."""
_OK: Final = 200
_CONFLICT: Final = 409

log = logging.getLogger(__name__)


class Inside(Protocol):
    """The session, as it is at the moment."""

    lines: HeaderLines
    credential: Credential
    may_ask: frozenset[str]
    tokens: dict[bytes, Raw]


@final
class Room:
    """The streams that are open at one upstream. `is_prompt` says that it opened the last one in time."""

    def __init__(self, most: int = MOST) -> None:
        self.is_prompt = True
        self._most = most
        self._open: list[Beside] = []

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, beside: "Beside") -> bool:
        """Whether there is room for one more; one that serves no call makes it."""
        if len(self._open) >= self._most:
            idle = next((each for each in self._open if each.is_idle), None)
            if idle is None:
                return False
            idle.close()
        self._open.append(beside)
        return True

    def leave(self, beside: "Beside") -> None:
        """It is open no longer."""
        if beside in self._open:
            self._open.remove(beside)


@final
class Beside:
    """The calls of one session and the stream beside them, opened with the first call that may ask something.

    `numbers` are those of the requests, `tell` takes a message to the upstream and raises nothing, `heard` takes the
    notices that are for everybody.
    """

    def __init__(
        self,
        channel: Channel,
        inside: Inside,
        room: Room,
        *,
        numbers: Iterator[int],
        tell: Callable[[bytes], Awaitable[None]],
        heard: Callable[[Message], None] | None,
    ) -> None:
        self._channel = channel
        self._inside = inside
        self._room = room
        self._tell = tell
        self._heard = heard
        self._duplex = Duplex[UnderWay](numbers)
        self._questions = Questions[UnderWay](tell)
        self._calls = 0
        self._is_refused = False
        self._cuts = 0
        self._earliest = 0.0
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no call is under way."""
        return self._calls == 0

    @asynccontextmanager
    async def calling(self, call: Call, wait: float) -> AsyncGenerator[UnderWay]:
        """Send one call, and read its answer, while entered; `wait` are the seconds without any sign of it.

        Raises:
            TimedOut: there was none, and it was not the client that took its time.
        """
        self._calls += 1
        try:
            if call.ask_client is not None:
                await self._opened()
            async with self._timed(call, wait) as under_way:
                yield under_way
        finally:
            self._calls -= 1
            if self.is_idle:
                self._close_later()

    def close(self) -> None:
        """Close the stream until the next call."""
        task, self._task = self._task, None
        self._room.leave(self)
        if task is not None:
            task.cancel()

    async def end(self) -> None:
        """Close the stream for good; returns when it is closed."""
        task = self._task
        self.give_up()
        if task is not None:
            await asyncio.wait([task])

    def give_up(self) -> None:
        """The session is over: close the stream, and open none any more."""
        self._is_refused = True
        if self._closing is not None:
            self._closing.cancel()
        self.close()

    # Calls

    @asynccontextmanager
    async def _timed(self, call: Call, wait: float) -> AsyncGenerator[UnderWay]:
        name, clock = self._channel.name, asyncio.timeout(wait)
        try:
            async with clock:
                under_way = UnderWay(call, wait, clock)
                self._begin(under_way, of_one_client=call.client.era is Era.LEGACY)
                try:
                    yield under_way
                except BaseException:
                    under_way.drop()
                    raise
                finally:
                    self._end(under_way)
                await under_way.told()
        except TimeoutError as error:
            if not clock.expired():
                raise
            raise TimedOut(name, f"{name} did not answer in time. The call may have had effects.") from error

    def _begin(self, under_way: UnderWay, *, of_one_client: bool) -> None:
        under_way.number = self._duplex.open(under_way, is_call=True, of_one_client=of_one_client)
        if self._duplex.is_one_of_several(under_way.number):
            self._questions.join(under_way)

    def _end(self, under_way: UnderWay) -> None:
        self._duplex.close(under_way.number)
        self._questions.leave(under_way)
        under_way.end()

    # The stream

    async def _opened(self) -> None:
        """Return when the stream is open, or it is clear that the call has to do without."""
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        if self._is_refused:
            return
        if self._task is None or self._task.done():
            if not self._room.enter(self):
                log.debug("%s: too many sessions are listened to; this one is not", self._channel.name)
                return
            self._settled.clear()
            self._task = asyncio.ensure_future(self._listen())
        if self._room.is_prompt:
            await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._settled.wait()
        except TimeoutError:
            # Some send the head of a stream with its first event. They are waited for once, not by every session.
            self._room.is_prompt = False

    def _close_later(self) -> None:
        if self._task is not None:
            self._closing = asyncio.get_running_loop().call_later(KEPT, self._close_idle)

    def _close_idle(self) -> None:
        if self.is_idle:
            self.close()

    async def _listen(self) -> None:
        try:
            while not self._is_refused:
                await self._pause()
                await self._hear_out()
                if self.is_idle:
                    return
        finally:
            self._settled.set()
            if self._task is asyncio.current_task():
                self._room.leave(self)

    async def _pause(self) -> None:
        rest = self._earliest - asyncio.get_running_loop().time()
        if rest > 0:
            self._settled.set()
            await asyncio.sleep(rest)

    async def _hear_out(self) -> None:
        """Open the stream and read it to its end, whatever that is."""
        now = asyncio.get_running_loop().time
        started = now()
        try:
            stream = await self._channel.get(self._inside.lines, self._inside.credential)
            try:
                self._room.is_prompt = self._room.is_prompt or now() - started < PATIENCE
                await self._read(stream)
            finally:
                stream.close()
        except UpstreamError as error:
            log.debug("%s: the stream of a session ended: %s", self._channel.name, error.public)
        self._settled.set()
        self._cuts = 1 if now() - started > PAUSES[-1] else self._cuts + 1
        self._earliest = now() + PAUSES[min(self._cuts, len(PAUSES)) - 1]

    async def _read(self, stream: Response) -> None:
        require_well(self._channel.name, stream)
        if stream.status != _OK or content_type(stream) != b"text/event-stream":
            # 409: there is still the one before, as far as the upstream knows.
            self._is_refused = stream.status != _CONFLICT
            return
        self._settled.set()
        limit = self._channel.limits.event
        async with aclosing(pieces(self._channel.name, stream, limit, QUIET)) as told:
            async for several in told:
                for place, (message, data) in enumerate(several, 1):
                    if place % AT_ONCE == 0:
                        await asyncio.sleep(0)
                    with suppress(Malformed):  # it says nothing to anybody
                        await self._take(message, data)

    async def _take(self, message: Message, data: bytes) -> None:
        if message.is_request:
            await self._asked(message)
        elif message.method == CANCELLED:
            self._questions.withdraw(message)
        elif message.method in NOTICES:
            if self._heard is not None:
                self._heard(message)
        elif message.method is not None:  # answers come on the streams of their requests
            under_way = self._duplex.whose(message)
            if under_way is not None:
                await under_way.tell(message, data)
            elif message.method == PROGRESS:
                await self._tell_of_task(message)

    async def _tell_of_task(self, message: Message) -> None:
        """A request that has become a task tells of its progress on any stream of the session."""
        token = self._inside.tokens.get(bytes(fields(message.params).get(PROGRESS_TOKEN, b"")))
        about = self._duplex.candidates()
        if token is not None and about:
            await about[0].pass_on(restored(message, token))

    async def _asked(self, asked: Message) -> None:
        # What is answered at once is answered in turn, so that a flood of it has the upstream itself wait.
        if asked.method == "ping":
            await self._tell(response(asked.id, Reply(result=b"{}")))
        elif not self._questions.ask(asked, self._duplex.candidates(), self._inside.may_ask):
            await self._tell(response(asked.id, Reply(error=CANNOT_ASK)))
