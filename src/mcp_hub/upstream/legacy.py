"""Requests to an upstream of the legacy era: inside sessions that are opened when first needed.

Rule: a session belongs to one owner. It is never shared, so state an upstream keeps in it reaches nobody else.
Source: MCP 2025-11-25, basic/lifecycle and basic/transports.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Final, final

from msgspec import Raw

from mcp_hub.credentials.credential import Credential, same
from mcp_hub.egress.request import HeaderLines, header_lines
from mcp_hub.egress.response import Response
from mcp_hub.errors import BrokeProtocol, RefusedCredential, UpstreamError
from mcp_hub.single_flight import SingleFlight
from mcp_hub.upstream.answer import OnMessage, SessionGone, read_answer
from mcp_hub.upstream.beside import Beside, Room
from mcp_hub.upstream.call import (
    NOTICES,
    PROGRESS,
    PROGRESS_TOKEN,
    Call,
    Owner,
    Pause,
    is_progress_of,
    task_seconds,
)
from mcp_hub.upstream.carrier import RefusedOpening
from mcp_hub.upstream.channel import NO_LINES, Channel
from mcp_hub.upstream.dialect import (
    CANNOT_ASK,
    asked_of,
    can_log,
    ignore,
    introduced,
    level_to_set,
    may_ask,
    opening_params,
    request_params,
    restored,
    wants_log,
)
from mcp_hub.upstream.resume import resumed
from mcp_hub.upstream.under_way import UnderWay
from mcp_hub.wire.eras import (
    Client,
)
from mcp_hub.wire.jsonrpc import (
    Json,
    Message,
    Reply,
    fields,
    notification,
    request,
    response,
)

IDLE: Final = 300.0
"""Seconds without a request until a session is closed."""
MOST_TOKENS: Final = 64
"""Tasks of one session whose progress is passed on."""
MOST: Final = 500
"""Sessions kept per upstream; the one longest unused makes room, unless all are in use."""
LONGEST: Final = 86_400.0
"""Seconds for an answer on the connection, where it is not the connection that keeps the time."""
_GONE: Final = 404
_LONGEST_DENIAL: Final = 1024
"""Bytes in which a server has said that it does not know a session, if that is what it says."""


@dataclass(slots=True)
class Session:
    """One session at the upstream. `lines` are the header lines that every request in it carries.

    `busy` counts the requests under way in it, `held` is the time until which a task in it may run. `credential` is the
    one its owner used last. `may_ask` are the methods by which the upstream may ask the client, because the client said
    that it answers them; where there are some, calls are made `beside` a stream on which it may do so too. `tokens` are
    the progress tokens of requests that have become tasks, by the number that the upstream was given instead.
    """

    owner: Owner
    lines: HeaderLines
    opened: Json
    credential: Credential
    used: float
    held: float = 0.0
    tokens: dict[bytes, Raw] = field(default_factory=dict[bytes, Raw])
    may_ask: frozenset[str] = frozenset()
    log_level: str | None = None
    levelling: asyncio.Lock = field(default_factory=asyncio.Lock)
    busy: int = 0
    beside: Beside | None = None

    def keep_for_task(self, number: bytes, token: Raw | None, now: float, seconds: float) -> None:
        """A request has become a task that may live so long, and may tell of its progress for all that time."""
        if seconds > 0:
            self.held = max(self.held, now + seconds)
            if token is not None:
                self.tokens[number] = token.copy()
            if len(self.tokens) > MOST_TOKENS:
                del self.tokens[next(iter(self.tokens))]

    @property
    def last_use(self) -> float:
        """When it was used last; a task in it counts until its end."""
        return max(self.used, self.held)

    @property
    def has_id(self) -> bool:
        """Whether the upstream tells this session from others; one without an id cannot be gone or ended."""
        return b"mcp-session-id" in self.lines

    @property
    def can_log(self) -> bool:
        """Whether the upstream said that it takes `logging/setLevel`."""
        return can_log(self.opened)


@final
class LegacyWire:
    """Sends legacy requests over one channel, opening, reopening and closing sessions as needed."""

    def __init__(
        self,
        channel: Channel,
        clock: Callable[[], float] = time.monotonic,
        most: int = MOST,
        heard: Callable[[Message], None] | None = None,
    ) -> None:
        """`heard` takes the notices of change that come on the stream of a call, though they are for everybody."""
        self._channel = channel
        self._heard = heard
        self._most = most
        self._clock = clock
        self._numbers = count(1)
        self._sessions: dict[Owner, Session] = {}
        self._opening = SingleFlight[Owner, Session]()
        self._farewells: set[asyncio.Task[None]] = set()
        self._room = Room()

    async def send(self, call: Call, credential: Credential) -> Reply:
        """Send one request in the owner's session and read its answer.

        A session that the upstream no longer knows is opened anew, once: 404 proves that the request did not run.

        Raises:
            UpstreamError: as `read_answer` and `Channel.post` say.
        """
        session = await self.session(call.owner, call.client, credential)
        try:
            return await self._send_in(session, call, credential)
        except SessionGone:
            self._drop(session)
            return await self._send_in(await self.session(call.owner, call.client, credential), call, credential)

    async def session(self, owner: Owner, client: Client, credential: Credential) -> Session:
        """The owner's session, opened if there is none; one opening at a time."""
        session = self._sessions.get(owner)
        if session is None:
            session = await self._opening.run(owner, lambda: self._open(owner, client, credential))
        session.used = self._clock()
        session.credential = credential
        return session

    async def answer(self, session: Session, asked: Message, call: Call | None = None) -> None:
        """Answer a request of the upstream's, asking the client behind `call` where it is for that client to say.

        Every request is answered one way or another, so that no upstream waits for a client that cannot be asked.
        """
        if asked.method == "ping":
            reply = Reply(result=b"{}")
        elif call is not None and call.ask_client is not None and asked.method in session.may_ask:
            reply = await asked_of(call.ask_client, asked)
        else:
            reply = Reply(error=CANNOT_ASK)
        await self._tell(session, response(asked.id, reply))

    async def _answer_in(self, session: Session, asked: Message, call: Call) -> None:
        try:
            await self.answer(session, asked, call)
        except UpstreamError as error:
            # Whatever became of the answer, the call had begun; its caller must not take it for one that had not.
            name = self._channel.name
            sentence = f"{name} could not be given the answer to its question. The call may have had effects."
            raise type(error)(name, sentence) from error

    async def end(self, owner: Owner) -> None:
        """Close the owner's session, telling the upstream; trouble on the way is of no interest."""
        session = self._sessions.pop(owner, None)
        if session is not None:
            if session.beside is not None:
                await session.beside.end()
            await self._delete(session)

    async def end_others(self, credential: Credential | None) -> None:
        """Close every session but those in which this very credential was used last."""
        others = [owner for owner, each in self._sessions.items() if not same(each.credential, credential)]
        await asyncio.gather(*(self.end(owner) for owner in others))

    async def end_idle(self, spared: Owner) -> None:
        """Close the sessions that nobody used for `IDLE` seconds, except the one of `spared`."""
        oldest = self._clock() - IDLE
        idle = [each for each in self._sessions.values() if each.last_use < oldest and not each.busy]
        await asyncio.gather(*(self.end(each.owner) for each in idle if each.owner != spared))

    async def aclose(self) -> None:
        """Close every session."""
        await self._opening.aclose()
        await asyncio.gather(*self._farewells)
        await self.end_others(None)

    async def _open(self, owner: Owner, client: Client, credential: Credential) -> Session:
        try:
            return await self._opened(owner, client, credential)
        except RefusedCredential as refusal:
            raise RefusedOpening(refusal, credential) from refusal

    async def _opened(self, owner: Owner, client: Client, credential: Credential) -> Session:
        number = next(self._numbers)
        body = request(number, "initialize", opening_params(client))
        response = await self._channel.post(
            body, NO_LINES, credential, wait=self._channel.limits.listing, repeatable=True
        )
        session_id = response.headers.get(b"mcp-session-id")
        reply = await read_answer(self._channel.name, response, number, self._channel.limits, ignore)
        opened = introduced(self._channel.name, reply)
        revision = str(opened["protocolVersion"])
        lines = self._lines(revision, session_id)
        session = Session(owner, lines, opened, credential, self._clock(), may_ask=may_ask(client))
        if session.may_ask:
            tell = partial(self._tell_quietly, session)
            session.beside = Beside(
                self._channel, session, self._room, numbers=self._numbers, tell=tell, heard=self._heard
            )
        await self._tell(session, notification("notifications/initialized"))
        await self._make_room()
        self._sessions[owner] = session
        return session

    def _lines(self, revision: str, session_id: bytes | None) -> HeaderLines:
        given = [] if session_id is None else [(b"mcp-session-id", session_id)]
        try:
            return header_lines([(b"mcp-protocol-version", revision.encode("ascii")), *given])
        except ValueError as error:
            name = self._channel.name
            raise BrokeProtocol(name, f"{name} gave a session id that no header can carry.") from error

    async def _send_in(self, session: Session, call: Call, credential: Credential) -> Reply:
        session.busy += 1
        try:
            await self._set_level(session, call, credential)
            if session.beside is None:
                return await self._exchange(session, call, credential, next(self._numbers), None)
            wait = self._channel.limits.first_byte if call.wait is None else call.wait
            async with session.beside.calling(call, wait) as under_way:
                return await self._exchange(session, call, credential, under_way.number, under_way)
        finally:
            session.busy -= 1
            session.used = self._clock()

    async def _exchange(
        self, session: Session, call: Call, credential: Credential, number: int, under_way: UnderWay | None
    ) -> Reply:
        params, token = request_params(call, number)
        on_message, wait = self._listening(session, call, number, token), call.wait
        if under_way is not None:
            under_way.token = token
            on_message, wait = under_way.timed(on_message), LONGEST  # it keeps the time, also of what comes beside
        body = request(number, call.method, params)
        try:
            reply = await self._ask(
                session, credential, number, body, on_message, wait=wait, repeatable=call.repeatable, pause=call.pause
            )
        except asyncio.CancelledError:
            self._cancel(session, number)
            raise
        if "task" in call.params:
            session.keep_for_task(b"%d" % number, token, self._clock(), task_seconds(reply))
        return reply

    def _listening(self, session: Session, call: Call, number: int, token: Raw | None) -> OnMessage:
        """What is done with the messages on the call's own stream."""

        async def on_message(message: Message, data: bytes) -> None:
            if message.is_request:
                await self._answer_in(session, message, call)
            elif message.method == PROGRESS:
                # On a stream of its own, and yet possibly about another request: that one's caller is not told here,
                # unless that request has become a task, which may tell of itself on any stream of the session.
                mine = is_progress_of(message, Raw(b"%d" % number))
                its = token if mine else session.tokens.get(bytes(fields(message.params).get(PROGRESS_TOKEN, b"")))
                if its is not None:
                    await call.emit(restored(message, its))
            elif message.method in NOTICES:
                if self._heard is not None:
                    self._heard(message)
            elif message.method != "notifications/message" or wants_log(call, message):
                await call.emit(data)

        return on_message

    async def _ask(
        self,
        session: Session,
        credential: Credential,
        number: int,
        body: bytes,
        on_message: OnMessage,
        *,
        wait: float | None = None,
        repeatable: bool = True,
        pause: Pause | None = None,
    ) -> Reply:
        async def resume(last_id: str, retry: int | None) -> Response:
            if retry is not None and pause is not None:
                await pause(retry)  # closed on purpose: who waits for this answer need not hold a stream either
            return await resumed(self._channel, session.lines, session.credential, last_id, retry)

        def refused(said: bytes) -> None:
            # So do servers answer that have forgotten the session but do not say it with 404. It may mean something
            # else, so nothing is repeated; but the next request begins a new one.
            if _denies_session(said):
                self._drop(session)

        name = self._channel.name
        # This very one, whatever others have sent in this session since: it is the one that is told to be refused.
        response = await self._channel.post(body, session.lines, credential, wait=wait, repeatable=repeatable)
        if response.status == _GONE and session.has_id:
            response.close()  # whatever its body says (basic/transports, "Session Management")
            raise SessionGone(name, f"{name} does not know its own session any more (HTTP 404).")
        limits = self._channel.limits if wait is None else replace(self._channel.limits, first_byte=wait)
        return await read_answer(name, response, number, limits, on_message, resume=resume, refused=refused)

    async def _set_level(self, session: Session, call: Call, credential: Credential) -> None:
        if not session.can_log or level_to_set(call, session.log_level) is None:
            return
        async with session.levelling:
            level = level_to_set(call, session.log_level)
            if level is not None:
                number = next(self._numbers)
                body = request(number, "logging/setLevel", {"level": level})
                await self._ask(session, credential, number, body, ignore)
                session.log_level = level

    def _cancel(self, session: Session, number: int) -> None:
        # 2025-11-25, basic/utilities/cancellation: hanging up is not cancelling. Told by a task of its own, since the
        # one that was doing this is being ended.
        told = notification("notifications/cancelled", {"requestId": number, "reason": "the caller gave up"})
        task = asyncio.ensure_future(self._tell_quietly(session, told))
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def _tell_quietly(self, session: Session, body: bytes) -> None:
        with suppress(UpstreamError):
            await self._tell(session, body)

    async def _tell(self, session: Session, body: bytes) -> None:
        response = await self._channel.post(body, session.lines, session.credential, repeatable=True)
        response.close()

    async def _delete(self, session: Session) -> None:
        if not session.has_id:
            return
        try:
            response = await self._channel.delete(session.lines, session.credential)
            response.close()
        except UpstreamError:
            return  # it will end it by itself

    async def _make_room(self) -> None:
        surplus = len(self._sessions) - self._most + 1
        idle = sorted((each for each in self._sessions.values() if not each.busy), key=lambda each: each.last_use)
        await asyncio.gather(*(self.end(each.owner) for each in idle[: max(0, surplus)]))

    def _drop(self, session: Session) -> None:
        if self._sessions.get(session.owner) is session:
            del self._sessions[session.owner]
        if session.beside is not None:
            session.beside.give_up()


def _denies_session(said: bytes) -> bool:
    """Whether the text of an HTTP 400 is that of a server which does not know the session.

    As the SDKs and their examples have it: "No valid session ID provided", "Server not initialized", "Invalid or
    missing session ID", "Session not found".
    """
    words = said[:_LONGEST_DENIAL].lower()
    return b"session" in words or b"not initialized" in words
