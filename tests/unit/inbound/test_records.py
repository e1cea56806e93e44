"""Sessions across restarts, however sudden: found by their owner alone, within the limits, at no cost to calls."""

import asyncio

import pytest
from msgspec import Raw

from mcp_hub.errors import StoreFailed
from mcp_hub.inbound.records import Records, digest
from mcp_hub.inbound.sessions import EVERY, Event, Limits, MemorySessions, Session, State
from mcp_hub.principal import Principal
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.wire.eras import Client, Era
from unit.inbound.hub import ALICE, BOB

pytestmark = pytest.mark.promise("A4")

CLIENT = Client(Era.LEGACY, "2025-06-18", Raw(b'{"roots":{}}'), Raw(b'{"name":"c"}'))


class CountingStore:
    """A real store that says how often it was asked, and fails when told to."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.asked: list[str] = []
        self.broken = False
        self.held: asyncio.Event | None = None

    def __getattr__(self, name):
        method = getattr(self._store, name)

        async def counted(*given):
            self.asked.append(name)
            if self.broken:
                raise StoreFailed("The store hub.db is on a disk that is full.")
            if self.held is not None:
                await self.held.wait()
            return await method(*given)

        return counted


class Machine:
    """One store, on which hubs are started one after the other; a hub that is not told to stop was killed."""

    def __init__(self) -> None:
        self.store = CountingStore(SqliteStore.open(":memory:"))
        self.today = 1_000_000.0
        self.ended: list[str] = []
        self.woken: list[tuple[str, str]] = []

    async def start(self, **limits) -> MemorySessions:
        booted = self.today

        async def end(session_id: str, owner: object) -> None:
            self.ended.append(session_id)

        async def wake(session_id: str, level: str) -> None:
            self.woken.append((session_id, level))

        records = Records(self.store, lambda: self.today)
        clock = lambda: self.today - booted  # noqa: E731 - the monotonic clock of this hub
        sessions = MemorySessions(end, Limits(**limits), clock, records=records, on_wake=wake)
        await sessions.recall()
        self.store.asked.clear()
        return sessions


@pytest.fixture
async def machine():
    machine = Machine()
    yield machine
    await machine.store._store.aclose()


async def test_a_session_outlives_a_hub_that_is_killed_as_soon_as_it_was_opened(machine):
    opened = await (await machine.start()).open(ALICE, CLIENT)
    found = await (await machine.start()).find(opened.id, ALICE)
    assert found is not None
    assert (found.id, found.owner, found.client, found.created_at) == (opened.id, ALICE.key, CLIENT, machine.today)
    assert found.state is State.LIVE
    assert found.missed


async def test_a_log_level_and_subscriptions_outlive_it_too(machine):
    sessions = await machine.start()
    opened = await sessions.open(ALICE, CLIENT)
    opened.level, opened.resources = "error", ("up+x:1", "up+x:2")
    await sessions.keep(opened)
    found = await (await machine.start()).find(opened.id, ALICE)
    assert found is not None
    assert found.resources == ("up+x:1", "up+x:2")
    assert machine.woken == [(opened.id, "error")]


@pytest.mark.promise("T19", "B22")
async def test_after_a_restart_too_a_session_is_its_owners_alone(machine):
    opened = await (await machine.start()).open(ALICE, CLIENT)
    sessions = await machine.start()
    for other in (BOB, Principal("other", "alice"), Principal("idp", "alice", tenant="t2")):
        assert await sessions.find(opened.id, other) is None
    assert machine.store.asked == [], "nothing was looked up for them"
    assert await sessions.find(opened.id, ALICE) is not None
    assert await sessions.find(opened.id, BOB) is None


@pytest.mark.promise("T19")
async def test_a_flood_of_unknown_ids_never_reaches_the_store_and_leaves_nothing_behind(machine):
    opened = await (await machine.start()).open(ALICE, CLIENT)
    sessions = await machine.start()
    for at in range(5_000):
        assert await sessions.find(f"guess-{at}", ALICE) is None
    for guess in (opened.id[:-1], opened.id + "x", digest(opened.id).hex(), "", "\udcff"):
        assert await sessions.find(guess, ALICE) is None
    assert machine.store.asked == []
    assert len(sessions) == 1


@pytest.mark.promise("T32")
async def test_what_is_stored_lets_nobody_in(machine):
    opened = await (await machine.start()).open(ALICE, CLIENT)
    stored = await machine.store._store.session(digest(opened.id))
    assert stored is not None
    assert opened.id not in repr(stored)
    sessions = await machine.start()
    assert await sessions.find(stored.id.decode("latin-1"), ALICE) is None
    assert await sessions.find(stored.id.hex(), ALICE) is None


async def test_many_requests_at_once_wake_one_session_once(machine):
    opened = await (await machine.start()).open(ALICE, CLIENT)
    sessions = await machine.start()
    found = await asyncio.gather(*(sessions.find(opened.id, ALICE) for _ in range(20)))
    assert len(set(map(id, found))) == 1
    assert found[0] is not None
    assert machine.store.asked == ["session"]


async def test_a_request_in_a_known_session_asks_the_store_nothing(machine):
    sessions = await machine.start()
    opened = await sessions.open(ALICE, CLIENT)
    machine.store.asked.clear()
    for _ in range(100):
        await sessions.find(opened.id, ALICE)
    assert machine.store.asked == []


async def test_use_is_written_for_all_sessions_at_once_and_only_for_those_used(machine):
    sessions = await machine.start()
    opened = [await sessions.open(ALICE, CLIENT) for _ in range(10)]
    machine.today += 100
    await sessions.flush()
    machine.store.asked.clear()
    machine.today += 100
    await sessions.find(opened[3].id, ALICE)
    opened[4].running[1] = lambda why: None
    await sessions.flush()
    assert machine.store.asked == ["touch_sessions"]
    uses = await machine.store._store.session_uses()
    assert {each.id for each in uses if each.used_at == machine.today} == {opened[3].digest, opened[4].digest}
    machine.store.asked.clear()
    opened[4].running.clear()
    machine.today += 100
    await sessions.flush()
    assert machine.store.asked == []


async def test_the_idle_limit_counts_the_time_in_which_the_hub_was_down(machine):
    sessions = await machine.start(idle=1800)
    old, used = await sessions.open(ALICE, CLIENT), await sessions.open(ALICE, CLIENT)
    machine.today += 1000
    await sessions.find(used.id, ALICE)
    await sessions.flush()
    machine.today += 800 + EVERY
    sessions = await machine.start(idle=1800)
    assert len(sessions) == 1
    assert await sessions.find(old.id, ALICE) is None
    assert await sessions.find(used.id, ALICE) is not None
    machine.today += 1800
    sessions = await machine.start(idle=1800)
    await sessions.flush()
    assert len(await machine.store._store.session_uses()) == len(sessions)


async def test_a_clock_that_was_set_back_makes_no_session_older_or_younger_than_now(machine):
    opened = await (await machine.start()).open(ALICE, CLIENT)
    machine.today -= 10_000
    sessions = await machine.start(idle=1800)
    assert await sessions.find(opened.id, ALICE) is not None


async def test_sessions_that_sleep_count_and_make_room_first(machine):
    before = await machine.start()
    sleeping: list[Session] = []
    for _ in range(3):
        machine.today += 1
        sleeping.append(await before.open(ALICE, CLIENT))
    bobs = await before.open(BOB, CLIENT)
    sessions = await machine.start(per_principal=3)
    fresh = await sessions.open(ALICE, CLIENT)
    assert len(sessions) == 4
    assert await sessions.find(sleeping[0].id, ALICE) is None
    for each, owner in ((sleeping[1], ALICE), (sleeping[2], ALICE), (fresh, ALICE), (bobs, BOB)):
        assert await sessions.find(each.id, owner) is not None
    assert len(await machine.store._store.session_uses()) == 4, "with the new one written, the old one was dropped"


@pytest.mark.parametrize(("limits", "left"), [({"total": 4}, 4), ({"per_principal": 2}, 4), ({"idle": -1}, 0)])
async def test_what_a_limit_forbids_by_now_ends_at_the_start(machine, limits, left):
    before = await machine.start()
    for owner in (ALICE, BOB) * 3:
        await before.open(owner, CLIENT)
    sessions = await machine.start(**limits)
    assert len(sessions) == left
    await sessions.flush()
    assert len(await machine.store._store.session_uses()) == left


async def test_a_session_its_client_ended_is_gone_from_the_disk_before_the_answer(machine):
    sessions = await machine.start()
    opened = await sessions.open(ALICE, CLIENT)
    await sessions.end(opened, Event.DELETED)
    assert await (await machine.start()).find(opened.id, ALICE) is None


async def test_a_change_that_comes_after_the_end_brings_no_session_back(machine):
    sessions = await machine.start()
    opened = await sessions.open(ALICE, CLIENT)
    machine.store.held = asyncio.Event()
    first = asyncio.ensure_future(sessions.keep(await _other(sessions, machine)))
    late = asyncio.ensure_future(sessions.keep(opened))
    ended = asyncio.ensure_future(sessions.end(opened, Event.DELETED))
    for _ in range(5):
        await asyncio.sleep(0)
    machine.store.held.set()
    await asyncio.gather(first, late, ended)
    assert await machine.store._store.session(opened.digest) is None


async def _other(sessions: MemorySessions, machine: Machine):
    held, machine.store.held = machine.store.held, None
    try:
        return await sessions.open(ALICE, CLIENT)
    finally:
        machine.store.held = held


async def test_changes_that_come_together_are_one_transaction(machine):
    sessions = await machine.start()
    opened = [await sessions.open(ALICE, CLIENT) for _ in range(50)]
    machine.store.asked.clear()
    await asyncio.gather(*(sessions.keep(each) for each in opened))
    assert machine.store.asked == ["keep_sessions"]


async def test_a_store_that_fails_costs_the_record_and_not_the_session(machine, caplog):
    sessions = await machine.start()
    machine.store.broken = True
    opened = await sessions.open(ALICE, CLIENT)
    machine.today += 1
    assert await sessions.find(opened.id, ALICE) is opened
    await sessions.flush()
    assert "when sessions were used could not be stored" in caplog.text
    await sessions.end(opened, Event.DELETED)
    assert "disk that is full" in caplog.text
    assert opened.id not in caplog.text
    machine.store.broken = False
    await sessions.flush()
    assert await machine.store._store.session_uses() == [], "what could not be deleted is deleted later"


async def test_a_store_that_cannot_be_read_is_no_reason_to_end_what_it_holds(machine):
    opened = await (await machine.start()).open(ALICE, CLIENT)
    sessions = await machine.start()
    machine.store.broken = True
    with pytest.raises(StoreFailed):
        await sessions.find(opened.id, ALICE)
    machine.store.broken = False
    assert await sessions.find(opened.id, ALICE) is not None


async def test_a_session_that_ends_while_it_wakes_does_not_wake(machine):
    opened = await (await machine.start()).open(ALICE, CLIENT)
    sessions = await machine.start(idle=1800)
    machine.store.held = asyncio.Event()
    waking = asyncio.ensure_future(sessions.find(opened.id, ALICE))
    await asyncio.sleep(0)
    machine.today += 2000
    sessions.sweep()
    machine.store.held.set()
    assert await waking is None
    assert len(sessions) == 0
