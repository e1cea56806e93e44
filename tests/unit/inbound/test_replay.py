"""Streams that outlive their connections: what is kept of them, for how long, and who gets it."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from mcp_hub.inbound.event_ids import Kind, Place, place_of
from mcp_hub.inbound.flight import Timing
from mcp_hub.inbound.replay import DEFAULT_LIMITS, Limits, Replay, Shelf, Stream

pytestmark = pytest.mark.promise("A4")


class Connection:
    """A connection that takes everything, until its client is gone."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    async def push(self, events: bytes) -> None:
        self.written += events

    async def close(self) -> None:
        self.closed = True

    def give_way(self) -> None:
        self.closed = True

    @property
    def data(self) -> list[str]:
        lines = self.written.decode().splitlines()
        return [line.removeprefix("data: ") for line in lines if line.startswith("data: ") and line != "data: "]

    @property
    def ids(self) -> list[Place]:
        found = [
            place_of(line.removeprefix("id: ")) for line in self.written.decode().splitlines() if line[:3] == "id:"
        ]
        assert None not in found
        return [each for each in found if each is not None]


def shelf(*, primes: bool = False, **limits) -> Shelf:
    return Shelf(Replay(Limits(**limits), lambda: 0.0), primes=primes)


def kept(stream: Stream) -> list[int]:
    return [number for number, _ in stream._events]


async def test_a_client_that_comes_back_gets_what_it_missed_and_then_what_follows():
    here = shelf()
    first, second = Connection(), Connection()
    stream = here.open(Kind.CALL, Raw(b"7"), first)
    await stream.put(b"1")
    stream.leave(first)
    await stream.put(b"2", b"3")
    await stream.join(second, first.ids[-1].event)
    await stream.put(b"4")
    await stream.end([(b"5",)], b"")
    assert (first.data, second.data) == (["1"], ["2", "3", "4", "5"])
    assert [each.kind for each in second.ids] == [Kind.CALL] * 3 + [Kind.END]
    assert {bytes(each.request or b"") for each in second.ids[:3]} == {b"7"}


async def test_only_the_last_event_marks_the_end():
    stream = shelf().open(Kind.CALL, None, one := Connection())
    await stream.end([(b"1",), (b"2",), (b"3",)], b"")
    assert one.data == ["1", "2", "3"]
    assert [each.kind for each in one.ids] == [Kind.CALL, Kind.CALL, Kind.END]


@pytest.mark.promise("T20")
async def test_a_client_that_comes_back_takes_the_stream_from_its_old_connection():
    first, second = Connection(), Connection()
    stream = shelf().open(Kind.CALL, None, first)
    following = asyncio.ensure_future(stream.followed(first))
    await stream.put(b"1")
    await stream.join(second, 1)
    await asyncio.wait_for(following, 5)
    await stream.put(b"2")
    stream.leave(first)
    await stream.put(b"3")
    assert (first.data, second.data) == (["1"], ["2", "3"])


async def test_clients_that_know_them_get_events_without_data_and_no_others():
    for primes in (True, False):
        stream = shelf(primes=primes).open(Kind.CALL, None, one := Connection())
        await one.push(stream.prime())
        stream.leave(one)
        await stream.put(b"1")
        await stream.join(two := Connection(), 0)
        if primes:
            assert one.written == b"id: c.%b.1\nretry: 3000\ndata: \n\n" % stream.name.encode()
            assert [each.event for each in two.ids] == [2, 3], "first what was missed, then a new place to resume from"
        else:
            assert one.written == b""
            assert [each.event for each in two.ids] == [1]


async def test_a_pause_closes_the_connection_of_a_client_that_knows_to_come_back():
    stream = shelf(primes=True).open(Kind.CALL, None, one := Connection())
    await stream.pause(200)
    assert one.closed
    assert b"retry: 200\n" in one.written
    await stream.pause(200)
    await stream.put(b"1")
    await stream.join(two := Connection(), one.ids[-1].event)
    assert two.data == ["1"]


async def test_no_upstream_keeps_a_client_away_for_longer_than_its_answer_is_waited_with():
    one, stream = Connection(), shelf(primes=True).open(Kind.CALL)
    stream.connection = one
    await stream.pause(999_999_999_999)
    (said,) = [line for line in one.written.decode().splitlines() if line.startswith("retry: ")]
    assert int(said.removeprefix("retry: ")) / 1000 < min(Timing().grace, DEFAULT_LIMITS.seconds)


async def test_a_pause_means_nothing_to_a_client_that_does_not():
    stream = shelf(primes=False).open(Kind.CALL, None, one := Connection())
    await stream.pause(200)
    await stream.put(b"1")
    assert (one.closed, one.data) == (False, ["1"])


async def test_a_stream_is_deserted_when_nobody_came_back_in_time():
    stream = shelf().open(Kind.CALL, None, one := Connection())
    waiting = asyncio.ensure_future(stream.deserted(0.01))
    await asyncio.sleep(0.05)
    assert not waiting.done(), "its client is there"
    stream.leave(one)
    await asyncio.wait_for(waiting, 5)


