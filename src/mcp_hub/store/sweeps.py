"""Now and then, what has expired is deleted from the store.

Rule: nothing depends on it. Whoever reads looks at the end of what is read; this only keeps the file from growing.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Never

import structlog

from mcp_hub.errors import StoreFailed
from mcp_hub.store.grants import GrantStore

SWEEP_SECONDS: Final = 3600.0

_log: Final = structlog.stdlib.get_logger("mcp_hub.store")


async def sweep_now_and_then(store: GrantStore, now: Callable[[], float], *, every: float = SWEEP_SECONDS) -> Never:
    """Sweep at once and then each `every` seconds, until cancelled. A store that fails is swept the next time."""
    while True:
        try:
            await store.sweep(now())
        except StoreFailed as failed:
            _log.warning("what has expired was not deleted", reason=failed.public)
        await asyncio.sleep(every)
