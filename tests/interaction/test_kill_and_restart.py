"""A hub is killed under clients that are connected, and started again: they carry on, and nobody gets in with them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx2
import mcp_types as types
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPDeprecationWarning

import node_tools
import processes
from interaction.whole_hub import killed, serving
from rig.fake_upstream import Answer, FakeUpstream, Request, sse, tool

pytestmark = pytest.mark.promise("A4", "A5", "F2")

BOUND = 60
CLIENTS = Path(__file__).parent / "clients"
UPDATED, CHANGED = {"updated": "up+x:1"}, {"changed": "tools"}
USUAL = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


class Heard:
    """What a client has met, in its order, for a test that waits for more."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._more = asyncio.Condition()

    async def add(self, what: Any) -> None:
        async with self._more:
            self.all.append(what)
            self._more.notify_all()

    async def until(self, met: Callable[[list[Any]], bool]) -> None:
        try:
            async with asyncio.timeout(BOUND), self._more:
                await self._more.wait_for(lambda: met(self.all))
        except TimeoutError:
            pytest.fail(f"it met only {self.all}")


class Python:
    """The Python SDK 2.x: `legacy` in a session, `auto` in the newest revision."""

    def __init__(self, client: Client, heard: Heard) -> None:
        self._client = client
        self.heard = heard

    async def call(self, said: str) -> None:
        answer = await self._client.call_tool("up__echo", {"said": said})
        assert isinstance(answer.content[0], types.TextContent)
        await self.heard.add({"answer": answer.content[0].text})


@asynccontextmanager
async def python(url: str, mode: str) -> AsyncIterator[Python]:
    heard = Heard()

    async def take(message: Any) -> None:
        match message:
            case types.ResourceUpdatedNotification():
                await heard.add({"updated": str(message.params.uri)})
            case types.ToolListChangedNotification():
                await heard.add(CHANGED)
            case types.LoggingMessageNotification():
                await heard.add({"logged": message.params.data})
            case _:
                pass

    async with Client(url, mode=mode, message_handler=take) as client:
        if mode == "legacy":
            with pytest.warns(MCPDeprecationWarning):
                await client.subscribe_resource("up+x:1")
        yield Python(client, heard)


class TypeScript:
    """The TypeScript SDK 1.x, in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.heard = Heard()

    async def call(self, said: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{said}\n".encode())
        await self._process.stdin.drain()

    async def listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            await self.heard.add(json.loads(line))


@asynccontextmanager
async def typescript(url: str) -> AsyncIterator[TypeScript]:
    pipe = asyncio.subprocess.PIPE
    command = [node_tools.install(), CLIENTS / "ts_resident_1x.mjs", url, "up__echo", "up+x:1"]
    process = await asyncio.create_subprocess_exec(*command, env=node_tools.environment(), stdin=pipe, stdout=pipe)
    client = TypeScript(process)
    listening = asyncio.ensure_future(client.listen())
    try:
        await client.heard.until(lambda all_of_it: any("session" in each for each in all_of_it))
        yield client
    finally:
        process.kill()
        await process.wait()
        await listening


def giving(eras: str) -> FakeUpstream:
    fake = FakeUpstream(name="up", eras=eras)
    fake.capabilities |= {"tools": {"listChanged": True}, "resources": {"listChanged": True, "subscribe": True}}
    fake.resources = [{"uri": "x:1", "name": "x"}]
    return fake


def config(fake: FakeUpstream) -> str:
    return f"network: {{allow_private: [127.0.0.0/8]}}\nupstreams:\n  up:\n    url: {fake.url}\n"


async def answered(client: Python | TypeScript, said: str) -> None:
    await client.call(said)
    await client.heard.until(lambda met: any(said in each.get("answer", "") for each in met))


@pytest.mark.parametrize("eras", ["legacy", "modern"])
async def test_clients_carry_on_when_the_hub_is_killed_and_started_again(eras, tmp_path):
    port = ("--port", str(processes.free_port()))
    async with AsyncExitStack() as connected, giving(eras) as fake:
        async with serving(config(fake), tmp_path, options=port) as hub:
            old = await connected.enter_async_context(python(hub.url, "legacy"))
            new = await connected.enter_async_context(python(hub.url, "auto"))
            other = await connected.enter_async_context(typescript(hub.url))
            everybody = (old, new, other)
            await asyncio.gather(*(answered(each, "before") for each in everybody))
            await fake.until_subscribed("x:1")
            fake.update("x:1")
            for each in (old, other):
                await each.heard.until(lambda met: UPDATED in met)
            await killed(hub)
        async with serving(config(fake), tmp_path, options=port):
            await asyncio.gather(*(answered(each, "after") for each in everybody))
            for each in (old, other):
                await each.heard.until(lambda met: met.count(UPDATED) >= 2 and CHANGED in met)
            before = {each: each.heard.all.count(CHANGED) for each in (old, other)}
            fake.update("x:1")
            fake.tools = [tool("echo"), tool("new")]
            fake.announce("notifications/tools/list_changed")
            for each in (old, other):
                count = before[each]
                await each.heard.until(lambda met, count=count: met.count(UPDATED) >= 3 and met.count(CHANGED) > count)
            assert not [each for client in everybody for each in client.heard.all if "error" in each]


async def test_a_call_that_the_end_of_the_hub_cut_off_is_said_to_be_lost_and_is_not_made_again(tmp_path):
    async def working(request: Request) -> Answer:
        async def chunks() -> AsyncIterator[bytes]:
            yield sse({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": 1}})
            await request.until_hung_up()

        return Answer(content_type="text/event-stream", chunks=chunks())

    port = ("--port", str(processes.free_port()))
    async with AsyncExitStack() as connected, giving("legacy") as fake:
        fake.handlers["tools/call"] = working
        async with serving(config(fake), tmp_path, options=port) as hub:
            other = await connected.enter_async_context(typescript(hub.url))
            await other.call("cut off")
            await other.heard.until(lambda met: {"logged": 1} in met)
            await killed(hub)
        async with serving(config(fake), tmp_path, options=port):
            await other.heard.until(lambda met: any("may have had effects" in each.get("error", "") for each in met))
        assert len(fake.asked("tools/call")) == 1


class Wire:
    """A stretch of network between clients and a hub, that can break."""

    def __init__(self, to: str) -> None:
        self._host, self._port = to.removeprefix("http://").partition("/")[0].split(":")
        self._path = "/" + to.removeprefix("http://").partition("/")[2]
        self._ends: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{self._path}"
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Break every connection, on both of its ends."""
        for end in self._ends:
            end.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, int(self._port))
        ends = {writer, far_writer}
        self._ends |= ends
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            self._ends -= ends
            for end in ends:
                end.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.mark.parametrize("kind", ["python", "typescript"])
