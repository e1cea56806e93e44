"""An upstream that stands somewhere else after a restart: what its users gave for the place before stays here."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from mcp_hub.principal import LOCAL
from mcp_hub.secret import Secret
from rig.fake_upstream import MODERN, FakeUpstream
from rig.hub_here import HubHere, serving

pytestmark = pytest.mark.promise("T49", "B14")
META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
KEY = "planted-key-of-mine"


def configured(fake: FakeUpstream) -> str:
    return (
        "network: {allow_private: [127.0.0.0/8]}\n"
        f"upstreams:\n  docs: {{url: '{fake.url}', auth: {{type: header, name: X-Key, per_user: true}}}}\n"
    )


async def call(hub: HubHere, http: httpx2.AsyncClient) -> str:
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": MODERN}
    headers |= {"Mcp-Method": "tools/call", "Mcp-Name": "docs__echo"}
    params = {"name": "docs__echo", "arguments": {}, "_meta": META}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return (await http.post(hub.url, json=body, headers=headers)).text


async def test_a_key_is_not_sent_to_the_server_that_has_the_name_now(tmp_path: Path):
    store = f"sqlite:///{tmp_path / 'hub.db'}"
    async with (
        asyncio.timeout(10),
        FakeUpstream(name="docs") as before,
        FakeUpstream(name="docs") as after,
        httpx2.AsyncClient(trust_env=False) as http,
    ):
        async with serving(configured(before), store=store) as hub:
            await hub.app._running.connections.paste(LOCAL, "docs", Secret(KEY))
            await call(hub, http)
        async with serving(configured(after), store=store) as hub:
            told = await call(hub, http)
            home = (await http.get(hub.base, headers={"Accept": "text/html"})).text
            page = (await http.get(f"{hub.base}/connect/docs", headers={"Accept": "text/html"})).text
    assert [each.headers["x-key"] for each in before.asked("tools/call")] == [KEY]
    assert after.seen == []
    assert "The address of docs was changed in the hub's configuration" in told
    assert "/connect/docs to connect docs again" in told
    assert "Reconnect needed" in home
    assert "The address of docs was changed" in page
    assert KEY not in told + home + page
