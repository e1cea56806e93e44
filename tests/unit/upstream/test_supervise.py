"""Tasks that must not die."""

import asyncio

import pytest

from mcp_hub.upstream.supervise import supervise

pytestmark = pytest.mark.promise("A8", "D33")


async def test_a_fault_is_logged_and_the_task_begins_anew(caplog):
    runs = []

    async def run() -> None:
        runs.append(len(runs))
        if len(runs) < 3:
            raise KeyError("a bug")

    async with asyncio.timeout(5):
        await supervise("the task", run, again_after=0.001)
    assert runs == [0, 1, 2]
    assert [record.message.split(" by")[0] for record in caplog.records] == ["the task stopped"] * 2
    assert caplog.records[0].exc_info


async def test_a_task_that_returns_is_over():
    runs = []

    async def run() -> None:
        runs.append(1)

    await supervise("the task", run)
    assert runs == [1]


async def test_cancellation_passes_and_is_no_fault(caplog):
    begun = asyncio.Event()

    async def run() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(supervise("the task", run))
    async with asyncio.timeout(5):
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    assert not caplog.records


async def test_cancellation_passes_while_it_waits_to_begin_anew():
    failed = asyncio.Event()

    async def run() -> None:
        failed.set()
        raise KeyError("a bug")

    task = asyncio.ensure_future(supervise("the task", run, again_after=60))
    async with asyncio.timeout(5):
        await failed.wait()
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
