"""Requests to an upstream of the legacy era: inside sessions that are opened when first needed.

Rule: a session belongs to one owner. It is never shared, so state an upstream keeps in it reaches nobody else.
Source: MCP 2025-11-25, basic/lifecycle and basic/transports.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Final, final

from msgspec import Raw

from mcp_hub.credentials.credential import Credential
from mcp_hub.egress.request import HeaderLines, header_lines
from mcp_hub.errors import BrokeProtocol, UpstreamError
from mcp_hub.upstream.answer import SessionGone, decoded, read_answer
from mcp_hub.upstream.call import Call, Owner, nowhere
from mcp_hub.upstream.channel import NO_LINES, Channel
from mcp_hub.upstream.single_flight import SingleFlight
from mcp_hub.wire.eras import (
    LATEST_LEGACY,
    LEGACY_REVISIONS,
    META_CLIENT_CAPABILITIES,
    META_CLIENT_INFO,
    META_LOG_LEVEL,
    META_VERSION,
    Client,
    Era,
)
from mcp_hub.wire.jsonrpc import (
    METHOD_NOT_FOUND,
    Fields,
    Json,
    Message,
    Reply,
    encode,
    error_object,
    error_response,
    fields,
    notification,
    request,
    result_parts,
    text,
)

IDLE: Final = 300.0
"""Seconds without a request until a session is closed."""
MOST: Final = 500
"""Sessions kept per upstream; the one longest unused makes room."""
_MODERN_META: Final = frozenset({META_VERSION, META_CLIENT_INFO, META_CLIENT_CAPABILITIES, META_LOG_LEVEL})
_PROGRESS_TOKEN: Final = "progressToken"  # noqa: S105
_PROGRESS: Final = "notifications/progress"


@dataclass(slots=True)
class Session:
    """One session at the upstream. `lines` are the header lines that every request in it carries."""

    owner: Owner
    lines: HeaderLines
    opened: Json
    credential: Credential
    used: float
    log_level: str | None = None

    @property
    def can_log(self) -> bool:
        """Whether the upstream said that it takes `logging/setLevel`."""
        capabilities = self.opened.get("capabilities")
        return isinstance(capabilities, dict) and "logging" in capabilities


@final
class LegacyWire:
    """Sends legacy requests over one channel, opening, reopening and closing sessions as needed."""

    def __init__(self, channel: Channel, clock: Callable[[], float] = time.monotonic) -> None:
        self._channel = channel
        self._clock = clock
        self._numbers = count(1)
        self._sessions: dict[Owner, Session] = {}
        self._opening = SingleFlight[Owner, Session]()

    async def send(self, call: Call, credential: Credential) -> Reply:
        """Send one request in the owner's session and read its answer.

        A session that the upstream no longer knows is opened anew, once: 404 proves that the request did not run.

        Raises:
            UpstreamError: as `read_answer` and `Channel.post` say.
        """
        session = await self.session(call.owner, call.client, credential)
        try:
            return await self._send_in(session, call)
        except SessionGone:
            self._drop(session)
            return await self._send_in(await self.session(call.owner, call.client, credential), call)

    async def session(self, owner: Owner, client: Client, credential: Credential) -> Session:
        """The owner's session, opened if there is none; one opening at a time."""
        session = self._sessions.get(owner)
        if session is None:
            session = await self._opening.run(owner, lambda: self._open(owner, client, credential))
        session.used = self._clock()
        return session

    async def end(self, owner: Owner) -> None:
        """Close the owner's session, telling the upstream; trouble on the way is of no interest."""
        session = self._sessions.pop(owner, None)
        if session is not None:
            await self._delete(session)

    async def end_idle(self, spared: Owner) -> None:
        """Close the sessions that nobody used for `IDLE` seconds, except the one of `spared`."""
        oldest = self._clock() - IDLE
        idle = [each.owner for each in self._sessions.values() if each.used < oldest and each.owner != spared]
        for owner in idle:
            await self.end(owner)

    async def aclose(self) -> None:
        """Close every session."""
        await self._opening.aclose()
        await asyncio.gather(*(self.end(owner) for owner in list(self._sessions)))

    async def _open(self, owner: Owner, client: Client, credential: Credential) -> Session:
        number = next(self._numbers)
        body = request(number, "initialize", _opening_params(client))
        response = await self._channel.post(
            body, NO_LINES, credential, wait=self._channel.limits.listing, repeatable=True
        )
        session_id = response.headers.get(b"mcp-session-id")
        reply = await read_answer(self._channel.name, response, number, self._channel.limits, _ignore)
        opened = self._opened(reply)
        revision = str(opened["protocolVersion"])
        lines = self._lines(revision, session_id)
        session = Session(owner, lines, opened, credential, self._clock())
        await self._tell(session, notification("notifications/initialized"))
        self._make_room()
        self._sessions[owner] = session
        return session

    def _lines(self, revision: str, session_id: bytes | None) -> HeaderLines:
        given = [] if session_id is None else [(b"mcp-session-id", session_id)]
        try:
            return header_lines([(b"mcp-protocol-version", revision.encode("ascii")), *given])
        except ValueError as error:
            name = self._channel.name
            raise BrokeProtocol(name, f"{name} gave a session id that no header can carry.") from error

    def _opened(self, reply: Reply) -> Json:
        name = self._channel.name
        if reply.result is None:
            raise BrokeProtocol(name, f"{name} refused to open a session.")
        opened = decoded(name, reply.result)
        if opened.get("protocolVersion") not in LEGACY_REVISIONS:
            raise BrokeProtocol(name, f"{name} speaks no revision of the protocol that the hub knows.")
        return opened

    async def _send_in(self, session: Session, call: Call) -> Reply:
        await self._set_level(session, call)
        number = next(self._numbers)
        params, token = _params(call, number)
        body = request(number, call.method, params)
        response = await self._channel.post(
            body, session.lines, session.credential, wait=call.wait, repeatable=call.repeatable
        )

        async def on_message(message: Message, data: bytes) -> None:
            if message.is_request:
                await self._refuse(session, message)
            elif message.method != "notifications/message" or _wants_logs(call):
                await call.emit(_restored(message, data, token))

        return await read_answer(self._channel.name, response, number, self._channel.limits, on_message)

    async def _set_level(self, session: Session, call: Call) -> None:
        level = call.log_level or text(call.meta.get(META_LOG_LEVEL))
        if level is None or level == session.log_level or not session.can_log:
            return
        session.log_level = level
        number = next(self._numbers)
        body = request(number, "logging/setLevel", {"level": level})
        response = await self._channel.post(body, session.lines, session.credential, repeatable=True)
        await read_answer(self._channel.name, response, number, self._channel.limits, _ignore)

    async def _refuse(self, session: Session, asked: Message) -> None:
        if asked.method == "ping":
            answer = b"".join(result_parts(asked.id, b"{}"))
        else:
            message = "The client behind this hub cannot be asked from here"
            answer = error_response(asked.id, error_object(METHOD_NOT_FOUND, message))
        await self._tell(session, answer)

    async def _tell(self, session: Session, body: bytes) -> None:
        response = await self._channel.post(body, session.lines, session.credential, repeatable=True)
        response.close()

    async def _delete(self, session: Session) -> None:
        if b"mcp-session-id" not in session.lines:
            return
        try:
            response = await self._channel.delete(session.lines, session.credential)
            response.close()
        except UpstreamError:
            return  # it will end it by itself

    def _make_room(self) -> None:
        while len(self._sessions) >= MOST:
            self._drop(min(self._sessions.values(), key=lambda session: session.used))

    def _drop(self, session: Session) -> None:
        if self._sessions.get(session.owner) is session:
            del self._sessions[session.owner]


