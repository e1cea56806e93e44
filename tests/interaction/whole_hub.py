"""A hub as its users meet it: a process of its own, its commands, and requests of both eras to it."""

import asyncio
import base64
import json
import os
import re
import signal
import sysconfig
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx2

import processes

MODERN, LEGACY = "2026-07-28", "2025-11-25"
META_UPSTREAMS = "io.mcp-hub/upstreams"
PROGRAM = Path(sysconfig.get_path("scripts")) / "mcp-hub"
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
USUAL = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}

Json = dict[str, Any]


@asynccontextmanager
async def serving(
    config: str, directory: Path, *, options: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> AsyncIterator[processes.Running]:
    """A hub process on a free port; its data are in `directory`, and a later one there takes them up again.

    Fails if it did not end well, unless the test itself has killed it. Raises: DidNotStart.
    """
    file = directory / "hub.yaml"
    file.write_text(config, "utf-8")
    command = [PROGRAM, "serve", "-c", file, "--port", "0", *options]
    environment = {"MCP_HUB_DATA": str(directory / "data"), **(env or {})}
    with ExitStack() as stack:
        # In threads, since the hub greets and takes leave of upstreams that this loop serves.
        started = await asyncio.to_thread(stack.enter_context, processes.running(command, env=environment))
        try:
            yield started
        finally:
            await asyncio.to_thread(stack.close)
    assert started.process.returncode in (0, -signal.SIGKILL), started.log
    if "debug" not in options:  # where the causes of an upstream's trouble are shown, too
        assert "Traceback" not in started.log, started.log
    assert "fault of" not in started.log, started.log
    assert "internal error" not in started.log, started.log


async def killed(hub: processes.Running) -> None:
    """End a hub without a warning, in the middle of whatever it does."""
    hub.process.kill()
    await asyncio.to_thread(hub.process.wait)


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def command(*arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Said:
    """Run `mcp-hub` with these arguments to its end."""
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        *map(str, arguments),
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", **(env or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(30):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Said(process.returncode or 0, out.decode(), err.decode(), time.perf_counter() - started)


def message(method: str, params: Json | None = None, number: Any = 1) -> Json:
    """A request; a notification if `number` is `None`."""
    told = {"jsonrpc": "2.0", "method": method, **({"params": params} if params is not None else {})}
    return told if number is None else {**told, "id": number}


def modern(method: str, params: Json | None = None, *, number: Any = 1) -> tuple[Json, dict[str, str]]:
    """A modern request and the headers that repeat it."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test client", "version": "1"},
    }
    given = {**(params or {})}
    given["_meta"] = {**meta, **given.get("_meta", {})}
    headers = {**USUAL, "MCP-Protocol-Version": MODERN, "Mcp-Method": method}
    named = given.get(NAMED.get(method, ""))
    if isinstance(named, str):
        headers["Mcp-Name"] = header_value(named)
    return message(method, given, number), headers


def header_value(text: str) -> str:
    """Text as a header can carry it (MCP 2026-07-28, streamable-http, "Value Encoding")."""
    if text.isascii() and text.isprintable() and text == text.strip() and not text.startswith("=?base64?"):
        return text
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


def answer(response: httpx2.Response) -> Json:
    """The message that answers the request, in whichever of the two forms it came."""
    if response.headers["content-type"] == "application/json":
        return response.json()
    return events(response.content)[-1]


def events(stream: bytes) -> list[Json]:
    """The messages of an event stream, whichever way its lines end; without those that hold no data."""
    blocks = re.split(r"\n\n", re.sub(r"\r\n?", "\n", stream.decode()))
    fields = [[line for line in block.split("\n") if line.startswith("data:")] for block in blocks]
    data = ["\n".join(line.removeprefix("data:").removeprefix(" ") for line in each) for each in fields]
    return [json.loads(each) for each in data if each]


@dataclass
class Client:
    """Speaks to one hub in plain HTTP, so that a test sees what really came back."""

    url: str
    http: httpx2.AsyncClient = field(default_factory=lambda: httpx2.AsyncClient(trust_env=False, timeout=30))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.http.aclose()

    async def modern(self, method: str, params: Json | None = None, **headers: str) -> httpx2.Response:
        """The response to a modern request; `headers` come in addition."""
        body, lines = modern(method, params)
        return await self.post(body, {**lines, **_dashed(headers)})

    async def post(self, body: Any, headers: Mapping[str, str] = USUAL) -> httpx2.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.post(self.url, content=content, headers=headers)

    async def ask(self, method: str, params: Json | None = None) -> Json:
        """The result of a modern request."""
        return _result(await self.modern(method, params))

    async def call(self, tool: str, **arguments: Any) -> Json:
        """The result of a modern `tools/call`."""
        return await self.ask("tools/call", {"name": tool, "arguments": arguments})

    async def names(self) -> list[str]:
        """What a modern `tools/list` names."""
        return [tool["name"] for tool in (await self.ask("tools/list"))["tools"]]

    async def open(self, revision: str = LEGACY, **headers: str) -> "Session":
        """A legacy session, opened as the specification says."""
        params = {"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "old client", "version": "1"}}
        response = await self.post(message("initialize", params), {**USUAL, **_dashed(headers)})
        named = response.headers.get("mcp-session-id")
        lines = {**USUAL, **_dashed(headers), **({} if named is None else {"Mcp-Session-Id": named})}
        session = Session(self, {**lines, "MCP-Protocol-Version": revision}, _result(response))
        await session.post("notifications/initialized", number=None)
        return session

    async def status(self) -> dict[str, Json]:
        """What the hub says of each upstream."""
        found = await self.http.get(self.url.replace("/mcp", "/api/v1/status"))
        return {each["name"]: each for each in found.json()["upstreams"]}

    async def refreshed(self, upstream: str) -> Json:
        """What the hub says of an upstream after a contact that began now."""
        return (await self.http.post(self.url.replace("/mcp", f"/api/v1/upstreams/{upstream}/refresh"))).json()


@dataclass
class Session:
    """One legacy session. `opened` is the result of `initialize`."""

    client: Client
    headers: dict[str, str]
    opened: Json

    @property
    def id(self) -> str:
        return self.headers["Mcp-Session-Id"]

    async def post(self, method: str, params: Json | None = None, *, number: Any = 1) -> httpx2.Response:
        return await self.client.post(message(method, params, number), self.headers)

    async def ask(self, method: str, params: Json | None = None) -> Json:
        return _result(await self.post(method, params))

    async def call(self, tool: str, **arguments: Any) -> Json:
        return await self.ask("tools/call", {"name": tool, "arguments": arguments})


def said(result: Json) -> str:
    """The text of a tool's result."""
    return "".join(block["text"] for block in result["content"])


def _result(response: httpx2.Response) -> Json:
    answered = answer(response)
    assert "result" in answered, answered
    return answered["result"]


def _dashed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
