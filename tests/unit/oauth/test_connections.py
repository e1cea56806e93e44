"""Everybody's connections, with servers that are honest and others that are not."""

import asyncio

import pytest

from mcp_hub.credentials.state import State
from mcp_hub.oauth.connection import ConnectFailed, Ending
from rig.connecting import ADA, BOB, connecting
from rig.misbehaving_as import UNTOLD, MisbehavingAS

pytestmark = pytest.mark.promise("B15")


@pytest.fixture
async def server():
    async with asyncio.timeout(10), MisbehavingAS() as made:
        yield made


@pytest.fixture
async def rig(server):
    async with connecting(server.resource) as made:
        server.now = made.now
        yield made


async def fails(code, awaited):
    with pytest.raises(ConnectFailed) as failed:
        await awaited
    assert failed.value.code == code
    assert UNTOLD not in failed.value.public
    return failed.value


async def test_somebody_connects_their_account_and_it_is_used(rig, server):
    before = await rig.hub.one(ADA, "gh")
    assert (before.state, before.sign_in, before.title) == (State.NOT_CONNECTED, "oauth", "GitHub")
    prospect = await rig.hub.prospect(ADA, "gh")
    assert (prospect.scopes, prospect.source) == (("offline_access", "read"), None)
    grant = await rig.connect()
    assert (grant.authorization_server, grant.resource) == (server.issuer, server.resource)
    after = await rig.hub.one(ADA, "gh")
    assert (after.state, after.scopes) == (State.READY, frozenset({"read", "offline_access"}))
    assert [each.state for each in await rig.hub.shown(BOB)] == [State.NOT_CONNECTED]
    credential = await rig.hub.access(ADA, "gh").credential()
    token = credential.open().decode().split("Bearer ")[1].strip()
    assert server.is_live(token)
    assert await rig.hub.disconnect(ADA, "gh") is Ending.CONFIRMED
    assert not server.is_live(token)
    assert await rig.hub.disconnect(ADA, "gh") is Ending.NOTHING