def _opening_params(client: Client) -> Fields:
    revision = client.revision if client.era is Era.LEGACY else LATEST_LEGACY
    return {
        "protocolVersion": Raw(encode(revision)),
        # What the hub cannot carry back to its client yet is not offered to the upstream.
        "capabilities": Raw(b"{}"),
        "clientInfo": client.info or Raw(b'{"name":"mcp_hub","version":"0"}'),
    }


def _params(call: Call, number: int) -> tuple[Fields, Raw | None]:
    """The request's params, and the progress token they replace by `number`, which is unique in the session."""
    meta = {key: raw for key, raw in call.meta.items() if key not in _MODERN_META}
    token = meta.get(_PROGRESS_TOKEN)
    if token is not None:
        meta[_PROGRESS_TOKEN] = Raw(b"%d" % number)
    return ({**call.params, "_meta": Raw(encode(meta))} if meta else call.params), token


def _restored(message: Message, data: bytes, token: Raw | None) -> bytes:
    if message.method != _PROGRESS or token is None:
        return data
    return notification(_PROGRESS, {**fields(message.params), _PROGRESS_TOKEN: token})


def _wants_logs(call: Call) -> bool:
    # 2026-07-28, server/utilities/logging: nothing is logged to a request that names no level.
    return call.client.era is Era.LEGACY or META_LOG_LEVEL in call.meta


async def _ignore(message: Message, data: bytes) -> None:
    del message
    await nowhere(data)
