"""Keys that people pasted, and who they are, on their way through a running hub: each goes out for its own caller."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mcp_hub.assembly import unlocked
from mcp_hub.config.model import Config, Upstream
from mcp_hub.config.model import Store as StorePlace
from mcp_hub.connecting import declared_of
from mcp_hub.credentials import watchers
from mcp_hub.credentials.pasted import PastedKeys
from mcp_hub.credentials.watchers import Watchers
from mcp_hub.identity.accounts import local_account
from mcp_hub.identity.events import OPERATOR, Events
from mcp_hub.identity.personal import PersonalTokens
from mcp_hub.identity.scopes import USE
from mcp_hub.secret import Secret
from mcp_hub.store.connections import Whose
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.vault.vault import Vault
from rig.echoing import echoing
from rig.fake_upstream import MODERN, FakeUpstream
from rig.hub_here import HubHere, serving

META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}


@dataclass
class World:
    """A hub with two users; `docs` takes their keys, `crm` is told their addresses. `beside` is another process."""

    hub: HubHere
    docs: FakeUpstream
    crm: FakeUpstream
    tokens: dict[str, str]
    subjects: dict[str, str]
    beside: SqliteStore
    vault: Vault
    http: httpx2.AsyncClient

    def whose(self, name: str) -> Whose:
        return Whose("default", "local", self.subjects[name], "docs")

    async def paste(self, name: str, key: str) -> None:
        keys, place = (
            PastedKeys(self.beside, self.vault, Watchers(self.beside)),
            declared_of(Upstream("docs", self.docs.url)).place,
        )
        await keys.paste(self.whose(name), Secret(key), place)

    async def call(self, name: str, upstream: str) -> tuple[dict[str, str] | None, str]:
        """The headers that the upstream was sent for this caller, and the whole answer."""
        tool = f"{upstream}__echo"
        params = {"name": tool, "arguments": {}, "_meta": META}
        headers = {
            "Authorization": f"Bearer {self.tokens[name]}",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": MODERN,
            "Mcp-Method": "tools/call",
            "Mcp-Name": tool,
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        answer = await self.http.post(self.hub.url, json=body, headers=headers)
        said: dict[str, Any] = answer.json()
        if "result" not in said or said["result"].get("isError"):
            return None, answer.text
        return dict(json.loads(said["result"]["content"][0]["text"])["headers"]), answer.text

    async def until_refused(self, name: str) -> str:
        """Call until the hub has noticed what another process did; its answer then."""
        async with asyncio.timeout(5):
            while True:
                sent, answer = await self.call(name, "docs")
                if sent is None:
                    return answer


def _config(docs: FakeUpstream, crm: FakeUpstream) -> str:
    return f"""\
login: {{type: local}}
network: {{allow_private: [127.0.0.0/8]}}
upstreams:
  docs: {{url: '{docs.url}', title: Docs, auth: {{type: header, name: X-Api-Key, per_user: true}}}}
  crm: {{url: '{crm.url}', auth: {{type: header, name: X-User, claim: email}}}}
"""


async def _people(store: SqliteStore) -> tuple[dict[str, str], dict[str, str]]:
    events = Events(store)
    tokens: dict[str, str] = {}
    subjects: dict[str, str] = {}
    for name in ("ada", "bob"):
        user = local_account(f"{name}@example.com", None, frozenset({"user"}), time.time())
        await store.add_user(user)
        _, secret = await PersonalTokens(store, events).create(user, "test", None, frozenset({USE}), actor=OPERATOR)
        tokens[name], subjects[name] = secret.open(), user.subject
    await events.aclose()
    return tokens, subjects


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(watchers, "POLL", 0.01)
    place = f"sqlite:///{tmp_path / 'hub.db'}"
    async with AsyncExitStack() as stack:
        beside, vault = await unlocked(Config(store=StorePlace(place)), stack)
        tokens, subjects = await _people(beside)
        docs, crm = [await stack.enter_async_context(echoing(name)) for name in ("docs", "crm")]
        hub = await stack.enter_async_context(serving(_config(docs, crm), store=place))
        http = await stack.enter_async_context(httpx2.AsyncClient(trust_env=False))
        yield World(hub, docs, crm, tokens, subjects, beside, vault, http)


@pytest.mark.promise("B14", "B22", "T16")
async def test_fifty_calls_at_once_carry_each_the_key_of_its_own_caller(world: World):
    for name in ("ada", "bob"):
        await world.paste(name, f"{name}s-own-key")
    names = ["ada", "bob"] * 25
    answers = await asyncio.gather(*(world.call(name, "docs") for name in names))
    assert [sent and sent["x-api-key"] for sent, _ in answers] == [f"{name}s-own-key" for name in names]


@pytest.mark.promise("B14", "B20")
async def test_who_pasted_no_key_gets_the_page_from_the_call_and_others_go_on(world: World):
    await world.paste("ada", "adas-own-key")
    refused, answer = await world.call("bob", "docs")
    assert refused is None
    assert f"{world.hub.base}/connect/docs" in answer
    assert "bob@example.com" in answer
    assert "adas" not in answer
    sent, _ = await world.call("ada", "docs")
    assert sent is not None
    assert not [each for each in world.docs.seen if each.headers.get("x-api-key") != "adas-own-key"]


@pytest.mark.promise("B22", "T59")
async def test_a_key_that_another_process_takes_back_goes_out_no_more(world: World):
    await world.paste("ada", "adas-own-key")
    await world.paste("bob", "bobs-own-key")
    assert (await world.call("ada", "docs"))[0] is not None
    await world.beside.drop_key(world.whose("ada"))
    assert "/connect/docs" in await world.until_refused("ada")
    seen = len([each for each in world.docs.seen if each.headers.get("x-api-key") == "adas-own-key"])
    assert (await world.call("ada", "docs"))[0] is None
    assert len([each for each in world.docs.seen if each.headers.get("x-api-key") == "adas-own-key"]) == seen
    assert (await world.call("bob", "docs"))[0] is not None


@pytest.mark.promise("B14", "T16")
async def test_an_upstream_is_told_who_calls_and_nobody_calls_as_somebody_else(world: World):
    names = ["ada", "bob"] * 5
    answers = await asyncio.gather(*(world.call(name, "crm") for name in names))
    assert [sent and sent["x-user"] for sent, _ in answers] == [f"{name}@example.com" for name in names]
    assert {each.headers.get("x-user") for each in world.crm.seen} == {"ada@example.com", "bob@example.com"}
