"""A vault over a store in memory, and the master key it takes."""

import pytest

from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.vault.master import Given
from mcp_hub.vault.vault import Vault
from mcp_hub.vault.written import from_text, generated


@pytest.fixture
def master():
    return from_text(generated(), "the test")


@pytest.fixture
async def store():
    store = SqliteStore.open(":memory:")
    yield store
    await store.aclose()


@pytest.fixture
async def vault(store, master):
    return await Vault.unlock(store, Given(master))
