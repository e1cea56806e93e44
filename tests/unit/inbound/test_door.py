"""The endpoint behind the real door: real tokens, both eras, and whoever attacks with tokens and session ids."""

import asyncio
import json
import random

import pytest

from mcp_hub.identity.door import TokenDoor
from mcp_hub.identity.protected import Protected
from mcp_hub.inbound.sse import Sse
from rig.token_store import DOWN, HUB, TokenStore
from unit.inbound.asgi import BOUND, begin
from unit.inbound.hub import BASE, Hub, message

pytestmark = pytest.mark.promise("C23")

SSE = "https://hub.example/sse"


class Protect(Hub):
    """The endpoint, its door, and a store with two people."""

    def __init__(self):
        self.store = TokenStore()
        self.store.add("alice", "admin")
        self.store.add("bob")
        self.time = 1000.0
        places = [Protected(HUB, ("https://hub.example",)), Protected(SSE, ("https://hub.example",))]
        self.tokens = TokenDoor(self.store, places, now=lambda: self.time)
        super().__init__(door=self.tokens, resource=HUB)
        hosts = {"localhost"}
        self.sse = Sse(self.road, self.sessions, self.notices_of, door=self.tokens, resource=SSE, allowed_hosts=hosts)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
def hub():
    return Protect()


async def test_a_caller_with_a_token_is_served_as_its_owner_in_both_eras(hub):
    token = hub.store.give_access("bob", client="claude")
    assert (await hub.modern("tools/call", {"name": "t"}, **bearer(token))).status == 200
    session = await hub.open(**bearer(token))
    assert (await hub.legacy(session, "tools/call", {"name": "t"}, **bearer(token))).status == 200
    assert [(ask.caller.subject, ask.caller.client) for ask in hub.road.asks] == [("bob", "claude")] * 2


@pytest.mark.promise("C23", "T62")
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "PUT"])
async def test_without_a_token_nothing_is_served_and_the_challenge_says_where_to_get_one(hub, method):
    response = await hub.send(method, message("tools/list"), mcp_session_id="guess")
    assert response.status == 401
    assert response.headers["www-authenticate"] == (
        'Bearer resource_metadata="https://hub.example/.well-known/oauth-protected-resource/mcp", scope="hub:use"'
    )
    assert hub.road.asks == []


@pytest.mark.parametrize("token", ["mcphub_at_x", "mcphub_pat_x", "x"])
async def test_a_wrong_token_is_told_apart_from_none(hub, token):
    response = await hub.modern("tools/list", **bearer(token))
    assert response.status == 401
    assert response.headers["www-authenticate"].startswith('Bearer error="invalid_token", resource_metadata="')
    assert token not in response.body.decode().split()


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "Bearer a b", "Bearer a, Bearer b"])
async def test_credentials_that_cannot_be_read_are_a_bad_request(hub, value):
    response = await hub.modern("tools/list", authorization=value)
    assert response.status == 400
    assert response.headers["www-authenticate"].startswith('Bearer error="invalid_request"')


