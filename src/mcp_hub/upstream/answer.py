"""An HTTP response of an upstream, read as the answer to one request.

Rule: an upstream that lies about ids, lengths, types or encodings spoils only the answer it gives here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Final, cast

from msgspec import Raw

from mcp_hub.egress.errors import EgressError
from mcp_hub.egress.response import Response
from mcp_hub.errors import BrokeProtocol, Busy, RefusedCredential, TimedOut, Unreachable, UpstreamError
from mcp_hub.upstream.channel import Limits, translated
from mcp_hub.wire.jsonrpc import Json, Malformed, Message, Reply, is_batch, parse, parse_batch, value
from mcp_hub.wire.sse import Event, EventParser, EventTooLarge

OnMessage = Callable[[Message, bytes], Awaitable[None]]
"""Takes a notification or a request that an upstream sends before its answer: decoded, and as it came."""

_JSON: Final = b"application/json"
_EVENTS: Final = b"text/event-stream"
_BRACE: Final = ord("{")
_OK: Final = 200
_REFUSAL_LIMIT: Final = 64 * 1024


class SessionGone(UpstreamError):
    """404: the upstream does not know the session any more, so the request did not run (basic/transports)."""


class NotModern(UpstreamError):
    """A modern request was refused as only a legacy upstream refuses one; it did not run."""


async def read_answer(name: str, response: Response, number: int, limits: Limits, on_message: OnMessage) -> Reply:
    """Read until the answer to request `number`; messages before it go to `on_message`. Closes the response.

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
            return await _read_refusal(name, response, number, limits.first_byte)
        kind = content_type(response)
        if kind == _EVENTS:
            return await _read_events(name, response, number, limits, on_message)
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


async def _read_events(name: str, response: Response, number: int, limits: Limits, on_message: OnMessage) -> Reply:
    parser = EventParser(limits.result)
    now = asyncio.get_running_loop().time
    heard = now()
    async with aclosing(response.chunks(limits.first_byte)) as chunks:
        async for chunk in chunks:
            events = fed(name, parser, chunk, limits.result)
            if events:
                heard = now()
            elif now() - heard > limits.first_byte:  # bytes that never become a message are no reason to wait
                raise TimedOut(name, f"{name} did not answer in time. The call may have had effects.")
            for event in events:
                message = _parsed(name, event.data)
                if message.method is None:
                    return checked(name, message, number)
                if len(event.data) > limits.event:
                    raise BrokeProtocol(name, f"{name} sent a notification of more than {limits.event} bytes.")
                await on_message(message, event.data)
            if events:
                heard = now()  # again: a question among them may have waited for a person
    raise Unreachable(name, f"{name} ended its answer before it was complete. The call may have had effects.")


async def _read_refusal(name: str, response: Response, number: int, wait: float) -> Reply:
    status = response.status
    require_well(name, status)
    body = await response.read(_REFUSAL_LIMIT, wait) if content_type(response) == _JSON else b""
    reply = _refusal_reply(body, number)
    if reply is not None:
        return reply
    if status == 404:  # noqa: PLR2004
        raise SessionGone(name, f"{name} answered HTTP 404. Check its URL.")
    if status < 400:  # noqa: PLR2004
        raise BrokeProtocol(name, f"{name} answered HTTP {status} to a request. Redirects are not followed.")
    raise NotModern(name, f"{name} refused the request (HTTP {status}).")


def require_well(name: str, status: int) -> None:
    """Whether a status says nothing of the upstream's trouble, or of ours with it.

    Raises:
        RefusedCredential: 401 or 403.
        Busy: 429 or 503.
        Unreachable: any other 5xx.
    """
    if status in (401, 403):
        raise RefusedCredential(name, f"{name} rejected the credential (HTTP {status}). Ask whoever runs this hub.")
    if status in (429, 503):
        raise Busy(name, f"{name} is too busy (HTTP {status}). Try again later.")
    if status >= 500:  # noqa: PLR2004
        effects = "The call may have had effects."
        raise Unreachable(name, f"{name} failed (HTTP {status}). Its operator has to act. {effects}")


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
