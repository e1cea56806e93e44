"""The whole hub with a login, in this process: who gets in with what, and what becomes of their tokens."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from mcp_hub.app import create_app
from mcp_hub.config import model
from mcp_hub.identity.tokens import Kind, digest, new_token
from mcp_hub.store.grants import AccessToken, Code, Family, Issued
from mcp_hub.store.people import PersonalToken
from mcp_hub.store.sqlite import SqliteStore
from rig.fake_upstream import FakeUpstream
from rig.parts import LOOPBACK
from rig.provider import FakeProvider
from rig.signing import key_pair, sign
from rig.token_store import account
from unit.test_app import browser, post

pytestmark = pytest.mark.promise("C23")

HUB = "http://127.0.0.1:8080/mcp"
METADATA = "http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp"
USE = frozenset({"hub:use"})
CALL = "tools/call", {"name": "up__echo", "arguments": {}}


class People:
    """The store of the hub, as another process has it: accounts and tokens are made and taken away there."""

    def __init__(self, path):
        self.store = SqliteStore.open(path)
        self.number = 0

    async def personal(self, name: str, *roles: str, scopes=USE) -> str:
        """Somebody with a personal token."""
        token = new_token(Kind.PERSONAL).open()
        await self.store.add_user(account(name, *roles))
        await self.store.add_personal_token(
            PersonalToken(
                f"id-{name}", digest(token), "default", name, "s", token[:15], frozenset(scopes), 0, None, None
            )
        )
        return token

    async def access(self, name: str, resource=HUB) -> str:
        """An access token that a client got for somebody."""
        self.number += 1
        now, token, code = time.time(), new_token(Kind.ACCESS).open(), bytes([self.number]) * 32
        await self.store.add_user(account(name))
        asked = ("default", "c", "Client", name, "", "x" * 43, resource, USE, b"")
        await self.store.add_code(Code(code, *asked, now, now + 60))
        family = Family(f"f{self.number}", "default", name, "c", "Client", resource, USE, now, now, now + 1000)
        await self.store.redeem(code, family, Issued(AccessToken(digest(token), family.id, USE, now + 500), None), now)
        return token


@pytest.fixture
async def people(tmp_path):
    people = People(tmp_path / "hub.db")
    yield people
    await people.store.aclose()


@pytest.fixture
def serving(tmp_path):
    @asynccontextmanager
    async def serve(*fakes, login=None, origins=()):
        config = model.Config(
            store=model.Store(f"sqlite:///{tmp_path}/hub.db"),
            network=model.Network(tuple(LOOPBACK)),
            login=login or model.Login("local"),
            server=model.Server(allowed_origins=origins),
            upstreams={each.name: model.Upstream(each.name, each.url) for each in fakes},
        )
        async with asyncio.timeout(10), create_app(config) as hub, browser(hub) as client:
            yield hub, client

    return serve


def bearer(token):
    return {"authorization": f"Bearer {token}"}


@pytest.mark.promise("C23", "T62", "T22")
async def test_nobody_gets_anything_without_a_token_not_even_from_this_computer(serving):
    async with serving() as (_, client):
        for answer in (
            await post(client, *CALL),
            await client.get("/sse", headers={"accept": "text/event-stream"}),
            await client.post("/messages?session_id=x", json={}),
            await client.get("/api/v1/status"),
            await client.post("/api/v1/upstreams/up/refresh"),
        ):
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == f'Bearer resource_metadata="{METADATA}", scope="hub:use"'
        assert (await client.get("/healthz")).status_code == 200


async def test_from_the_challenge_a_client_finds_whose_token_it_needs(serving):
    async with serving() as (_, client):
        challenge = (await post(client, *CALL)).headers["www-authenticate"]
        place = challenge.partition('resource_metadata="')[2].partition('"')[0]
        found = await client.get(place, headers={"origin": "https://any.example"})
        assert found.json()["resource"] == HUB
        assert found.json()["authorization_servers"] == ["http://127.0.0.1:8080"]
        assert found.headers["access-control-allow-origin"] == "*"
        root = await client.get("/.well-known/oauth-protected-resource")
        assert root.json() == found.json()
        evil = await client.get("/.well-known/oauth-protected-resource/mcp", headers={"host": "evil.example"})
        assert evil.status_code == 421


@pytest.mark.promise("T13", "T31", "T12")
async def test_the_token_of_a_caller_reaches_no_upstream_and_no_log(serving, people, caplog):
    caplog.set_level("DEBUG")
    async with FakeUpstream(name="new") as new, FakeUpstream(name="old", eras="legacy") as old:
        tokens = [await people.personal("alice"), await people.access("bob")]
        async with serving(new, old) as (_, client):
            for token in tokens:
                for name in ("new__echo", "old__echo"):
                    assert (await post(client, "tools/call", {"name": name}, **bearer(token))).status_code == 200
                assert (await post(client, "tools/list", **bearer(token))).status_code == 200
        for fake in (new, old):
            assert fake.seen
            for token in tokens:
                assert not [each for each in fake.seen if token in f"{each.headers}{each.body}"]
                assert not [each for each in fake.seen if "authorization" in each.headers]
    for token in tokens:
        assert token not in caplog.text


@pytest.mark.promise("T14")
async def test_a_token_for_another_endpoint_of_this_very_hub_gets_nowhere(serving, people):
    token = await people.access("bob", resource="http://127.0.0.1:8080/s/b/mcp")
    async with FakeUpstream(name="up") as up, serving(up) as (_, client):
        answer = await post(client, *CALL, **bearer(token))
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert (await client.get("/api/v1/status", headers=bearer(token))).status_code == 401
        assert up.asked("tools/call") == []


@pytest.mark.promise("T59")
async def test_what_another_process_takes_away_is_noticed(serving, people):
    token = await people.personal("alice")
    async with FakeUpstream(name="up") as up, serving(up) as (hub, client):
        assert (await post(client, *CALL, **bearer(token))).status_code == 200
        await people.store.revoke_personal_token("default", "id-alice")
        await hub._running.entrance.door.look()
        assert (await post(client, *CALL, **bearer(token))).status_code == 401
        assert len(up.asked("tools/call")) == 1


@pytest.mark.promise("T22")
async def test_only_pages_that_the_operator_allows_may_call_the_endpoint(serving, people):
    token = await people.personal("alice")
    async with serving(origins=("https://app.example",)) as (_, client):
        for origin, status in (("https://app.example", 200), ("https://evil.example", 403), ("null", 403)):
            answer = await post(client, "tools/list", **bearer(token), origin=origin)
            assert answer.status_code == status
            assert ("access-control-allow-origin" in answer.headers) == (status == 200)
        refused = await post(client, "tools/list", origin="https://app.example")
        assert refused.status_code == 401
        assert "WWW-Authenticate" in refused.headers["access-control-expose-headers"]


@pytest.mark.promise("C23", "C24", "T14", "T56")
async def test_a_hub_with_tokens_of_another_server_sends_clients_there_and_gives_out_none_itself(serving, people):
    left = await people.access("bob")
    async with FakeProvider(time.time) as idp, FakeUpstream(name="up") as up:
        login = model.Login("jwt", external=model.Issuer(idp.issuer, scopes=("tools",), admin_groups=("ops",)))
        async with serving(up, login=login) as (_, client):
            metadata = (await client.get("/.well-known/oauth-protected-resource/mcp")).json()
            assert (metadata["authorization_servers"], metadata["scopes_supported"]) == ([idp.issuer], ["tools"])
            for path in ("/authorize", "/token", "/register", "/login", "/.well-known/oauth-authorization-server"):
                assert (await client.get(path)).status_code == 404
                assert (await client.post(path)).status_code == 404
            at = int(time.time())
            claims = {"iss": idp.issuer, "aud": HUB, "sub": "carol", "exp": at + 300, "iat": at, "scope": "tools"}
            good = sign(claims, idp.key, typ="at+jwt")
            assert (await post(client, *CALL, **bearer(good))).status_code == 200
            for bad in (
                left,
                sign(claims, key_pair("evil"), kid="provider", typ="at+jwt"),
                sign({**claims, "aud": [HUB, "https://other.example"]}, idp.key, typ="at+jwt"),
                sign({**claims, "nonce": "n"}, idp.key),
            ):
                assert (await post(client, *CALL, **bearer(bad))).status_code == 401
            assert (await post(client, *CALL, **bearer(sign({**claims, "scope": "x"}, idp.key)))).status_code == 403
            assert len(up.asked("tools/call")) == 1
            assert not [each for each in up.seen if good in f"{each.headers}{each.body}"]
