"""The vault opens with the key it was begun with, or not at all; what is in it is of use in its place only."""

import asyncio
from dataclasses import replace

import pytest

from mcp_hub.errors import Unsealable, VaultLocked
from mcp_hub.store.keys import Changed, KeyState, Rewrapped
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.vault.master import Given
from mcp_hub.vault.sealing import Binding, new_key
from mcp_hub.vault.vault import CANARY, Vault, setting_binding
from mcp_hub.vault.wrapping import Wrapping
from mcp_hub.vault.written import from_text, generated

pytestmark = pytest.mark.promise("T32")

PLACE = Binding("grants", "1", "token", "default", "local", "ada")


class Nobody:
    """Where there is no master key."""

    def held(self, master):
        del master
        return iter(())

    def made(self):
        raise AssertionError("a store that has keys must not be given another")


async def everything(store):
    return await store.keys(), await store.settings()


async def test_what_was_sealed_opens_after_a_restart(store, vault, master):
    sealed = vault.seal("sécret", PLACE)
    again = await Vault.unlock(store, Given(master))
    assert (await again.open(sealed, PLACE)).decode() == "sécret"
    assert again.kid == vault.kid
    assert again.master.source == "the test"


async def test_sealing_and_opening_ask_nobody(store, vault):
    await store.aclose()
    assert await vault.open(vault.seal(b"secret", PLACE), PLACE) == b"secret"


async def test_rows_that_were_swapped_stay_shut(vault):
    rows = {user: vault.seal(f"token of {user}", replace(PLACE, subject=user)) for user in ("ada", "bob")}
    with pytest.raises(Unsealable):
        await vault.open(rows["bob"], replace(PLACE, subject="ada"))
    assert await vault.open(rows["ada"], replace(PLACE, subject="ada")) == b"token of ada"


async def test_another_master_key_opens_nothing_and_changes_nothing(store, vault, master):
    before, other = await everything(store), from_text(generated(), "MCP_HUB_MASTER_KEY")
    with pytest.raises(VaultLocked) as locked:
        await Vault.unlock(store, Given(other))
    said = locked.value.public
    assert said.startswith(f"MCP_HUB_MASTER_KEY (key {other.id.hex()}) does not open this store, which takes")
    assert master.id.hex() in said
    assert "Nothing was changed or deleted" in said
    assert "MCP_HUB_MASTER_KEY_FILE" in said
    assert await everything(store) == before


@pytest.mark.usefixtures("vault")
async def test_a_lost_master_key_is_not_replaced(store, master):
    before = await everything(store)
    with pytest.raises(VaultLocked, match=rf"takes the master key {master.id.hex()}, and there is none\. Nothing was"):
        await Vault.unlock(store, Nobody())
    assert await everything(store) == before


@pytest.mark.usefixtures("vault")
async def test_of_several_keys_the_one_that_fits_is_taken(store, master):
    class Several(Nobody):
        def held(self, wanted):
            assert wanted == master.id
            yield from_text(generated(), "another")
            yield master

    assert (await Vault.unlock(store, Several())).master.source == "the test"


async def test_a_store_whose_keys_are_gone_gets_no_new_ones(store, vault, master):
    await store.keep_setting_if_absent("other", b"")
    lost = SqliteStore.open(":memory:")
    for key, value in await store.settings():
        await lost.keep_setting_if_absent(key, value)
    with pytest.raises(VaultLocked, match=r"the keys they were sealed with are gone\. .*Restore a backup"):
        await Vault.unlock(lost, Given(master))
    assert await lost.keys() == []
    await lost.aclose()
    assert vault.kid


@pytest.mark.parametrize("canary", [None, b"", b"v1 and so on and so on, which nobody ever sealed"])
async def test_keys_of_another_store_are_noticed(master, canary):
    store, first = SqliteStore.open(":memory:"), new_key()
    wrapped = Wrapping(master).wrap(first)
    changes = [] if canary is None else [Changed(CANARY, None, canary)]
    from_elsewhere = (await _keys_of(master))[0]._replace(kid=first.kid, wrapped=wrapped)
    assert await store.begin_keys(from_elsewhere, changes)
    with pytest.raises(VaultLocked, match="do not belong together"):
        await Vault.unlock(store, Given(master))
    await store.aclose()


async def _keys_of(master):
    store = SqliteStore.open(":memory:")
    await Vault.unlock(store, Given(master))
    keys = await store.keys()
    await store.aclose()
    return keys


async def test_keys_without_a_current_one_are_noticed(store, master):
    keys = await _keys_of(master)
    await store.begin_keys(keys[0]._replace(state=KeyState.OLD), [])
    with pytest.raises(VaultLocked, match=r"not complete\. Nothing was changed"):
        await Vault.unlock(store, Given(master))


async def test_a_changed_key_opens_nothing(store, vault, master):
    (key,) = await store.keys()
    spoiled = key.wrapped[:-1] + bytes([key.wrapped[-1] ^ 1])
    assert await store.rewrap_keys([Rewrapped(key.kid, key.wrapped, spoiled)])
    with pytest.raises(VaultLocked, match="does not open this store"):
        await Vault.unlock(store, Given(master))
    assert vault.kid == key.kid


