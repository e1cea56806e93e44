"""An authorization server on loopback, honest and strict until a test turns one of its switches.

Honest means: codes and refresh tokens are good once, and one that comes twice ends all that came of it; PKCE, redirect
addresses, the audience of a token and each client's own way to prove itself are insisted on; it names itself in its
answers.

    async with MisbehavingAS() as server:
        server.say["code_challenge_methods_supported"] = None   # leave a field of its metadata out
        server.iss = "wrong"                                    # in what the browser brings back
        server.expires_in = "soon"
        server.answers["/token"] = refusing("invalid_grant")    # or Slow(), huge(), redirecting(), broken(), ...
        server.forget("a-client")

`answers` replaces what is answered at a path: an `Answer`, or a coroutine function of headers and form that gives one,
or `None` to answer honestly after all. `seen` are the requests that came.
"""

import asyncio
import html
import json
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from rig.client_checks import Known, NotThatClient, Proofs, challenge_of

OMIT: Any = object()
"""A switch that leaves a member out."""
UNTOLD = "WHAT-NOBODY-MAY-SEE"
"""Stands in every description of an error: it may be shown and logged nowhere."""
Headers = dict[str, str]
Form = dict[str, str]


class Answer(NamedTuple):
    """A document, or bytes as they are."""

    status: int
    body: Any
    headers: Headers = {}  # noqa: RUF012 - never changed


Reply = Callable[[Headers, Form], Awaitable[Answer | None]]


class Seen(NamedTuple):
    """One request; `form` is the query of a GET."""

    method: str
    path: str
    headers: Headers
    form: Form


def refusing(error: str = "invalid_request", status: int = 400) -> Answer:
    """A refusal with this code."""
    return Answer(status, {"error": error, "error_description": UNTOLD, "error_uri": f"https://x.test/{UNTOLD}"})


def redirecting(to: str, status: int = 307) -> Answer:
    """A redirect that takes the form along."""
    return Answer(status, {}, {"Location": to})


def huge(size: int = 1_000_000) -> Answer:
    """More than anybody reads."""
    return Answer(200, b'{"padding":"' + b"x" * size + b'"}')


def broken(status: int = 200) -> Answer:
    """Something that is no JSON."""
    return Answer(status, f"<html>{UNTOLD}</html>".encode())


