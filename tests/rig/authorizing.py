"""The front half of the authorization server in one process: the real store, pages and rules, and a clock to turn.

People are signed in by hand, and the documents of clients come from a table; everything else is as in a running hub.
"""

import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import httpx2

from mcp_hub.authserver.clients import Clients
from mcp_hub.authserver.consents import Consents
from mcp_hub.authserver.documents import PublishedDocuments
from mcp_hub.authserver.registration import Registration
from mcp_hub.config.model import Client as ConfiguredClient
from mcp_hub.egress.fetch import Document, Fetch, FetchFailed
from mcp_hub.identity.events import Events
from mcp_hub.identity.limits import DEFAULTS, Limit, Limits
from mcp_hub.identity.tokens import Kind, digest, new_token
from mcp_hub.secret import Secret
from mcp_hub.store.people import BrowserSession, User
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.web.authorize import Authorize
from mcp_hub.web.consent import ConsentPages
from mcp_hub.web.frame import Frame
from mcp_hub.web.register import Description, Registrations
from mcp_hub.web.site import Site
from mcp_hub.web.visitors import Visitors
from rig.browser import Browser

ISSUER = "http://127.0.0.1:8080"
RESOURCE = f"{ISSUER}/mcp"
REDIRECT = "https://app.example/cb"
DOCUMENT = "https://claude.example/oauth/client.json"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
ADA = User("ada", "default", "local", "ada", "ada@example.com", "Ada", frozenset(), frozenset(), None, False, 0.0, None)
ROOT = replace(ADA, id="root", subject="root", email="root@example.com", roles=frozenset({"admin"}))
DECLARED = {
    "trusted": ConfiguredClient("trusted", (REDIRECT, "http://127.0.0.1/cb"), "Trusted app", Secret("s3cret")),
    "single": ConfiguredClient("single", ("https://single.example/cb?iss=https://evil.example&keep=1",)),
    "phone": ConfiguredClient("phone", ("com.example.app:/cb",), "Phone app"),
}
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
FRAME = Frame("1.0")
"""One for all, because it compiles its templates."""


