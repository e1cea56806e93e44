"""The legacy era: `initialize` opens a session, and everything after it names that session.

Rule: nothing but `initialize` is served without the caller's own session. Requests that arrive before
`notifications/initialized` are served, since many clients race it.
Source: MCP 2025-11-25 basic/transports, basic/lifecycle, basic/utilities; 2025-03-26 basic/transports for batches.

| request                                             | answer                              |
|-----------------------------------------------------|-------------------------------------|
| `initialize` without a session id                   | a new session                       |
| `initialize` in the caller's session                | 400: it is open already             |
| no session id, other than `initialize`              | 400; GET and DELETE 405             |
| an id that is unknown, over, or somebody else's     | 404                                 |
| `MCP-Protocol-Version` absent, or another handshake | served as the session's own         |
|   revision than the session's                       | revision, which was negotiated      |
| a batch in a session of 2025-03-26                  | one array of answers                |
| a batch elsewhere                                   | 400                                 |
"""

from functools import partial
from typing import Final

from msgspec import Raw

from mcp_hub.errors import BadRequest
from mcp_hub.gateway.ask import Ask, Description, Gateway
from mcp_hub.gateway.listener import Listener
from mcp_hub.gateway.notices import Notices, NoticesOf
from mcp_hub.inbound.exchange import Exchange
from mcp_hub.inbound.flight import Ended
from mcp_hub.inbound.head import SESSION, VERSION, Head
from mcp_hub.inbound.incoming import Incoming
from mcp_hub.inbound.notices import subscribe
from mcp_hub.inbound.outcome import Empty, Outcome, Refused
from mcp_hub.inbound.outlet import Outlet
from mcp_hub.inbound.sessions import Event, Session, Sessions, Stop
from mcp_hub.inbound.streams import Streams, listener_of
from mcp_hub.principal import Principal
from mcp_hub.wire.eras import LEGACY_REVISIONS, Client, Era, negotiate
from mcp_hub.wire.jsonrpc import INVALID_REQUEST, Fields, Reply, encode, text, value

LEVELS: Final = frozenset({"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"})
SUBSCRIBE: Final = "resources/subscribe"
SUBSCRIBING: Final = frozenset({SUBSCRIBE, "resources/unsubscribe"})

MOST_SAID: Final = 16 * 1024
"""Bytes of what a client says of itself, each of its capabilities and its info: a session keeps both while it lasts."""

STRANGER: Final = Client(Era.LEGACY, LEGACY_REVISIONS[0], Raw(b"{}"))
"""Who the client of a session is until its `initialize` says so."""

_EMPTY: Final = b"{}"
_BRACE: Final = ord("{")