class Slow:
    """Answers only once `go` is set; `came` is set when somebody asks. Honestly, unless there is an answer."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.came = asyncio.Event()
        self.go = asyncio.Event()
        self._answer = answer

    async def __call__(self, headers: Headers, form: Form) -> Answer | None:
        self.came.set()
        await self.go.wait()
        return self._answer


@dataclass
class Family:
    """What came of one consent."""

    client: str
    subject: str
    scopes: list[str]
    resource: str | None
    ended: bool = False


@dataclass
class MisbehavingAS:
    """Listens while entered. The upstream that it stands before is `{issuer}/mcp`, with metadata of its own."""

    now: Callable[[], float] = time.time
    say: dict[str, Any] = field(default_factory=dict)
    resource_says: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Answer | Reply] = field(default_factory=dict)
    iss: Literal["right", "wrong", "missing"] = "right"
    asks: bool = False
    """Show a page with the buttons Allow and Cancel; else whoever comes is `subject` and allows everything."""
    denies: bool = False
    subject: str = "ada"
    expires_in: Any = 3600
    token_type: Any = "Bearer"
    gives_refresh: bool = True
    rotates: bool = True
    says_scope: bool = True
    grants_less: frozenset[str] = frozenset()
    """Scopes that are never granted."""
    takes_resource: bool = True
    token_says: dict[str, Any] = field(default_factory=dict)
    clients: dict[str, Known] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    reuses: int = 0
    """How often something came that is good once and had been used."""
    issuer: str = ""

    def __post_init__(self) -> None:
        self.proofs = Proofs(self)
        self._codes: dict[str, tuple[Family, Form]] = {}
        self._access: dict[str, Family] = {}
        self._refresh: dict[str, Family] = {}
        self._used: dict[str, Family] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.issuer = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *failure: object) -> None:
        if self._server is not None:
            self._server.close()

    # What a test asks of it

    @property
    def resource(self) -> str:
        """The upstream that it protects."""
        return f"{self.issuer}/mcp"

    @property
    def token_endpoint(self) -> str:
        return f"{self.issuer}/token"

    @property
    def revocation_endpoint(self) -> str:
        return f"{self.issuer}/revoke"

    def admit(self, client_id: str = "hub", secret: str | None = "s e/cret", **more: Any) -> Known:
        """Know a client from now on; `more` is as in `Known`."""
        method = "none" if secret is None else "client_secret_basic"
        self.clients[client_id] = Known(secret=secret, **{"method": method, **more})
        return self.clients[client_id]

    def forget(self, client_id: str) -> None:
        """Know it no more."""
        self.clients.pop(client_id, None)

    def give(
        self, client_id: str = "hub", subject: str = "ada", scopes: str = "read", resource: str | None = None
    ) -> dict[str, Any]:
        """A token answer as if somebody had just allowed this."""
        return self._given(Family(client_id, subject, scopes.split(), resource))

    def is_live(self, token: str) -> bool:
        """Whether an access or refresh token is good now."""
        family = self._access.get(token) or self._refresh.get(token)
        return family is not None and not family.ended

    def expire(self, token: str) -> None:
        """End one access token."""
        self._access.pop(token, None)

    def end(self, subject: str) -> None:
        """Its user takes back all they have allowed."""
        for each in [*self._access.values(), *self._refresh.values()]:
            each.ended = each.ended or each.subject == subject

    def count(self, path: str, **form: str) -> int:
        """How many requests came there, with these members among others."""
        return sum(each.path == path and form.items() <= each.form.items() for each in self.seen)

    def metadata(self) -> dict[str, Any]:
        """What it publishes of itself."""
        return _without_omitted(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": self.token_endpoint,
                "registration_endpoint": f"{self.issuer}/register",
                "revocation_endpoint": self.revocation_endpoint,
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": [
                    *("private_key_jwt", "client_secret_basic", "client_secret_post", "none")
                ],
                "token_endpoint_auth_signing_alg_values_supported": ["ES256", "RS256"],
                "authorization_response_iss_parameter_supported": True,
                "client_id_metadata_document_supported": False,
                "scopes_supported": ["read", "write", "offline_access"],
                **self.say,
            }
        )

    # Endpoints

    async def _honest(self, asked: Seen) -> Answer:
        form = asked.form
        match asked.path:
            case "/.well-known/oauth-authorization-server":
                return Answer(200, self.metadata())
            case "/.well-known/oauth-protected-resource/mcp":
                said = {"resource": self.resource, "authorization_servers": [self.issuer], **self.resource_says}
                return Answer(200, _without_omitted({"scopes_supported": ["read"], **said}))
            case "/register":
                return Answer(*self.proofs.register(json.loads(form["json"])))
            case "/authorize":
                return await self._authorize(asked.method, form)
            case "/token":
                return await self._token(asked.headers, form)
            case "/revoke":
                return await self._revoke(asked.headers, form)
            case "/mcp":
                return self._upstream(asked.headers)
            case _:
                return Answer(404, {})

    def _upstream(self, headers: Headers) -> Answer:
        family = self._access.get(headers.get("authorization", "").removeprefix("Bearer "))
        if family is not None and not family.ended:
            return Answer(200, {"subject": family.subject, "scopes": family.scopes})
        where = f"{self.issuer}/.well-known/oauth-protected-resource/mcp"
        return Answer(401, {}, {"WWW-Authenticate": f'Bearer resource_metadata="{where}", scope="read"'})

    async def _authorize(self, method: str, form: Form) -> Answer:
        known = await self.proofs.known(form.get("client_id", ""))
        if known is None or form.get("redirect_uri") not in known.redirect_uris:
            return Answer(400, b"<p>This client is not known here.</p>", {"Content-Type": "text/html"})
        if self.asks and method == "GET":
            return Answer(200, _page(form), {"Content-Type": "text/html; charset=utf-8"})
        back: dict[str, str] = {"state": form.get("state", "")}
        if self.iss != "missing":
            back["iss"] = self.issuer if self.iss == "right" else "https://somebody-else.test"
        if self.denies or form.get("answer") == "cancel":
            back |= {"error": "access_denied", "error_description": UNTOLD}
        elif form.get("response_type") != "code" or form.get("code_challenge_method") != "S256":
            back |= {"error": "invalid_request", "error_description": UNTOLD}
        elif form.get("resource") and not self.takes_resource:
            back |= {"error": "invalid_target", "error_description": UNTOLD}
        else:
            scopes = [each for each in form.get("scope", "read").split() if each not in self.grants_less]
            family = Family(form["client_id"], form.get("name") or self.subject, scopes, form.get("resource"))
            back["code"] = secrets.token_urlsafe(24)
            self._codes[back["code"]] = family, form
        separator = "&" if urlsplit(form["redirect_uri"]).query else "?"
        return Answer(303, {}, {"Location": f"{form['redirect_uri']}{separator}{urlencode(back)}"})

    async def _token(self, headers: Headers, form: Form) -> Answer:
        try:
            client = await self.proofs.client(headers, form)
        except NotThatClient:
            return refusing("invalid_client", 401)
        if form.get("resource") and not self.takes_resource:
            return refusing("invalid_target")
        match form.get("grant_type"):
            case "authorization_code":
                return self._exchanged(client, form)
            case "refresh_token":
                return self._refreshed(client, form)
            case "client_credentials":
                return self._for_itself(client, form)
            case _:
                return refusing("unsupported_grant_type")

    def _exchanged(self, client: str, form: Form) -> Answer:
        family, asked = self._codes.pop(form.get("code", ""), (None, {}))
        if family is None:
            return self._again(form.get("code", ""))
        self._used[form["code"]] = family
        fits = asked["redirect_uri"] == form.get("redirect_uri")
        proven = asked.get("code_challenge") == challenge_of(form.get("code_verifier", ""))
        if family.client != client or not fits or not proven or family.resource != form.get("resource"):
            return refusing("invalid_grant")
        return Answer(200, self._given(family))

    def _refreshed(self, client: str, form: Form) -> Answer:
        token = form.get("refresh_token", "")
        family = self._refresh.get(token)
        if family is None:
            return self._again(token)
        if family.ended or family.client != client:
            return refusing("invalid_grant")
        if family.resource and form.get("resource") != family.resource:
            return refusing("invalid_target")
        if not set(form.get("scope", "").split()) <= set(family.scopes):
            return refusing("invalid_scope")
        if self.rotates:
            self._used[token] = self._refresh.pop(token)
        return Answer(200, self._given(family, renewal=self.rotates))

    def _for_itself(self, client: str, form: Form) -> Answer:
        if self.clients[client].method == "none":
            return refusing("unauthorized_client")
        family = Family(client, f"client {client}", form.get("scope", "read").split(), form.get("resource"))
        return Answer(200, self._given(family, renewal=False))

    async def _revoke(self, headers: Headers, form: Form) -> Answer:
        try:
            await self.proofs.client(headers, form)
        except NotThatClient:
            return refusing("invalid_client", 401)
        token = form.get("token", "")
        if token in self._refresh:
            self._refresh[token].ended = True
        self._access.pop(token, None)
        return Answer(200, {})

    def _again(self, token: str) -> Answer:
        """What is not known here; or it was, and somebody has stolen it."""
        if token in self._used:
            self.reuses += 1
            self._used[token].ended = True
        return refusing("invalid_grant")

    def _given(self, family: Family, *, renewal: bool = True) -> dict[str, Any]:
        access = f"at-{secrets.token_urlsafe(16)}"
        self._access[access] = family
        given = {"access_token": access, "token_type": self.token_type, "expires_in": self.expires_in}
        if renewal and self.gives_refresh:
            given["refresh_token"] = f"rt-{secrets.token_urlsafe(16)}"
            self._refresh[given["refresh_token"]] = family
        if self.says_scope:
            given["scope"] = " ".join(family.scopes)
        return _without_omitted({**given, **self.token_says})

    # The wire

    async def _answer(self, asked: Seen) -> Answer:
        replaced = self.answers.get(asked.path)
        if replaced is None:
            return await self._honest(asked)
        if isinstance(replaced, Answer):
            return replaced
        return await replaced(asked.headers, asked.form) or await self._honest(asked)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            asked = await _read(reader)
            self.seen.append(asked)
            status, said, more = await self._answer(asked)
            data = said if isinstance(said, bytes) else json.dumps(said).encode()
            headers = {"Content-Type": "application/json", **more, "Content-Length": len(data), "Connection": "close"}
            head = "".join(f"{name}: {each}\r\n" for name, each in headers.items())
            writer.write(f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + data)
            await writer.drain()
        writer.close()

    def counted(self) -> Counter[str]:
        """How many requests came, by path."""
        return Counter(each.path for each in self.seen)


async def _read(reader: asyncio.StreamReader) -> Seen:
    line, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in rest)}
    body = (await reader.readexactly(int(headers.get("content-length", 0)))).decode()
    method, target, _ = line.split(" ")
    form = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
    if headers.get("content-type", "").startswith("application/json"):
        form["json"] = body
    else:
        form |= dict(parse_qsl(body, keep_blank_values=True))
    return Seen(method, urlsplit(target).path, headers, form)


def _page(form: Form) -> bytes:
    hidden = "".join(f'<input type="hidden" name="{html.escape(n)}" value="{html.escape(v)}">' for n, v in form.items())
    return (
        '<!doctype html><html lang="en"><title>Allow?</title><main><h1>Allow this?</h1>'
        f'<form method="post" action="/authorize">{hidden}<label>Name <input name="name"></label>'
        '<button name="answer" value="allow">Allow</button><button name="answer" value="cancel">Cancel</button>'
        "</form></main></html>"
    ).encode()


def _without_omitted(said: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in said.items() if each is not OMIT and each is not None}
