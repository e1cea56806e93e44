"""Keys of somebody who signs tokens, and the tokens: honest ones, and every kind of forgery."""

import base64
import hashlib
import hmac
import json
from functools import lru_cache
from typing import Any

from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from mcp_hub.egress.fetch import Document, FetchFailed

SigningKey = RSAKey | ECKey | OKPKey


@lru_cache(maxsize=16)
def key_pair(name: str, kind: str = "EC", size: Any = "P-256") -> SigningKey:
    """The same key for the same name."""
    return JWKRegistry.generate_key(kind, size, {"kid": name, "use": "sig"})


def jwks(*keys: SigningKey) -> dict[str, Any]:
    """What is published of these."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


def sign(claims: dict[str, Any] | bytes, key: SigningKey, alg: str = "ES256", **header: Any) -> str:
    """An honest token; `header` adds to what stands in its header, and `None` takes out."""
    said = {name: each for name, each in {"alg": alg, "kid": key.kid, **header}.items() if each is not None}
    start = f"{b64(said)}.{b64(claims)}"
    return f"{start}.{b64(JWSRegistry.algorithms[alg].sign(start.encode(), key))}"


def b64(data: bytes | dict[str, Any]) -> str:
    """One part of a token."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unsigned(claims: dict[str, Any], alg: str = "none") -> str:
    """A token that nobody signed."""
    return f"{b64({'alg': alg})}.{b64(claims)}."


def confused(claims: dict[str, Any], key: SigningKey, **header: Any) -> str:
    """A token signed by HMAC with what is public of an asymmetric key."""
    start = f"{b64({'alg': 'HS256', 'kid': key.kid, **header})}.{b64(claims)}"
    signature = hmac.new(key.as_pem(private=False), start.encode(), hashlib.sha256).digest()
    return f"{start}.{b64(signature)}"


class Shelf:
    """A `Fetch` over documents in memory: what lies at an address, or why nothing does."""

    def __init__(self, **documents: Any) -> None:
        self.documents: dict[str, Any] = documents
        self.asked: list[str] = []

    def put(self, url: str, document: Any, status: int = 200) -> None:
        """Anything that is not bytes is encoded; a `FetchFailed` is raised."""
        self.documents[url] = (status, document)

    async def get(self, url: str, *, headers: Any = None, most: int = 65536, seconds: float = 10.0) -> Document:
        """See `Fetch`."""
        self.asked.append(url)
        status, document = self.documents.get(url, (404, b"not here"))
        if isinstance(document, FetchFailed):
            raise document
        if callable(document):
            document = await document()
        return Document(status, {}, document if isinstance(document, bytes) else json.dumps(document).encode())

    async def post(self, url: str, form: Any, *, headers: Any = None, most: int = 65536, seconds: float = 10.0):
        """Nothing is posted here."""
        raise FetchFailed("nothing is posted here")