async def test_coming_back_begins_the_grace_anew():
    stream = shelf().open(Kind.CALL, None, None)
    waiting = asyncio.ensure_future(stream.deserted(60))
    await asyncio.sleep(0)
    await stream.join(one := Connection(), 0)
    await asyncio.sleep(0)
    stream.leave(one)
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


@pytest.mark.promise("T23")
async def test_an_answer_too_large_to_wait_is_replaced_by_a_sentence():
    for connected in (False, True):
        stream = shelf(stream=100).open(Kind.CALL, None, one := Connection())
        if not connected:
            stream.leave(one)
        await stream.end([(b"x" * 200,)], b"too large")
        await stream.join(two := Connection(), 0)
        assert two.data == ([] if connected else ["too large"])
        assert one.data == (["x" * 200] if connected else [])


@pytest.mark.promise("T23")
async def test_the_oldest_events_of_a_stream_make_room():
    stream = shelf(events=3).open(Kind.CALL)
    await stream.put(*(b"%d" % at for at in range(10)))
    assert kept(stream) == [8, 9, 10]


@pytest.mark.promise("T23", "T16")
async def test_a_session_that_keeps_much_costs_first_itself_and_its_longest_quiet_stream():
    replay = Replay(Limits(stream=1000, session=1000, total=100_000), lambda: 0.0)
    greedy, other = Shelf(replay, primes=False), Shelf(replay, primes=False)
    others = other.open(Kind.CALL)
    await others.put(b"x" * 500)
    quiet, loud = greedy.open(Kind.CALL), greedy.open(Kind.CALL)
    await quiet.put(b"y" * 500)
    for _ in range(20):
        await loud.put(b"z" * 200)
    assert kept(quiet) == []
    assert len(kept(others)) == 1
    assert greedy.budget.total <= 1000


@pytest.mark.promise("T23")
async def test_a_thousand_streams_of_one_session_leave_a_few():
    here = shelf(streams=8)
    for _ in range(1000):
        stream = here.open(Kind.CALL, None, one := Connection())
        await stream.end([(b"1",)], b"")
        stream.leave(one)
    assert len(list(here)) == 8
    assert here.replay.budget.total == here.budget.total == sum(each._held for each in here)
    assert len(here.replay._retired) == 8


async def test_streams_that_are_still_told_something_make_no_room():
    here = shelf(streams=2)
    alive = [here.open(Kind.CALL) for _ in range(3)]
    assert list(here) == alive


async def test_what_is_over_is_forgotten_after_a_while_and_what_goes_on_is_not():
    now = 0.0
    replay = Replay(Limits(seconds=10), lambda: now)
    here = Shelf(replay, primes=False)
    over, away, alive = here.open(Kind.CALL), here.open(Kind.NOTICES, None, one := Connection()), here.open(Kind.CALL)
    await alive.put(b"1")
    await over.end([(b"1",)], b"")
    away.leave(one)
    back = here.open(Kind.NOTICES, None, one)
    back.leave(one)
    await back.join(one, 0)
    now = 9.0
    replay.sweep()
    assert len(list(here)) == 4
    now = 10.0
    replay.sweep()
    assert list(here) == [alive, back]
    assert replay._timer is None


async def test_a_session_that_ends_keeps_nothing_and_still_tells_who_is_there():
    here = shelf()
    stream = here.open(Kind.CALL, None, one := Connection())
    await stream.put(b"1")
    here.clear()
    await stream.end([(b"2",)], b"")
    assert one.data == ["1", "2"]
    assert (here.budget.total, here.replay.budget.total, list(here)) == (0, 0, [])


LIMITS = Limits(events=5, stream=400, session=600, total=1000, streams=3, seconds=10)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 300), st.booleans()), max_size=60))
def test_whatever_is_told_the_bounds_hold_and_the_sums_are_right(told):
    async def play():
        replay = Replay(LIMITS, lambda: 0.0)
        shelves = [Shelf(replay, primes=False) for _ in range(3)]
        open_streams: list[list[Stream]] = [[], [], []]
        for which, at, size, ends in told:
            streams = open_streams[which]
            if at >= len(streams):
                streams.append(shelves[which].open(Kind.CALL))
            stream = streams[at % len(streams)]
            if ends and not stream.is_over:
                await stream.end([(b"x" * size,)], b"s")
            elif not stream.is_over:
                await stream.put(b"x" * size)
            every = [each for shelf in shelves for each in shelf]
            assert all(len(each._events) <= 5 and each._held <= 400 for each in every)
            assert all(each._held == sum(len(event) for _, event in each._events) for each in every)
            assert all(shelf.budget.total == sum(each._held for each in shelf) <= 600 for shelf in shelves)
            assert replay.budget.total == sum(each._held for each in every) <= 1000
        if replay._timer is not None:
            replay._timer.cancel()

    asyncio.run(play())
