"""The rest of an answer whose stream ended early: fetched from where it broke off, and never by asking again.

Rule: a GET runs nothing, so it may be repeated; where the rest cannot be had, the caller is told that the call may
have had effects.
Source: MCP 2025-11-25, basic/transports "Resumability and Redelivery"; SEP-1699 for servers that want to be polled.
"""

import asyncio
from typing import Final

from mcp_hub.credentials.credential import Credential
from mcp_hub.egress.request import HeaderLines, header_lines
from mcp_hub.egress.response import Response
from mcp_hub.errors import Unreachable, UpstreamError
from mcp_hub.upstream.answer import content_type
from mcp_hub.upstream.channel import Channel, joined

WAIT: Final = 1.0
"""Seconds before the rest is asked for, where the server does not say."""
SHORTEST: Final = 0.05
"""Seconds that are waited whatever it says."""
ATTEMPTS: Final = 3
_OK: Final = 200
_FAILED: Final = 500


async def resumed(
    channel: Channel, lines: HeaderLines, credential: Credential, last_id: str, retry: int | None
) -> Response:
    """The stream that goes on after the event `last_id`; `retry` are the milliseconds the server asked to wait.

    The caller closes the response.

    Raises:
        Unreachable: the server does not continue it.
    """
    name = channel.name
    try:
        place = header_lines([(b"last-event-id", last_id.encode("utf-8"))])
    except ValueError as error:
        raise _lost(name) from error
    trouble: UpstreamError | None = None
    for _ in range(ATTEMPTS):
        await asyncio.sleep(WAIT if retry is None else max(retry / 1000, SHORTEST))
        try:
            response = await channel.get(joined(lines, place), credential)
        except UpstreamError as error:
            trouble = error  # it may be starting again
            continue
        if response.status == _OK and content_type(response) == b"text/event-stream":
            return response
        response.close()
        if response.status < _FAILED:
            break
    raise _lost(name) from trouble


def _lost(name: str) -> Unreachable:
    what = f"{name} ended its answer before it was complete, and gives no more of it."
    return Unreachable(name, f"{what} The call may have had effects.")
