"""How the strict authorization server knows its clients: by secret, by assertion, by document, or by no proof."""

import base64
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

import httpx2
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class NotThatClient(Exception):
    """It did not prove that it is one that is known."""


@dataclass
class Known:
    """One client. `keys` is a JWK Set, or where to fetch it."""

    secret: str | None = None
    method: str = "client_secret_basic"
    redirect_uris: tuple[str, ...] = ()
    keys: Any = None


def challenge_of(verifier: str) -> str:
    """By S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


async def fetched(url: str) -> Any:
    """A document from the network, of a hub on this computer."""
    async with httpx2.AsyncClient(trust_env=False, verify=False) as client:
        return (await client.get(url)).raise_for_status().json()


class Proofs:
    """The clients of one server. `document_of` fetches what lies at a URL; a test may put another in its place."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._assertions: set[str] = set()
        self.document_of: Callable[[str], Awaitable[Any]] = fetched
        self.audience: Callable[[], str] = lambda: server.issuer
        self.registers_less: dict[str, Any] = {}
        """Put in the place of what a client asks for when it registers."""

    async def known(self, name: str) -> Known | None:
        """The client of this id; documents are taken where the metadata say so."""
        if name in self._server.clients:
            return self._server.clients[name]
        if not name.startswith("http") or not self._server.say.get("client_id_metadata_document_supported"):
            return None
        said = await self.document_of(name)
        if said["client_id"] != name:
            return None
        keys = said.get("jwks") or said.get("jwks_uri")
        known = Known(None, said.get("token_endpoint_auth_method", "none"), tuple(said["redirect_uris"]), keys)
        self._server.clients[name] = known
        return known

    async def client(self, headers: dict[str, str], form: dict[str, str]) -> str:
        """Who sent this.

        Raises:
            NotThatClient: not in the way that was agreed.
        """
        given = headers.get("authorization", "")
        if given.startswith("Basic "):
            first, _, second = base64.b64decode(given[6:]).decode().partition(":")
            name, shown = unquote_plus(first), ("client_secret_basic", unquote_plus(second))
        elif "client_assertion" in form:
            name, shown = form.get("client_id", ""), ("private_key_jwt", "")
        elif "client_secret" in form:
            name, shown = form.get("client_id", ""), ("client_secret_post", form["client_secret"])
        else:
            name, shown = form.get("client_id", ""), ("none", "")
        known = await self.known(name)
        if known is None or known.method != shown[0] or (shown[1] and shown[1] != known.secret):
            raise NotThatClient
        if known.method == "private_key_jwt":
            await self._check(name, known, form)
        return name

    async def _check(self, name: str, known: Known, form: dict[str, str]) -> None:
        keys = await self.document_of(known.keys) if isinstance(known.keys, str) else known.keys
        try:
            claims = jwt.decode(form["client_assertion"], KeySet.import_key_set(keys), ["ES256", "RS256"]).claims
        except (JoseError, ValueError) as error:
            raise NotThatClient from error
        now = self._server.now()
        fits = claims["iss"] == claims["sub"] == name and claims["aud"] == self.audience()
        in_time = claims["iat"] - 60 <= now <= claims["exp"] <= now + 300
        if not fits or not in_time or claims["jti"] in self._assertions or form.get("client_assertion_type") != _TYPE:
            raise NotThatClient
        self._assertions.add(claims["jti"])

    def register(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """A client that registers itself (RFC 7591): the answer to it."""
        if not asked.get("redirect_uris") or "application_type" not in asked:
            return 400, {"error": "invalid_client_metadata"}
        name, said = f"client-{secrets.token_hex(6)}", {**asked, **self.registers_less}
        method = said.get("token_endpoint_auth_method", "client_secret_basic")
        secret = secrets.token_urlsafe(16) if method.startswith("client_secret") else None
        keys = said.get("jwks") or said.get("jwks_uri")
        self._server.clients[name] = Known(secret, method, tuple(said["redirect_uris"]), keys)
        more = {} if secret is None else {"client_secret": secret, "client_secret_expires_at": 0}
        return 201, {**said, "client_id": name, **more}
