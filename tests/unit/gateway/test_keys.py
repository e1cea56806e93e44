"""A key is made once, kept, and never used when it is not what it should be."""

import pytest

from mcp_hub.errors import StoreFailed
from mcp_hub.gateway.keys import KEY_BYTES, kept_key
from mcp_hub.store.sqlite import SqliteStore

pytestmark = pytest.mark.promise("D34")


@pytest.fixture
async def store():
    store = SqliteStore.open(":memory:")
    yield store
    await store.aclose()


async def test_a_key_is_made_once_for_each_name(store):
    key = await kept_key(store, "one")
    assert len(key) == KEY_BYTES
    assert await kept_key(store, "one") == key
    assert await kept_key(store, "other") != key


@pytest.mark.parametrize("stored", [b"", b"short", bytes(KEY_BYTES - 1), bytes(KEY_BYTES + 1)])
async def test_what_cannot_be_a_key_is_named_and_left_alone(store, stored):
    await store.keep_setting_if_absent("one", stored)
    with pytest.raises(StoreFailed, match=rf"'one' with {len(stored)} bytes in place of {KEY_BYTES}: .* Restore"):
        await kept_key(store, "one")
    assert await store.setting("one") == stored
