"""A connection that is ended: here for certain, and at the other side as far as it says."""

import asyncio
import logging

import pytest

from mcp_hub.errors import ConnectionNeeded
from mcp_hub.oauth.connection import Ending
from mcp_hub.secret import Secret
from mcp_hub.store.connections import Whose
from rig.granted import ADA, PLACE, Clock, connected, keeping, registered
from rig.misbehaving_as import Answer, MisbehavingAS, Slow, redirecting, refusing

pytestmark = pytest.mark.promise("B15")

HERS = Whose(*ADA.key, PLACE.upstream)


@pytest.fixture
async def server():
    async with MisbehavingAS() as running:
        yield running


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def hub(clock):
    async with keeping(now=clock) as keeper:
        yield keeper


async def test_what_the_other_side_confirms_is_over_there_too(server, hub):
    given = await connected(hub, server)
    assert await hub.revoking.disconnect(HERS) is Ending.CONFIRMED
    ended = [(each.form["token"], each.form["token_type_hint"]) for each in server.seen]
    assert ended == [(given["refresh_token"], "refresh_token"), (given["access_token"], "access_token")]
    assert not server.is_live(given["access_token"])
    assert not server.is_live(given["refresh_token"])
    assert await hub.revoking.disconnect(HERS) is Ending.NOTHING


async def test_our_copy_is_gone_before_the_other_side_is_asked(server, hub):
    await connected(hub, server)
    access, slow = hub.access(), Slow()
    await access.credential()
    server.answers["/revoke"] = slow
    ending = asyncio.ensure_future(hub.revoking.disconnect(HERS))
    await asyncio.wait_for(slow.came.wait(), 5)
    assert access.ready() is None
    with pytest.raises(ConnectionNeeded):
        await access.credential()
    slow.go.set()
    assert await asyncio.wait_for(ending, 5) is Ending.CONFIRMED


async def test_where_there_is_no_way_to_end_it_that_is_said(server, hub):
    await connected(hub, server, revocation_endpoint=None)
    assert await hub.revoking.disconnect(HERS) is Ending.NO_WAY
    assert await hub.grant() is None
    assert server.seen == []


@pytest.mark.parametrize("answer", [Answer(500, {}), refusing("invalid_request"), redirecting("http://x.test"), "gone"])
async def test_what_is_not_confirmed_is_not_said_to_be(server, hub, answer):
    await connected(hub, server)
    if answer == "gone":
        await server.__aexit__()
    else:
        server.answers["/revoke"] = answer
    assert await hub.revoking.disconnect(HERS) is Ending.NO_ANSWER
    assert await hub.grant() is None


async def test_who_goes_away_meanwhile_leaves_the_rest_to_be_done(server, hub):
    given = await connected(hub, server)
    slow = Slow()
    server.answers["/revoke"] = slow
    ending = asyncio.ensure_future(hub.revoking.disconnect(HERS))
    await asyncio.wait_for(slow.came.wait(), 5)
    ending.cancel()
    slow.go.set()
    await hub.revoking.aclose()
    assert not server.is_live(given["refresh_token"])
    assert not server.is_live(given["access_token"])


async def test_where_access_tokens_cannot_be_ended_they_end_with_the_other_one(server, hub):
    async def only_one_kind(headers, form):
        return refusing("unsupported_token_type") if form["token_type_hint"] == "access_token" else None

    server.answers["/revoke"] = only_one_kind
    await connected(hub, server)
    assert await hub.revoking.disconnect(HERS) is Ending.CONFIRMED
    await connected(hub, server, renews=False)
    assert await hub.revoking.disconnect(HERS) is Ending.NO_ANSWER


async def test_the_secret_before_this_one_is_tried_too(server, hub):
    await registered(hub, server, secret=Secret("new one"), previous_secret=Secret("s e/cret"))
    given = await connected(hub, server)
    assert await hub.revoking.disconnect(HERS) is Ending.CONFIRMED
    assert not server.is_live(given["access_token"])


async def test_a_renewal_under_way_does_not_bring_a_connection_back_and_ends_what_it_got(server, hub, clock):
    """Attacks the order of dropping and storing: the server has given a new pair when its user disconnects."""
    await connected(hub, server)
    access, slow = hub.access(), Slow()
    clock.at += 4000

    async def answered_late(headers, form):
        server.answers.pop("/token")
        answer = await server._token(headers, form)
        await slow(headers, form)
        return answer

    server.answers["/token"] = answered_late
    waiting = asyncio.ensure_future(access.credential())
    await asyncio.wait_for(slow.came.wait(), 5)
    assert await hub.revoking.disconnect(HERS) is Ending.CONFIRMED
    slow.go.set()
    with pytest.raises(ConnectionNeeded) as needed:
        await asyncio.wait_for(waiting, 5)
    assert needed.value.state == "not_connected"
    assert await hub.grant() is None
    assert server.count("/revoke", token_type_hint="refresh_token") == 2
    assert [each for each in server._access.values() if not each.ended] == []


async def test_what_was_got_for_nobody_and_could_not_be_ended_is_in_the_log(server, hub, clock, caplog):
    await connected(hub, server)
    slow = Slow()
    clock.at += 4000
    server.answers |= {"/token": slow, "/revoke": Answer(500, {})}
    waiting = asyncio.ensure_future(hub.access().credential())
    await asyncio.wait_for(slow.came.wait(), 5)
    await hub.store.drop_grant(HERS)
    slow.go.set()
    with pytest.raises(ConnectionNeeded):
        await asyncio.wait_for(waiting, 5)
    assert "was not revoked" in caplog.text


async def test_a_renewal_under_way_leaves_alone_what_its_user_has_connected_anew(server, hub, clock):
    await connected(hub, server)
    access, slow = hub.access(), Slow()
    clock.at += 4000
    server.answers["/token"] = slow
    waiting = asyncio.ensure_future(access.credential())
    await asyncio.wait_for(slow.came.wait(), 5)
    await hub.store.drop_grant(HERS)
    given = await connected(hub, server)
    slow.go.set()
    await asyncio.wait_for(waiting, 5)
    assert server.count("/revoke") == 0
    assert (await hub.tokens())[0] == given["access_token"]


@pytest.mark.promise("T31")
async def test_no_token_stands_in_the_log_of_an_end(server, hub, caplog):
    caplog.set_level(logging.DEBUG)
    given = await connected(hub, server)
    server.answers["/revoke"] = refusing("invalid_client", 401)
    await hub.revoking.disconnect(HERS)
    assert "did not confirm" in caplog.text
    assert given["access_token"] not in caplog.text
    assert given["refresh_token"] not in caplog.text
