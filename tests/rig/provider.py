"""A small honest OpenID Connect provider on loopback, which a test may tell to lie in one thing."""

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlsplit

from rig.signing import jwks, key_pair, sign

Answer = tuple[int, Any]


class FakeProvider:
    """Listens while entered. `say` changes what is published, `claims` what ID tokens say beside the usual.

    `answers` replaces what is answered at a path: a status with a document or bytes, or a coroutine function that
    gives that; `seen` are the requests as (method, path, headers, form).
    """

    def __init__(self, now: Callable[[], float], *, client="hub", secret: str | None = "s e/cret") -> None:
        self.now = now
        self.client = client
        self.secret = secret
        self.key = key_pair("provider")
        self.say: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.info: dict[str, Any] = {}
        self.signs: Callable[[dict[str, Any]], str] = lambda claims: sign(claims, self.key)
        self.answers: dict[str, Any] = {}
        self.seen: list[tuple[str, str, dict[str, str], dict[str, str]]] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._tokens: dict[str, str] = {}
        self._server: asyncio.Server | None = None
        self.issuer = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.issuer = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *failure: object) -> None:
        if self._server is not None:
            self._server.close()

    def metadata(self) -> dict[str, Any]:
        """What it publishes of itself."""
        said = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["ES256", "RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": True,
            **self.say,
        }
        return {name: each for name, each in said.items() if each is not None}

    def authorize(self, url: str, subject: str = "alice") -> list[tuple[str, str]]:
        """What somebody brings back who was sent to this URL and signed in."""
        asked = dict(parse_qsl(urlsplit(url).query))
        assert asked["client_id"] == self.client
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = {**asked, "sub": subject}
        return [("code", code), ("state", asked["state"]), ("iss", self.issuer)]

    def _published(self) -> Answer:
        return 200, self.metadata()

    def _keys(self) -> Answer:
        return 200, jwks(self.key)

    def _token(self, headers: dict[str, str], form: dict[str, str]) -> Answer:
        if not self._is_client(headers, form):
            return 401, {"error": "invalid_client"}
        asked = self._codes.pop(form.get("code", ""), None)
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        shown = base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != shown or asked["redirect_uri"] != form.get("redirect_uri"):
            return 400, {"error": "invalid_grant", "error_description": "SECRET"}
        at = int(self.now())
        usual = {"iss": self.issuer, "aud": self.client, "sub": asked["sub"], "iat": at, "exp": at + 300}
        said = {**usual, "nonce": asked["nonce"], **self.claims}
        token = self.signs({name: each for name, each in said.items() if each is not None})
        access = secrets.token_urlsafe(16)
        self._tokens[access] = asked["sub"]
        return 200, {"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": token}

    def _is_client(self, headers: dict[str, str], form: dict[str, str]) -> bool:
        given = headers.get("authorization", "")
        if given.startswith("Basic "):
            name, _, secret = base64.b64decode(given[6:]).decode().partition(":")
            return (unquote_plus(name), unquote_plus(secret)) == (self.client, self.secret)
        return (form.get("client_id"), form.get("client_secret")) == (self.client, self.secret)

    def _userinfo(self, headers: dict[str, str]) -> Answer:
        subject = self._tokens.get(headers.get("authorization", "").removeprefix("Bearer "))
        return (401, {}) if subject is None else (200, {"sub": subject, **self.info})

    async def _answer(self, path: str, headers: dict[str, str], form: dict[str, str]) -> Answer:
        replaced = self.answers.get(path)
        if replaced is not None:
            return await replaced() if callable(replaced) else replaced
        match path:
            case "/.well-known/openid-configuration":
                return self._published()
            case "/jwks":
                return self._keys()
            case "/token":
                return self._token(headers, form)
            case "/userinfo":
                return self._userinfo(headers)
            case _:
                return 404, {}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *rest = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in rest)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            method, target, _ = line.split(" ")
            form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            path = urlsplit(target).path
            self.seen.append((method, path, headers, form))
            status, said = await self._answer(path, headers, form)
            data = said if isinstance(said, bytes) else json.dumps(said).encode()
            start = f"HTTP/1.1 {status} Status\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
            writer.write(start.encode() + data)
            await writer.drain()
        writer.close()
