"""Long work lets others have their turns."""

import asyncio
from time import perf_counter

import pytest

from mcp_hub.upstream.turns import SLICE, in_turns

pytestmark = pytest.mark.promise("A8")


def working(seconds):
    until = perf_counter() + seconds
    count = 0
    while perf_counter() < until:
        count += 1
        yield
    return count


async def test_others_have_their_turns_and_the_work_its_end():
    turns, working_on = 0, True

    async def other():
        nonlocal turns
        while working_on:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.ensure_future(other())
    assert await in_turns(working(SLICE * 20)) > 0
    working_on = False
    await beside
    assert 5 < turns < 100, "one for each slice, about"


async def test_short_work_is_done_without_a_turn():
    turns = []
    asyncio.get_running_loop().call_soon(turns.append, 1)
    assert await in_turns(working(0)) == 0
    assert turns == []


async def test_work_that_is_cancelled_is_left():
    steps = working(60)
    task = asyncio.ensure_future(in_turns(steps))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    steps.close()
