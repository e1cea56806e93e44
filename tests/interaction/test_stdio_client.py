"""`mcp-hub stdio`: a hub that a client starts as a command, in both eras, to its end."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from interaction.whole_hub import MODERN, PROGRAM, message, modern, said
from rig.commands import children, gone, words

pytestmark = pytest.mark.promise("A4")
OPENING = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"elicitation": {}},
    "clientInfo": {"name": "client", "version": "1"},
}


class Hub:
    """A hub on its pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin, self.stdout = process.stdin, process.stdout

    def tell(self, *messages: Any) -> None:
        for each in messages:
            self.stdin.write((each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n")

    async def hear(self, *, changes: bool = False) -> dict[str, Any]:
        """The next message; those of changed lists only if that is asked for: what was learnt at the start is one."""
        async with asyncio.timeout(15):
            while True:
                heard = json.loads(await self.stdout.readline())
                if changes or not heard.get("method", "").endswith("/list_changed"):
                    return heard

    async def ask(self, method: str, params: dict[str, Any], number: Any = 1) -> dict[str, Any]:
        self.tell(message(method, params, number))
        return await self.hear()

    async def open(self) -> None:
        assert (await self.ask("initialize", OPENING, "open"))["id"] == "open"
        self.tell(message("notifications/initialized", None, None))

    async def end(self) -> int:
        self.stdin.close()
        async with asyncio.timeout(15):
            return await self.process.wait()


@asynccontextmanager
async def started(tmp_path, *said: str) -> AsyncIterator[Hub]:
    config = tmp_path / "hub.yaml"
    config.write_text(json.dumps({"version": 1, "upstreams": {"small": {"command": words(*(said or ("legacy",)))}}}))
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        "stdio",
        "-c",
        config,
        env={**os.environ, "MCP_HUB_DATA": str(tmp_path / "data")},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    hub = Hub(process)
    try:
        yield hub
    finally:
        if process.returncode is None:
            assert await hub.end() == 0


def call(tool: str, number: Any = 1, **arguments: Any) -> dict[str, Any]:
    return message("tools/call", {"name": f"small__{tool}", "arguments": arguments}, number)


@pytest.mark.parametrize("upstream", ["legacy", "modern"])
async def test_a_client_of_either_era_is_served_by_how_it_opens(tmp_path, upstream):
    async with started(tmp_path, upstream) as hub:
        discovered, _ = modern("server/discover")
        hub.tell(discovered)
        assert (await hub.hear())["result"]["supportedVersions"] == [MODERN]
        called, _ = modern("tools/call", {"name": "small__echo", "arguments": {"a": 1}}, number="two")
        hub.tell(called)
        heard = await hub.hear()
        assert (heard["id"], heard["result"]["resultType"], said(heard["result"])) == ("two", "complete", '{"a": 1}')
        await hub.open()
        hub.tell(call("echo", 3, b=2))
        heard = await hub.hear()
        assert (heard["id"], "resultType" in heard["result"], said(heard["result"])) == (3, False, '{"b": 2}')


async def test_the_sdks_client_lists_and_calls(tmp_path):
    config = tmp_path / "hub.yaml"
    config.write_text(json.dumps({"upstreams": {"small": {"command": words("legacy")}}}))
    program = StdioServerParameters(
        command=str(PROGRAM),
        args=["stdio", "-c", str(config)],
        env={**os.environ, "MCP_HUB_DATA": str(tmp_path / "data")},
    )
    async with asyncio.timeout(30), stdio_client(program) as streams, ClientSession(*streams) as session:
        await session.initialize()
        assert "small__echo" in [tool.name for tool in (await session.list_tools()).tools]
        assert (await session.call_tool("small__echo", {"n": 1})).content[0].text == '{"n": 1}'


async def test_requests_are_served_side_by_side_and_cancelled_alone(tmp_path):
    async with started(tmp_path) as hub:
        await hub.open()
        hub.tell(call("wait", "slow"), call("echo", "fast"))
        assert (await hub.hear())["id"] == "fast"
        hub.tell(message("notifications/cancelled", {"requestId": "slow"}, None), call("where", "after"))
        heard = await hub.hear()
        assert heard["id"] == "after"
        assert "notifications/cancelled" in json.loads(said(heard["result"]))["heard"]


async def test_questions_and_progress_cross_on_the_same_lines(tmp_path):
    async with started(tmp_path) as hub:
        await hub.open()
        hub.tell(call("ask", "asking"))
        question = await hub.hear()
        assert question["method"] == "elicitation/create"
        hub.tell({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}})
        assert json.loads(said((await hub.hear())["result"])) == {"action": "decline"}
        params = {"name": "small__progress", "arguments": {}, "_meta": {"progressToken": "mine"}}
        hub.tell(message("tools/call", params, "counted"))
        heard = [await hub.hear() for _ in range(4)]
        assert [each["params"]["progressToken"] for each in heard[:3]] == ["mine"] * 3
        assert heard[3]["id"] == "counted"


async def test_what_is_no_message_is_answered_and_the_next_one_served(tmp_path):
    async with started(tmp_path) as hub:
        for line, code in [(b"{", -32700), (b"[]", -32600), (b"x" * (5 * 2**20), -32700), (b'{"id":1}', -32600)]:
            hub.tell(line)
            assert (await hub.hear())["error"]["code"] == code
        assert (await hub.ask("tools/list", {}))["error"]["code"] == -32600
        assert (await hub.ask("ping", {}))["result"] == {}
        without, _ = modern("tools/list")
        del without["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
        hub.tell(without)
        assert (await hub.hear())["error"]["code"] == -32602


@pytest.mark.parametrize("how", ["end of input", "SIGTERM", "SIGKILL"])
async def test_however_it_ends_nothing_of_it_is_left(tmp_path, how):
    async with started(tmp_path) as hub:
        await hub.open()
        hub.tell(call("where"))
        pid = json.loads(said((await hub.hear())["result"]))["pid"]
        hub.tell(call("wait"))
        if how == "end of input":
            assert await hub.end() == 0
        else:
            hub.process.send_signal(signal.Signals[how])
            assert await hub.process.wait() == (0 if how == "SIGTERM" else -signal.SIGKILL)
        await gone(pid)


@pytest.mark.promise("A5")
async def test_a_legacy_client_hears_of_changes(tmp_path):
    async with started(tmp_path) as hub:
        await hub.open()
        await hub.ask("tools/list", {})
        hub.tell(call("change", 7))
        expected = {7, "notifications/tools/list_changed"}
        while expected:  # the first contact with the upstream may itself have been a change
            heard = await hub.hear(changes=True)
            expected.discard(heard.get("method", heard.get("id")))


@pytest.mark.promise("A5")
async def test_a_modern_client_hears_of_changes_under_the_number_it_asked_with(tmp_path):
    async with started(tmp_path, "modern") as hub:
        hub.tell(modern("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, number="mine")[0])
        acknowledged = await hub.hear()
        assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
        assert acknowledged["params"]["notifications"] == {"toolsListChanged": True}
        assert acknowledged["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": "mine"}


@pytest.mark.parametrize("requests", [1, 2000])
@pytest.mark.promise("D33")
async def test_a_client_that_reads_nothing_does_not_keep_the_hub_or_its_commands_from_ending(tmp_path, requests):
    config = tmp_path / "hub.yaml"
    config.write_text(json.dumps({"version": 1, "upstreams": {"small": {"command": words("legacy")}}}))
    unread, out = os.pipe()
    os.set_blocking(out, False)
    with suppress(BlockingIOError):
        while os.write(out, b" " * 4096):
            pass
    os.set_blocking(out, True)
    env = {**os.environ, "MCP_HUB_DATA": str(tmp_path / "data")}
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "stdio", "-c", config, env=env, stdin=asyncio.subprocess.PIPE, stdout=out
    )
    os.close(out)
    try:
        assert process.stdin is not None
        process.stdin.writelines(json.dumps(message("ping", {}, each)).encode() + b"\n" for each in range(requests))
        async with asyncio.timeout(15):
            while not (started := children(process.pid)):  # noqa: ASYNC110 - nobody tells when it starts one
                await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await process.wait() == 0
        for each in started:
            await gone(each)
    finally:
        os.close(unread)
        if process.returncode is None:
            process.kill()
