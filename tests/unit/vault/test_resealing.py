"""Rotation: everything ends under one new key, whoever dies or joins in the middle, and nothing is lost."""

import asyncio
import logging
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.errors import StoreFailed
from mcp_hub.store.keys import KeyState
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.vault.master import Given
from mcp_hub.vault.resealing import Row, counts, follow, keep_up, reseal, rotate
from mcp_hub.vault.sealing import Binding
from mcp_hub.vault.settings import SealedSettings
from mcp_hub.vault.vault import Vault
from mcp_hub.vault.written import from_text, generated

pytestmark = pytest.mark.promise("T32")

MANY = 250


class Died(Exception):
    """The process was killed here."""


class Tokens:
    """A table of sealed values. `dies_after` so many replacements."""

    def __init__(self, dies_after: int = -1) -> None:
        self.rows: dict[str, bytes] = {}
        self.dies_after = dies_after

    @staticmethod
    def place(key: str) -> Binding:
        return Binding("tokens", key, "value", subject=f"user of {key}")

    def fill(self, vault: Vault, many: int = MANY) -> None:
        self.rows |= {f"{at:04}": vault.seal(f"secret {at}", self.place(f"{at:04}")) for at in range(many)}

    async def sealed_rows(self, after: str, limit: int) -> list[Row]:
        await asyncio.sleep(0)
        found = sorted((key, sealed) for key, sealed in self.rows.items() if key > after)
        return [Row(key, self.place(key), sealed) for key, sealed in found[:limit]]

    async def replace_sealed(self, row: Row, sealed: bytes) -> bool:
        await asyncio.sleep(0)
        if self.dies_after == 0:
            raise Died
        self.dies_after -= 1
        if self.rows[row.key] != row.sealed:
            return False
        self.rows[row.key] = sealed
        return True


async def all_open(vault: Vault, tokens: Tokens) -> bool:
    opened = [await vault.open(sealed, tokens.place(key)) for key, sealed in sorted(tokens.rows.items())]
    return opened == [f"secret {at}".encode() for at in range(len(opened))]


@pytest.fixture
def sources(store, vault):
    tokens = Tokens()
    tokens.fill(vault)
    return [SealedSettings(store, vault), tokens]


async def test_everything_is_sealed_anew_and_the_old_key_retires(store, vault, sources):
    before = vault.kid
    done = await rotate(vault, store, sources, 2000.0)
    assert (done.done, done.unopened, done.is_complete) == (MANY + 1, 0, True)
    assert vault.kid != before
    assert await counts(sources) == {vault.kid: MANY + 1}
    states = {each.kid: (each.state, each.created_at) for each in await store.keys()}
    assert states[before][0] is KeyState.RETIRED
    assert states[vault.kid] == (KeyState.CURRENT, 2000.0)
    assert await all_open(vault, sources[1])


@pytest.mark.parametrize("moment", [0, 1, 99, 100, 101, MANY - 1])
async def test_a_rotation_that_was_killed_is_finished_by_the_next(store, vault, sources, master, moment):
    sources[1].dies_after = moment
    with pytest.raises(Died):
        await rotate(vault, store, sources, 2000.0)
    sources[1].dies_after = -1
    again = await Vault.unlock(store, Given(master))
    assert await all_open(again, sources[1]), "half-way everything opens"
    done = await rotate(again, store, [SealedSettings(store, again), sources[1]], 3000.0)
    assert done.is_complete
    assert await counts(sources) == {again.kid: MANY + 1}
    assert [each.state for each in await store.keys()].count(KeyState.CURRENT) == 1
    assert await all_open(again, sources[1])


@given(st.lists(st.integers(0, 12), max_size=6))
def test_however_often_it_is_killed_nothing_is_lost_and_the_last_one_ends_it(deaths):
    asyncio.run(_killed_again_and_again(deaths))


async def _killed_again_and_again(deaths: list[int]) -> None:
    store, master, tokens = SqliteStore.open(":memory:"), from_text(generated(), "X"), Tokens()
    tokens.fill(await Vault.unlock(store, Given(master)), 10)
    for moment in (*deaths, -1):
        vault = await Vault.unlock(store, Given(master))
        tokens.dies_after = moment
        with suppress(Died):
            await rotate(vault, store, [SealedSettings(store, vault), tokens], 2000.0)
        assert await all_open(await Vault.unlock(store, Given(master)), tokens)
    assert (await counts([tokens])) == {vault.kid: 10}
    states = [each.state for each in await store.keys()]
    assert set(states) == {KeyState.CURRENT, KeyState.RETIRED}
    await store.aclose()


