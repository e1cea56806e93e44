"""Clients of other makers that sign in: each goes from a 401 to a tool call, through a browser that a script drives.

All are used the same way: `call` does whatever its maker does, and sends a person to the browser when it has to.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import parse_qsl, urlsplit

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.auth import OAuthClientProvider
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from pydantic import AnyUrl

import node_tools
import processes
from rig.browser import Arrival, Browser, Person, authorize

CLIENTS = Path(__file__).parent / "clients"
SECONDS = 60


@dataclass(frozen=True, slots=True)
class Known:
    """How a client is known to the hub: by its document, as registered beforehand, or not yet."""

    document: str | None = None
    id: str | None = None
    secret: str | None = None


@dataclass
class Desk:
    """A person at a browser, whom clients send to the hub. `requests` holds the parameters of each time."""

    person: Person
    browser: Browser = field(default_factory=Browser)
    requests: list[dict[str, str]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.browser.http.aclose()

    async def authorize(self, url: str) -> Arrival:
        self.requests.append(dict(parse_qsl(urlsplit(url).query)))
        return await authorize(self.browser, url, self.person)


@dataclass(frozen=True, slots=True)
class Held:
    """What the client holds now: its tokens, and what it is at the hub."""

    access: str
    refresh: str
    client_id: str
    client_secret: str | None


def _held(tokens: Mapping[str, Any], client: Mapping[str, Any]) -> Held:
    return Held(tokens["access_token"], tokens["refresh_token"], client["client_id"], client.get("client_secret"))


class Visitor(Protocol):
    """A client that is connected."""

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """The text that a tool gives."""
        ...

    async def held(self) -> Held: ...

    async def expire(self) -> None:
        """What a client notices when its access token has reached its end."""
        ...


Visit = Callable[[str, Known, Desk, Path], Any]


class _Stored:
    """Where the Python SDK keeps what it was given."""

    def __init__(self, known: Known, redirect: str) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None
        if known.id is not None:
            self.client = OAuthClientInformationFull(
                client_id=known.id,
                client_secret=known.secret,
                redirect_uris=[AnyUrl(redirect)],
                token_endpoint_auth_method="client_secret_basic" if known.secret else "none",
            )

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass
class _Python:
    client: Client
    provider: OAuthClientProvider
    stored: _Stored

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> str:
        async with asyncio.timeout(SECONDS):
            result = await self.client.call_tool(tool, dict(arguments))
        return "".join(getattr(block, "text", "") for block in result.content)

    async def held(self) -> Held:
        tokens, client = self.stored.tokens, self.stored.client
        assert tokens is not None
        assert client is not None
        return Held(tokens.access_token, tokens.refresh_token or "", client.client_id, client.client_secret)

    async def expire(self) -> None:
        # This client goes by its own clock only: a 401 makes it start all over.
        self.provider.context.token_expiry_time = 1.0


def python_sdk(era: str) -> Visit:
    """The Python SDK 2.x with its own OAuth provider."""

    @asynccontextmanager
    async def visit(url: str, known: Known, desk: Desk, _folder: Path) -> AsyncIterator[Visitor]:
        redirect = f"http://127.0.0.1:{processes.free_port()}/callback"
        arrived: list[Arrival] = []
        stored = _Stored(known, redirect)

        async def redirected(url: str) -> None:
            arrived.append(await desk.authorize(url))

        async def called_back() -> AuthorizationCodeResult:
            return AuthorizationCodeResult.model_validate(arrived.pop().answer)

        provider = OAuthClientProvider(
            url,
            OAuthClientMetadata(redirect_uris=[AnyUrl(redirect)], client_name="python"),
            stored,
            redirected,
            called_back,
            client_metadata_url=known.document,
        )
        async with (
            httpx2.AsyncClient(auth=provider, trust_env=False, timeout=SECONDS, verify=False) as http,
            Client(streamable_http_client(url, http_client=http), mode=era) as client,
        ):
            yield _Python(client, provider, stored)

    return visit


@dataclass
class _Typescript:
    """A program of its own, asked and answered by lines."""

    process: asyncio.subprocess.Process
    desk: Desk
    tokens: dict[str, Any] = field(default_factory=dict)
    client: dict[str, Any] = field(default_factory=dict)

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> str:
        await self.tell({"call": {"name": tool, "arguments": arguments}})
        return (await self.until("answer"))["answer"]

    async def held(self) -> Held:
        return _held(self.tokens, self.client)

    async def expire(self) -> None:
        """Nothing: it learns of the end of a token from the 401."""

    async def tell(self, message: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        await self.process.stdin.drain()

    async def until(self, wanted: str) -> dict[str, Any]:
        """The next message of this kind; meanwhile whatever it asks of a person is done."""
        assert self.process.stdout is not None
        async with asyncio.timeout(SECONDS):
            while line := await self.process.stdout.readline():
                told = json.loads(line)
                self.tokens, self.client = told.get("tokens", self.tokens), told.get("client", self.client)
                if "authorize" in told:
                    await self.tell({"arrived": (await self.desk.authorize(told["authorize"])).url})
                if wanted in told:
                    return told
        assert self.process.stderr is not None
        raise AssertionError((await self.process.stderr.read()).decode())


def typescript(sdk: str) -> Visit:
    """`2.x`: `@modelcontextprotocol/client`; `1.x`: `@modelcontextprotocol/sdk`; each with its own OAuth."""

    @asynccontextmanager
    async def visit(url: str, known: Known, desk: Desk, _folder: Path) -> AsyncIterator[Visitor]:
        told = {"document": known.document, "id": known.id, "secret": known.secret}
        redirect = f"http://127.0.0.1:{processes.free_port()}/callback"
        program: list[Any] = [node_tools.install(), CLIENTS / "ts_oauth.mjs", sdk, url, redirect, json.dumps(told)]
        async with _process(program, node_tools.environment()) as process:
            visitor = _Typescript(process, desk, client={"client_id": known.id, "client_secret": known.secret})
            await visitor.until("connected")
            yield visitor

    return visit


@asynccontextmanager
async def _process(command: list[Any], env: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=env, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


@dataclass
class _Remote:
    """`mcp-remote`, as a client that only starts commands sees it."""

    client: Client
    folder: Path
    known: Known

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> str:
        async with asyncio.timeout(SECONDS):
            result = await self.client.call_tool(tool, dict(arguments))
        return "".join(getattr(block, "text", "") for block in result.content)

    async def held(self) -> Held:
        (tokens,) = self.folder.rglob("*_tokens.json")
        client = next(self.folder.rglob("*_client_info.json"), None)
        told = {"client_id": self.known.id or self.known.document, "client_secret": self.known.secret}
        return _held(json.loads(tokens.read_text()), json.loads(client.read_text()) if client else told)

    async def expire(self) -> None:
        """Nothing: it learns of the end of a token from the 401."""


@asynccontextmanager
async def mcp_remote(url: str, known: Known, desk: Desk, folder: Path) -> AsyncIterator[Visitor]:
    """The command `mcp-remote`, which opens a browser itself: a command that tells the test instead."""
    wire, opener, said = folder / "opened", folder / "browser", folder / "mcp-remote.log"
    os.mkfifo(wire)
    opener.write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" > "{wire}"\n')
    opener.chmod(0o700)
    arguments = [str(node_tools.MCP_REMOTE), url, str(processes.free_port()), "--auth-timeout", str(SECONDS)]
    if known.document is not None:
        arguments += ["--client-metadata-url", known.document]
    if known.id is not None:
        method = "client_secret_basic" if known.secret else "none"
        shown = {"client_id": known.id, **({"client_secret": known.secret} if known.secret else {})}
        arguments += ["--static-oauth-client-info", json.dumps(shown)]
        arguments += ["--static-oauth-client-metadata", json.dumps({"token_endpoint_auth_method": method})]
    # It inherits nothing of a desktop, so the opener it brings along goes by BROWSER.
    env = {"PATH": node_tools.environment()["PATH"], "HOME": str(folder), "BROWSER": str(opener)}
    program = StdioServerParameters(command=str(node_tools.install()), args=arguments, env=env)
    at_desk = asyncio.create_task(_sit(wire, desk))
    try:
        with said.open("w") as log:
            async with Client(stdio_client(program, errlog=log), mode="legacy") as client:
                yield _Remote(client, folder, known)
    except BaseException as error:
        error.add_note(said.read_text())
        raise
    finally:
        at_desk.cancel()
        with suppress(asyncio.CancelledError):
            await at_desk


async def _sit(wire: Path, desk: Desk) -> None:
    """Do what a person does with each page that a command opens, and then show the command's own page."""
    reader = asyncio.StreamReader()
    pipe = os.fdopen(os.open(wire, os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        while True:
            url = (await reader.readline()).decode().strip()
            await _shown(desk.browser, await desk.authorize(url))
    finally:
        transport.close()


async def _shown(browser: Browser, arrival: Arrival) -> None:
    """Show the command's own page. It opens the browser before it listens, and counts on people to be slow."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                await browser.open(arrival.url)
            except httpx2.ConnectError:
                await asyncio.sleep(0.02)  # another program's socket, whose opening no event announces
            else:
                return
