"""The call log: cheap to write, batched, bounded, and stored before the hub goes."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.audit.calls import CallLog
from mcp_hub.errors import StoreFailed
from mcp_hub.principal import LOCAL, Principal
from mcp_hub.store.base import CallRecord
from mcp_hub.store.sqlite import SqliteStore

pytestmark = pytest.mark.promise("D32")


class Shelf:
    """A store's append that tells what arrived, and fails as long as it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[CallRecord]] = []
        self.failing = False
        self.tries = 0
        self.changed = asyncio.Condition()

    async def append(self, records: Sequence[CallRecord]) -> None:
        async with self.changed:
            self.tries += 1
            self.changed.notify_all()
            if self.failing:
                raise StoreFailed("The store hub.db is on a disk that is full. Make room, then try again.")
            self.batches.append(list(records))

    async def until_tried(self, times: int) -> None:
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(lambda: self.tries >= times)

    @property
    def names(self) -> list[str]:
        return [record.name for batch in self.batches for record in batch]


def record(log: CallLog[CallRecord], name: str, caller: Principal = LOCAL) -> None:
    log.record(caller, client="cli", upstream="docs", method="tools/call", name=name, outcome="ok", milliseconds=2.5)


@pytest.mark.promise("D32", "T65")
async def test_a_record_says_who_where_what_and_how_it_ended():
    shelf = Shelf()
    log = CallLog(shelf.append, CallRecord._make)
    ada = Principal("https://id.example.com", "ada", "acme")
    log.record(
        ada, client="cli 1.0", upstream="docs", method="tools/call", name="x", outcome="timeout", milliseconds=7.0
    )
    await log.aclose()
    [[kept]] = shelf.batches
    assert kept.at > 1.7e9
    assert kept == CallRecord(
        *(kept.at, "acme", "https://id.example.com", "ada", "cli 1.0", "docs", "tools/call", "x", "timeout", 7.0)
    )


@pytest.mark.promise("D32")
async def test_records_end_in_the_store():
    store = SqliteStore.open(":memory:")
    log = CallLog(store.append_calls, CallRecord._make)
    for name in ("one", "two"):
        record(log, name)
    await log.aclose()
    assert [call.name for call in await store.calls("default", limit=5)] == ["two", "one"]
    await store.aclose()


async def test_a_batch_leaves_by_itself_after_a_while():
    shelf = Shelf()
    log = CallLog(shelf.append, CallRecord._make, flush_after=0.01)
    record(log, "one")
    record(log, "two")
    await shelf.until_tried(1)
    assert shelf.names == ["one", "two"]
    record(log, "three")
    await shelf.until_tried(2)
    assert shelf.names == ["one", "two", "three"]
    await log.aclose()


async def test_a_full_batch_leaves_at_once_and_no_batch_is_larger():
    shelf = Shelf()
    log = CallLog(shelf.append, CallRecord._make, flush_after=3600, batch=3)
    for at in range(7):
        record(log, str(at))
    await shelf.until_tried(2)
    assert [len(batch) for batch in shelf.batches] == [3, 3]
    await log.aclose()
    assert shelf.names == [str(at) for at in range(7)]


async def test_an_idle_log_has_no_task_and_no_timer():
    shelf, before = Shelf(), asyncio.all_tasks()
    log = CallLog(shelf.append, CallRecord._make, flush_after=0.01)
    record(log, "one")
    await shelf.until_tried(1)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert log._timer is None
    await log.aclose()


async def test_when_the_store_fails_records_wait_and_are_stored_in_order_later():
    shelf = Shelf()
    shelf.failing = True
    log = CallLog(shelf.append, CallRecord._make, flush_after=0.01, batch=2)
    for at in range(3):
        record(log, str(at))
    await shelf.until_tried(3)
    shelf.failing = False
    await shelf.until_tried(5)
    await log.aclose()
    assert shelf.names == ["0", "1", "2"]
    assert log.dropped == 0


async def test_a_store_that_stays_away_costs_the_oldest_records_and_they_are_counted():
    shelf = Shelf()
    shelf.failing = True
    log = CallLog(shelf.append, CallRecord._make, flush_after=0.01, batch=4, most=10)
    for at in range(10):
        record(log, str(at))
    await shelf.until_tried(1)
    for at in range(10, 25):
        record(log, str(at))
    shelf.failing = False
    await log.aclose()
    assert shelf.names == [str(at) for at in range(15, 25)]
    assert log.dropped == 15


async def test_closing_on_a_store_that_stays_away_ends_and_counts_what_was_lost():
    shelf = Shelf()
    shelf.failing = True
    log = CallLog(shelf.append, CallRecord._make)
    record(log, "lost")
    await log.aclose()
    assert (shelf.names, log.dropped) == ([], 1)


async def test_closing_waits_for_the_batch_under_way():
    shelf, go = Shelf(), asyncio.Event()

    async def slow(records: Sequence[CallRecord]) -> None:
        await shelf.append(records)
        await go.wait()

    log = CallLog(slow, CallRecord._make, flush_after=0.001)
    record(log, "first")
    await shelf.until_tried(1)
    record(log, "second")
    go.set()
    await log.aclose()
    assert shelf.names == ["first", "second"]


async def test_a_fault_of_ours_costs_one_batch_and_not_the_log():
    shelf, faults = Shelf(), []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context["exception"]))

    async def broken_once(records: Sequence[CallRecord]) -> None:
        await shelf.append(records)
        if shelf.tries == 1:
            raise RuntimeError("a fault of ours")

    log = CallLog(broken_once, CallRecord._make, flush_after=0.001)
    record(log, "first")
    await shelf.until_tried(1)
    record(log, "second")
    await shelf.until_tried(2)
    await log.aclose()
    assert shelf.names == ["first", "second"]
    assert [str(fault) for fault in faults] == ["a fault of ours"]


@pytest.mark.promise("T65")
async def test_names_cannot_forge_lines_and_are_bounded():
    shelf = Shelf()
    log = CallLog(shelf.append, CallRecord._make)
    caller = Principal("local", "me\nroot")
    log.record(
        caller,
        client="cli\r\x1b[2J" + "c" * 4_000_000,
        upstream="docs",
        method="tools/call\n",
        name="tool\nok" + "n" * 4_000_000,
        outcome="error",
        milliseconds=0.1,
    )
    await log.aclose()
    [[kept]] = shelf.batches
    text = f"{kept.subject}{kept.client}{kept.method}{kept.name}"
    assert text.isprintable()
    assert len(text) < 1000


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=12))
def test_every_record_is_stored_once_in_order_or_counted_as_dropped(rounds):
    async def play() -> None:
        shelf = Shelf()
        log = CallLog(shelf.append, CallRecord._make, flush_after=0.0001, batch=3, most=8)
        total = 0
        for count, failing in rounds:
            shelf.failing = failing
            for _ in range(count):
                record(log, str(total))
                total += 1
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        shelf.failing = False
        await log.aclose()
        kept = [int(name) for name in shelf.names]
        assert kept == sorted(set(kept))
        assert len(kept) + log.dropped == total

    asyncio.run(play())
