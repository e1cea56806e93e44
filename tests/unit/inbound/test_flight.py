import asyncio

import pytest

from mcp_hub.inbound.flight import Ended, Flight, Patrol, Phase, Timing

pytestmark = pytest.mark.promise("A4")


async def nothing_comes():
    await asyncio.get_running_loop().create_future()


async def fly(timing: Timing, phase: Phase, receive=nothing_comes, *, hang_up_ends=True, keep_alive=None):
    """Why a request that does nothing but stay in this phase is ended."""
    pings: list[int] = []

    async def ping():
        pings.append(1)
        if keep_alive is not None:
            await keep_alive(pings)

    flight = Flight(receive, timing, Patrol(timing.late), ping)
    flight.hang_up_ends = hang_up_ends
    flight.enter(phase)
    try:
        async with asyncio.timeout(5):
            await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        assert flight.recover()
    finally:
        flight.land()
    return flight.ended


async def hang_up():
    return {"type": "http.disconnect"}


async def gone():
    raise OSError("gone")


@pytest.mark.parametrize(("phase", "why"), [(Phase.READING, Ended.STALLED), (Phase.SENDING, Ended.NOT_READ)])
async def test_a_late_request_is_held_to_the_limit_of_its_phase(phase, why):
    assert await fly(Timing(late=0, read=0.001, write=0.001), phase) is why


@pytest.mark.parametrize("receive", [hang_up, gone])
async def test_a_late_request_hears_its_client_hang_up(receive):
    assert await fly(Timing(late=0), Phase.ANSWERING, receive) is Ended.HUNG_UP


@pytest.mark.promise("A5")
async def test_a_legacy_request_goes_on_for_a_while_after_its_client_hung_up():
    flight = Flight(hang_up, Timing(late=0, grace=0.05), Patrol(0), nothing_comes)
    flight.enter(Phase.ANSWERING)
    flight.be_late()
    started = asyncio.get_running_loop().time()
    try:
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        assert flight.recover()
    finally:
        flight.land()
    assert flight.ended is Ended.HUNG_UP
    assert asyncio.get_running_loop().time() - started >= 0.05
    assert Timing().grace == 60.0


@pytest.mark.promise("A5")
async def test_a_legacy_request_that_is_done_within_its_grace_is_not_ended():
    flight = Flight(hang_up, Timing(late=0, grace=5), Patrol(0), nothing_comes)
    flight.enter(Phase.ANSWERING)
    flight.be_late()
    for _ in range(3):
        await asyncio.sleep(0)
    flight.land()
    assert flight.ended is None


async def test_a_late_request_is_kept_alive_until_the_client_cannot_be_reached():
    async def fails_later(pings):
        if len(pings) == 3:
            raise OSError("gone")

    timing = Timing(late=0, keep_alive=0.001)
    assert await fly(timing, Phase.ANSWERING, keep_alive=fails_later) is Ended.HUNG_UP


async def test_a_request_that_is_done_soon_starts_no_task_and_leaves_nothing_behind():
    before = len(asyncio.all_tasks())
    patrol = Patrol(0.001)
    for _ in range(100):
        flight = Flight(nothing_comes, Timing(), patrol, nothing_comes)
        flight.enter(Phase.ANSWERING)
        flight.land()
    assert len(asyncio.all_tasks()) == before
    assert (patrol._fresh, patrol._older) == ({}, {})


async def test_a_request_that_is_over_cannot_be_ended():
    flight = Flight(nothing_comes, Timing(), Patrol(1), nothing_comes)
    flight.land()
    flight.end(Ended.CANCELLED)
    assert flight.ended is None
    await asyncio.sleep(0)


async def test_the_first_reason_counts():
    flight = Flight(nothing_comes, Timing(), Patrol(1), nothing_comes)
    flight.end(Ended.CANCELLED)
    flight.end(Ended.HUNG_UP)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(0)
    assert flight.ended is Ended.CANCELLED
    assert flight.recover()
    flight.land()


async def test_a_cancellation_from_above_is_not_taken_back():
    flight = Flight(nothing_comes, Timing(), Patrol(1), nothing_comes)
    assert not flight.recover()
    flight.land()


async def test_every_write_of_a_late_request_has_the_limit_for_itself():
    flight = Flight(nothing_comes, Timing(late=0, write=0.05), Patrol(0), nothing_comes)
    flight.be_late()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while loop.time() < begun + 0.15:
        flight.enter(Phase.SENDING)
        await asyncio.sleep(0)
    flight.land()
    assert flight.ended is None
