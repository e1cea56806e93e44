"""What is known of the upstreams, across restarts."""

import asyncio
from dataclasses import replace

import pytest

from mcp_hub.catalog.parts import Kind, Part, encode_part
from mcp_hub.errors import StoreFailed
from mcp_hub.gateway.memory import SHARED, Memory
from mcp_hub.store.base import Remembered
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.upstream.known import Known
from mcp_hub.wire.eras import Era
from rig.fake_upstream import tool

pytestmark = pytest.mark.promise("A8", "D33", "A7")
URLS = {"a": "https://a.example/mcp", "b": "https://b.example/mcp"}
PART = Part(items={Kind.TOOL: (tool("kept", future={"n": 2**70}),)}, ttl_ms=5, public=True, instructions="Use me.")
KNOWN = Known(era=Era.LEGACY, part=PART)


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore.open(tmp_path / "hub.db")
    yield store
    await store.aclose()


async def stored(store, **more):
    row = Remembered("default", "a", SHARED, URLS["a"], "modern", encode_part(PART), 1.0)
    await store.remember(replace(row, **more))


async def recalled(store):
    return await Memory(store, "default", URLS).recall()


async def test_what_was_learned_is_known_after_a_restart(store):
    memory = Memory(store, "default", URLS)
    memory.changed("a", KNOWN, new_part=True)
    await memory.flush()
    assert await recalled(store) == {"a": Known(era=Era.LEGACY, part=PART)}


async def test_only_a_new_list_is_stored(store):
    memory = Memory(store, "default", URLS)
    memory.changed("a", KNOWN, new_part=False)
    await memory.flush()
    assert await recalled(store) == {}


class Telling:
    """A store that tells when something was stored in it, and fails until it is told not to."""

    def __init__(self, store, *, works: bool = True) -> None:
        self.store = store
        self.works = works
        self.asked = asyncio.Event()
        self.stored = asyncio.Semaphore(0)

    async def remember(self, item: Remembered) -> None:
        self.asked.set()
        if not self.works:
            raise StoreFailed("The disk is full.")
        await self.store.remember(item)
        self.stored.release()


async def test_its_own_task_writes_without_being_asked(store):
    telling = Telling(store)
    memory = Memory(telling, "default", URLS)
    task = asyncio.ensure_future(memory.run())
    async with asyncio.timeout(5):
        for name in URLS:
            memory.changed(name, KNOWN, new_part=True)
            await telling.stored.acquire()
        assert set(await recalled(store)) == set(URLS)
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()


async def test_the_newest_list_wins(store):
    memory = Memory(store, "default", URLS)
    memory.changed("a", KNOWN, new_part=True)
    memory.changed("a", replace(KNOWN, part=replace(PART, instructions="newer")), new_part=True)
    await memory.flush()
    assert (await recalled(store))["a"].part.instructions == "newer"


@pytest.mark.parametrize(
    "row",
    [{"url": "https://moved.example/mcp"}, {"upstream": "removed"}, {"visibility": "of one user"}, {"tenant": "x"}],
)
async def test_what_belongs_to_another_place_or_person_is_not_used(store, row):
    await stored(store, **row)
    assert await recalled(store) == {}


async def test_a_damaged_list_is_fetched_anew_with_a_warning_and_the_era_is_kept(store, caplog):
    await stored(store, catalog=b'{"items":')
    assert await recalled(store) == {"a": Known(era=Era.MODERN)}
    assert [record.getMessage() for record in caplog.records] == [
        "the stored list of a is of another version and is fetched anew"
    ]


@pytest.mark.parametrize(
    "catalog", [b"[]", b"null", b"\xff", b"[" * 100_000, b'{"items":{"unknown":[]}}', b'{"ttl_ms":"x"}']
)
async def test_no_bytes_in_the_store_keep_the_hub_from_starting(store, catalog):
    await stored(store, catalog=catalog)
    assert (await recalled(store))["a"].part is None


@pytest.mark.parametrize("era", [None, "future"])
async def test_an_era_that_is_not_one_is_found_out_again(store, era):
    await stored(store, era=era, catalog=None)
    assert await recalled(store) == {"a": Known()}


async def test_what_is_known_without_a_list_or_an_era_is_stored_as_that(store):
    memory = Memory(store, "default", URLS)
    memory.changed("a", Known(), new_part=True)
    await memory.flush()
    assert await recalled(store) == {"a": Known()}


async def test_a_store_that_fails_is_reported_and_asked_again_with_the_next_list(store, caplog):
    failing = Telling(store, works=False)
    memory = Memory(failing, "default", URLS)
    task = asyncio.ensure_future(memory.run())
    async with asyncio.timeout(5):
        memory.changed("a", KNOWN, new_part=True)
        await failing.asked.wait()
        failing.works = True
        memory.changed("b", KNOWN, new_part=True)
        await failing.stored.acquire()
        task.cancel()
        await asyncio.wait([task])
    assert [record.getMessage() for record in caplog.records] == [
        "the list of a could not be stored: The disk is full."
    ]
    assert set(await recalled(store)) == {"b"}


class Stuck:
    """A store whose writing hangs."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def remember(self, item: Remembered) -> None:
        self.begun.set()
        await asyncio.Event().wait()


async def test_a_list_whose_writing_was_cancelled_is_written_at_the_end(store):
    stuck = Stuck()
    memory = Memory(stuck, "default", URLS)
    task = asyncio.ensure_future(memory.run())
    async with asyncio.timeout(5):
        memory.changed("a", KNOWN, new_part=True)
        await stuck.begun.wait()
        task.cancel()
        await asyncio.wait([task])
        memory._store = store
        await memory.flush()
    assert set(await recalled(store)) == {"a"}


async def test_a_list_that_changes_while_it_is_written_is_written_again(store):
    memory = Memory(store, "default", URLS)

    class Slow:
        async def remember(self, item: Remembered) -> None:
            memory._store = store
            memory.changed("a", replace(KNOWN, era=Era.MODERN), new_part=True)

    memory._store = Slow()
    memory.changed("a", KNOWN, new_part=True)
    await memory.flush()
    assert (await recalled(store))["a"].era is Era.MODERN
