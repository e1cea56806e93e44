"""Attacks on several hubs that share a store: what one decides counts at the others, and nothing counts twice."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from joserfc import jwk, jwt

from interaction.two_hubs import BASE, REDIRECT, Replicas, bearer, errors, refreshed, replicas, status_of, until
from mcp_hub.identity.passwords import Passwords
from rig import html
from unit.inbound.asgi import begin

HELLO = {"jsonrpc": "2.0", "id": 1, "method": "initialize"}
PASSWORD = "a long enough password"
SOON = 3.0
"""Seconds: the hubs look twice in one of them, on a machine that may be busy with others."""
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Replicas]:
    async with asyncio.timeout(20), replicas(tmp_path) as running:
        yield running


@pytest.mark.promise("T46")
async def test_a_code_is_redeemed_at_one_of_two_hubs_and_the_replay_ends_it_at_both(two: Replicas):
    form = await two.form(await two.user("ann"))
    answers = await asyncio.gather(*(client.post("/token", data=form) for _ in range(50) for client in two.clients))
    won = [each.json() for each in answers if each.status_code == 200]
    assert len(won) == 1
    assert errors(answers) == {"invalid_grant"}
    for client in two.clients:
        assert await status_of(client, won[0]["access_token"]) == 401
        assert (await refreshed(client, won[0])).status_code == 400


@pytest.mark.promise("T48")
async def test_refreshes_at_two_hubs_have_one_successor(two: Replicas):
    pair = await two.pair(await two.user("ann"))
    answers = await asyncio.gather(*(refreshed(client, pair) for _ in range(50) for client in two.clients))
    assert errors(answers) == set()
    (access,) = {each.json()["access_token"] for each in answers}
    assert [await status_of(client, access) for client in two.clients] == [200, 200]


@pytest.mark.promise("T59", "T58")
async def test_what_is_taken_away_at_one_hub_is_soon_gone_at_the_other(two: Replicas):
    here, there = two.clients
    ann = await two.user("ann", "admin")
    pair = await two.pair(ann)
    token = pair["access_token"]
    assert await status_of(there, token) == 200
    headers = [("host", "127.0.0.1:8080"), ("authorization", f"Bearer {token}"), ("accept", "text/event-stream")]
    stream = begin(two.hubs[1], "GET", headers, [b""], path="/sse")
    await stream.until(b"session_id=")
    assert (await here.post("/revoke", data={"client_id": "app", "token": token})).status_code == 200
    assert await status_of(here, token) == 401
    await until(there, token, 401, SOON)
    async with asyncio.timeout(SOON):
        await stream.response()
    fresh = (await refreshed(here, pair)).json()["access_token"]
    assert await status_of(there, fresh) == 200
    await two.store.remove_user(ann.id)
    await until(there, fresh, 401, SOON)
    await until(here, fresh, 401, SOON)


@pytest.mark.promise("T54")
async def test_an_assertion_counts_once_at_two_hubs(two: Replicas):
    key = jwk.ECKey.generate_key("P-256", {"kid": "1"})
    told = {
        "redirect_uris": [REDIRECT],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [key.as_dict(private=False)]},
    }
    name = (await two.clients[0].post("/register", json=told)).json()["client_id"]
    now = int(time.time())
    claims = {"iss": name, "sub": name, "aud": BASE, "iat": now, "exp": now + 60, "jti": "once"}
    proof = {
        "client_assertion_type": JWT_BEARER,
        "client_assertion": jwt.encode({"alg": "ES256", "kid": "1"}, claims, key),
    }
    form = {"grant_type": "refresh_token", "refresh_token": "none", "client_id": name, **proof}
    answers = await asyncio.gather(*(client.post("/token", data=form) for _ in range(10) for client in two.clients))
    told_each = [each.json()["error"] for each in answers]
    assert told_each.count("invalid_grant") == 1, "one was believed, and had nothing to redeem"
    assert told_each.count("invalid_client") == len(answers) - 1


@pytest.mark.promise("T33", "T59")
async def test_who_signs_out_at_one_hub_is_signed_out_at_the_other(two: Replicas):
    await two.user("ann", password=await Passwords().hash(PASSWORD))
    here, there = two.clients
    page = html.read((await here.get("/login")).text, f"{BASE}/login")
    there.cookies = here.cookies
    filled = {**page.forms[0].fields, "email": "ann@example.com", "password": PASSWORD}
    assert (await there.post("/login", data=filled, headers={"Origin": BASE})).status_code == 303
    here.cookies = there.cookies
    home = await here.get("/account/clients")
    assert home.status_code == 200
    form = next(each for each in html.read(home.text, BASE).forms if each.action.endswith("/logout"))
    evil = {"Origin": "https://evil.example"}
    assert (await there.post("/logout", data=form.fields, headers=evil)).status_code == 403
    kept = dict(here.cookies)
    assert (await there.post("/logout", data=form.fields, headers={"Origin": BASE})).status_code == 303
    for client in two.clients:
        client.cookies.clear()
        answer = await client.get("/account/clients", headers={"Cookie": "; ".join(map("=".join, kept.items()))})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/account/clients")


@pytest.mark.promise("T19", "T20")
async def test_a_session_of_one_hub_is_nobodys_at_the_other(two: Replicas):
    ann, bob = [(await two.pair(await two.user(name)))["access_token"] for name in ("ann", "bob")]
    usual = {"Accept": "application/json, text/event-stream"}
    about = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "plain", "version": "1"}}
    opened = await two.clients[0].post("/mcp", json={**HELLO, "params": about}, headers={**usual, **bearer(ann)})
    named = {"Mcp-Session-Id": opened.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
    for client in two.clients:
        answer = await client.delete("/mcp", headers={**usual, **named, **bearer(bob)})
        assert answer.status_code == 404
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    answer = await two.clients[0].post("/mcp", json=ping, headers={**usual, **named, **bearer(ann)})
    assert answer.status_code == 200