class Legacy:
    """Serves sessions. What is kept of one is in `sessions`; this holds nothing itself."""

    def __init__(self, gateway: Gateway, sessions: Sessions, notices_of: NoticesOf) -> None:
        self._gateway = gateway
        self._notices_of = notices_of
        self._sessions = sessions
        self._streams = Streams(gateway, notices_of)

    async def session(self, head: Head, caller: Principal) -> Session:
        """The caller's session that the request names.

        Raises:
            Refused: it names none (400), more than one (400), or one that is not the caller's (404).
        """
        if head.repeated and head.repeated & {SESSION, VERSION}:
            raise Refused(INVALID_REQUEST, "Mcp-Session-Id and MCP-Protocol-Version may stand only once", status=400)
        named = head.text(SESSION)
        if named is None:
            message = "Mcp-Session-Id is missing; send initialize first, then its session id with every request"
            raise Refused(INVALID_REQUEST, message, status=400)
        session = await self._sessions.find(named, caller)
        if session is None or not session.lasts:  # one that is a stream of its own is spoken to beside that stream
            raise Refused(INVALID_REQUEST, "No such session; begin a new one with initialize", status=404)
        return session

    async def initialize(self, exchange: Exchange, head: Head, caller: Principal, incoming: Incoming) -> Outcome:
        """Open a session; its id is in the response's `Mcp-Session-Id`.

        Raises:
            Refused: the request names a session already.
            HubError: the parameters are not those of `initialize`, or there are too many sessions.
        """
        if head.raw(SESSION) is not None:
            await self.session(head, caller)
            raise Refused(INVALID_REQUEST, "This session is open already; initialize goes without its id", status=400)
        client = client_of(incoming.params)
        # The session id travels in a header, so this answer waits rather than becoming a stream beforehand.
        exchange.accepts = exchange.accepts._replace(events=False)
        hub = await self._gateway.describe(caller, client.revision)
        session = await self._sessions.open(caller, client)
        exchange.headers = ((SESSION, session.id.encode("ascii")),)
        return introduction(client, hub)

    async def introduce(self, session: Session, caller: Principal, incoming: Incoming) -> Outcome:
        """Serve the `initialize` of a session that was opened before its client had said who it is.

        Raises:
            Refused: it has said so already.
            HubError: the parameters are not those of `initialize`.
        """
        client = client_of(incoming.params)
        hub = await self._gateway.describe(caller, client.revision)
        if session.client is not STRANGER:
            raise Refused(INVALID_REQUEST, "This session is open already; initialize comes once", status=400)
        session.client = client
        return introduction(client, hub)

    async def post(
        self, outlet: Outlet, session: Session, caller: Principal, incoming: Incoming, stop: Stop
    ) -> Outcome:
        """Serve one message of a session; what comes before its answer goes to `outlet`, and `stop` ends it early.

        Raises:
            HubError: as the road sorts it.
        """
        if incoming.message.is_response:
            session.questions.answered(incoming.message)
            return Empty(202)
        if not incoming.message.is_request:
            _told(session, incoming.message.method, incoming.params)
            return Empty(202)
        key = key_of(incoming.message.id)
        session.running[key] = stop
        try:
            return await self._answer(outlet, session, caller, incoming)
        finally:
            if session.running.get(key) == stop:
                del session.running[key]

    async def listen(self, exchange: Exchange, session: Session, caller: Principal, head: Head) -> Outcome:
        """Serve a GET; see `Streams.get`."""
        return await self._streams.get(exchange, session, caller, head)

    async def delete(self, session: Session) -> Outcome:
        """End the session at its client's wish."""
        await self._sessions.end(session, Event.DELETED)
        return Empty(204)

    async def _answer(self, outlet: Outlet, session: Session, caller: Principal, incoming: Incoming) -> Reply:
        method, params, meta = incoming.message.method or "", incoming.params, incoming.meta
        if method == "ping":
            return Reply(result=_EMPTY)
        if method == "logging/setLevel":
            await self._set_level(session, level_of(params))
            return Reply(result=_EMPTY)
        if method in SUBSCRIBING:
            return await self._subscription(session, caller, method, params)
        if meta is None and "_meta" in params:
            raise BadRequest("params._meta must be an object")
        ask_client = partial(session.questions.ask, outlet.say) if outlet.takes_messages else None
        ask = Ask(
            caller,
            session.client,
            method,
            params,
            meta or {},
            outlet.emit,
            session.id,
            ask_client,
            pause=outlet.pause,
            listener=session.listener,
        )
        return await self._gateway.answer(ask)

    async def _set_level(self, session: Session, level: str) -> None:
        await self._gateway.set_log_level(session.id, level)
        if level != session.level:
            session.level = level
            await self._sessions.keep(session)

    async def _subscription(self, session: Session, caller: Principal, method: str, params: Fields) -> Reply:
        notices = self._notices_of(caller)
        reply = await subscription(notices, listener_of(notices, session), method, params)
        uri = text(params["uri"]) or ""
        without = tuple(each for each in session.resources if each != uri)
        resources = (*without, uri) if method == SUBSCRIBE else without
        if len(resources) != len(session.resources):
            session.resources = resources
            await self._sessions.keep(session)
        return reply

    def listener(self, session: Session, caller: Principal) -> Listener:
        """Who hears the notices for a session of this caller's, from now on if nobody did.

        Raises:
            Refused: the session is over (404).
            Forbidden: there are too many listeners.
        """
        return listener_of(self._notices_of(caller), session)

    async def recover(self, session: Session, caller: Principal, listener: Listener) -> None:
        """Have the listener told what it may have missed, and subscribed to what the session was subscribed to."""
        await self._streams.recover(session, caller, listener)


async def subscription(notices: Notices, listener: Listener, method: str, params: Fields) -> Reply:
    """Serve one of `SUBSCRIBING`.

    Raises:
        BadRequest: it names no resource.
        UnknownMethod: nobody tells of changes to this resource.
    """
    uri = text(params.get("uri"))
    if uri is None:
        raise BadRequest(f"{method} needs a string 'uri'.")
    if method == SUBSCRIBE:
        await subscribe(notices, listener, uri)
    else:
        notices.unsubscribe(listener, uri)
    return Reply(result=_EMPTY)


def _told(session: Session, method: str | None, params: Fields) -> None:
    # Every notification that means nothing to the hub is dropped.
    if method == "notifications/initialized":
        session.happen(Event.INITIALIZED)
    elif method == "notifications/cancelled" and "requestId" in params:
        stop = session.running.get(key_of(params["requestId"]))
        if stop is not None:
            stop(Ended.CANCELLED)


def key_of(number: Raw) -> object:
    """What stands for a request's id where ids are looked up."""
    key = value(number)
    return key if isinstance(key, str | int | float) else None


def introduction(client: Client, hub: Description) -> Reply:
    """The answer to `initialize`."""
    result = {"protocolVersion": client.revision, "capabilities": hub.capabilities, "serverInfo": hub.server_info}
    return Reply(result=encode(result | {"instructions": hub.instructions} if hub.instructions else result))


def client_of(params: Fields) -> Client:
    """What a client says of itself by `initialize`.

    Raises:
        BadRequest: it does not say what it has to.
    """
    if "protocolVersion" not in params or (offered := text(params["protocolVersion"])) is None:
        raise BadRequest("initialize needs protocolVersion, a string")
    info = _object(params, "clientInfo")
    return Client(Era.LEGACY, negotiate(offered), _object(params, "capabilities") or Raw(_EMPTY), info)


def _object(params: Fields, name: str) -> Raw | None:
    raw = params.get(name)
    if raw is None:
        return None
    if memoryview(raw)[0] != _BRACE:
        raise BadRequest(f"{name} of initialize must be an object")
    if len(raw) > MOST_SAID:
        raise BadRequest(f"{name} of initialize may have {MOST_SAID} bytes")
    # A session outlives its first request: kept as a slice, it would keep that request's whole body alive.
    return raw.copy()


def level_of(params: Fields) -> str:
    """The level that `logging/setLevel` names.

    Raises:
        BadRequest: it is none.
    """
    level = text(params.get("level"))
    if level not in LEVELS:
        raise BadRequest(f"level must be one of {', '.join(sorted(LEVELS))}")
    return level
