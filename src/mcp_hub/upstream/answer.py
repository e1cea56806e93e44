"""An HTTP response of an upstream, read as the answer to one request.

Rule: an upstream that lies about ids, lengths, types or encodings spoils only the answer it gives here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Final, cast

from msgspec import Raw

from mcp_hub.egress.errors import ConnectionLost, EgressError
from mcp_hub.egress.response import Response
from mcp_hub.errors import BrokeProtocol, Busy, RefusedCredential, TimedOut, Unreachable, UpstreamError
from mcp_hub.upstream.channel import Limits, translated
from mcp_hub.wire.challenges import MAX_CHARS
from mcp_hub.wire.jsonrpc import Json, Malformed, Message, Reply, is_batch, parse, parse_batch, value
from mcp_hub.wire.sse import Event, EventParser, EventTooLarge

Resume = Callable[[str, int | None], Awaitable[Response]]
"""Gets the rest of a stream that ended early, given its last event id and the milliseconds that it asked to wait."""
OnMessage = Callable[[Message, bytes], Awaitable[None]]
"""Takes a notification or a request that an upstream sends before its answer: decoded, and as it came."""

_JSON: Final = b"application/json"
_EVENTS: Final = b"text/event-stream"
_BRACE: Final = ord("{")
_OK: Final = 200
_BAD_REQUEST: Final = 400
_REFUSAL_LIMIT: Final = 64 * 1024


class SessionGone(UpstreamError):
    """404: the upstream does not know the session any more, so the request did not run (basic/transports)."""


class NotModern(UpstreamError):
    """A modern request was refused as only a legacy upstream refuses one; it did not run."""


async def read_answer(
    name: str,
    response: Response,
    number: int,
    limits: Limits,
    on_message: OnMessage,
    *,
    resume: Resume | None = None,
    refused: Callable[[bytes], None] | None = None,
) -> Reply:
    """Read until the answer to request `number`; messages before it go to `on_message`. Closes the response.

    A stream that ends before the answer, and has said where it can be resumed, is read on from what `resume` gives.
    `refused` is told what an HTTP 400 says, in whatever form.

    Raises:
        RefusedCredential: 401 or 403.
        SessionGone: 404 without a JSON-RPC answer.
        NotModern: any other 4xx without a JSON-RPC answer.
        Busy: 429 or 503.
        Unreachable: 5xx, or the answer broke off.
        BrokeProtocol, TimedOut: as their names say.
    """
    try:
        if response.status != _OK:
            return await _read_refusal(name, response, number, limits.first_byte, refused)
        kind = content_type(response)
        if kind == _EVENTS:
            return await _Events(name, number, limits, on_message).read(response, resume)
        if kind != _JSON:
            raise BrokeProtocol(name, f"{name} answered with {_shown(kind)} instead of an MCP message.")
        body = response.whole(limits.result)
        if body is None:
            body = await response.read(limits.result, limits.first_byte)
        if body.startswith(b"{") or not is_batch(body):
            return checked(name, _parsed(name, body), number)
        return await _read_batch(name, body, number, on_message)
    except EgressError as error:
        raise translated(name, error) from error
    except Malformed as error:
        raise BrokeProtocol(name, f"{name} sent a message whose parts are not valid JSON.") from error
    finally:
        response.close()


def content_type(response: Response) -> bytes:
    """The media type alone, in lower case; empty if there is none."""
    value = response.headers.get(b"content-type", b"")
    return value if value in (_JSON, _EVENTS) else value.split(b";", 1)[0].strip().lower()


async def _read_batch(name: str, body: bytes, number: int, on_message: OnMessage) -> Reply:
    # 2025-03-26 lets a server answer with a batch; everything in it but the answer is a message on the way.
    answer: Reply | None = None
    for part in _split(name, body):
        message = _parsed(name, part)
        if message.method is None:
            answer = checked(name, message, number)
        else:
            await on_message(message, part)
    if answer is None:
        raise BrokeProtocol(name, f"{name} answered without a response to the request.")
    return answer


class _Events:
    """The stream on which an answer comes; `_heard` is when it last held a message, on whichever connection."""

    __slots__ = ("_heard", "_last_id", "_limits", "_name", "_now", "_number", "_on_message", "_retry")

    def __init__(self, name: str, number: int, limits: Limits, on_message: OnMessage) -> None:
        self._name = name
        self._number = number
        self._limits = limits
        self._on_message = on_message
        self._now = asyncio.get_running_loop().time
        self._heard = self._now()
        self._last_id: str | None = None
        self._retry: int | None = None

    async def read(self, response: Response, resume: Resume | None) -> Reply:
        """The answer; every response but the first is closed here."""
        reply = await self._read_one(response, resumable=resume is not None)
        while reply is None:
            if resume is None or self._last_id is None:
                sentence = f"{self._name} ended its answer before it was complete. The call may have had effects."
                raise Unreachable(self._name, sentence)
            response = await self._resumed(resume, self._last_id)
            try:
                reply = await self._read_one(response, resumable=True)
            finally:
                response.close()
        return reply

    async def _resumed(self, resume: Resume, last_id: str) -> Response:
        try:
            async with asyncio.timeout(max(0.0, self._heard + self._limits.first_byte - self._now())):
                return await resume(last_id, self._retry)
        except TimeoutError as error:
            raise self._timed_out() from error

    async def _read_one(self, response: Response, *, resumable: bool) -> Reply | None:
        """The answer, or `None` if the connection ended without it."""
        parser = EventParser(self._limits.result)
        try:
            async with aclosing(response.chunks(self._limits.first_byte)) as chunks:
                async for chunk in chunks:
                    reply = await self._take(fed(self._name, parser, chunk, self._limits.result))
                    if reply is not None:
                        response.linger()  # its stream has only to end
                        return reply
        except ConnectionLost:
            if not resumable or (parser.last_id or self._last_id) is None:
                raise
            parser.retry = None  # it did not close the stream on purpose, so the caller is not to be told to wait
        self._last_id, self._retry = parser.last_id or self._last_id, parser.retry
        return None

    async def _take(self, events: list[Event]) -> Reply | None:
        if not events and self._now() - self._heard > self._limits.first_byte:
            raise self._timed_out()  # bytes that never become a message are no reason to wait
        for event in events:
            message = _parsed(self._name, event.data)
            if message.method is None:
                return checked(self._name, message, self._number)
            if len(event.data) > self._limits.event:
                sentence = f"{self._name} sent a notification of more than {self._limits.event} bytes."
                raise BrokeProtocol(self._name, sentence)
            await self._on_message(message, event.data)
        if events:
            self._heard = self._now()  # after them: a question among them may have waited for a person
        return None

    def _timed_out(self) -> TimedOut:
        return TimedOut(self._name, f"{self._name} did not answer in time. The call may have had effects.")


async def _read_refusal(
    name: str, response: Response, number: int, wait: float, refused: Callable[[bytes], None] | None
) -> Reply:
    status = response.status
    require_well(name, response)
    is_json, tells = content_type(response) == _JSON, refused is not None and status == _BAD_REQUEST
    body = await response.read(_REFUSAL_LIMIT, wait) if is_json or tells else b""
    if refused is not None and tells:
        refused(body)
    reply = _refusal_reply(body if is_json else b"", number)
    if reply is not None:
        return reply
    if status == 404:  # noqa: PLR2004
        raise SessionGone(name, f"{name} answered HTTP 404. Check its URL.")
    if status < 400:  # noqa: PLR2004
        raise BrokeProtocol(name, f"{name} answered HTTP {status} to a request. Redirects are not followed.")
    raise NotModern(name, f"{name} refused the request (HTTP {status}).")


def require_well(name: str, response: Response) -> None:
    """Whether a status says nothing of the upstream's trouble, or of ours with it.

    Raises:
        RefusedCredential: 401 or 403, with what the answer asks for.
        Busy: 429 or 503.
        Unreachable: any other 5xx.
    """
    status = response.status
    if status in (401, 403):
        # Whoever's credential is their own is told by the access to it; what is left is for who set the shared one.
        sentence = f"{name} rejected the credential (HTTP {status}). Ask whoever runs this hub."
        raise RefusedCredential(name, sentence, status=status, challenges=_challenges(response))
    if status in (429, 503):
        raise Busy(name, f"{name} is too busy (HTTP {status}). Try again later.")
    if status >= 500:  # noqa: PLR2004
        effects = "The call may have had effects."
        raise Unreachable(name, f"{name} failed (HTTP {status}). Its operator has to act. {effects}")


def _challenges(response: Response) -> tuple[str, ...]:
    """What the answer asks for, as it came; whole values, as many as `wire.challenges` reads."""
    kept: list[str] = []
    room = MAX_CHARS
    for each in response.values(b"www-authenticate"):
        room -= len(each)
        if room < 0:
            break
        kept.append(each.decode("latin-1"))
    return tuple(kept)


def _refusal_reply(body: bytes, number: int) -> Reply | None:
    # A modern error answers the request by its id, or by null if the upstream could not read it.
    try:
        message = parse(body) if body else None
    except Malformed:
        return None
    if message is None or not message.error or bytes(message.id) not in (b"%d" % number, b"null", b""):
        return None
    return Reply(error=message.error)


def decoded(name: str, raw: Raw | bytes) -> Json:
    """A result object, decoded completely, for what the hub itself has to understand.

    Raises:
        BrokeProtocol: it is not an object, or holds text that is no text.
    """
    try:
        result = value(raw)
    except Malformed as error:
        raise BrokeProtocol(name, f"{name} answered with something that is not valid JSON.") from error
    if not isinstance(result, dict):
        raise BrokeProtocol(name, f"{name} answered with a result that is not an object.")
    return cast("Json", result)


def fed(name: str, parser: EventParser, chunk: bytes, limit: int) -> list[Event]:
    """The events that `chunk` completes.

    Raises:
        BrokeProtocol: one event is larger than the parser's limit.
    """
    try:
        return [event for event in parser.feed(chunk) if event.data]
    except EventTooLarge as error:
        raise BrokeProtocol(name, f"{name} sent more than {limit} bytes in one event.") from error


def _parsed(name: str, data: bytes) -> Message:
    try:
        return parse(data)
    except Malformed as error:
        raise BrokeProtocol(name, f"{name} sent something that is not a JSON-RPC message.") from error


def _split(name: str, body: bytes) -> list[bytes]:
    try:
        return parse_batch(body)
    except Malformed as error:
        raise BrokeProtocol(name, f"{name} sent something that is not a JSON-RPC message.") from error


def checked(name: str, message: Message, number: int) -> Reply:
    """The reply that a response to request `number` holds.

    Raises:
        BrokeProtocol: it answers something else, or with what is not a result.
    """
    if bytes(message.id) != b"%d" % number:
        raise BrokeProtocol(name, f"{name} answered a request that was not asked.")
    if message.error:
        return Reply(error=message.error)
    if not message.result or memoryview(message.result)[0] != _BRACE:
        raise BrokeProtocol(name, f"{name} answered with a result that is not an object.")
    return Reply(result=message.result)


def _shown(kind: bytes) -> str:
    shown = kind.decode("ascii", "replace")[:60]
    return shown if shown.isprintable() and shown else "no content type"
