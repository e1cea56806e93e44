"""The connections of a hub, put together as the hub does it, with one upstream that people sign in to."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2

from mcp_hub.config.model import Config, Network, OAuth, Server, Upstream
from mcp_hub.connecting import Connecting, open_connections
from mcp_hub.oauth.connections import Connections
from mcp_hub.principal import Principal
from mcp_hub.store.connections import Grant, Registration, Whose
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.vault.master import Given
from mcp_hub.vault.vault import Vault
from mcp_hub.vault.written import from_text, generated
from rig.parts import LOOPBACK

Query = Sequence[tuple[str, str]]
ADA = Principal("idp", "ada", label="Ada", email="ada@example.com")
BOB = Principal("idp", "bob", label="Bob", email="bob@example.com")
BROWSER, OTHER = b"b" * 32, b"o" * 32
BASE = "http://127.0.0.1:8080"
MASTER = from_text(generated(), "tests")


async def visit(url: str) -> Query:
    """What a browser comes back with that was sent there, as somebody who agrees at once."""
    async with httpx2.AsyncClient(trust_env=False) as browser:
        answer = await browser.get(url, follow_redirects=False)
    return parse_qsl(urlsplit(answer.headers["location"]).query)


def with_said(query: Query, **changes: str | None) -> Query:
    """The same with other values; `None` takes out."""
    said = {**dict(query), **changes}
    return [(name, value) for name, value in said.items() if value is not None]


@dataclass
class Rig:
    """`gh` is the upstream. What changes the configuration counts from the next `start` on."""

    url: str
    said: OAuth | None = field(default_factory=OAuth)
    base: str = BASE
    time: float = 1_800_000_000.0
    store: SqliteStore = field(default_factory=lambda: SqliteStore.open(":memory:"))
    upstreams: dict[str, Upstream] = field(default_factory=dict)
    allow_private: Sequence[Any] = tuple(LOOPBACK)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _made: Connecting | None = None

    @property
    def hub(self) -> Connections:
        """What is tested."""
        assert self._made is not None
        return self._made.connections

    def now(self) -> float:
        return self.time

    async def start(self, **said: Any) -> Connections:
        """The hub, as it is after a start with this configuration of the upstream."""
        await self.stop()
        if said:
            self.said = replace(self.said or OAuth(), **said)
        upstreams = {"gh": Upstream("gh", self.url, "GitHub", auth=self.said), **self.upstreams}
        config = Config(
            server=Server(public_url=self.base), network=Network(tuple(self.allow_private)), upstreams=upstreams
        )
        vault = await Vault.unlock(self.store, Given(MASTER), self.now)
        self._made = await open_connections(config, self.store, vault, self._stack, self.now)
        return self.hub

    async def stop(self) -> None:
        await self._stack.aclose()
        self._made = None

    async def begin(self, caller: Principal = ADA, browser: bytes = BROWSER, **options: Any) -> str:
        return await self.hub.begin(caller, "gh", browser, **options)

    async def connect(self, caller: Principal = ADA) -> Grant:
        """All of it."""
        await self.hub.finish("gh", await visit(await self.begin(caller)), caller, BROWSER)
        grant = await self.grant(caller)
        assert grant is not None
        return grant

    async def grant(self, caller: Principal = ADA) -> Grant | None:
        return await self.store.grant(Whose(*caller.key, "gh"))

    async def registrations(self) -> list[Registration]:
        return await self.store.registrations("default", "gh")


@asynccontextmanager
async def connecting(url: str, **options: Any) -> AsyncIterator[Rig]:
    """One, started."""
    rig = Rig(url, **options)
    try:
        await rig.start()
        yield rig
    finally:
        await rig.stop()
        await rig.store.aclose()
