"""A stream of an upstream's on which messages come beside all answers: read one by one, in bounded memory."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from mcp_hub.egress.errors import EgressError
from mcp_hub.egress.response import Response
from mcp_hub.upstream.answer import fed
from mcp_hub.upstream.channel import translated
from mcp_hub.wire.jsonrpc import Malformed, Message, is_batch, parse, parse_batch
from mcp_hub.wire.sse import EventParser


async def messages(name: str, response: Response, limit: int, quiet: float) -> AsyncGenerator[list[Message], None]:
    """The messages that came together, until the stream ends; what cannot be read is left out.

    `limit` is in bytes of one event, `quiet` in seconds without a byte. The caller closes the response.

    Raises:
        UpstreamError: the stream broke off, was quiet for too long, or held too large an event.
    """
    async with aclosing(pieces(name, response, limit, quiet)) as told:
        async for several in told:
            yield [message for message, _ in several]


async def pieces(
    name: str, response: Response, limit: int, quiet: float
) -> AsyncGenerator[list[tuple[Message, bytes]], None]:
    """As `messages`, each with its bytes as they came."""
    parser = EventParser(limit)
    try:
        async with aclosing(response.chunks(quiet)) as chunks:
            async for chunk in chunks:
                yield [each for event in fed(name, parser, chunk, limit) for each in _parsed(event.data)]
    except EgressError as error:
        raise translated(name, error) from error


def _parsed(data: bytes) -> list[tuple[Message, bytes]]:
    try:
        return [(parse(part), part) for part in (parse_batch(data) if is_batch(data) else (data,))]
    except Malformed:
        return []  # it says nothing to anybody
