"""Streams of events that outlive their connections: numbered, kept for a while, continued where a client left off.

Rule: an event belongs to one stream of one session and is told on no other. What is kept is bounded, in events and in
bytes, for a stream, for a session and for all of them; the oldest goes first, and so does what is over for long.
Source: MCP 2025-11-25, basic/transports "Resumability and Redelivery"; SEP-1699 for events without data.
"""

import asyncio
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, final

from msgspec import Raw

from mcp_hub.inbound.event_ids import Kind, Place, suffix_of
from mcp_hub.wire.sse import encode_event

RETRY: Final = 3000
"""Milliseconds after which a client is asked to come back: time enough for a hub that is started again."""

LONGEST_RETRY: Final = 30_000
"""Milliseconds that a client is kept away at most: one that stays for longer is taken for gone, and its call ended."""

_END: Final = Kind.END  # once, since Python 3.11 takes its time to find a member of an enumeration

Parts = Sequence[bytes | Raw]


@dataclass(frozen=True, slots=True)
class Limits:
    """What is kept: events of a stream; bytes of a stream, a session and in all; streams of a session, of which those
    that are over make room; seconds for which those are kept."""

    events: int = 256
    stream: int = 4 * 1024 * 1024
    session: int = 8 * 1024 * 1024
    total: int = 64 * 1024 * 1024
    streams: int = 64
    seconds: float = 120.0

    @property
    def largest(self) -> int:
        """Bytes of the largest event that can be kept."""
        return min(self.stream, self.session, self.total)


DEFAULT_LIMITS: Final = Limits()


class Connection(Protocol):
    """One response on which a stream is written."""

    async def push(self, event: bytes) -> None:
        """Write encoded events, or lose the connection; raises nothing but what cancels its caller."""
        ...

    async def close(self) -> None:
        """End the response, while the stream goes on."""
        ...

    def give_way(self) -> None:
        """End what serves this connection: its client has come back on another."""
        ...


@final
class Stream:
    """One stream. `connection` is the one it is written on, `None` while its client is away."""

    __slots__ = (
        "_events", "_held", "_moved", "_name", "_number", "_start", "_suffix", "_turn", "connection", "is_over",
        "kind", "name", "primes", "shelf",
    )  # fmt: skip

    def __init__(self, shelf: "Shelf", kind: Kind, request: Raw | None, connection: Connection | None) -> None:
        self.kind = kind
        self.name = secrets.token_urlsafe(6)
        self.primes = shelf.primes
        self.connection = connection
        self.is_over = False
        self.shelf: Shelf | None = shelf
        self._name = self.name.encode()
        self._start = b"%b.%b." % (kind.value.encode(), self._name)
        self._suffix = suffix_of(request).encode()
        self._number = 0
        self._events: deque[tuple[int, bytes]] = deque()
        self._held = 0
        self._turn = asyncio.Lock()
        self._moved: asyncio.Event | None = None

    def prime(self, retry: int | None = None) -> bytes:
        """An event without data, from which the client can resume; nothing for clients that do not know such events."""
        if not self.primes:
            return b""
        return b"id: %b\nretry: %d\ndata: \n\n" % (self._next_id(self.kind), RETRY if retry is None else retry)

    async def put(self, *messages: bytes) -> None:
        """Tell messages, now or when the client comes back."""
        async with self._turn:
            for message in messages:
                event = self._add((message,), self.kind)
                if self.connection is not None:
                    await self.connection.push(event)

    async def end(self, messages: Sequence[Parts], instead: bytes) -> None:
        """Tell the last messages; `instead` takes the place of one that is too large to wait for its client."""
        async with self._turn:
            self.is_over = True
            try:
                for at, parts in enumerate(messages, 1):
                    await self._tell_last(parts, instead, Kind.END if at == len(messages) else Kind.CALL)
            finally:
                if self.shelf is not None:
                    self.shelf.replay.retire(self)
                self._stir()

    async def join(self, connection: Connection, after: int) -> None:
        """Write on this connection from now on, first what came after the event of this number."""
        async with self._turn:
            self.connection = connection
            if self.shelf is not None and not self.is_over:
                self.shelf.replay.revive(self)
            self._stir()
            missed = b"".join([event for number, event in self._events if number > after])
            await connection.push(missed if self.is_over else missed + self.prime())

    def leave(self, connection: Connection) -> None:
        """This connection is gone; nothing happens if the stream is on another already."""
        if self.connection is connection:
            self.connection = None
            if self.kind is Kind.NOTICES and self.shelf is not None:
                self.shelf.replay.retire(self)
            self._stir()

    async def pause(self, retry: int | None) -> None:
        """Close the connection for a while, if its client knows that it is to come back; `retry` is in milliseconds.

        The upstream says when it will know more; coming back earlier costs it nothing.
        """
        async with self._turn:
            connection, primed = self.connection, self.prime(retry if retry is None else min(retry, LONGEST_RETRY))
            if connection is not None and primed:
                await connection.push(primed)
                self.leave(connection)
                await connection.close()

    async def followed(self, connection: Connection) -> None:
        """Wait until the stream is over or no longer on this connection."""
        while self.connection is connection and not self.is_over:
            await self._change()

    async def deserted(self, grace: float) -> None:
        """Wait until the stream was on no connection for so many seconds."""
        while True:
            try:
                async with asyncio.timeout(None if self.connection is not None else grace):
                    await self._change()
            except TimeoutError:
                return

    def holds_after(self, number: int) -> bool:
        """Whether an event after this one is kept."""
        return bool(self._events) and self._events[-1][0] > number

    def drop_oldest(self) -> None:
        """Keep one event less."""
        size = len(self._events.popleft()[1])
        self._held -= size
        if self.shelf is not None:
            self.shelf.budget.gone(self, size, is_empty=not self._events)
            self.shelf.replay.budget.gone(self, size, is_empty=not self._events)

    def forget(self) -> None:
        """Keep nothing any more; what is told from now on reaches the present connection or nobody."""
        while self._events:
            self.drop_oldest()
        self.shelf = None

    async def _tell_last(self, parts: Parts, instead: bytes, kind: Kind) -> None:
        event = self._add(parts, kind)
        if self.connection is not None:
            await self.connection.push(event)
        elif not self.holds_after(self._number - 1):
            self._add((instead,), kind)

    def _add(self, parts: Parts, kind: Kind) -> bytes:
        event = b"id: %b\n%b" % (self._next_id(kind), encode_event(parts))
        shelf = self.shelf
        if shelf is None or len(event) > shelf.replay.largest:
            return event
        size, replay = len(event), shelf.replay
        self._events.append((self._number, event))
        self._held += size
        shelf.budget.held(self, size)
        replay.budget.held(self, size)
        while len(self._events) > replay.limits.events or self._held > replay.limits.stream:
            self.drop_oldest()
        shelf.budget.trim()
        replay.budget.trim()
        return event

    def _next_id(self, kind: Kind) -> bytes:
        self._number += 1
        if kind is _END:  # nothing can be missing behind it, so that it need not be known whose it is
            return b"e.%b.%d" % (self._name, self._number)
        return b"%b%d%b" % (self._start, self._number, self._suffix)

    async def _change(self) -> None:
        if self._moved is None:
            self._moved = asyncio.Event()
        await self._moved.wait()

    def _stir(self) -> None:
        moved, self._moved = self._moved, None
        if moved is not None:
            moved.set()