async def test_one_that_was_killed_before_the_new_key_was_used_goes_on_with_that_key(store, vault, sources, master):
    (current,) = await store.keys()
    other = await Vault.unlock(SqliteStore.open(":memory:"), Given(master))
    waiting = (await other._store.keys())[0]._replace(state=KeyState.NEXT)
    await other._store.aclose()
    assert await store.add_key(waiting, current)
    assert vault.kid == current.kid, "a key that is next seals nothing yet"
    await rotate(vault, store, sources, 3000.0)
    assert vault.kid == waiting.kid
    assert len(await store.keys()) == 2


async def test_two_at_once_do_each_value_once(tmp_path, master):
    stores = [SqliteStore.open(tmp_path / "hub.db") for _ in range(2)]
    vaults = [await Vault.unlock(each, Given(master)) for each in stores]
    tokens = Tokens()
    tokens.fill(vaults[0])
    done = await asyncio.gather(
        *(rotate(vault, store, [tokens], 2000.0) for vault, store in zip(vaults, stores, strict=True))
    )
    assert all(each.is_complete for each in done)
    await vaults[0].refresh()
    await vaults[1].refresh()
    assert vaults[0].kid == vaults[1].kid
    assert await counts([tokens]) == {vaults[0].kid: MANY}
    assert await all_open(vaults[1], tokens)
    await asyncio.gather(*(each.aclose() for each in stores))


async def test_a_value_that_changes_meanwhile_keeps_what_was_written_last(store, vault):
    tokens = Tokens()
    tokens.fill(vault, 3)
    changed = vault.seal("written meanwhile", tokens.place("0001"))

    async def replace(row: Row, sealed: bytes) -> bool:
        if row.key == "0001" and row.sealed != changed and tokens.rows["0001"] != changed:
            tokens.rows["0001"] = changed
        return await Tokens.replace_sealed(tokens, row, sealed)

    tokens.replace_sealed = replace
    assert (await rotate(vault, store, [tokens], 2000.0)).is_complete
    assert await vault.open(tokens.rows["0001"], tokens.place("0001")) == b"written meanwhile"
    assert await counts([tokens]) == {vault.kid: 3}


@pytest.mark.parametrize("spoiled", [b"", b"plain", b"v1" + bytes(60)])
async def test_what_cannot_be_opened_is_counted_and_left_and_no_key_retires(store, vault, sources, spoiled):
    sources[1].rows["0100"] = spoiled
    done = await rotate(vault, store, sources, 2000.0)
    assert (done.done, done.unopened, done.is_complete) == (MANY, 1, False)
    assert sources[1].rows["0100"] == spoiled
    assert sorted(each.state for each in await store.keys()) == [KeyState.CURRENT, KeyState.OLD]
    del sources[1].rows["0100"]
    assert (await rotate(vault, store, sources, 3000.0)).is_complete
    assert sorted(each.state for each in await store.keys()) == [KeyState.CURRENT, KeyState.RETIRED, KeyState.RETIRED]


async def test_a_table_that_never_takes_anything_does_not_hold_a_rotation_for_ever(store, vault):
    class Stubborn(Tokens):
        async def replace_sealed(self, row: Row, sealed: bytes) -> bool:
            return False

    tokens = Stubborn()
    tokens.fill(vault, 1)
    done = await rotate(vault, store, [tokens], 2000.0)
    assert not done.is_complete
    assert await all_open(vault, tokens)


async def test_a_running_hub_notices_a_rotation_and_seals_its_own_anew(tmp_path, master):
    one, other = (SqliteStore.open(tmp_path / "hub.db") for _ in range(2))
    here, there = await Vault.unlock(one, Given(master)), await Vault.unlock(other, Given(master))
    tokens = Tokens()
    tokens.fill(here)
    await rotate(there, other, [tokens], 2000.0)
    tokens.fill(here)
    assert await counts([tokens]) == {here.kid: MANY}, "sealed with the old key by who had not noticed yet"
    assert await all_open(there, tokens), "which opens although it is retired"
    await follow(here, [tokens])
    assert here.kid == there.kid
    assert await counts([tokens]) == {here.kid: MANY}
    await follow(here, [tokens])
    await one.aclose()
    await other.aclose()


async def test_a_store_that_fails_meanwhile_is_reported_and_asked_again(vault, store, caplog):
    asked = asyncio.Semaphore(0)

    async def failing():
        asked.release()
        raise StoreFailed("The store is away.")

    store.keys = failing
    with caplog.at_level(logging.WARNING):
        running = asyncio.ensure_future(keep_up(vault, [], every=0))
        async with asyncio.timeout(5):
            for _ in range(3):
                await asked.acquire()
        running.cancel()
    assert "could not be followed: The store is away." in caplog.text


async def test_sealing_anew_without_a_rotation_has_nothing_to_do(vault, sources):
    assert await reseal(vault, sources) == (0, 0, True)


async def test_a_store_that_fails_in_the_middle_says_so(store, vault, sources):
    await store.aclose()
    with pytest.raises(StoreFailed):
        await rotate(vault, store, sources, 2000.0)
