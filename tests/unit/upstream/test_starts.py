"""Only some processes start at once, and none holds up the others for long."""

import asyncio

import pytest

from mcp_hub.upstream.starts import Starts

pytestmark = pytest.mark.promise("A3", "A8")


async def test_only_some_have_their_turn_at_once_in_the_order_in_which_they_came():
    starts = Starts(2, longest=60.0)
    first, second = await starts.take(), await starts.take()
    waiting = [asyncio.ensure_future(starts.take()) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(each.done() for each in waiting)
    second.end()
    second.end()  # once is enough
    async with asyncio.timeout(5):
        third = await waiting[0]
    assert not waiting[1].done()
    first.end()
    third.end()
    async with asyncio.timeout(5):
        (await waiting[1]).end()


async def test_a_turn_that_nobody_ends_ends_by_itself():
    starts = Starts(1, longest=0.01)
    await starts.take()
    async with asyncio.timeout(5):
        (await starts.take()).end()


async def test_whoever_gives_up_waiting_takes_no_turn():
    starts = Starts(1, longest=60.0)
    first = await starts.take()
    waiting = asyncio.ensure_future(starts.take())
    await asyncio.sleep(0)
    waiting.cancel()
    first.end()
    async with asyncio.timeout(5):
        (await starts.take()).end()
