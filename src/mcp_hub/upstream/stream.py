"""A stream of an upstream's on which notices come: read message by message, in bounded memory."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from mcp_hub.egress.errors import EgressError
from mcp_hub.egress.response import Response
from mcp_hub.upstream.answer import fed
from mcp_hub.upstream.channel import translated
from mcp_hub.wire.jsonrpc import Malformed, Message, parse
from mcp_hub.wire.sse import EventParser


async def messages(name: str, response: Response, limit: int, quiet: float) -> AsyncGenerator[list[Message], None]:
    """The messages that came together, until the stream ends; what cannot be read is left out.

    `limit` is in bytes of one event, `quiet` in seconds without a byte. The caller closes the response.

    Raises:
        UpstreamError: the stream broke off, was quiet for too long, or held too large an event.
    """
    parser = EventParser(limit)
    try:
        async with aclosing(response.chunks(quiet)) as chunks:
            async for chunk in chunks:
                read = [_parsed(event.data) for event in fed(name, parser, chunk, limit)]
                yield [message for message in read if message is not None]
    except EgressError as error:
        raise translated(name, error) from error


def _parsed(data: bytes) -> Message | None:
    try:
        return parse(data)
    except Malformed:
        return None  # it says nothing to anybody
