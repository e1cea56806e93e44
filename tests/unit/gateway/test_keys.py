"""A key is made once, kept, and never used when it is not what it should be."""

import pytest

from mcp_hub.errors import StoreFailed
from mcp_hub.gateway.keys import KEY_BYTES, kept_key
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.vault.master import Given
from mcp_hub.vault.settings import SealedSettings
from mcp_hub.vault.vault import Vault
from mcp_hub.vault.written import from_text, generated

pytestmark = pytest.mark.promise("D34")


@pytest.fixture
async def settings():
    store = SqliteStore.open(":memory:")
    vault = await Vault.unlock(store, Given(from_text(generated(), "the test")))
    yield SealedSettings(store, vault)
    await store.aclose()


async def test_a_key_is_made_once_for_each_name(settings):
    key = await kept_key(settings, "one")
    assert len(key) == KEY_BYTES
    assert await kept_key(settings, "one") == key
    assert await kept_key(settings, "other") != key


@pytest.mark.parametrize("stored", [b"", b"short", bytes(KEY_BYTES - 1), bytes(KEY_BYTES + 1)])
async def test_what_cannot_be_a_key_is_named_and_left_alone(settings, stored):
    await settings.kept("one", stored)
    with pytest.raises(StoreFailed, match=rf"'one' with {len(stored)} bytes in place of {KEY_BYTES}: .* Restore"):
        await kept_key(settings, "one")
    assert await settings.kept("one", b"") == stored
