import asyncio

import pytest

from mcp_hub.egress.errors import ConnectionLost, ResponseTimedOut, TooLarge
from mcp_hub.egress.response import HIGH_WATER, Body, Response

pytestmark = pytest.mark.promise("D28")


class Faucet:
    """A connection reduced to what a body asks of it."""

    def __init__(self):
        self.body = Body(self)
        self.response = Response(200, {}, self.body)
        self.paused = False
        self.dropped = False
        self.lingers = 0

    def linger(self):
        self.lingers += 1

    def pause(self):
        self.paused = True

    def resume(self):
        self.paused = False

    def drop(self, error=None):
        self.dropped = True
        self.body.fail(error or ConnectionLost("dropped", sent=True))

    def give(self, data):
        self.body.put(data)
        self.body.wake()


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def faucet():
    return Faucet()


def run_to_end(coroutine):
    """The result of a coroutine that never really waits."""
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)
    return ended.value.value


def test_a_complete_body_is_read_without_waiting(faucet):
    faucet.body.put(b"hello")
    faucet.body.end()
    assert run_to_end(faucet.response.read(5)) == b"hello"


def test_a_complete_body_of_several_parts_is_joined(faucet):
    for part in (b"a", b"b", b"c"):
        faucet.body.put(part)
    faucet.body.end()
    assert run_to_end(faucet.response.read(100)) == b"abc"


def test_an_empty_body_is_empty(faucet):
    faucet.body.end()
    assert run_to_end(faucet.response.read(0)) == b""


@pytest.mark.promise("T23")
async def test_a_body_over_the_limit_is_cut_off_where_the_limit_is(faucet):
    faucet.give(b"x" * 10)
    reading = asyncio.create_task(faucet.response.read(25))
    await asyncio.sleep(0)
    faucet.give(b"x" * 15)
    with pytest.raises(TooLarge) as caught:
        faucet.body.put(b"x")
    faucet.drop(caught.value)
    with pytest.raises(TooLarge, match="larger than 25 bytes"):
        await reading


@pytest.mark.promise("T23")
@pytest.mark.parametrize("announced", [None, 1000])
async def test_a_body_that_is_known_to_be_too_large_is_not_waited_for(faucet, announced):
    faucet.body.length = announced
    faucet.body.put(b"x" * (5 if announced else 1000))
    with pytest.raises(TooLarge):
        await faucet.response.read(999)
    assert faucet.dropped


async def test_a_complete_body_over_the_limit_is_refused_all_the_same(faucet):
    faucet.body.put(b"xx")
    faucet.body.end()
    with pytest.raises(TooLarge):
        await faucet.response.read(1)


async def test_a_reader_of_the_whole_is_woken_once(faucet):
    reading = asyncio.create_task(faucet.response.read(100, within=5))
    await asyncio.sleep(0)
    faucet.give(b"a")
    assert faucet.body._waiter is not None
    assert not faucet.body._waiter.done()
    faucet.give(b"b")
    faucet.body.end()
    assert await reading == b"ab"


@pytest.mark.promise("T24")
async def test_a_body_that_does_not_end_in_time_is_given_up_however_often_a_byte_comes(faucet):
    async def drip():
        while not faucet.dropped:
            faucet.give(b".")
            await asyncio.sleep(0)

    dripping = asyncio.create_task(drip())
    with pytest.raises(ResponseTimedOut, match=r"within 0\.02 s"):
        await faucet.response.read(10**9, within=0.02)
    await dripping


async def test_a_cancelled_reader_closes_the_connection(faucet):
    reading = asyncio.create_task(faucet.response.read(100))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert faucet.dropped


async def test_what_broke_in_the_middle_is_not_handed_over_as_a_whole(faucet):
    faucet.body.put(b"half")
    faucet.body.fail(ConnectionLost("gone", sent=True))
    with pytest.raises(ConnectionLost):
        await faucet.response.read(100)


async def test_chunks_come_as_they_arrive_and_what_came_before_a_break_is_not_lost(faucet):
    chunks = faucet.response.chunks(5)
    faucet.give(b"a")
    faucet.give(b"b")
    assert await anext(chunks) == b"ab"
    waiting = asyncio.create_task(anext(chunks))
    await asyncio.sleep(0)
    faucet.give(b"c")
    faucet.give(b"d")
    faucet.body.fail(ConnectionLost("gone", sent=True))
    assert await waiting == b"cd"
    with pytest.raises(ConnectionLost):
        await anext(chunks)


async def test_chunks_end_with_the_body(faucet):
    faucet.give(b"a")
    faucet.body.end()
    assert [chunk async for chunk in faucet.response.chunks(None)] == [b"a"]
    assert not faucet.dropped


@pytest.mark.promise("T24")
async def test_a_stream_that_falls_silent_is_given_up(faucet):
    with pytest.raises(ResponseTimedOut):
        await anext(faucet.response.chunks(0.01))
    assert faucet.dropped


async def test_leaving_a_stream_early_closes_the_connection(faucet):
    faucet.give(b"a")
    chunks = faucet.response.chunks(None)
    await anext(chunks)
    await chunks.aclose()
    assert faucet.dropped


@pytest.mark.promise("T23")
async def test_a_slow_reader_makes_the_other_side_wait(faucet):
    chunks = faucet.response.chunks(None)
    faucet.give(b"x" * HIGH_WATER)
    assert not faucet.paused
    faucet.give(b"x")
    assert faucet.paused
    assert len(await anext(chunks)) == HIGH_WATER + 1
    assert not faucet.paused
    faucet.give(b"x" * HIGH_WATER)
    assert not faucet.paused


async def test_a_reader_of_the_whole_takes_what_made_the_other_side_wait(faucet):
    faucet.give(b"x" * (HIGH_WATER + 1))
    reading = asyncio.create_task(faucet.response.read(HIGH_WATER + 2))
    await asyncio.sleep(0)
    assert not faucet.paused
    faucet.body.end()
    assert len(await reading) == HIGH_WATER + 1


def test_closing_what_is_complete_leaves_the_connection_alone(faucet):
    faucet.body.end()
    faucet.response.close()
    assert not faucet.dropped


def test_closing_early_drops_the_connection(faucet):
    faucet.response.close()
    assert faucet.dropped


async def test_leaving_a_stream_that_has_said_everything_leaves_the_connection_alone(faucet):
    faucet.give(b"answer")
    async with asyncio.timeout(5):
        async for chunk in faucet.response.chunks(5):
            assert chunk == b"answer"
            faucet.response.linger()
            break
    faucet.response.close()
    assert (faucet.lingers, faucet.dropped) == (1, False)


def test_what_is_complete_has_nothing_to_linger_for(faucet):
    faucet.body.end()
    faucet.response.linger()
    assert faucet.lingers == 0