async def test_a_client_whose_connection_breaks_during_a_call_gets_the_answer_all_the_same(kind, tmp_path):
    goes_on = asyncio.Event()

    async def working(request: Request) -> Answer:
        async def chunks() -> AsyncIterator[bytes]:
            yield sse({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": 1}})
            await goes_on.wait()
            result = {"content": [{"type": "text", "text": "it went on"}]}
            yield sse({"jsonrpc": "2.0", "id": request.message["id"], "result": result})

        return Answer(content_type="text/event-stream", chunks=chunks())

    async with giving("legacy") as fake, serving(config(fake), tmp_path) as hub, Wire(hub.url) as wire:
        fake.handlers["tools/call"] = working
        async with typescript(wire.url) if kind == "typescript" else python(wire.url, "legacy") as client:
            calling = asyncio.ensure_future(client.call("cut off"))
            await client.heard.until(lambda met: {"logged": 1} in met)
            wire.cut()
            goes_on.set()
            await client.heard.until(lambda met: {"answer": "it went on"} in met)
            await calling
        assert len(fake.asked("tools/call")) == 1


async def test_a_client_stays_connected_when_what_is_behind_the_hub_is_started_again(tmp_path):
    async def knowing_its_sessions(request: Request) -> Answer | None:
        known = request.verb != "GET" or request.headers.get("mcp-session-id") in fake.sessions
        return None if known else Answer(status=404)

    async with AsyncExitStack() as connected, giving("legacy") as fake:
        fake.before = knowing_its_sessions
        hub = await connected.enter_async_context(serving(config(fake), tmp_path))
        old = await connected.enter_async_context(python(hub.url, "legacy"))
        await answered(old, "before")
        await fake.until_subscribed("x:1")
        await fake.stop()
        fake.sessions.clear()
        fake.streams.clear()
        async with fake:
            await old.heard.until(lambda met: UPDATED in met)
            await fake.until_subscribed("x:1")
            before = old.heard.all.count(UPDATED)
            fake.update("x:1")
            await old.heard.until(lambda met: met.count(UPDATED) > before)
            await answered(old, "after")


async def _post(http: httpx2.AsyncClient, url: str, method: str, session: str | None = None) -> httpx2.Response:
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params if method == "initialize" else {}}
    named = {} if session is None else {"Mcp-Session-Id": session}
    return await http.post(url, json=body, headers={**USUAL, **named})


@pytest.mark.promise("T19")
async def test_a_session_is_kept_although_the_hub_is_killed_as_soon_as_it_has_told_its_id(tmp_path):
    port = ("--port", str(processes.free_port()))
    async with httpx2.AsyncClient(timeout=BOUND) as http, giving("modern") as fake:
        for _ in range(2):
            async with serving(config(fake), tmp_path, options=port) as hub:
                session = (await _post(http, hub.url, "initialize")).headers["mcp-session-id"]
                await killed(hub)
        async with serving(config(fake), tmp_path, options=port) as hub:
            assert (await _post(http, hub.url, "tools/list", session)).status_code == 200
            guesses = (session[:-1], session + "0", session.swapcase(), "")
            for guess in guesses:
                assert (await _post(http, hub.url, "tools/list", guess)).status_code == 404
            ended = await http.delete(hub.url, headers={**USUAL, "Mcp-Session-Id": session})
            assert ended.status_code == 204
            await killed(hub)
        async with serving(config(fake), tmp_path, options=port) as hub:
            assert (await _post(http, hub.url, "tools/list", session)).status_code == 404
    store = b"".join(file.read_bytes() for file in (tmp_path / "data").iterdir() if file.is_file())
    assert session.encode() not in store
