"""Work that takes long, beside everything else that the event loop does.

Rule: nobody waits for more than a slice of it.
"""

import asyncio
from time import perf_counter
from typing import Final, TypeVar

from mcp_hub.catalog.steps import Steps

T = TypeVar("T")
SLICE: Final = 0.005
"""Seconds of work between two turns of the event loop."""


async def in_turns(steps: Steps[T]) -> T:
    """What the steps come to. Cancellation leaves the rest of them undone."""
    while True:
        begun = perf_counter()
        while perf_counter() - begun < SLICE:
            try:
                next(steps)
            except StopIteration as end:
                return end.value
        await asyncio.sleep(0)