class Clock:
    """Unix seconds, moved by hand."""

    def __init__(self) -> None:
        self.at = 1_000_000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Table:
    """Documents by URL, instead of a network. `asked` holds every URL that was fetched."""

    documents: dict[str, Document] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def publish(self, url: str = DOCUMENT, headers: Mapping[str, str] | None = None, **said: Any) -> str:
        """A document as clients have it, with `said` instead; what is `None` is left out."""
        usual = {
            "client_id": url,
            "client_name": "Claude",
            "redirect_uris": ["https://claude.example/cb"],
            "grant_types": ["authorization_code", "refresh_token"],
        }
        document = {name: value for name, value in {**usual, **said}.items() if value is not None}
        return self.publish_raw(json.dumps(document).encode(), url, headers=headers)

    def publish_raw(
        self, body: bytes, url: str = DOCUMENT, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> str:
        self.documents[url] = Document(status, {"content-type": "application/json", **(headers or {})}, body)
        return url

    async def get(self, url: str, *, most: int = 65536, seconds: float = 10.0) -> Document:
        self.asked.append(url)
        found = self.documents.get(url)
        if found is None:
            raise FetchFailed("claude.example resolves to an address that is not public: 10.0.0.7 refused")
        if len(found.body) > most:
            raise FetchFailed("it sent too much")
        return found

    async def post(self, url: str, form: Mapping[str, str], **_options: Any) -> Document:
        raise FetchFailed("nothing is posted here")


@dataclass
class SignedIn:
    user: User
    session: BrowserSession


class Browsers:
    """Who is signed in, by cookie."""

    def __init__(self) -> None:
        self.cookies: dict[str, SignedIn] = {}

    async def find(self, cookie: str) -> SignedIn | None:
        return self.cookies.get(cookie)

    def sign_in(self, user: User) -> str:
        cookie = new_token(Kind.BROWSER).open()
        session = BrowserSession(digest(cookie), "default", user.id, 0.0, 0.0, 1e12, "Firefox")
        self.cookies[cookie] = SignedIn(user, session)
        return cookie


class Web(httpx2.AsyncBaseTransport):
    """The hub under its own address, and under every other one a page that says nothing."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._hub = httpx2.ASGITransport(app, raise_app_exceptions=True)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if str(request.url).startswith(f"{ISSUER}/"):
            return await self._hub.handle_async_request(request)
        return httpx2.Response(200, text="Somebody else's page.")


@dataclass
class Front:
    """A running front half."""

    store: SqliteStore
    clock: Clock
    table: Table
    browsers: Browsers
    events: Events
    clients: Clients
    documents: PublishedDocuments
    http: Web

    def browser(self, user: User | None = None) -> Browser:
        """A browser of its own, in which `user` is signed in."""
        browser = Browser(tls=NO_TLS)
        browser.http = httpx2.AsyncClient(transport=self.http, base_url=ISSUER)
        if user is not None:
            browser.http.cookies.set("mcp_hub", self.browsers.sign_in(user), domain="127.0.0.1")
        return browser

    async def register(self, **said: Any) -> httpx2.Response:
        metadata = {"redirect_uris": ["https://evil.example/cb"], "client_name": "Stranger", **said}
        async with httpx2.AsyncClient(transport=self.http, base_url=ISSUER) as client:
            return await client.post("/register", json=metadata)

    async def kinds(self) -> list[tuple[str, str]]:
        """The kinds and outcomes of all events so far, the last first."""
        await self.events.aclose()
        return [(event.kind, event.outcome) for event in await self.store.events("default", limit=100)]


async def raw_get(hub: Front, query: bytes, user: User | None) -> httpx2.Response:
    """The answer to an authorization request whose query is these bytes, which no client library would send."""
    headers = [(b"host", b"127.0.0.1:8080")]
    if user is not None:
        headers.append((b"cookie", f"mcp_hub={hub.browsers.sign_in(user)}".encode()))
    scope = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": "/authorize"}
    scope |= {"raw_path": b"/authorize", "query_string": query, "headers": headers, "root_path": ""}
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    await hub.http.app({**scope, "client": ("127.0.0.1", 9), "server": ("127.0.0.1", 8080)}, receive, send)
    body = b"".join(event.get("body", b"") for event in sent[1:])
    return httpx2.Response(sent[0]["status"], headers=sent[0]["headers"], content=body)


def url(client: str = "trusted", **parameters: str | None) -> str:
    """An authorization request as clients send it, with `parameters` instead; what is `None` is left out."""
    usual = {
        "response_type": "code",
        "client_id": client,
        "redirect_uri": REDIRECT,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "state": "xyz",
    }
    return request([(name, value) for name, value in {**usual, **parameters}.items() if value is not None])


def request(pairs: Sequence[tuple[str, str]]) -> str:
    return f"{ISSUER}/authorize?{urlencode(pairs)}"


@asynccontextmanager
async def front(**options: Any) -> AsyncIterator[Front]:
    """One, from its start to the end of the block. `options` are those of `made`."""
    running = made(**options)
    try:
        for user in (ADA, ROOT):
            await running.store.add_user(user)
        yield running
    finally:
        await running.documents.aclose()
        await running.events.aclose()
        await running.store.aclose()


def made(
    issuer: str = ISSUER,
    declared: Mapping[str, ConfiguredClient] = DECLARED,
    *,
    hosts: Sequence[str] | None = None,
    most: int = 10_000,
    limits: Mapping[Limit, str] | None = None,
    fetch: Fetch | None = None,
) -> Front:
    """One at this address, without its people. Its parts are the caller's to close; documents come from a table, unless
    they are fetched.
    """
    clock, table, browsers = Clock(), Table(), Browsers()
    store = SqliteStore.open(":memory:")
    counted = Limits({**DEFAULTS, Limit.REGISTER: "1000 per hour", **(limits or {})}, now=clock)
    events = Events(store, now=clock, flush_after=3600)
    documents = PublishedDocuments(fetch or table, counted, hosts, clock)
    clients = Clients(declared, store, documents, clock)
    authorize = Authorize(
        issuer=issuer,
        resources=(f"{issuer}/mcp",),
        clients=clients,
        consents=Consents(store, clients, events, clock),
        limits=counted,
        pages=ConsentPages(FRAME),
        visitors=Visitors(browsers, base_url=issuer, key=b"k" * 32),
    )
    registrations = Registrations(Registration(store, counted, events, clock, most=most))
    site = Site([authorize, Description(issuer, registration=True), registrations], FRAME)
    return Front(store, clock, table, browsers, events, clients, documents, Web(site.app()))