async def test_those_who_begin_at_once_end_with_one_key(tmp_path, master):
    stores = [SqliteStore.open(tmp_path / "hub.db") for _ in range(4)]
    vaults = await asyncio.gather(*(Vault.unlock(each, Given(master)) for each in stores))
    assert len({each.kid for each in vaults}) == 1
    assert await vaults[0].open(vaults[1].seal(b"secret", PLACE), PLACE) == b"secret"
    await asyncio.gather(*(each.aclose() for each in stores))


async def test_of_two_who_begin_with_different_keys_one_is_told(tmp_path):
    stores = [SqliteStore.open(tmp_path / "hub.db") for _ in range(2)]
    ended = await asyncio.gather(
        *(Vault.unlock(each, Given(from_text(generated(), "X"))) for each in stores), return_exceptions=True
    )
    assert {type(each) for each in ended} == {Vault, VaultLocked}
    await asyncio.gather(*(each.aclose() for each in stores))


async def test_settings_of_before_are_sealed_when_the_vault_begins_and_stay_what_they_were(tmp_path, master):
    file = tmp_path / "hub.db"
    store = SqliteStore.open(file)
    await store.keep_setting_if_absent("cursor-key", b"planted-plain-key")
    vault = await Vault.unlock(store, Given(master))
    sealed = await store.setting("cursor-key")
    assert sealed is not None
    assert await vault.open(sealed, setting_binding("cursor-key")) == b"planted-plain-key"
    with pytest.raises(Unsealable):
        await vault.open(sealed, setting_binding("request-state-key"))
    held = file.read_bytes() + file.with_name("hub.db-wal").read_bytes()
    await store.aclose()
    assert b"planted-plain-key" not in held + file.read_bytes()


async def test_a_setting_that_is_written_while_the_vault_begins_is_sealed_as_well(store, master):
    begin = store.begin_keys

    async def meanwhile(first, settings):
        """Another process, of the version before, writes just before."""
        await store.keep_setting_if_absent("late", b"plain")
        return await begin(first, settings)

    store.begin_keys = meanwhile
    vault = await Vault.unlock(store, Given(master))
    late = await store.setting("late")
    assert late is not None
    assert await vault.open(late, setting_binding("late")) == b"plain"


async def test_a_plain_setting_that_was_planted_later_is_refused(store, vault):
    await store.keep_setting_if_absent("cursor-key", bytes(32))
    with pytest.raises(Unsealable):
        await vault.open(bytes(32), setting_binding("cursor-key"))


async def test_a_key_that_another_process_has_made_is_looked_up(tmp_path, master):
    one, other = (SqliteStore.open(tmp_path / "hub.db") for _ in range(2))
    here, there = await Vault.unlock(one, Given(master)), await Vault.unlock(other, Given(master))
    await there.begin_rotation(2000.0)
    sealed = there.seal(b"secret", PLACE)
    assert here.kid != there.kid
    assert await here.open(sealed, PLACE) == b"secret"
    assert here.kid == there.kid, "and from then on it seals with the new one as well"
    await one.aclose()
    await other.aclose()


async def test_a_key_that_nobody_has_is_looked_up_and_refused(vault):
    with pytest.raises(Unsealable):
        await vault.open(new_key().seal(b"secret", PLACE), PLACE)


async def test_another_master_key_leaves_everything_sealed_as_it_is(store, vault, master):
    sealed, before = vault.seal(b"secret", PLACE), await store.settings()
    other = from_text(generated(), "the other")
    await vault.change_master(other)
    again = await Vault.unlock(store, Given(other))
    assert await again.open(sealed, PLACE) == b"secret"
    assert await store.settings() == before
    assert await vault.open(sealed, PLACE) == b"secret", "who runs already goes on"
    with pytest.raises(VaultLocked, match=other.id.hex()):
        await Vault.unlock(store, Given(master))


async def test_who_runs_since_before_is_told_when_it_matters_that_the_master_key_is_another(store, vault):
    other = from_text(generated(), "the other")
    await vault.change_master(other)
    later = await Vault.unlock(store, Given(other))
    await later.begin_rotation(2000.0)
    with pytest.raises(VaultLocked, match="another master key since this process started"):
        await vault.open(later.seal(b"secret", PLACE), PLACE)
    for change in (vault.begin_rotation(3000.0), vault.change_master(from_text(generated(), "yet another"))):
        with pytest.raises(VaultLocked, match="another master key"):
            await change


async def test_a_rotation_with_the_old_master_key_adds_no_key(store, vault):
    await vault.change_master(from_text(generated(), "the other"))
    with pytest.raises(VaultLocked, match="another master key a moment ago"):
        await vault.begin_rotation(2000.0)
    assert len(await store.keys()) == 1


async def test_a_new_data_key_and_a_new_master_key_at_once_fit_together(tmp_path, master):
    stores = [SqliteStore.open(tmp_path / "hub.db") for _ in range(2)]
    one, two = [await Vault.unlock(each, Given(master)) for each in stores]
    other = from_text(generated(), "the other")
    await asyncio.gather(one.begin_rotation(2000.0), two.change_master(other), return_exceptions=True)
    again = await Vault.unlock(stores[0], Given(other))
    assert await again.open(one.seal(b"secret", PLACE), PLACE) == b"secret"
    await asyncio.gather(*(each.aclose() for each in stores))
