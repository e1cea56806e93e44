"""The connections of a hub, put together: what runs for them."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from tests.store_connections_suite import REGISTRATION

from mcp_hub.config.model import Config, Login
from mcp_hub.connecting import open_connections
from mcp_hub.store.connections import RETIRED_FOR
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.vault.master import Given
from mcp_hub.vault.vault import Vault
from mcp_hub.vault.written import from_text, generated

pytestmark = pytest.mark.promise("B18", "T32")


@pytest.fixture
async def store():
    store = SqliteStore.open(":memory:")
    yield store
    await store.aclose()


async def runs_of(config, store, stack, now):
    vault = await Vault.unlock(store, Given(from_text(generated(), "the test")))
    return (await open_connections(config, store, vault, stack, now)).runs


async def test_a_hub_without_a_login_sweeps_what_has_expired_too(store, monkeypatch):
    await store.add_registration(REGISTRATION, instead_of=None)
    await store.retire_registration(REGISTRATION.id, 5000.0)
    swept, sweep = asyncio.Event(), store.sweep

    async def sweeping(at):
        await sweep(at)
        swept.set()

    monkeypatch.setattr(store, "sweep", sweeping)
    async with AsyncExitStack() as stack:
        runs = await runs_of(Config(), store, stack, lambda: 5000.0 + RETIRED_FOR)
        running = asyncio.ensure_future(runs["what has expired"]())
        async with asyncio.timeout(5):
            await swept.wait()
        running.cancel()
    assert (await store.registration(REGISTRATION.id)).secret is None


async def test_beside_an_entrance_one_sweeps_for_both(store):
    async with AsyncExitStack() as stack:
        runs = await runs_of(Config(login=Login(type="local")), store, stack, lambda: 5000.0)
    assert "what has expired" not in runs
