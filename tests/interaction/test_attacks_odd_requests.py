"""Requests that nobody means well, to every address of a hub: each is refused in a sentence of the hub's own.

Never an internal error, never a way to somewhere else, and nothing that was sent stands in the answer.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

import pytest

from interaction.two_hubs import REDIRECT, Replicas, replicas
from mcp_hub.identity.passwords import Passwords
from rig import html
from unit.inbound.asgi import Response, begin

pytestmark = pytest.mark.promise("T40", "T41")

HOST = "127.0.0.1:8080"
MARK = "canary8731"
PASSWORD = "a long enough password"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
PAGES = [
    *("/", "/login", "/setup", "/authorize", "/account/clients", "/account/tokens", "/account/clients/end", "/logout"),
    *("/users", "/users/disable", "/static/hub.css", "/login/provider", "/login/callback", "/healthz"),
]
PROGRAMS = [
    *("/mcp", "/sse", "/messages", "/token", "/revoke", "/register", "/api/v1/status", "/api/v1/upstreams/x/refresh"),
    *("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"),
    "/.well-known/oauth-protected-resource/mcp",
]
TRICKS = [
    *("{0}/", "/{0}", "{0}//", "{0}/..", "/x/..{0}", "/.well-known/..{0}", "/%2e%2e{0}", "//evil.example{0}"),
    *("{0}%00", "{0}%0d%0aX-Evil:%20canary8731", "{0}/canary8731", "{0}\\canary8731", "{0};canary8731", "{0}%ff"),
]
QUERIES = [
    *(b"&" * 300, b"=", b"%", b"%zz", b"%ff=%ff", b"a=%00", b"\xff\xfe", b"a" * 20_000),
    b"client_id=canary8731&state=canary8731&next=canary8731&code=canary8731&said=canary8731&iss=canary8731&error=x",
    b"session_id=canary8731&session_id=canary8731",
    b"next=//evil.example&next=/x",
    b"client_id=app&redirect_uri=https://evil.example/canary8731&state=x%0d%0aX-Evil:%20canary8731",
    b"client_id=app&response_type=code&state=%ED%A0%80",
    b"client_id=app&client_id=app",
    b"client_id=https://[canary8731/c.json",
    b"client_id=%F0%9F%98%80%00",
]
METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "FOO"]
BODIES = [
    *(b"", b"{}", b"[]", b"null", b"\xff\xfe\x00", b"a" * 70_000, b"[" * 20_000, b"&" * 300, b"a=%ff", b"a=1&a=2"),
    b'{"redirect_uris":["canary8731"],"client_name":"canary8731"}',
    b'{"redirect_uris":["https://a.example/"],"jwks":{"keys":[{"kty":["canary8731"]}]}}',
    b'{"redirect_uris":["https://a.example/"],"application_type":{"a":1},"grant_types":{"canary8731":1}}',
    b"grant_type=canary8731&client_id=canary8731&code=canary8731&client_secret=canary8731",
    b"grant_type=authorization_code&client_id=https://canary8731.example/%00&code=canary8731",
    b"grant_type=refresh_token&client_assertion=canary8731&client_assertion_type=canary8731&refresh_token=canary8731",
    b"token=canary8731&client_id=canary8731&token_type_hint=canary8731",
    b"email=canary8731&password=canary8731&next=//evil.example/canary8731&form_token=canary8731",
    b"question=canary8731&answer=allow&form_token=canary8731",
    b"code=ABCD-EFGH&email=canary8731&password=canary8731&again=canary8731",
]
ODD_HEADERS = [
    [("authorization", "Basic canary8731")],
    [("authorization", "Bearer canary8731")],
    [("authorization", "Bearer a"), ("authorization", "Basic b")],
    [("authorization", "\xff")],
    [("cookie", "mcp_hub=canary8731; mcp_hub=x; \xff=\xfe; mcp_hub_new=canary8731")],
    [("content-length", "canary8731")],
    [("accept", "text/html;q=canary8731")],
]
OTHER_HOSTS = [
    *("evil.example", "127.0.0.1:8080, evil.example", "evil.example:8080", "127.0.0.1:8080@evil.example", "\xff", ""),
    *("127.1:8080", "127.0.0.1:8080/x", "[::1", "localhost.", "127.0.0.1:", "127.0.0.1:port", "127.0.0.1 evil.example"),
]


@dataclass
class Attacker:
    """Sends requests as somebody, and judges each answer."""

    hub: Replicas
    headers: list[tuple[str, str]] = field(default_factory=list)
    count: Iterator[int] = field(default_factory=itertools.count)

    async def sends(
        self, method: str, path: str, query: bytes = b"", body: bytes = b"", *more: tuple[str, str], host: str = HOST
    ) -> Response:
        """The answer, which any answer of the hub has to be like."""
        scope = {"path": unquote_to_bytes(path).decode("utf-8", "replace"), "query_string": query}
        scope |= {"raw_path": path.encode(), "scheme": "http", "server": ("127.0.0.1", 8080)}
        scope |= {"client": (f"10.0.{next(self.count) % 250}.1", 9)}  # or the limits would answer in the hub's place
        exchange = begin(self.hub.hubs[0], method, [("host", host), *self.headers, *more], [body], **scope)
        async with asyncio.timeout(10):
            await exchange.started.wait()
            if exchange.is_stream:
                exchange.hung_up.set()
            await asyncio.gather(exchange.task, return_exceptions=exchange.is_stream)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in exchange.headers}
        answer = Response(exchange.status, headers, b"".join(exchange.chunks))
        _judge(answer, f"{method} {path[:80]} {query[:80]!r} {body[:80]!r} {more}")
        return answer


def _judge(answer: Response, asked: str) -> None:
    assert 200 <= answer.status < 500, f"{answer.status}: {asked}"
    assert "x-evil" not in answer.headers, asked
    assert MARK not in answer.body.decode("utf-8", "replace"), asked
    place = answer.headers.get("location", "/")
    assert place.startswith("/"), f"{place}: {asked}"
    assert not place.startswith(("//", "/\\")), f"{place}: {asked}"
    if answer.status not in (200, 201, 204):
        assert "refresh" not in answer.headers, asked


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Replicas]:
    async with asyncio.timeout(60), replicas(tmp_path, count=1) as running:
        yield running


def _requests() -> Iterator[tuple[str, str, bytes]]:
    everywhere = [*PAGES, *PROGRAMS]
    yield from ((method, path, b"") for method, path in itertools.product(METHODS, everywhere))
    for path, trick in itertools.product(everywhere, TRICKS):
        yield from ((method, trick.format(path), b"") for method in ("GET", "POST"))
    for path, query in itertools.product(everywhere, QUERIES):
        yield from ((method, path, query) for method in ("GET", "POST"))


async def _sweep(attacker: Attacker) -> None:
    for method, path, query in _requests():
        await attacker.sends(method, path, query, b"", ("accept", "text/html"), ("content-type", FORM))
    for path, body, media in itertools.product([*PAGES, *PROGRAMS], BODIES, (FORM, JSON)):
        await attacker.sends("POST", path, b"", body, ("content-type", media), ("origin", f"http://{HOST}"))


@pytest.mark.promise("T25")
async def test_whatever_nobody_in_particular_sends_is_refused_in_our_own_words(hub: Replicas):
    attacker = Attacker(hub)
    await _sweep(attacker)
    for path, headers in itertools.product([*PAGES, *PROGRAMS], ODD_HEADERS):
        await attacker.sends("POST", path, b"", b"a=1", *headers, ("content-type", FORM))


@pytest.mark.promise("T25", "T33")
async def test_whatever_somebody_who_is_signed_in_sends_is_refused_in_our_own_words(hub: Replicas):
    ann = await hub.user("ann", password=await Passwords().hash(PASSWORD))
    http, origin = hub.clients[0], {"Origin": f"http://{HOST}"}
    fields = html.read((await http.get("/login")).text, f"http://{HOST}/login").forms[0].fields
    filled = {**fields, "email": ann.email, "password": PASSWORD}
    assert (await http.post("/login", data=filled, headers=origin)).status_code == 303
    cookie = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
    token = (await hub.pair(ann))["access_token"]
    await _sweep(Attacker(hub, [("cookie", cookie), ("authorization", f"Bearer {token}")]))
    assert (await http.get("/account/clients")).status_code == 200, "nothing of it ended the session"


@pytest.mark.promise("T22")
async def test_no_address_of_the_hub_answers_under_another_name(hub: Replicas):
    attacker = Attacker(hub)
    for path, host in itertools.product([*PAGES, *PROGRAMS], OTHER_HOSTS):
        if path == "/healthz":
            continue  # it says nothing but that the hub runs, to whatever asks by address
        for method in ("GET", "POST", "OPTIONS"):
            assert (await attacker.sends(method, path, host=host)).status == 421, (method, path, host)


STATES = ["a\r\nX-Evil: canary", "a\x00b", "\u202e\U0001f600", "a" * 2048, "&code=x#", "'\">"]


@pytest.mark.promise("T11")
async def test_a_state_goes_back_as_it_came_and_nowhere_else(hub: Replicas):
    for state in STATES:
        told = {"client_id": "app", "redirect_uri": REDIRECT, "response_type": "token", "state": state}
        answer = await hub.clients[0].get("/authorize", params=told)
        assert answer.status_code == 302, state
        place = answer.headers["location"]
        assert place.startswith(f"{REDIRECT}?")
        assert place.isascii()
        assert place.isprintable()
        given = dict(parse_qsl(urlsplit(place).query))
        assert (given["state"], given["error"]) == (state, "unsupported_response_type")
        assert "x-evil" not in answer.headers
