"""Two hubs on one store, in this process, as two replicas of one hub are; and people whose tokens were got in order."""

import asyncio
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2

from mcp_hub.app import Hub, create_app
from mcp_hub.config import model
from mcp_hub.identity.tokens import Kind, digest, new_token
from mcp_hub.store.grants import Code
from mcp_hub.store.people import User
from mcp_hub.store.sqlite import SqliteStore
from rig.fake_upstream import FakeUpstream
from rig.parts import LOOPBACK

BASE = "http://127.0.0.1:8080"
REDIRECT = "http://127.0.0.1:9/callback"
VERIFIER = "v" * 64
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
USE = frozenset({"hub:use"})


@dataclass
class Replicas:
    """The hubs, a browser or program at each of them, and their store, as another process has it."""

    hubs: list[Hub]
    clients: list[httpx2.AsyncClient]
    store: SqliteStore

    async def user(self, name: str, *roles: str, password: str | None = None) -> User:
        """Somebody with an account."""
        made = User(
            f"u-{name}", "default", "local", f"u-{name}", f"{name}@example.com", name,
            frozenset(roles or ("user",)), frozenset(), password, disabled=False, created_at=0.0, seen_at=None,
        )  # fmt: skip
        await self.store.add_user(made)
        return made

    async def form(self, user: User, client: str = "app") -> dict[str, str]:
        """What a client sends to redeem the code that this user let it have."""
        text, at = new_token(Kind.CODE).open(), time.time()
        code = Code(
            digest(text),
            "default",
            client,
            "An app",
            user.id,
            REDIRECT,
            CHALLENGE,
            f"{BASE}/mcp",
            USE,
            b"",
            at,
            at + 60,
        )
        await self.store.add_code(code)
        told = {"grant_type": "authorization_code", "client_id": client, "redirect_uri": REDIRECT}
        return {**told, "code": text, "code_verifier": VERIFIER}

    async def pair(self, user: User) -> dict[str, Any]:
        """The tokens of a client that this user let in, got at the first hub."""
        answer = await self.clients[0].post("/token", data=await self.form(user))
        assert answer.status_code == 200, answer.text
        return answer.json()


async def refreshed(client: httpx2.AsyncClient, pair: dict[str, Any]) -> httpx2.Response:
    told = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"], "client_id": "app"}
    return await client.post("/token", data=told)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def status_of(client: httpx2.AsyncClient, token: str) -> int:
    """What a request with this token is answered."""
    return (await client.get("/api/v1/status", headers=bearer(token))).status_code


async def until(client: httpx2.AsyncClient, token: str, status: int, seconds: float) -> None:
    """Return when requests with this token are answered like that. Raises: TimeoutError."""
    async with asyncio.timeout(seconds):
        while await status_of(client, token) != status:  # noqa: ASYNC110 - each turn asks over HTTP
            await asyncio.sleep(0.02)


@asynccontextmanager
async def replicas(folder: Path, *upstreams: FakeUpstream, count: int = 2) -> AsyncIterator[Replicas]:
    """So many hubs, from their start to the end of the block."""
    config = model.Config(
        login=model.Login("local"),
        store=model.Store(f"sqlite:///{folder}/hub.db"),
        network=model.Network(tuple(LOOPBACK)),
        upstreams={each.name: model.Upstream(each.name, each.url) for each in upstreams},
        clients={"app": model.Client("app", (REDIRECT,))},
    )
    async with AsyncExitStack() as stack:
        hubs = [await stack.enter_async_context(create_app(config)) for _ in range(count)]
        clients = [await stack.enter_async_context(_at(hub)) for hub in hubs]
        store = SqliteStore.open(folder / "hub.db")
        stack.push_async_callback(store.aclose)
        yield Replicas(hubs, clients, store)


def _at(hub: Hub) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(hub)
    return httpx2.AsyncClient(transport=transport, base_url=BASE, timeout=20, follow_redirects=False)


def errors(answers: Iterable[httpx2.Response]) -> set[str]:
    """What those that were refused were told."""
    return {each.json()["error"] for each in answers if each.status_code != 200}
