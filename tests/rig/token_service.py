"""The back half of the authorization server in one process: the real store, rules and addresses, and a clock to turn.

Codes are put into the store by hand, as the front half does after a user agreed.
"""

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
from starlette.applications import Starlette

from mcp_hub.authserver.client_auth import ClientProofs
from mcp_hub.authserver.clients import ClientKind, Clients
from mcp_hub.authserver.documents import PublishedDocuments
from mcp_hub.authserver.pairs import Succession
from mcp_hub.authserver.token_endpoint import TokenEndpoint
from mcp_hub.authserver.tokens import Tokens
from mcp_hub.config.model import Client as ConfiguredClient
from mcp_hub.config.model import Lifetimes
from mcp_hub.egress.fetch import Document
from mcp_hub.identity.events import Events
from mcp_hub.identity.jose import KeySets
from mcp_hub.identity.limits import DEFAULTS, Limit, Limits
from mcp_hub.identity.tokens import Kind, digest, new_token
from mcp_hub.secret import Secret
from mcp_hub.store.grants import Code
from mcp_hub.store.people import User
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.web.token import TokenRoutes
from rig.signing import Shelf, jwks, key_pair

ISSUER = "https://hub.example"
RESOURCE = f"{ISSUER}/mcp"
REDIRECT = "http://127.0.0.1:4711/cb"
KEYS = "https://signer.example/jwks.json"
DOCUMENT = "https://claude.example/client.json"
VERIFIER = "v" * 43
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
LIFETIMES = Lifetimes()
SECRET = "s3cret+%41 ä"
ANN = User(
    "u-ann", "default", "local", "u-ann", "ann@example.com", "Ann", frozenset({"user"}), frozenset(), None,
    disabled=False, created_at=0.0, seen_at=None,
)  # fmt: skip
DECLARED = {
    "app": ConfiguredClient("app", (REDIRECT,), "An app"),
    "other": ConfiguredClient("other", (REDIRECT,)),
    "kept": ConfiguredClient("kept", (REDIRECT,), "", Secret(SECRET)),
    "signer": ConfiguredClient("signer", (REDIRECT,), "", None, KEYS),
    "machine": ConfiguredClient("machine", (), "A machine", Secret("m4chine")),
}


class Web(Shelf):
    """Documents in memory, served as JSON."""

    async def get(self, url: str, **options: Any) -> Document:
        """See `Fetch`."""
        return replace(await super().get(url, **options), headers={"content-type": "application/json"})

    def publish(self, **said: Any) -> None:
        """The document of a client, with `said` instead."""
        usual = {
            "client_id": DOCUMENT,
            "client_name": "Claude",
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"],
        }
        self.put(DOCUMENT, {**usual, **said})


class Clock:
    """Unix seconds, moved by hand."""

    def __init__(self) -> None:
        self.at = 1_000_000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Service:
    """A running back half."""

    store: SqliteStore
    clock: Clock
    web: Web
    events: Events
    endpoint: TokenEndpoint
    http: httpx2.AsyncClient

    async def code(self, client: str = "app", **changes: Any) -> str:
        """A code that a user agreed to just now."""
        text = new_token(Kind.CODE).open()
        at = self.clock()
        code = Code(
            digest(text), "default", client, "An app", ANN.id, REDIRECT, CHALLENGE, RESOURCE,
            frozenset({"hub:use"}), b"browser", at, at + 60.0,
        )  # fmt: skip
        await self.store.add_code(replace(code, **changes))
        return text

    async def post(self, path: str, headers: Mapping[str, str] | None = None, **form: str) -> httpx2.Response:
        """A form to an address."""
        return await self.http.post(path, data=form, headers=headers)

    async def redeem(self, code: str, /, **changes: str) -> httpx2.Response:
        """A code, as honest clients send it but for `changes`."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
        return await self.post("/token", **{**form, "client_id": "app", **changes})

    async def refresh(self, token: str, /, **changes: str) -> httpx2.Response:
        """A refresh token, as honest clients send it but for `changes`."""
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "app"}
        return await self.post("/token", **{**form, **changes})

    async def signed_in(self, **changes: Any) -> dict[str, Any]:
        """The first pair of a family."""
        return (await self.redeem(await self.code(**changes))).json()

    async def is_good(self, token: str) -> bool:
        """Whether an access token gives access."""
        found = await self.store.access_token(digest(token))
        return found is not None and found[0].expires_at > self.clock()

    async def kinds(self) -> list[tuple[str, str]]:
        """The kinds and outcomes of all events so far, the last first."""
        await self.events.aclose()
        return [(event.kind, event.outcome) for event in await self.store.events("default", limit=1000)]


@asynccontextmanager
async def service(
    path: Path | str = ":memory:",
    *,
    clock: Clock | None = None,
    rate: str = "1000000 per minute",
    lifetimes: Lifetimes = LIFETIMES,
    key: bytes = b"k" * 32,
) -> AsyncIterator[Service]:
    """One, from its start to the end of the block; several on one file are as several processes."""
    clock, web = clock or Clock(), Web()
    web.put(KEYS, jwks(key_pair("signer")))
    store = SqliteStore.open(path)
    events = Events(store, now=clock, flush_after=3600)
    limits = Limits({**DEFAULTS, Limit.TOKEN: rate}, now=clock)
    documents = PublishedDocuments(web, limits, None, clock)
    clients = Clients(DECLARED, store, documents, clock)
    keys = KeySets(web, clock)
    tokens = Tokens(
        store, clients, events, succession=Succession(key), resources=(RESOURCE,), lifetimes=lifetimes, now=clock
    )
    proofs = ClientProofs(ISSUER, f"{ISSUER}/token", dict.fromkeys(ClientKind, keys), store, clock)
    endpoint = TokenEndpoint(store, clients, proofs, tokens, events)
    app = Starlette(routes=TokenRoutes(endpoint, limits).routes())
    transport = httpx2.ASGITransport(app)
    await store.add_user(ANN)
    try:
        async with httpx2.AsyncClient(transport=transport, base_url=ISSUER) as http:
            yield Service(store, clock, web, events, endpoint, http)
    finally:
        await documents.aclose()
        await keys.aclose()
        await events.aclose()
        await store.aclose()
