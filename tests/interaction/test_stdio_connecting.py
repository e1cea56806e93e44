"""A client that has started the hub itself, and an upstream that takes each user's own key."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mcp_hub.app import Hub
from mcp_hub.config.load import load
from mcp_hub.credentials import watchers
from mcp_hub.principal import LOCAL
from mcp_hub.secret import Secret
from rig.fake_upstream import MODERN, FakeUpstream

pytestmark = pytest.mark.promise("B20")
META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}


class Spoken:
    """A client at the hub's standard input and output."""

    def __init__(self) -> None:
        self._lines = asyncio.Queue[bytes]()
        self._answers = asyncio.Queue[dict[str, Any]]()

    async def lines(self) -> AsyncIterator[bytes]:
        while line := await self._lines.get():
            yield line

    async def write(self, line: bytes) -> None:
        await self._answers.put(json.loads(line))

    def end(self) -> None:
        self._lines.put_nowait(b"")

    async def call(self) -> dict[str, Any]:
        params = {"name": "docs__echo", "arguments": {}, "_meta": META}
        self._lines.put_nowait(
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
        )
        return (await self._answers.get())["result"]


def configured(fake: FakeUpstream, login: str, place: Path) -> Any:
    return load(
        f"""\
login: {{type: {login}}}
store: {{url: 'sqlite:///{place}'}}
network: {{allow_private: [127.0.0.0/8]}}
upstreams:
  docs: {{url: '{fake.url}', auth: {{type: header, name: X-Key, per_user: true}}}}
""",
        environ={},
    )


async def test_what_is_connected_on_the_page_of_a_hub_that_is_served_counts_in_the_one_that_a_client_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(watchers, "POLL", 0.01)
    async with FakeUpstream(name="docs") as fake, asyncio.timeout(10):
        config = configured(fake, "none", tmp_path / "hub.db")
        async with Hub(config, over_http=False) as started, Hub(config) as served, asyncio.TaskGroup() as group:
            client = Spoken()
            group.create_task(started.speak(client.lines(), client.write))
            refused = await client.call()
            told = refused["content"][0]["text"]
            assert "Start 'mcp-hub serve' with the same configuration" in told
            assert "Open http://127.0.0.1:8080/connect/docs, then try again." in told
            await served._running.connections.paste(LOCAL, "docs", Secret("a-key-of-mine"))
            while refused.get("isError"):
                refused = await client.call()
            client.end()
        assert fake.asked("tools/call")[-1].headers["x-key"] == "a-key-of-mine"


async def test_where_people_sign_in_a_client_that_started_the_hub_is_led_to_no_page_that_would_not_help(tmp_path: Path):
    async with FakeUpstream(name="docs") as fake, asyncio.timeout(10):
        config = configured(fake, "local", tmp_path / "hub.db")
        async with Hub(config, over_http=False) as started, asyncio.TaskGroup() as group:
            client = Spoken()
            group.create_task(started.speak(client.lines(), client.write))
            told = (await client.call())["content"][0]["text"]
            client.end()
    assert "have it use the hub that 'mcp-hub serve' serves" in told
    assert "http://" not in told
