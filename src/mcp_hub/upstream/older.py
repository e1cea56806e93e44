"""Requests to an upstream of the transport of 2024-11-05: one stream per owner, opened when first needed.

Rule: a stream is one session. It is never shared, so state an upstream keeps in it reaches nobody else. What was under
way when a stream ends may have run, and is not sent again; only a request that was provably not taken is.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, final

from msgspec import Raw

from mcp_hub.credentials.credential import Credential, same
from mcp_hub.errors import Busy, RefusedCredential
from mcp_hub.single_flight import SingleFlight
from mcp_hub.upstream.call import CHANGES, Call, Owner, task_seconds
from mcp_hub.upstream.carrier import CATALOG_OWNER, Ear, Overheard, RefusedOpening
from mcp_hub.upstream.channel import Channel
from mcp_hub.upstream.dialect import can_log, introduced, level_to_set, may_ask, opening_params, request_params
from mcp_hub.upstream.event_line import BEAT, EventLine, open_line
from mcp_hub.upstream.legacy import IDLE
from mcp_hub.upstream.link import Link, LinkOver
from mcp_hub.upstream.mailbox import Mailbox
from mcp_hub.wire.eras import Client, Era
from mcp_hub.wire.jsonrpc import Fields, Json, Message, Reply, encode, notification

MOST: Final = 64
"""Sessions at one upstream. Each keeps a connection, and the messages of all need some of those that are left."""
MOST_APART: Final = 16
"""Sessions for calls of one modern client at once; further calls share one, and are not asked anything meanwhile."""

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Session:
    """One stream and whose it is. `held` is the time until which a task in it may run."""

    owner: Owner
    line: EventLine
    link: Link
    opened: Json
    used: float
    log_level: str | None = None
    levelling: asyncio.Lock = field(default_factory=asyncio.Lock)
    busy: int = 0
    held: float = 0.0
    box: Mailbox | None = None

    @property
    def last_use(self) -> float:
        """When it was used last; a task in it counts until its end."""
        return max(self.used, self.held)

    def close(self) -> None:
        """It announces no more."""
        if self.box is not None:
            self.box.close()


@final
class Streams:
    """Legacy requests over HTTP+SSE, in the sessions of their owners."""

    def __init__(
        self,
        channel: Channel,
        clock: Callable[[], float] = time.monotonic,
        ear: Ear | None = None,
        *,
        most: int = MOST,
        beat: float = BEAT,
    ) -> None:
        self._channel = channel
        self._clock = clock
        self._ear = ear
        self._most = most
        self._beat = beat
        self._sessions: dict[Owner, _Session] = {}
        self._opening = SingleFlight[Owner, _Session]()
        self._begun = 0
        self._apart_now: set[Owner] = set()
        self._farewells: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._sessions)

    async def send(self, call: Call, credential: Credential) -> Reply:
        """See `Carrier.send`. A request that was not taken since the session was over is sent in a new one, once."""
        with self._apart(call) as owner:
            try:
                return await self._send(owner, call, credential)
            except LinkOver:
                await self.end(owner)
                return await self._send(owner, call, credential)

    async def opened(self, owner: Owner, client: Client, credential: Credential) -> Json:
        """See `Carrier.opened`.

        Raises:
            NotThisTransport: it cannot be opened in this way.
        """
        return (await self._session(owner, client, credential)).opened

    @asynccontextmanager
    async def overhear(self, client: Client, credential: Credential) -> AsyncGenerator[Overheard]:
        """See `Carrier.overhear`."""
        session = await self._session(CATALOG_OWNER, client, credential)
        session.box = box = Mailbox(self._channel.name)
        if session.link.is_over:
            box.close()
        try:
            async with aclosing(box.told()) as told:
                yield Overheard(session, told)
        finally:
            session.box = None

    async def end(self, owner: Owner) -> None:
        """See `Carrier.end`: the stream's end is the session's."""
        session = self._sessions.pop(owner, None)
        if session is not None:
            session.close()
            await session.link.end()

    async def end_others(self, credential: Credential | None) -> None:
        """See `Carrier.end_others`."""
        others = [owner for owner, each in self._sessions.items() if not same(each.line.credential, credential)]
        await asyncio.gather(*(self.end(owner) for owner in others))

    async def end_idle(self, spared: Owner) -> None:
        """See `Carrier.end_idle`."""
        oldest = self._clock() - IDLE
        idle = [each for each in self._sessions.values() if each.last_use < oldest and not each.busy]
        await asyncio.gather(*(self.end(each.owner) for each in idle if each.owner != spared))

    async def aclose(self) -> None:
        """See `Carrier.aclose`."""
        await self._opening.aclose()
        await asyncio.gather(*(self.end(owner) for owner in list(self._sessions)), *self._farewells)

    @contextmanager
    def _apart(self, call: Call) -> Generator[Owner]:
        """Whose session the call goes in. A stream does not say which of several calls a question is about.

        To a legacy client that does not matter, since all of them are its own. A modern one is asked by the result of
        one call: each of its calls has a session to itself, as far as there may be so many.
        """
        if call.client.era is Era.LEGACY or call.ask_client is None:
            yield call.owner
            return
        several = (call.owner, *((*call.owner, str(number)) for number in range(1, MOST_APART)))
        owner = next((each for each in several if each not in self._apart_now), None)
        if owner is None:
            yield call.owner
            return
        self._apart_now.add(owner)
        try:
            yield owner
        finally:
            self._apart_now.discard(owner)

    async def _send(self, owner: Owner, call: Call, credential: Credential) -> Reply:
        session = await self._session(owner, call.client, credential)
        session.busy += 1
        try:
            wait = self._channel.limits.first_byte if call.wait is None else call.wait
            await self._set_level(session, call, wait)
            reply = await session.link.ask(call.method, partial(request_params, call), call=call, wait=wait)
            if "task" in call.params:
                session.held = max(session.held, self._clock() + task_seconds(reply))
            return reply
        finally:
            session.busy -= 1
            session.used = self._clock()

    async def _set_level(self, session: _Session, call: Call, wait: float) -> None:
        if level_to_set(call, session.log_level) is None or not can_log(session.opened):
            return
        async with session.levelling:
            level = level_to_set(call, session.log_level)
            if level is not None:
                params: Fields = {"level": Raw(encode(level))}
                await session.link.ask("logging/setLevel", lambda _: (params, None), wait=wait)
                session.log_level = level

    async def _session(self, owner: Owner, client: Client, credential: Credential) -> _Session:
        session = self._sessions.get(owner)
        if session is None or session.link.is_over:
            session = await self._opening.run(owner, lambda: self._open(owner, client, credential))
        session.used = self._clock()
        session.line.credential = credential
        return session

    async def _open(self, owner: Owner, client: Client, credential: Credential) -> _Session:
        self._begun += 1  # counted from now on: many that begin together must not take all connections either
        try:
            await self._make_room()
            return await self._connected(owner, client, credential)
        except RefusedCredential as refusal:
            raise RefusedOpening(refusal, credential) from refusal
        finally:
            self._begun -= 1

    async def _connected(self, owner: Owner, client: Client, credential: Credential) -> _Session:
        name, limits = self._channel.name, self._channel.limits
        line = await open_line(self._channel, credential, beat=self._beat)
        link = Link(line, limits, heard=partial(self._announced, owner), over=partial(self._ended, owner))
        try:
            params = opening_params(client)
            reply = await link.ask("initialize", lambda _: (params, None), wait=limits.listing, cancellable=False)
            opened = introduced(name, reply)
        except BaseException:
            await link.end()
            raise
        link.may_ask = may_ask(client)
        link.tell(notification("notifications/initialized"))
        self._sessions[owner] = session = _Session(owner, line, link, opened, self._clock())
        return session

    def _announced(self, owner: Owner, message: Message) -> None:
        session = self._sessions.get(owner)
        if session is not None and session.box is not None:
            session.box.put(message)
        # What an owner's session announces of its resources is about that session, and nobody has subscribed there.
        elif message.method in CHANGES and self._ear is not None:
            self._ear.overheard(message)

    def _ended(self, owner: Owner, link: Link, asked: bool) -> None:  # noqa: FBT001 - as `Link` calls it
        del asked
        session = self._sessions.get(owner)
        if session is not None and session.link is link:
            del self._sessions[owner]
            session.close()
        log.debug("%s has ended a stream", self._channel.name)
        farewell = asyncio.ensure_future(link.end())
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    async def _make_room(self) -> None:
        surplus = len(self._sessions) + self._begun - self._most
        if surplus <= 0:
            return
        idle = sorted((each for each in self._sessions.values() if not each.busy), key=lambda each: each.last_use)
        spare = [each for each in idle if each.owner != CATALOG_OWNER][:surplus]
        if len(spare) < surplus:
            name = self._channel.name
            raise Busy(name, f"{name} has {self._most} sessions with this hub, all in use. Try again later.")
        await asyncio.gather(*(self.end(each.owner) for each in spare))
