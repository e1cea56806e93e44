"""Deleting what has expired, while the hub runs.

Rule: nothing is served any more because it is still stored; this only makes room.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from mcp_hub.store.base import Store

EVERY: Final = 3600.0
"""Seconds between two times."""


async def keep_swept(store: Store, now: Callable[[], float]) -> None:
    """Delete what has expired, at once and every hour, until cancelled; `now` gives unix seconds.

    Raises:
        StoreFailed: the store fails.
    """
    while True:
        await store.sweep(now())
        await asyncio.sleep(EVERY)
