"""What waits for a listener: the latest of each, never too much, and its end."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.gateway.listener import MOST_WAITING, Listener, Over

pytestmark = pytest.mark.promise("A7")
ALICE = ("idp", "alice", "t")


def listener(left=None) -> Listener:
    return Listener(ALICE, frozenset({"tools"}), (left if left is not None else []).append)


def notice(number: int = 0):
    return "notifications/x", {"n": number}


async def heard(one: Listener):
    async with asyncio.timeout(5):
        return await one.heard()


async def test_many_changes_of_one_thing_are_heard_once_with_the_latest():
    one = listener()
    for number in range(1000):
        one.tell("a", notice(number))
    one.tell("b", notice())
    assert await heard(one) == [notice(999), notice()]


async def test_a_waiting_reader_is_woken():
    one = listener()
    reader = asyncio.ensure_future(one.heard())
    await asyncio.sleep(0)
    one.tell("a", notice())
    async with asyncio.timeout(5):
        assert await reader == [notice()]


@pytest.mark.promise("T23")
@given(st.lists(st.integers(0, 2 * MOST_WAITING), max_size=1000))
def test_however_much_is_told_what_waits_is_bounded_and_too_much_is_the_end(keys):
    one = listener()
    for key in keys:
        one.tell(str(key), notice(key))
        assert len(one._waiting) <= MOST_WAITING
    assert (one.over is Over.OVERFLOWED) == (len(set(keys)) > MOST_WAITING)
    assert one.over is None or not one._waiting


@pytest.mark.parametrize("why", list(Over))
async def test_the_end_wakes_the_reader_and_nothing_is_heard_after_it(why):
    one = listener()
    one.tell("a", notice())
    assert await heard(one)
    reader = asyncio.ensure_future(one.heard())
    await asyncio.sleep(0)
    one.finish(why)
    one.tell("a", notice())
    async with asyncio.timeout(5):
        assert await reader == []
    assert await heard(one) == []
    assert one.over is why


async def test_only_who_was_too_slow_may_begin_anew():
    one = listener()
    one.finish(Over.OVERFLOWED)
    one.resume()
    one.tell("a", notice())
    assert await heard(one) == [notice()]
    one.finish(Over.ENDED)
    one.resume()
    assert one.over is Over.ENDED


async def test_closing_leaves_once_for_each_call_and_keeps_the_first_reason():
    left: list[Listener] = []
    one = listener(left)
    one.finish(Over.ENDED)
    one.close()
    assert (left, one.over) == ([one], Over.ENDED)


async def test_what_is_forgotten_is_not_heard():
    one = listener()
    one.tell("a", notice(1))
    one.tell("b", notice(2))
    one.forget("a")
    assert await heard(one) == [notice(2)]
