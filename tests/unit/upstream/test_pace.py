"""However many reasons there are, it is done once in a while, and the last reason is not forgotten."""

import asyncio

import pytest

from mcp_hub.upstream.pace import Pace

pytestmark = pytest.mark.promise("A7")


class Deed:
    """Counts how often it was done."""

    def __init__(self) -> None:
        self.times = 0
        self.again = asyncio.Event()

    def __call__(self) -> None:
        self.times += 1
        if self.times > 1:
            self.again.set()


async def test_the_first_is_done_at_once_and_those_after_it_together_when_the_pause_is_over():
    deed = Deed()
    pace = Pace(deed, 0.05)
    for _ in range(20):
        pace.ask()
    assert deed.times == 1
    async with asyncio.timeout(5):
        await deed.again.wait()
    assert deed.times == 2


async def test_what_was_not_done_when_it_stops_is_not_done():
    deed = Deed()
    pace = Pace(deed, 0.01)
    pace.ask()
    pace.ask()
    pace.stop()
    pace.stop()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await deed.again.wait()
    assert deed.times == 1
