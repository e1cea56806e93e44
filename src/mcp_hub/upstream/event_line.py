"""One stream of events and the address for messages that it names: a line in both directions.

Rule: messages go to the origin that was configured and to no other, whatever the stream says. What is posted is posted
once; how its taking went is told, and its answer comes on the stream.
Source: MCP 2024-11-05, basic/transports "HTTP with SSE".

| answer to a POST          | means for what was posted                                    |
|---------------------------|--------------------------------------------------------------|
| 2xx                       | taken                                                        |
| 404                       | the session is over, it was not taken                        |
| 401, 403, 429, 5xx        | as for any request                                           |
| none in time              | nothing: its answer may come on the stream all the same      |
| any other                 | refused                                                      |
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Coroutine
from contextlib import suppress
from itertools import count
from typing import Any, Final, final
from urllib.parse import urljoin

from msgspec import Raw

from mcp_hub.credentials.credential import Credential
from mcp_hub.egress.errors import EgressError
from mcp_hub.egress.response import Response
from mcp_hub.errors import BrokeProtocol, TimedOut, Unreachable, UpstreamError
from mcp_hub.upstream.answer import content_type, fed, require_well
from mcp_hub.upstream.carrier import Lost
from mcp_hub.upstream.channel import NO_LINES, Channel, translated
from mcp_hub.upstream.link import Failed, LinkOver
from mcp_hub.wire.jsonrpc import request
from mcp_hub.wire.sse import Event, EventParser

BEAT: Final = 60.0
"""Seconds without a byte after which the other side is asked whether it is there."""
QUIET: Final = 300.0
"""Seconds without a byte after which it is taken for dead, unless calls may take longer."""
MOST_TOLD: Final = 64
"""Messages on their way to one session that may be lost; more are."""
ORDER: Final = 2.0
"""Seconds that a message waits for the one told before it to be taken."""

_LONGEST_ADDRESS: Final = 8192
_ANSWER: Final = 64 * 1024
_OK: Final = range(200, 300)
_GONE: Final = 404
_FAILURES: Final = 400


class NotThisTransport(Unreachable):
    """The upstream answers a GET as no server of this transport does; nothing was sent to it."""


@final
class EventLine:
    """A `Line`. Made by `open_line`; whoever has it ends it. `credential` is sent with every message."""

    def __init__(
        self,
        response: Response,
        events: "_Events",
        messages: Channel,
        credential: Credential,
        *,
        beat: float = BEAT,
    ) -> None:
        self.name = messages.name
        self.credential = credential
        self._response = response
        self._events = events
        self._messages = messages
        self._beat = beat
        self._failure: UpstreamError | None = None
        self._numbers = count(1)
        self._telling = 0
        self._told: asyncio.Task[None] | None = None
        self._posts: set[asyncio.Task[None]] = set()
        self._timer = asyncio.get_running_loop().call_later(beat, self._ask_for_a_sign)

    async def line(self) -> bytes | None:
        """See `Line.line`."""
        try:
            while (event := await self._events.next()) is not None:
                if event.event in (None, "message"):
                    return event.data
        except UpstreamError as error:
            self._failure = error
        return None

    async def write(self, message: bytes, failed: Failed, /) -> None:
        """See `Line.write`: returns as soon as it is on its way, since some servers answer a POST when all is done."""
        await _in_turn(self._told)
        self._start(self._post(message, failed))

    def write_now(self, message: bytes, /) -> None:
        """See `Line.write_now`. What is told one after the other arrives in this order, if it is taken in time."""
        if self._telling < MOST_TOLD:
            self._telling += 1
            self._told = self._start(self._tell(self._told, message))

    async def settle(self) -> None:
        """See `Line.settle`: a stream that has ended has said everything."""

    async def end(self) -> None:
        """See `Line.end`."""
        self._timer.cancel()
        await self._events.aclose()
        self._response.close()
        for post in self._posts:
            post.cancel()
        if self._posts:
            await asyncio.wait(self._posts)

    def farewell(self) -> Unreachable:
        """See `Line.farewell`."""
        effects = "The call may have had effects."
        if isinstance(self._failure, BrokeProtocol):
            return Lost(self.name, f"{self._failure.public} Its session has ended. {effects}")
        return Unreachable(self.name, f"{self.name} has ended its stream. {effects}")

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._posts.add(task)
        task.add_done_callback(self._posts.discard)
        return task

    async def _tell(self, before: asyncio.Task[None] | None, message: bytes) -> None:
        try:
            await _in_turn(before)
            with suppress(UpstreamError):
                await self._send(message)
        finally:
            self._telling -= 1

    async def _post(self, message: bytes, failed: Failed) -> None:
        try:
            await self._send(message)
        except TimedOut:
            pass
        except UpstreamError as error:
            failed(error)

    async def _send(self, message: bytes) -> None:
        response = await self._messages.post(message, NO_LINES, self.credential)
        try:
            if response.status == _GONE:
                raise LinkOver(self.name, f"{self.name} does not know its own session any more (HTTP 404).")
            require_well(self.name, response)
            if response.status not in _OK:
                raise BrokeProtocol(self.name, f"{self.name} refused a message (HTTP {response.status}).")
            with suppress(EgressError):  # read only so that the connection can be used again
                await response.read(_ANSWER, self._messages.limits.first_byte)
        finally:
            response.close()

    def _ask_for_a_sign(self) -> None:
        silent = self._events.silent
        if silent >= self._beat:
            number = next(self._numbers)
            self.write_now(request(Raw(b'"hub-%d"' % number), "ping", {}))
            silent = 0.0
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(self._beat - silent, 0.01), self._ask_for_a_sign)


@final
class _Events:
    """The events of one response, one by one."""

    def __init__(self, name: str, response: Response, limit: int, quiet: float) -> None:
        self._name = name
        self._limit = limit
        self._parser = EventParser(limit)
        self._chunks: AsyncGenerator[bytes, None] = response.chunks(quiet)
        self._ready: deque[Event] = deque()
        self._now = asyncio.get_running_loop().time
        self._heard = self._now()

    @property
    def silent(self) -> float:
        """Seconds since the last byte."""
        return self._now() - self._heard

    async def next(self) -> Event | None:
        """The next one with data; `None` at the end.

        Raises:
            UpstreamError: the stream broke off, was quiet for too long, or held too large an event.
        """
        try:
            while not self._ready:
                chunk = await anext(self._chunks, None)
                if chunk is None:
                    return None
                self._heard = self._now()
                self._ready.extend(fed(self._name, self._parser, chunk, self._limit))
        except EgressError as error:
            raise translated(self._name, error) from error
        return self._ready.popleft()

    async def aclose(self) -> None:
        """Read no more."""
        with suppress(RuntimeError):  # somebody reads: closing the response ends that
            await self._chunks.aclose()


async def _in_turn(before: asyncio.Task[None] | None) -> None:
    if before is not None and not before.done():
        await asyncio.wait([before], timeout=ORDER)


async def open_line(channel: Channel, credential: Credential, *, beat: float = BEAT) -> EventLine:
    """Open a stream and wait for the address that it names first.

    Raises:
        NotThisTransport: the answer is no stream, or not one of this transport.
        RefusedCredential, Busy, Unreachable, TimedOut: as for any request.
        BrokeProtocol: the address is not of the upstream's own origin.
    """
    name, limits = channel.name, channel.limits
    response = await channel.get(NO_LINES, credential)
    try:
        _require_stream(name, response)
        quiet = max(QUIET, limits.first_byte + beat)
        events = _Events(name, response, limits.result, quiet)
        try:
            async with asyncio.timeout(limits.listing):
                first = await events.next()
        except TimeoutError as error:
            raise TimedOut(name, f"{name} opened a stream and did not say where to send messages.") from error
        return EventLine(response, events, _address(channel, first), credential, beat=beat)
    except BaseException:
        response.close()
        raise


def _require_stream(name: str, response: Response) -> None:
    status = response.status
    require_well(name, response)
    if status not in _OK or content_type(response) != b"text/event-stream":
        how = f"HTTP {status}" if status >= _FAILURES else "no stream of events"
        message = f"{name} speaks neither Streamable HTTP nor HTTP+SSE at this URL ({how}). Check its URL."
        raise NotThisTransport(name, message)


def _address(channel: Channel, first: Event | None) -> Channel:
    name = channel.name
    if first is None or first.event != "endpoint":
        raise NotThisTransport(name, f"{name} opened a stream that does not begin with an address for messages.")
    address = _resolved(channel, first.data)
    if address is None:
        raise BrokeProtocol(name, f"{name} named an address for messages that is not its own; nothing was sent there.")
    return address


def _resolved(channel: Channel, said: bytes) -> Channel | None:
    if len(said) > _LONGEST_ADDRESS:
        return None
    try:
        return channel.at(urljoin(channel.url, said.decode("utf-8").strip()))
    except ValueError:
        return None
