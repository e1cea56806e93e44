"""Work that many ask for and that runs once."""

import asyncio

import pytest

from mcp_hub.single_flight import SingleFlight

pytestmark = pytest.mark.promise("A7", "T17")


class Work:
    """Work that ends when it is told to, and counts how often it began."""

    def __init__(self) -> None:
        self.begun = 0
        self.begins = asyncio.Event()
        self.end = asyncio.Event()

    async def __call__(self) -> str:
        self.begun += 1
        self.begins.set()
        await self.end.wait()
        return f"result {self.begun}"


async def test_many_who_ask_meanwhile_share_one_run():
    flight, work = SingleFlight[str, str](), Work()
    tasks = [asyncio.ensure_future(flight.run("key", work)) for _ in range(20)]
    await work.begins.wait()
    work.end.set()
    async with asyncio.timeout(5):
        assert set(await asyncio.gather(*tasks)) == {"result 1"}
    assert work.begun == 1


async def test_another_key_and_a_later_time_are_runs_of_their_own():
    flight, work = SingleFlight[str, str](), Work()
    work.end.set()
    async with asyncio.timeout(5):
        assert [await flight.run("a", work), await flight.run("a", work)] == ["result 1", "result 2"]
        await asyncio.gather(flight.run("a", work), flight.run("b", work))
    assert work.begun == 4


async def test_a_caller_who_is_cancelled_leaves_the_work_to_the_others():
    flight, work = SingleFlight[str, str](), Work()
    impatient, patient = (asyncio.ensure_future(flight.run("key", work)) for _ in range(2))
    await work.begins.wait()
    impatient.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([impatient])
        work.end.set()
        assert await patient == "result 1"
    assert impatient.cancelled()


async def test_a_failure_reaches_everybody_who_waits_and_nobody_after():
    flight, work = SingleFlight[str, str](), Work()
    gate = asyncio.Event()

    async def fail() -> str:
        await gate.wait()
        raise ConnectionError("no")

    tasks = [asyncio.ensure_future(flight.run("key", fail)) for _ in range(3)]
    gate.set()
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        work.end.set()
        assert await flight.run("key", work) == "result 1"
    assert [type(each) for each in outcomes] == [ConnectionError] * 3


async def test_a_failure_that_nobody_waits_for_is_not_complained_of(caplog):
    flight, gate = SingleFlight[str, str](), asyncio.Event()

    async def fail() -> str:
        await gate.wait()
        raise ConnectionError("no")

    task = asyncio.ensure_future(flight.run("key", fail))
    await asyncio.sleep(0)
    work = list(flight._under_way.values())
    task.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([task])
        gate.set()
        await asyncio.wait(work)
    assert not caplog.records


async def test_closing_ends_what_is_under_way():
    flight, work = SingleFlight[str, str](), Work()
    task = asyncio.ensure_future(flight.run("key", work))
    await work.begins.wait()
    async with asyncio.timeout(5):
        await flight.aclose()
        await asyncio.wait([task])
    assert task.cancelled()
    assert not flight._under_way
