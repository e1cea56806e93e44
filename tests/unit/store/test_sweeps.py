"""Sweeping goes on, whatever becomes of one of them."""

import asyncio

import pytest

from mcp_hub.errors import StoreFailed
from mcp_hub.store.sweeps import sweep_now_and_then

pytestmark = pytest.mark.promise("T53")


class Swept:
    """A store that fails the first time."""

    def __init__(self):
        self.at = []
        self.often = asyncio.Event()

    async def sweep(self, at: float) -> None:
        self.at.append(at)
        if len(self.at) == 1:
            raise StoreFailed("The store hub.db is on a disk that is full. Make room, then try again.")
        if len(self.at) == 3:
            self.often.set()


async def test_a_sweep_that_fails_is_made_up_for_by_the_next():
    store = Swept()
    sweeping = asyncio.ensure_future(sweep_now_and_then(store, lambda: 7.0, every=0.0))
    async with asyncio.timeout(5):
        await store.often.wait()
    sweeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sweeping
    assert store.at[:3] == [7.0, 7.0, 7.0]
