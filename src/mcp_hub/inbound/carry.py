"""One HTTP request from its first byte to its last: whatever comes of it is written, and nothing raised leaves.

Rule: only the cancellation that comes from above passes through; one that the request brought upon itself ends here.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

from mcp_hub.inbound.errors import settled
from mcp_hub.inbound.exchange import Exchange
from mcp_hub.inbound.outcome import Outcome


async def carry(exchange: Exchange, work: Awaitable[Outcome]) -> None:
    """Await the outcome and write it."""
    try:
        await exchange.finish(await settled(work, exchange))
    except asyncio.CancelledError:
        if not exchange.flight.recover():
            raise
        with suppress(OSError):
            await exchange.abandon()
    except OSError:
        pass  # how a server may say that the client has gone: nobody is left to tell
    finally:
        exchange.flight.land()