@pytest.mark.promise("C23", "T31")
async def test_a_token_in_the_address_is_refused_though_it_is_good_and_known(hub):
    token = hub.store.give_personal("bob")
    assert (await hub.modern("tools/list", **bearer(token))).status == 200
    lines = [*BASE.items(), ("Authorization", f"Bearer {token}")]
    for headers in (lines, lines[:-1]):
        query = f"access_token={token}".encode()
        body = message("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}})
        response = await begin(hub.endpoint, "POST", headers, [body], query_string=query).response()
        assert response.status == 400
        assert response.headers["www-authenticate"].startswith('Bearer error="invalid_request"')


async def test_two_tokens_are_a_bad_request_even_if_both_are_good_and_known(hub):
    token = hub.store.give_personal("bob")
    assert (await hub.modern("tools/list", **bearer(token))).status == 200
    lines = [*BASE.items(), ("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert (await begin(hub.endpoint, "POST", lines, [message("ping")]).response()).status == 400


async def test_a_token_that_does_not_allow_to_use_the_hub_is_forbidden_before_anything_is_done(hub):
    response = await hub.modern("tools/call", {"name": "t"}, **bearer(hub.store.give_personal("bob", scopes=())))
    assert response.status == 403
    assert 'error="insufficient_scope"' in response.headers["www-authenticate"]
    assert 'scope="hub:use"' in response.headers["www-authenticate"]
    assert hub.road.asks == []


@pytest.mark.promise("T14")
async def test_a_token_for_another_endpoint_is_refused_here_and_the_other_way_round(hub):
    here, there = hub.store.give_access("bob", "f1"), hub.store.give_access("bob", "f2", resource=SSE)
    for _ in range(2):
        assert (await hub.modern("tools/list", **bearer(here))).status == 200
        assert (await hub.modern("tools/list", **bearer(there))).status == 401
    lines = [("host", "localhost"), ("accept", "text/event-stream")]
    wrong = await begin(hub.sse.stream, "GET", [*lines, *bearer(here).items()], [b""]).response()
    assert wrong.status == 401
    assert (
        'resource_metadata="https://hub.example/.well-known/oauth-protected-resource/sse"'
        in (wrong.headers["www-authenticate"])
    )


@pytest.mark.promise("T57")
@pytest.mark.parametrize("failure", [DOWN, RuntimeError("planted")])
async def test_a_door_that_fails_lets_nobody_in(hub, failure):
    token = hub.store.give_personal("alice")
    hub.store.fails = failure
    session = "guess"
    for response in (
        await hub.modern("tools/call", {"name": "t"}, **bearer(token)),
        await hub.initialize(**bearer(token)),
        await hub.legacy(session, "tools/call", {"name": "t"}, **bearer(token)),
    ):
        assert response.status == 503
        assert not {"planted", "/secret/path"} & set(response.body.decode().split())
    assert hub.road.asks == []
    assert len(hub.sessions) == 0


@pytest.mark.promise("T19")
async def test_a_session_is_of_use_to_its_owner_only_whatever_else_is_right(hub):
    alice, bob = hub.store.give_access("alice", "fa"), hub.store.give_access("bob", "fb")
    session = await hub.open(**bearer(alice))
    assert (await hub.legacy(session, "tools/list", **bearer(bob))).status == 404
    assert (await hub.send("GET", mcp_session_id=session, **bearer(bob))).status == 404
    assert (await hub.send("DELETE", mcp_session_id=session, **bearer(bob))).status == 404
    assert (await hub.legacy(session, "tools/list")).status == 401, "and nothing without a token"
    assert (await hub.legacy(session, "tools/list", **bearer(alice))).status == 200


@pytest.mark.promise("T18", "T19")
async def test_a_session_lives_on_when_its_owner_comes_with_a_new_token(hub):
    session = await hub.open(**bearer(hub.store.give_access("alice", expires_at=hub.time + 60)))
    hub.time += 61
    fresh = hub.store.give_access("alice", "another", client="other")
    assert (await hub.legacy(session, "tools/list", **bearer(fresh))).status == 200
    assert (await hub.legacy(session, "tools/list", **bearer(hub.store.give_personal("alice")))).status == 200
    assert [ask.caller.client for ask in hub.road.asks] == ["other", ""], "and each call is made by who really makes it"


@pytest.mark.promise("T19")
async def test_a_session_is_no_credential(hub):
    token = hub.store.give_access("alice", expires_at=hub.time + 60)
    session = await hub.open(**bearer(token))
    hub.time += 61
    assert (await hub.legacy(session, "tools/list", **bearer(token))).status == 401
    assert hub.road.asks == []


@pytest.mark.promise("T20")
async def test_a_stream_cannot_be_taken_over_with_another_token(hub):
    alice, bob = hub.store.give_access("alice", "fa"), hub.store.give_access("bob", "fb")
    session = await hub.open("2025-11-25", **bearer(alice))
    stream = hub.begin("GET", mcp_session_id=session, **bearer(alice))
    await stream.until(b"id:")
    for last in (None, "1_1"):
        stolen = await hub.send("GET", mcp_session_id=session, last_event_id=last, **bearer(bob))
        assert stolen.status == 404
    assert not stream.complete
    stream.hung_up.set()
    await stream.over()


@pytest.mark.promise("T59")
async def test_what_was_taken_away_ends_at_the_next_request(hub):
    token = hub.store.give_access("bob")
    session = await hub.open(**bearer(token))
    hub.store.revoke_family("f")
    hub.tokens.forget()
    assert (await hub.legacy(session, "tools/call", {"name": "t"}, **bearer(token))).status == 401
    assert (await hub.modern("tools/call", {"name": "t"}, **bearer(token))).status == 401
    assert hub.road.asks == []


async def opened(hub, kind, token):
    if kind == "listen":
        stream = hub.begin_modern(
            "subscriptions/listen", {"notifications": {"toolsListChanged": True}}, **bearer(token)
        )
    elif kind == "GET":
        session = await hub.open("2025-11-25", **bearer(token))
        stream = hub.begin("GET", mcp_session_id=session, **bearer(token))
    else:
        lines = [("host", "localhost"), ("accept", "text/event-stream"), *bearer(token).items()]
        stream = begin(hub.sse.stream, "GET", lines, [b""])
    await stream.until(b"data:")
    return stream


@pytest.mark.promise("T59")
@pytest.mark.parametrize("kind", ["listen", "GET", "sse"])
async def test_long_streams_end_with_the_access_of_their_owner_and_no_others(hub, kind):
    where = SSE if kind == "sse" else HUB
    his, hers = hub.store.give_access("bob", "fb", resource=where), hub.store.give_access("alice", "fa", resource=where)
    ends, stays = await opened(hub, kind, his), await opened(hub, kind, hers)
    hub.time += 3600
    hub.store.change("bob", disabled=True)
    await hub.tokens.look()
    async with asyncio.timeout(BOUND):
        await ends.over()
    assert not stays.task.done()
    stays.hung_up.set()
    await stays.over()
    assert not hub.tokens._watched


@pytest.mark.promise("T22")
async def test_a_foreign_page_or_name_is_refused_before_its_token_is_looked_at(hub):
    token = hub.store.give_personal("bob")
    for wrong in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
        assert (await hub.modern("tools/list", **{**bearer(token), **wrong})).status in (403, 421)
    assert hub.store.asked == []


@pytest.mark.promise("T18")
async def test_whoever_calls_at_once_each_call_is_made_by_its_own_caller(hub):
    names = [f"user{number}" for number in range(8)]
    for name in names:
        hub.store.add(name)
    tokens = {name: [hub.store.give_personal(name), hub.store.give_access(name, name, client=name)] for name in names}
    sessions = {name: await hub.open(**bearer(tokens[name][0])) for name in names}
    dice = random.Random(18)
    calls = []
    for number in range(400):
        name = dice.choice(names)
        lines = bearer(dice.choice(tokens[name]))
        params = {"name": "t", "arguments": {"owner": name, "progress": dice.randrange(3), "wait": number % 7 == 0}}
        if dice.random() < 0.5:
            calls.append(hub.begin_modern("tools/call", params, number=number, **lines))
        else:
            calls.append(hub.begin_legacy(sessions[name], "tools/call", params, number=number, **lines))
        if dice.random() < 0.2:
            await asyncio.sleep(0)
        if dice.random() < 0.1:
            calls.pop(dice.randrange(len(calls))).task.cancel()
        if number % 50 == 0:
            hub.tokens.forget()
    hub.road.release.set()
    assert {(await each.response()).status for each in calls} == {200}
    for ask in hub.road.asks:
        owner = json.loads(bytes(ask.params["arguments"]))["owner"]
        assert (ask.caller.subject, ask.caller.client in ("", owner)) == (owner, True)
    assert len(hub.road.asks) >= len(calls)
