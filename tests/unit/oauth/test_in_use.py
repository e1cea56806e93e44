"""Connections put together as the hub does it, from the first call after they were made to their end."""

import pytest

from mcp_hub.credentials.state import State
from mcp_hub.errors import ConnectionNeeded, Unreachable
from mcp_hub.oauth.connection import Ending
from mcp_hub.secret import Secret
from rig.connecting import ADA, BOB, BROWSER, connecting, visit
from rig.granted import token_in
from rig.misbehaving_as import Answer, MisbehavingAS

pytestmark = pytest.mark.promise("B15")


@pytest.fixture
async def server():
    async with MisbehavingAS() as running:
        yield running


@pytest.fixture
async def rig(server):
    async with connecting(server.resource) as made:
        server.now = made.now  # which assertions are judged by
        yield made


async def test_a_connection_is_used_renewed_refused_and_ended(rig, server):
    access = rig.hub.access(ADA, "gh")
    with pytest.raises(ConnectionNeeded, match=r"http://127.0.0.1:8080/connect/gh"):
        await access.credential()
    await rig.connect(ADA)
    first = token_in(await access.credential())
    rig.time += 4000
    second = token_in(await access.credential())
    assert first != second
    assert server.is_live(second)
    asked = [each.form for each in server.seen if each.path == "/token"]
    assert [each["grant_type"] for each in asked] == ["authorization_code", "refresh_token"]
    assert {each["resource"] for each in asked} == {server.resource}
    with pytest.raises(ConnectionNeeded):
        await rig.hub.access(BOB, "gh").credential()
    assert await rig.hub.disconnect(ADA, "gh") is Ending.CONFIRMED
    assert access.ready() is None
    assert not server.is_live(second)


@pytest.mark.promise("B18", "T60")
async def test_a_changed_client_id_and_secret_log_nobody_out(rig, server):
    server.admit("old", "old secret", redirect_uris=("http://127.0.0.1:8080/oauth/callback/gh",))
    await rig.start(client_id="old", client_secret=Secret("old secret"))
    await rig.connect(ADA)
    server.admit("new", "new secret", redirect_uris=("http://127.0.0.1:8080/oauth/callback/gh",))
    await rig.start(client_id="new", client_secret=Secret("new secret"))
    await rig.hub.finish("gh", await visit(await rig.begin(BOB)), BOB, BROWSER)
    rig.time += 4000
    tokens = [token_in(await rig.hub.access(each, "gh").credential()) for each in (ADA, BOB)]
    assert [server._access[each].client for each in tokens] == ["old", "new"]
    assert all(server.is_live(each) for each in tokens)
    assert server.reuses == 0


@pytest.mark.promise("B18", "T60")
async def test_a_secret_that_was_changed_here_first_or_there_first_logs_nobody_out(rig, server):
    redirects = ("http://127.0.0.1:8080/oauth/callback/gh",)
    server.admit("one", "first", redirect_uris=redirects)
    await rig.start(client_id="one", client_secret=Secret("first"))
    await rig.connect(ADA)
    await rig.start(client_secret=Secret("second"))
    rig.time += 4000
    await rig.hub.access(ADA, "gh").credential()  # the server has the first one still
    server.clients["one"].secret = "second"
    rig.time += 4000
    await rig.hub.access(ADA, "gh").credential()
    grant = await rig.grant(ADA)
    assert (await rig.store.registration(grant.registration)).previous_secret is None


async def test_why_a_connection_was_not_renewed_is_shown(rig, server):
    await rig.connect(ADA)
    access = rig.hub.access(ADA, "gh")
    await access.credential()
    server.answers["/token"] = Answer(503, {})
    rig.time += 4000
    with pytest.raises(Unreachable):
        await access.credential()
    shown = await rig.hub.one(ADA, "gh")
    assert shown.state is State.READY
    assert "503" in shown.sentence
    server.answers.clear()
    rig.time += 130
    await access.credential()
    assert (await rig.hub.one(ADA, "gh")).sentence == ""


async def test_a_server_that_forgot_the_hub_is_one_that_people_connect_to_anew(rig, server):
    await rig.connect(ADA)
    server.clients.clear()
    rig.time += 4000
    access = rig.hub.access(ADA, "gh")
    with pytest.raises(ConnectionNeeded, match="does not know this hub any more"):
        await access.credential()
    await rig.connect(ADA)
    assert server.is_live(token_in(await access.credential()))
    assert server.count("/register") == 2
