"""Tasks that must not die. Rule: a fault in one of them is logged and it begins anew; the others never notice."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

AGAIN_AFTER = 5.0
"""Seconds until a task that failed begins anew."""

log = logging.getLogger(__name__)


async def supervise(name: str, run: Callable[[], Awaitable[None]], again_after: float = AGAIN_AFTER) -> None:
    """Run until it returns or is cancelled, beginning anew after every failure."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("%s stopped by a fault of the hub's own; it begins anew", name)
            await asyncio.sleep(again_after)
        else:
            return
