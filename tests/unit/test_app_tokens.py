"""The whole hub in this process: what its token endpoint gives opens its endpoint, until it is taken away."""

import asyncio
import time
from contextlib import asynccontextmanager

import httpx2
import pytest

from mcp_hub.app import create_app
from mcp_hub.config import model
from mcp_hub.identity.tokens import Kind, digest, new_token
from mcp_hub.secret import Secret
from mcp_hub.store.grants import Code
from mcp_hub.store.sqlite import SqliteStore
from rig.fake_upstream import MODERN, FakeUpstream
from rig.parts import LOOPBACK
from rig.token_service import ANN, CHALLENGE, REDIRECT, VERIFIER

BASE = "http://127.0.0.1:8080"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test client", "version": "1"},
}
MACHINE = {"client_id": "nightly", "client_secret": "0123456789abcdef"}


@asynccontextmanager
async def serving(path, upstream):
    """A hub with a login, a client, and the store beside it as another process has it."""
    config = model.Config(
        login=model.Login("local"),
        store=model.Store(f"sqlite:///{path}"),
        network=model.Network(tuple(LOOPBACK)),
        upstreams={upstream.name: model.Upstream(upstream.name, upstream.url)},
        clients={
            "app": model.Client("app", (REDIRECT,)),
            "nightly": model.Client("nightly", (), "", Secret(MACHINE["client_secret"])),
        },
    )
    async with asyncio.timeout(10), create_app(config) as hub:
        store = SqliteStore.open(path)
        transport = httpx2.ASGITransport(hub)
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
            yield client, store
        await store.aclose()


async def names(client, token: str) -> list[str] | int:
    """The tools that this token shows, or the status that it gets instead."""
    headers = {
        "authorization": f"Bearer {token}", "accept": "application/json, text/event-stream",
        "mcp-protocol-version": MODERN, "mcp-method": "tools/list",
    }  # fmt: skip
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
    answer = await client.post("/mcp", json=body, headers=headers)
    return (
        [each["name"] for each in answer.json()["result"]["tools"]] if answer.status_code == 200 else answer.status_code
    )


async def signed_in(client, store) -> tuple[dict[str, str], dict[str, str]]:
    """The pair of a client that a user agreed to, and the form that it was got with."""
    await store.add_user(ANN)
    text, at = new_token(Kind.CODE).open(), time.time()
    code = Code(
        digest(text), "default", "app", "An app", ANN.id, REDIRECT, CHALLENGE, f"{BASE}/mcp",
        frozenset({"hub:use"}), b"", at, at + 60,
    )  # fmt: skip
    await store.add_code(code)
    form = {"grant_type": "authorization_code", "client_id": "app", "redirect_uri": REDIRECT}
    form |= {"code": text, "code_verifier": VERIFIER}
    return (await client.post("/token", data=form)).json(), form


@pytest.mark.promise("T46", "T59", "C23")
@pytest.mark.parametrize("way", ["revoked", "family revoked", "code used again"])
async def test_access_ends_at_the_next_request_after_it_was_taken_away(tmp_path, way):
    async with FakeUpstream(tools=["echo"]) as upstream, serving(tmp_path / "hub.db", upstream) as (client, store):
        pair, form = await signed_in(client, store)
        assert await names(client, pair["access_token"]) == [f"{upstream.name}__echo"]
        assert await names(client, pair["refresh_token"]) == 401
        token = pair["access_token" if way == "revoked" else "refresh_token"]
        if way == "code used again":
            assert (await client.post("/token", data=form)).status_code == 400
        else:
            assert (await client.post("/revoke", data={"client_id": "app", "token": token})).status_code == 200
        assert await names(client, pair["access_token"]) == 401


@pytest.mark.promise("B21")
async def test_a_program_without_users_lists_and_calls_as_itself(tmp_path):
    async with FakeUpstream(tools=["echo"]) as upstream, serving(tmp_path / "hub.db", upstream) as (client, _):
        answer = await client.post("/token", data={"grant_type": "client_credentials", **MACHINE})
        token = answer.json()["access_token"]
        assert await names(client, token) == [f"{upstream.name}__echo"]
        assert (await client.get("/api/v1/status", headers={"authorization": f"Bearer {token}"})).status_code in (
            200,
            403,
        )
        assert (await client.post("/revoke", data={**MACHINE, "token": token})).status_code == 200
        assert await names(client, token) == 401


@pytest.mark.promise("T22", "T33")
async def test_pages_of_any_site_may_ask_for_tokens_but_not_under_another_name_of_the_hub(tmp_path):
    async with FakeUpstream(tools=["echo"]) as upstream, serving(tmp_path / "hub.db", upstream) as (client, _):
        there = {"origin": "https://client.example"}
        answer = await client.options("/token", headers={**there, "access-control-request-method": "POST"})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "*")
        form = {"grant_type": "client_credentials", **MACHINE}
        assert (await client.post("/token", data=form, headers=there)).status_code == 200
        assert (await client.post("/token", data=form, headers={"host": "evil.example"})).status_code == 421
