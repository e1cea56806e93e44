"""A whole hub in which callers have credentials of their own: what each upstream sees of whom."""

import asyncio
import json
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import httpx2
import pytest

from mcp_hub.app import Hub
from mcp_hub.config import model
from mcp_hub.inbound.asgi import Headers
from mcp_hub.principal import Principal
from mcp_hub.secret import Secret
from rig.fake_upstream import Answer, FakeUpstream, Request
from rig.parts import ALICE, BOB
from rig.personal import Personal, token_of

pytestmark = pytest.mark.promise("B14", "B15", "B22", "T16", "T12")
HEAD = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2026-07-28"}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def identify(headers: Headers) -> Principal:
    return {b"alice": ALICE, b"bob": BOB}[dict(headers)[b"x-caller"]]


def config(directory: Path, *upstreams: model.Upstream) -> model.Config:
    return model.Config(
        server=model.Server(),
        store=model.Store(f"sqlite:///{directory}/hub.db"),
        network=model.Network((ip_network("127.0.0.0/8"),)),
        defaults=model.Defaults(list_timeout=4.0),
        upstreams={each.name: each for each in upstreams},
    )


class Caller:
    """Asks the hub as one of its callers."""

    def __init__(self, http: httpx2.AsyncClient, name: str, **brings: str) -> None:
        self._http = http
        self._lines = {**HEAD, "x-caller": name, **{key.replace("_", "-"): each for key, each in brings.items()}}

    async def asks(self, method: str, **params):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}
        named = {"mcp-name": params["name"]} if "name" in params else {}
        answer = await self._http.post("/mcp", json=body, headers={**self._lines, "mcp-method": method, **named})
        return answer.json()

    async def lists(self) -> list[str]:
        return [each["name"] for each in (await self.asks("tools/list"))["result"]["tools"]]

    async def calls(self, tool: str):
        return (await self.asks("tools/call", name=tool, arguments={}))["result"]


@asynccontextmanager
async def hub_of(directory: Path, *upstreams: model.Upstream):
    async with asyncio.timeout(20), Hub(config(directory, *upstreams), identify) as hub:
        transport = httpx2.ASGITransport(hub)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080", timeout=10) as http:
            yield hub, lambda name, **brings: Caller(http, name, **brings)


async def test_a_key_that_somebody_pasted_goes_to_its_upstream_for_them_alone(tmp_path):
    pasted = model.OwnHeader("Authorization", "pasted", scheme="Bearer")
    async with Personal(name="up") as up, FakeUpstream(name="all") as shared:
        declared = [model.Upstream("up", up.url, auth=pasted), model.Upstream("all", shared.url, auth=model.NoAuth())]
        async with hub_of(tmp_path, *declared) as (hub, caller):
            alice, bob = caller("alice"), caller("bob")
            assert await alice.lists() == await bob.lists() == ["all__echo"]
            told = await bob.calls("up__whoami")
            assert told["isError"]
            assert "http://127.0.0.1:8080/connect/up" in told["content"][0]["text"]
            await hub._running.connections.paste(ALICE, "up", Secret("alice-1"))
            assert await alice.lists() == ["up__whoami", "up__of-alice", "all__echo"]
            assert await bob.lists() == ["all__echo"]
            assert (await alice.calls("up__whoami"))["structuredContent"]["token"] == "alice-1"
            await hub._running.connections.disconnect(ALICE, "up")
            assert (await alice.calls("up__whoami"))["isError"]
    assert {token_of(each) for each in up.seen} == {"alice-1"}
    assert not [each for each in shared.seen if "authorization" in each.headers]


async def test_what_callers_bring_goes_where_it_is_configured_to_go_and_nowhere_else(tmp_path):
    brought = model.OwnHeader("Authorization", "brought", "x-up-key", "Bearer")
    async with Personal(name="up") as up, FakeUpstream(name="all") as shared:
        declared = [model.Upstream("up", up.url, auth=brought), model.Upstream("all", shared.url, auth=model.NoAuth())]
        async with hub_of(tmp_path, *declared) as (_, caller):
            people = [caller("alice", x_up_key="alice-1"), caller("bob", x_up_key="bob-1"), caller("alice")]
            lists = await asyncio.gather(*(each.lists() for each in people * 3))
            told = await asyncio.gather(*(each.calls("up__whoami") for each in people[:2] * 20))
    assert [set(each) - {"all__echo"} for each in lists[:3]] == [
        {"up__whoami", "up__of-alice"}, {"up__whoami", "up__of-bob"}, set(),
    ]  # fmt: skip
    assert [each["structuredContent"]["token"] for each in told] == ["alice-1", "bob-1"] * 20
    assert up.mixed == []
    seen = json.dumps([each.headers for each in shared.seen])
    assert "alice-1" not in seen
    assert "x-up-key" not in seen


@pytest.mark.promise("B16")
async def test_a_server_about_which_nothing_is_said_and_that_has_people_sign_in_is_found_out_at_the_start(tmp_path):
    async def published(request: Request) -> Answer | None:
        if request.verb == "GET":
            return Answer(status=404)
        return Answer(status=401, headers={"www-authenticate": "Bearer"})

    async with FakeUpstream(name="up") as up, FakeUpstream(name="all") as shared:
        up.before = published
        declared = [model.Upstream("up", up.url), model.Upstream("all", shared.url)]
        async with hub_of(tmp_path, *declared) as (hub, caller):
            listed = (await caller("alice").asks("tools/list"))["result"]
            assert [each["name"] for each in listed["tools"]] == ["all__echo"]
            absent = listed["_meta"]["io.mcp-hub/upstreams"]["up"]
            assert (absent["state"], absent["link"]) == ("not_connected", "http://127.0.0.1:8080/connect/up")
            assert hub._running.connections.sign_in("up") == "oauth"
    assert len(shared.asked("tools/list")) == 1


async def test_a_hub_that_needs_nobodys_own_credential_opens_no_connections(tmp_path):
    async with FakeUpstream(name="all") as shared:
        headers = {"X-Key": Secret("shared")}
        async with hub_of(tmp_path, model.Upstream("all", shared.url, headers=headers)) as (hub, caller):
            assert await caller("alice").lists() == ["all__echo"]
            assert hub._running.connections is None
            assert hub._running.fleets.of(ALICE) is hub._running.fleets.of(BOB)
