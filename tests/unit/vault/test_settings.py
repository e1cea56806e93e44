"""A setting is sealed before it is stored, made once, and refused where somebody else has put it there."""

import asyncio

import pytest

from mcp_hub.errors import Unsealable
from mcp_hub.vault.settings import SealedSettings
from mcp_hub.vault.vault import CANARY

pytestmark = pytest.mark.promise("T32")


@pytest.fixture
def settings(store, vault):
    return SealedSettings(store, vault)


async def test_a_setting_is_kept_and_stored_only_sealed(store, settings):
    assert await settings.kept("key", b"planted-first") == b"planted-first"
    assert await settings.kept("key", b"planted-second") == b"planted-first"
    assert b"planted" not in b"".join(value for _, value in await store.settings())


async def test_of_many_writers_the_first_wins(settings):
    kept = await asyncio.gather(*(settings.kept("key", bytes([at])) for at in range(8)))
    assert len(set(kept)) == 1


@pytest.mark.parametrize("planted", [bytes(32), b"", b"v1" + bytes(62)])
async def test_a_setting_that_nobody_sealed_is_refused(store, settings, planted):
    await store.keep_setting_if_absent("cursor-key", planted)
    with pytest.raises(Unsealable, match=r"settings, value\) cannot be opened"):
        await settings.kept("cursor-key", bytes(32))
    assert await store.setting("cursor-key") == planted


async def test_two_settings_that_were_swapped_are_refused(store, settings):
    for key in ("one", "two"):
        await settings.kept(key, key.encode())
    one, two = await store.setting("one"), await store.setting("two")
    await store.replace_setting("one", one, two)
    await store.replace_setting("two", two, one)
    for key in ("one", "two"):
        with pytest.raises(Unsealable):
            await settings.kept(key, b"")


async def test_they_are_sealed_anew_in_pages(settings):
    for at in range(5):
        await settings.kept(f"key-{at}", b"x")
    first = await settings.sealed_rows("", 4)
    rest = await settings.sealed_rows(first[-1].key, 4)
    assert [row.key for row in (*first, *rest)] == [*(f"key-{at}" for at in range(5)), CANARY]
    assert await settings.sealed_rows(rest[-1].key, 4) == []
