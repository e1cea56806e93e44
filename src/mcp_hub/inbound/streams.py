"""GET in a legacy session: a stream of notices, or the rest of a stream that broke off.

Rule: `Last-Event-ID` continues a stream of this session and nothing else. A client that comes for what is not kept any
more is told so at once, as the answer to its request, and is never left waiting on a stream of something else.
Source: MCP 2025-11-25 basic/transports "Listening for Messages from the Server", "Resumability and Redelivery".

| `Last-Event-ID`                                   | answer                                                |
|---------------------------------------------------|-------------------------------------------------------|
| none                                              | a new stream of notices                               |
| on a stream of notices                            | that stream, or a new one if it is not kept any more  |
| on the stream of a call that is kept              | the rest of it, up to the answer                      |
| on the stream of a call that is not kept any more | an error as that call's answer, 405 if it had no id   |
| on the last event of a call, or nothing is left   | 405                                                   |
| anything else                                     | 400                                                   |
"""

import asyncio
from typing import Final

from mcp_hub.gateway.ask import Gateway
from mcp_hub.gateway.listener import Listener, Over
from mcp_hub.gateway.notices import Notices, NoticesOf
from mcp_hub.inbound.encode import as_message
from mcp_hub.inbound.errors import contained
from mcp_hub.inbound.event_ids import Kind, Place, place_of
from mcp_hub.inbound.exchange import Exchange
from mcp_hub.inbound.flight import Phase
from mcp_hub.inbound.head import LAST_EVENT, Head
from mcp_hub.inbound.notices import relay, subscribed_again, told_again
from mcp_hub.inbound.outcome import Failure, Outcome, Refused, Written
from mcp_hub.inbound.replay import Stream
from mcp_hub.inbound.sessions import Session
from mcp_hub.principal import Principal
from mcp_hub.wire.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST

STREAMS: Final = 4
"""GET streams of notices one session may hold open at once."""
_ALLOW_POST: Final = ((b"allow", b"POST, DELETE"),)
_LOST: Final = (
    "The answer is lost: the hub was started again, or kept it as long as it could. The request may have had effects; "
    "repeat it only if that is safe."
)


class Streams:
    """Serves GET; what is kept of a stream is on its session's shelf."""

    def __init__(self, gateway: Gateway, notices_of: NoticesOf) -> None:
        self._gateway = gateway
        self._notices_of = notices_of

    async def get(self, exchange: Exchange, session: Session, caller: Principal, head: Head) -> Outcome:
        """Write a stream until its client hangs up, which ends this task, or it is over.

        Raises:
            Refused: as the table says; or the client takes no stream (406), or the session holds enough of them (409).
        """
        if not exchange.accepts.events:
            raise Refused(INVALID_REQUEST, "A GET must accept text/event-stream", status=406)
        place = _place(head)
        exchange.flight.hang_up_ends = True
        exchange.flight.enter(Phase.ANSWERING)
        if place is None or place.kind is Kind.NOTICES:
            return await self._notify(exchange, session, caller, place)
        return await _resume(exchange, session, place)

    async def _notify(self, exchange: Exchange, session: Session, caller: Principal, place: Place | None) -> Outcome:
        stream = None if place is None else session.shelf.find(place)
        if stream is not None and stream.connection is not None:
            # Its client is here, so the connection it had before is dead, however long that takes to be noticed.
            session.streams.discard(stream.connection)
            stream.connection.give_way()
        if len(session.streams) >= STREAMS:
            raise Refused(INVALID_REQUEST, f"This session has {STREAMS} streams open; close one first", status=409)
        listener = listener_of(self._notices_of(caller), session)
        listener.resume()
        session.streams.add(exchange)
        after = 0 if stream is None or place is None else place.event
        stream = session.shelf.open(Kind.NOTICES) if stream is None else stream
        try:
            await exchange.join(stream, after)
            async with session.reading:
                return await self._relay(exchange, session, caller, listener)
        finally:
            session.streams.discard(exchange)
            stream.leave(exchange)

    async def _relay(self, exchange: Exchange, session: Session, caller: Principal, listener: Listener) -> Outcome:
        if not session.missed:
            return await relay(exchange.emit, listener)
        # Beside the stream, which brings what is told meanwhile: an upstream that is slow to answer delays nothing.
        recovery = asyncio.ensure_future(contained(self.recover(session, caller, listener)))
        try:
            return await relay(exchange.emit, listener)
        finally:
            recovery.cancel()

    async def recover(self, session: Session, caller: Principal, listener: Listener) -> None:
        """Have the listener told what it may have missed, and subscribed to what the session was subscribed to."""
        hub = await self._gateway.describe(caller, session.client.revision)
        told_again(listener, hub.capabilities)
        await subscribed_again(self._notices_of(caller), listener, lambda: session.resources)
        session.missed = False


def listener_of(notices: Notices, session: Session) -> Listener:
    """The session's listener, made if there is none where its caller listens now.

    Raises:
        Refused: the session has ended meanwhile.
        Forbidden: there are too many listeners.
    """
    if session.is_over:
        raise Refused(INVALID_REQUEST, "This session has ended; begin a new one with initialize", status=404)
    listener = session.listener
    if listener is not None and (listener.over is Over.CUT or not notices.has(listener)):
        listener.finish(Over.CUT)  # whoever reads it comes back
        listener.close()
        session.listener, session.missed = None, True
    if session.listener is None:
        session.listener = notices.open(session.owner)
    return session.listener


async def _resume(exchange: Exchange, session: Session, place: Place) -> Outcome:
    stream = session.shelf.find(place)
    if stream is not None and (not stream.is_over or stream.holds_after(place.event)):
        return await _follow(exchange, stream, place.event)
    if stream is not None or place.request is None:
        raise Refused(INVALID_REQUEST, "Nothing is left to resume", status=405, headers=_ALLOW_POST)
    stream = session.shelf.open(Kind.CALL)
    await stream.end([(as_message(Failure(INTERNAL_ERROR, _LOST), place.request),)], b"")
    return await _follow(exchange, stream, 0)


async def _follow(exchange: Exchange, stream: Stream, after: int) -> Outcome:
    try:
        await exchange.join(stream, after)
        await stream.followed(exchange)
    finally:
        stream.leave(exchange)
    return Written()


def _place(head: Head) -> Place | None:
    said = head.text(LAST_EVENT)
    if not said:
        return None
    place = None if head.repeated and LAST_EVENT in head.repeated else place_of(said)
    if place is None:
        raise Refused(INVALID_REQUEST, "Last-Event-ID is not of this hub; open a stream without it", status=400)
    return place
