"""One HTTP request from its first byte to its last: whatever comes of it is written, and nothing raised leaves.

Rule: only the cancellation that comes from above passes through; one that the request brought upon itself ends here.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Final

from mcp_hub.inbound.errors import comes_to
from mcp_hub.inbound.exchange import Exchange
from mcp_hub.inbound.outcome import Failure, Outcome
from mcp_hub.wire.jsonrpc import INTERNAL_ERROR

_PARTING: Final = 0.5
"""Seconds in which the last words have to be taken."""
_STOPPING: Final = Failure(
    INTERNAL_ERROR,
    "The hub stops and has ended this request, which may have had effects. Make it again only if that is safe.",
    status=503,
)


async def carry(exchange: Exchange, work: Awaitable[Outcome]) -> None:
    """Await the outcome and write it."""
    try:
        try:
            outcome = await work
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the last place, as `comes_to` says
            outcome = comes_to(error, exchange)
        await exchange.finish(outcome)
    except asyncio.CancelledError:
        if not exchange.flight.recover():
            await _last_words(exchange)
            raise
        with suppress(OSError):
            await exchange.abandon()
    except OSError:
        pass  # how a server may say that the client has gone: nobody is left to tell
    finally:
        exchange.flight.land()


async def _last_words(exchange: Exchange) -> None:
    """Answer a request that the server ends, which is when it stops: nobody else would tell its client."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_PARTING):
            await exchange.finish(_STOPPING)