@final
class Shelf:
    """The streams of one session. `primes` says that its client knows events without data."""

    __slots__ = ("_streams", "budget", "primes", "replay")

    def __init__(self, replay: "Replay", *, primes: bool) -> None:
        self.replay = replay
        self.primes = primes
        self.budget = _Budget(replay.limits.session)
        self._streams: dict[str, Stream] | None = None

    def open(self, kind: Kind, request: Raw | None = None, connection: Connection | None = None) -> Stream:
        """A new stream; the oldest that is over makes room if there are too many."""
        streams = self._streams = {} if self._streams is None else self._streams
        if len(streams) >= self.replay.limits.streams:
            oldest = next((each for each in streams.values() if self.replay.is_retired(each)), None)
            if oldest is not None:
                self.forget(oldest)
        stream = Stream(self, kind, request, connection)
        streams[stream.name] = stream
        return stream

    def find(self, place: Place) -> Stream | None:
        """The stream that a client left there, if it is kept."""
        stream = None if self._streams is None else self._streams.get(place.stream)
        return stream if stream is not None and stream.kind is place.kind else None

    def forget(self, stream: Stream) -> None:
        """Keep nothing of a stream any more."""
        if self._streams is not None and self._streams.pop(stream.name, None) is not None:
            self.replay.revive(stream)
            stream.forget()

    def clear(self) -> None:
        """Keep nothing any more: the session is over."""
        for stream in list((self._streams or {}).values()):
            self.forget(stream)

    def __iter__(self) -> Iterator[Stream]:
        return iter((self._streams or {}).values())


@final
class Replay:
    """The bounds on what all sessions together keep."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.largest = limits.largest
        self.budget = _Budget(limits.total)
        self._clock = clock
        self._retired: dict[Stream, tuple[float, Shelf]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def retire(self, stream: Stream) -> None:
        """A stream is over, or its client away: it is kept a while longer."""
        shelf = stream.shelf
        if shelf is not None:
            self._retired.pop(stream, None)
            self._retired[stream] = (self._clock() + self.limits.seconds, shelf)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self.limits.seconds, self.sweep)

    def revive(self, stream: Stream) -> None:
        """A stream is kept on."""
        self._retired.pop(stream, None)

    def is_retired(self, stream: Stream) -> bool:
        """Whether a stream is only kept for a while."""
        return stream in self._retired

    def sweep(self) -> None:
        """Forget what was kept long enough."""
        self._timer = None
        now = self._clock()
        while self._retired:
            stream, (due, shelf) = next(iter(self._retired.items()))
            if due > now:
                self._timer = asyncio.get_running_loop().call_later(due - now, self.sweep)
                return
            shelf.forget(stream)


@final
class _Budget:
    """Bytes that some streams hold together. The stream longest without a new event gives way."""

    __slots__ = ("_last", "_most", "_streams", "total")

    def __init__(self, most: int) -> None:
        self._most = most
        self._streams: OrderedDict[Stream, None] | None = None
        self._last: Stream | None = None
        self.total = 0

    def held(self, stream: Stream, size: int) -> None:
        """A stream holds so many bytes more, as an event of its own."""
        streams = self._streams
        if streams is None:
            streams = self._streams = OrderedDict()
        if stream is not self._last:  # of many events of one stream, the first has put it there
            streams[stream] = None
            streams.move_to_end(stream)
            self._last = stream
        self.total += size

    def trim(self) -> None:
        """Hold no more than there may be."""
        while self.total > self._most and self._streams:
            next(iter(self._streams)).drop_oldest()

    def gone(self, stream: Stream, size: int, *, is_empty: bool) -> None:
        """It holds so many less."""
        if self._streams is None or stream not in self._streams:
            return
        self.total -= size
        if is_empty:
            del self._streams[stream]
            if self._last is stream:
                self._last = None
