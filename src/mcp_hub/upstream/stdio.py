"""Requests to an upstream that is a local command: one process per owner, started when first needed.

Rule: a process is one session. It is never shared, so state it keeps reaches nobody else. One that has ended is started
anew, ever later if it keeps ending; a request that was written is never written again.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, final

from msgspec import Raw

from mcp_hub.credentials.credential import Credential
from mcp_hub.errors import Busy, TimedOut, Unreachable, UpstreamError
from mcp_hub.single_flight import SingleFlight
from mcp_hub.upstream.answer import NotModern
from mcp_hub.upstream.call import CHANGES, PROGRESS_TOKEN, Call, Owner, task_seconds
from mcp_hub.upstream.carrier import CATALOG_OWNER, Ear, Lost, NoStream, Overheard, Told, Way
from mcp_hub.upstream.channel import Limits
from mcp_hub.upstream.dialect import can_log, introduced, level_to_set, may_ask, opening_params, request_params
from mcp_hub.upstream.legacy import IDLE
from mcp_hub.upstream.link import Link, LinkOver
from mcp_hub.upstream.mailbox import Mailbox
from mcp_hub.upstream.modern import envelope, own_meta
from mcp_hub.upstream.probe import DISCOVER
from mcp_hub.upstream.process import Child, Command, start
from mcp_hub.upstream.restarts import Restarts
from mcp_hub.upstream.starts import Starting, Starts
from mcp_hub.upstream.wires import LISTEN
from mcp_hub.wire.eras import META_SUBSCRIPTION, Client, Era
from mcp_hub.wire.jsonrpc import Fields, Json, Malformed, Message, Reply, encode, fields, notification, value

DISCOVERY: Final = 5.0
"""Seconds a process may take to answer `server/discover`, which old ones may not answer at all."""
START: Final = 60.0
"""Seconds a command may take to start: `uvx` and `npx` fetch a program before they run it for the first time."""
MOST: Final = 100
"""Processes of one command at once. The one that was idle longest makes room; while none is idle, none is started."""

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Served:
    """One process and whose it is. `opened` is its answer to `initialize`, `None` while none was sent.

    `held` is the time until which a task in it may run.
    """

    owner: Owner
    link: Link
    started: float
    used: float
    opened: Json | None = None
    log_level: str | None = None
    levelling: asyncio.Lock = field(default_factory=asyncio.Lock)
    busy: int = 0
    held: float = 0.0
    session: Mailbox | None = None
    listening: dict[int, Mailbox] = field(default_factory=dict[int, Mailbox])

    @property
    def last_use(self) -> float:
        """When it was used last; a task in it counts until its end."""
        return max(self.used, self.held)

    def announced(self, message: Message) -> bool:
        """Give an announcement to whoever listens for it; whether anybody did."""
        number = _subscription(message)
        if number is None:
            boxes = [*self.listening.values(), *([self.session] if self.session is not None else [])]
        else:
            boxes = [box for key, box in self.listening.items() if key == number]
        for box in boxes:
            box.put(message)
        return bool(boxes)

    def close(self) -> None:
        """It announces no more."""
        for box in (self.session, *self.listening.values()):
            if box is not None:
                box.close()


def process_way(name: str, command: Command, limits: Limits, starts: Starts) -> Way:
    """The way to a local command, which starts its processes when it is its turn."""

    def carrier(ear: Ear) -> "Processes":
        return Processes(name, command, limits, ear, starts=starts)

    return carrier


@final
class Processes:
    """A `Carrier` that speaks to processes of one command over their standard streams."""

    def __init__(
        self,
        name: str,
        command: Command,
        limits: Limits,
        ear: Ear | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        starts: Starts | None = None,
        most: int = MOST,
        discovery: float = DISCOVERY,
    ) -> None:
        self.name = name
        self._ear = ear
        self._command = command
        self._limits = limits
        self._clock = clock
        self._most = most
        self._discovery = discovery
        self._served: dict[Owner, _Served] = {}
        self._starting = SingleFlight[Owner, _Served]()
        self._opening = SingleFlight[Owner, _Served]()
        self._starts = starts or Starts()
        self._restarts: dict[Owner, Restarts] = {}
        self._begun = 0
        self._is_closed = False
        self._farewells: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._served)

    async def send(self, era: Era, call: Call, credential: Credential) -> Reply:
        """See `Carrier.send`."""
        del credential  # a process gets its credentials by its environment
        work = self._discover if call.method == DISCOVER else self._modern if era is Era.MODERN else self._legacy
        try:
            return await work(call)
        except LinkOver:
            return await work(call)  # it had ended before anything was written

    async def opened(self, owner: Owner, client: Client, credential: Credential) -> Json:
        """See `Carrier.opened`."""
        del credential
        served = await self._session(owner, client)
        if served.opened is None:
            raise AssertionError("a session that is open was introduced")
        return served.opened

    async def start(self) -> None:
        """Start the catalog's process, unless it runs.

        Raises:
            Unreachable: it cannot be started.
        """
        await self._process(CATALOG_OWNER)

    @asynccontextmanager
    async def listen(self, wanted: Json, client: Client, credential: Credential) -> AsyncGenerator[Told]:
        """See `Carrier.listen`: in the catalog's process."""
        del credential
        served, box = await self._process(CATALOG_OWNER), Mailbox(self.name)
        number = 0

        def params(given: int) -> tuple[Fields, Raw | None]:
            nonlocal number
            number = given
            served.listening[number] = box
            meta = Raw(encode(own_meta(client)))
            return {"notifications": Raw(encode(wanted)), "_meta": meta}, None

        asked = asyncio.ensure_future(served.link.ask(LISTEN, params, wait=None))
        asked.add_done_callback(lambda done: (box.close(), done.cancelled() or done.exception()))
        try:
            if not await box.any():  # acknowledged first, or not at all
                await asked
                raise NoStream
            async with aclosing(box.told()) as told:
                yield told
        finally:
            served.listening.pop(number, None)
            asked.cancel()
            await asyncio.wait([asked])

    @asynccontextmanager
    async def overhear(self, client: Client, credential: Credential) -> AsyncGenerator[Overheard]:
        """See `Carrier.overhear`: what the catalog's process says between its answers."""
        del credential
        served = await self._session(CATALOG_OWNER, client)
        served.session = box = Mailbox(self.name)
        if served.link.is_over:
            box.close()
        try:
            async with aclosing(box.told()) as told:
                yield Overheard(served, told)
        finally:
            if served.session is box:
                served.session = None

    async def end(self, owner: Owner) -> None:
        """See `Carrier.end`."""
        if owner != CATALOG_OWNER:  # whose session is ended whenever something is wrong with it
            self._restarts.pop(owner, None)
        served = self._served.get(owner)
        if served is not None:
            await self._end(served)

    async def end_others(self, credential: Credential | None) -> None:
        """See `Carrier.end_others`: a process was given none."""

    async def end_idle(self, spared: Owner) -> None:
        """See `Carrier.end_idle`."""
        oldest = self._clock() - IDLE
        idle = [each for each in self._served.values() if each.last_use < oldest and not each.busy]
        await asyncio.gather(*(self.end(each.owner) for each in idle if each.owner != spared))

    async def aclose(self) -> None:
        """See `Carrier.aclose`: returns when no process is left, and none is started any more."""
        self._is_closed = True
        await self._opening.aclose()
        await self._starting.aclose()
        await asyncio.gather(*(self.end(owner) for owner in list(self._served)), *self._farewells)

    # The three kinds of requests

    async def _discover(self, call: Call) -> Reply:
        served = await self._process(call.owner)
        if served.opened is not None:
            raise NotModern(self.name, f"{self.name} has been opened as one of the legacy era.")
        try:
            params = partial(_modern_params, call)
            return await served.link.ask(DISCOVER, params, wait=self._discovery, cancellable=False)
        except (TimedOut, Unreachable) as error:
            # Old servers may say nothing to what they do not know, or even end (stdio, "Backward Compatibility").
            raise NotModern(self.name, f"{self.name} did not answer server/discover.") from error

    async def _modern(self, call: Call) -> Reply:
        return await self._ask(await self._process(call.owner), call, partial(_modern_params, call))

    async def _legacy(self, call: Call) -> Reply:
        served = await self._session(call.owner, call.client)
        await self._set_level(served, call)
        return await self._ask(served, call, partial(request_params, call))

    async def _ask(self, served: _Served, call: Call, params: Callable[[int], tuple[Fields, Raw | None]]) -> Reply:
        served.busy += 1
        try:
            wait = self._limits.first_byte if call.wait is None else call.wait
            reply = await served.link.ask(call.method, params, call=call, wait=wait)
            if "task" in call.params or (call.method == "tools/call" and reply.traits.links):
                served.held = max(served.held, self._clock() + task_seconds(reply))
            return reply
        finally:
            served.busy -= 1
            served.used = self._clock()

    async def _set_level(self, served: _Served, call: Call) -> None:
        if level_to_set(call, served.log_level) is None or not can_log(served.opened or {}):
            return
        async with served.levelling:
            level = level_to_set(call, served.log_level)
            if level is not None:
                params: Fields = {"level": Raw(encode(level))}
                await served.link.ask("logging/setLevel", lambda _: (params, None), wait=self._limits.first_byte)
                served.log_level = level

    # Processes

    async def _session(self, owner: Owner, client: Client) -> _Served:
        served = await self._process(owner)
        if served.opened is None:
            served = await self._opening.run(owner, lambda: self._open(served, client))
        return served

    async def _open(self, served: _Served, client: Client) -> _Served:
        link = served.link
        try:
            params = opening_params(client)
            reply = await link.ask("initialize", lambda _: (params, None), wait=START, cancellable=False)
            served.opened = introduced(self.name, reply)
        except UpstreamError:
            await self._end(served)
            raise
        link.may_ask = may_ask(client)
        link.tell(notification("notifications/initialized"))
        return served

    async def _process(self, owner: Owner) -> _Served:
        served = self._served.get(owner)
        if served is None or served.link.is_over:
            served = await self._starting.run(owner, lambda: self._start(owner))
        served.used = self._clock()
        return served

    async def _start(self, owner: Owner) -> _Served:
        self._require_patience(owner)
        turn = await self._starts.take()
        self._begun += 1  # counted from now on: those that start together are as many as others
        try:
            return await self._started(owner, turn)
        except BaseException:
            turn.end()
            raise
        finally:
            self._begun -= 1

    async def _started(self, owner: Owner, turn: Starting) -> _Served:
        await self._make_room()
        if self._is_closed:
            raise Unreachable(self.name, f"{self.name} is not started any more: the hub is ending.")
        before = self._served.get(owner)
        if before is not None:
            self._bid_farewell(before.link.ended())
        child = await start(self.name, self._command, self._limits.result + self._limits.event)
        served: _Served
        link = Link(
            child,
            self._limits,
            heard=partial(self._announced, owner),
            over=lambda _, asked: self._ended(served, child, asked=asked),
            awake=turn.end,
        )
        now = self._clock()
        self._served[owner] = served = _Served(owner, link, now, now)
        return served

    def _require_patience(self, owner: Owner) -> None:
        now, restarts = self._clock(), self._restarts.get(owner)
        if restarts is not None and now < restarts.not_before:
            times, seconds = restarts.short, max(1, round(restarts.not_before - now))
            ended = f"The process of {self.name} has ended {times} times soon after it was started."
            raise Lost(self.name, f"{ended} The hub starts it again in {seconds} s at the earliest.")

    def _announced(self, owner: Owner, message: Message) -> None:
        served = self._served.get(owner)
        if served is not None and served.announced(message):
            return
        # What an owner's process announces of its resources is about that process, and nobody has subscribed there.
        if message.method in CHANGES and self._ear is not None:
            self._ear.overheard(message)

    def _ended(self, served: _Served, child: Child, *, asked: bool) -> None:
        now = self._clock()
        # Counted for each owner: one who keeps crashing his process takes nobody else's away.
        self._restarts[served.owner] = self._restarts.get(served.owner, Restarts()).ended(now - served.started, now)
        if self._served.get(served.owner) is served:
            del self._served[served.owner]
        self._bid_farewell(served.link.end())
        error = child.farewell()
        log.warning("%s It said: %s", error.public, child.last_words or "nothing")
        served.close()
        if served.owner == CATALOG_OWNER and not asked and self._ear is not None:
            self._ear.lost(error)

    def _bid_farewell(self, end: Coroutine[None, None, None]) -> asyncio.Task[None]:
        farewell = asyncio.ensure_future(end)
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)
        return farewell

    async def _end(self, served: _Served) -> None:
        if self._served.get(served.owner) is served:
            del self._served[served.owner]
        served.close()
        # By a task of its own: whoever waits for it may be cancelled, and `aclose` waits for all of them.
        await asyncio.shield(self._bid_farewell(served.link.end()))

    async def _make_room(self) -> None:
        surplus = len(self._served) + self._begun - self._most
        idle = sorted((each for each in self._served.values() if not each.busy), key=lambda each: each.last_use)
        spare = [each for each in idle if each.owner != CATALOG_OWNER]
        if surplus > len(spare):
            raise Busy(self.name, f"All {self._most} processes of {self.name} are in use. Try again in a moment.")
        await asyncio.gather(*(self._end(each) for each in spare[: max(0, surplus)]))


def _modern_params(call: Call, number: int) -> tuple[Fields, Raw | None]:
    """The request's params, and the progress token they replace by `number`, which is unique in the process."""
    meta = envelope(call)
    token = meta.get(PROGRESS_TOKEN)
    if token is not None:
        meta = {**meta, PROGRESS_TOKEN: Raw(b"%d" % number)}
    return {**call.params, "_meta": Raw(encode(meta))}, token


def _subscription(message: Message) -> int | None:
    """The request that asked to be told this; `None` if it does not say, as legacy ones do not."""
    try:
        meta = fields(message.params).get("_meta")
        number = value(fields(meta).get(META_SUBSCRIPTION, Raw(b"null"))) if meta else None
    except Malformed:
        return None
    return number if isinstance(number, int) else None
