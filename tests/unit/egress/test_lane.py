import asyncio

import pytest

from mcp_hub.egress.client import Request
from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.errors import PoolFull, ResponseTimedOut
from mcp_hub.egress.http1 import Link
from mcp_hub.egress.lane import Lane
from mcp_hub.egress.pool import Limits

pytestmark = pytest.mark.promise("D28")


@pytest.fixture
async def lane_to(loopback):
    lanes = []

    def make(server, connections=2, waiting=1, keep=4.0, **dialing) -> Lane:
        dialer = Dialer(allow_private=loopback, connect_timeout=5, **dialing)
        lanes.append(Lane(server.origin(), dialer, Limits(connections, waiting), keep, lambda: None))
        return lanes[-1]

    yield make
    for lane in lanes:
        lane.close()
    await asyncio.sleep(0)


async def use(link: Link) -> None:
    wire = Request(b"GET", link_origin(link), b"/").encode()
    await (await link.exchange(wire, 5)).read(100)


def link_origin(link):
    return link._owner._origin


async def test_a_full_pool_lets_some_wait_and_refuses_the_rest(serve, lane_to):
    lane = lane_to(await serve())
    first, second = await lane.acquire(5), await lane.acquire(5)
    waiting = asyncio.create_task(lane.acquire(5))
    await asyncio.sleep(0)
    assert repr(lane).endswith(": 2 active, 0 idle, 1 waiting>")
    with pytest.raises(PoolFull, match=r"Too many requests to 127\.0\.0\.1 at once \(2 active, 0 idle, 1 waiting\)"):
        await lane.acquire(5)
    await use(first)
    assert await waiting is first
    await use(second)
    await use(first)
    assert lane.load == (0, 2, 0)


async def test_who_waits_too_long_is_turned_away_and_the_place_is_free(serve, lane_to):
    lane = lane_to(await serve(), connections=1)
    link = await lane.acquire(5)
    with pytest.raises(PoolFull):
        await lane.acquire(0.01)
    assert lane.load == (1, 0, 0)
    await use(link)
    assert await lane.acquire(5) is link


async def test_who_stops_waiting_makes_room_for_another(serve, lane_to):
    lane = lane_to(await serve(), connections=1)
    link = await lane.acquire(5)
    gone = asyncio.create_task(lane.acquire(5))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    stays = asyncio.create_task(lane.acquire(5))
    await asyncio.sleep(0)
    await use(link)
    assert await stays is link


async def test_a_connection_given_to_one_who_was_cancelled_at_that_moment_goes_on(serve, lane_to):
    lane = lane_to(await serve(), connections=1, waiting=2)
    link = await lane.acquire(5)
    first, second = (asyncio.create_task(lane.acquire(5)) for _ in range(2))
    await asyncio.sleep(0)
    lane.freed(link)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second is link
    lane.freed(link)
    assert lane.load == (0, 1, 0)


async def test_a_place_given_to_one_who_was_cancelled_at_that_moment_goes_on(serve, lane_to):
    server = await serve()
    lane = lane_to(server, connections=1, waiting=2)
    link = await lane.acquire(5)
    first, second = (asyncio.create_task(lane.acquire(5)) for _ in range(2))
    await asyncio.sleep(0)
    link.drop()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    other = await second
    assert other is not link
    other.drop()
    assert lane.load == (0, 0, 0)


async def test_a_connection_that_dies_on_its_way_to_a_waiter_is_replaced(serve, lane_to):
    lane = lane_to(await serve(), connections=1)
    link = await lane.acquire(5)
    waiting = asyncio.create_task(lane.acquire(5))
    await asyncio.sleep(0)
    lane.freed(link)
    link.drop()
    assert await waiting is not link
    assert lane.load == (1, 0, 0)


async def test_a_connection_that_dies_on_its_way_to_one_who_was_cancelled_frees_its_place(serve, lane_to):
    lane = lane_to(await serve(), connections=1)
    link = await lane.acquire(5)
    waiting = asyncio.create_task(lane.acquire(5))
    await asyncio.sleep(0)
    lane.freed(link)
    link.drop()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert lane.load == (0, 0, 0)


async def test_a_broken_exchange_gives_its_place_to_the_next(serve, lane_to):
    async def silent(peer):
        await peer.until_closed()

    lane = lane_to(await serve(silent), connections=1)
    link = await lane.acquire(5)
    waiting = asyncio.create_task(lane.acquire(5))
    await asyncio.sleep(0)
    with pytest.raises(ResponseTimedOut):
        await link.exchange(b"x", 0.01)
    assert await waiting is not link
    assert lane.load == (1, 0, 0)


async def test_asking_for_a_fresh_connection_never_gives_a_used_one(serve, lane_to):
    lane = lane_to(await serve(), connections=1)
    link = await lane.acquire(5)
    await use(link)
    fresh = await lane.acquire(5, fresh=True)
    assert fresh is not link
    assert link.closed
    waiting = asyncio.create_task(lane.acquire(5, fresh=True))
    await asyncio.sleep(0)
    await use(fresh)
    assert (await waiting).used == 0
    assert lane.load == (1, 0, 0)


async def test_a_connection_closed_while_nobody_looked_is_found_out_before_reuse(serve, lane_to, monkeypatch):
    lane = lane_to(await serve())
    link = await lane.acquire(5)
    await use(link)
    link.freed_at -= 1
    monkeypatch.setattr(Link, "is_quiet", lambda link: False)
    other = await lane.acquire(5)
    assert other is not link
    assert link.closed


async def test_only_what_is_too_old_is_swept(serve, lane_to):
    lane = lane_to(await serve(), keep=100.0)
    first, second = await lane.acquire(5), await lane.acquire(5)
    await use(first)
    await use(second)
    first.until = 0
    assert lane.sweep() == (0, 1, 0)
    assert first.closed
    assert await lane.acquire(5) is second


async def test_an_idle_connection_past_its_time_is_replaced(serve, lane_to):
    server = await serve()
    lane = lane_to(server)
    link = await lane.acquire(5)
    await use(link)
    link.until = 0
    assert await lane.acquire(5) is not link
    assert link.closed
    assert lane.load == (1, 0, 0)
