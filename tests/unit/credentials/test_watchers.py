"""Whoever keeps something of a connection learns when it changed."""

import asyncio
import gc

import pytest
from tests.store_connections_suite import ANN, BOB, KEY

from mcp_hub.credentials import watchers as watching
from mcp_hub.credentials.watchers import Watchers
from mcp_hub.errors import StoreFailed
from mcp_hub.store.connections import Changes
from mcp_hub.store.sqlite import SqliteStore

pytestmark = pytest.mark.promise("T59", "B22")


@pytest.fixture
async def stores(tmp_path):
    """Two stores on one file, as two processes have them."""
    stores = [SqliteStore.open(tmp_path / "hub.db") for _ in range(2)]
    yield stores
    for each in stores:
        await each.aclose()


@pytest.fixture
def told():
    return []


async def test_a_change_in_this_process_is_told_before_who_made_it_goes_on_and_to_nobody_else(stores, told):
    here = Watchers(stores[0])
    here.add(ANN, lambda: told.append("ann"))
    here.add(BOB, lambda: told.append("bob"))
    await stores[0].put_key(KEY)
    assert told == ["ann"]
    await stores[0].drop_key(ANN)
    assert told == ["ann", "ann"]


async def test_a_change_of_another_process_is_found_by_a_look_and_told_once(stores, told):
    here = Watchers(stores[0])
    here.add(ANN, lambda: told.append("ann"))
    here.add(BOB, lambda: told.append("bob"))
    await here.look()
    told.clear()
    await stores[1].put_key(KEY)
    assert told == []
    await here.look()
    await here.look()
    assert told == ["ann"]


async def test_a_change_of_this_process_does_not_hide_one_that_another_made_just_before(stores, told):
    here = Watchers(stores[0])
    here.add(ANN, lambda: told.append("ann"))
    here.add(BOB, lambda: told.append("bob"))
    await here.look()
    told.clear()
    here._told(Changes(5, 6, frozenset({BOB})))  # which began after another process had raised it to 5
    await stores[1].put_key(KEY)
    await here.look()
    assert told == ["bob", "ann"]


async def test_the_first_look_tells_everybody_since_nobody_knows_what_was_before(stores, told):
    await stores[1].put_key(KEY)
    here = Watchers(stores[0])
    await here.look()
    here.add(BOB, lambda: told.append("bob"))
    await here.look()
    assert told == ["bob"]
    await here.look()
    assert told == ["bob"]


async def test_who_left_is_told_no_more(stores, told):
    here = Watchers(stores[0])
    leave = here.add(ANN, lambda: told.append("left"))
    here.add(ANN, lambda: told.append("stays"))
    leave()
    leave()
    await stores[0].put_key(KEY)
    assert told == ["stays"]


async def test_who_is_told_may_leave_and_come_back_meanwhile(stores, told):
    here = Watchers(stores[0])

    def again():
        told.append("ann")
        leave()
        here.add(ANN, lambda: told.append("newer"))

    leave = here.add(ANN, again)
    await stores[0].put_key(KEY)
    await stores[0].drop_key(ANN)
    assert told == ["ann", "newer"]


async def test_an_object_is_told_as_long_as_it_lives_and_not_kept_alive_by_that(stores, told):
    class Keeper:
        def changed(self):
            told.append("changed")

    here = Watchers(stores[0])
    keeper = Keeper()
    here.add_while_alive(ANN, keeper.changed)
    await stores[0].put_key(KEY)
    assert told == ["changed"]
    del keeper
    gc.collect()
    await stores[0].drop_key(ANN)
    assert told == ["changed"]
    assert here._waiting == {}


async def test_a_store_that_is_away_is_asked_again_and_nothing_is_missed(stores, told, monkeypatch):
    here = Watchers(stores[0])
    here.add(ANN, lambda: told.append("ann"))
    await here.look()
    told.clear()
    await stores[1].put_key(KEY)
    generation = stores[0].connection_generation

    async def away():
        raise StoreFailed("The store is away.")

    monkeypatch.setattr(stores[0], "connection_generation", away)
    await here.look()
    assert told == []
    monkeypatch.setattr(stores[0], "connection_generation", generation)
    await here.look()
    assert told == ["ann"]


async def test_it_looks_by_itself(stores, monkeypatch):
    monkeypatch.setattr(watching, "POLL", 0.0)
    told = asyncio.Event()
    here = Watchers(stores[0])
    here.add(ANN, told.set)
    await here.look()
    told.clear()
    running = asyncio.ensure_future(here.run())
    await stores[1].put_key(KEY)
    async with asyncio.timeout(5):
        await told.wait()
    running.cancel()


async def test_nobody_asks_the_store_while_nobody_waits(stores, monkeypatch):
    async def never():
        raise AssertionError

    monkeypatch.setattr(stores[0], "connection_generation", never)
    await Watchers(stores[0]).look()
