"""How the hub describes itself to authorization servers: in a document of its own, or when it registers.

Rule: pure. Each upstream sees another client with a redirect URI of its own, so that an answer that was meant for one
is never taken for another's. A document never changes with what a server says, since servers keep it for a day.
Sources: draft-ietf-oauth-client-id-metadata-document; RFC 7591 section 2; MCP 2026-07-28 basic/authorization.
"""

from typing import Final, Literal
from urllib.parse import urlsplit

from mcp_hub.wire.jsonrpc import Json

CALLBACK: Final = "/oauth/callback/"
CLIENT: Final = "/oauth/client/"
JWKS: Final = "/oauth/jwks.json"
NAME: Final = "mcp_hub"
SIGNED: Final = {"token_endpoint_auth_signing_alg": "ES256"}
"""How the hub's own key signs."""

_WITH_KEY: Final = ".json"
_PUBLIC: Final = ".public.json"

AuthMethod = Literal["none", "private_key_jwt"]


def callback_of(base_url: str, upstream: str) -> str:
    """Where people come back to who signed in for this upstream."""
    return f"{base_url}{CALLBACK}{upstream}"


def document_url(base_url: str, upstream: str, method: AuthMethod) -> str:
    """The address of the document, which is the hub's client id there."""
    return f"{base_url}{CLIENT}{upstream}{_WITH_KEY if method == 'private_key_jwt' else _PUBLIC}"


def named(name: str) -> tuple[str, AuthMethod] | None:
    """The upstream of a document's name, and how the hub proves itself by it; `None` if it is no such name."""
    if name.endswith(_PUBLIC):
        return name.removesuffix(_PUBLIC), "none"
    if name.endswith(_WITH_KEY):
        return name.removesuffix(_WITH_KEY), "private_key_jwt"
    return None


def is_public(base_url: str) -> bool:
    """Whether somebody else's server may be able to fetch a document from this hub."""
    parts = urlsplit(base_url)
    return parts.scheme == "https" and (parts.hostname or "").strip("[]") not in ("localhost", "127.0.0.1", "::1")


def described(base_url: str, upstream: str) -> Json:
    """What is the same wherever the hub describes itself. On this computer it is an app, elsewhere a web site."""
    callback = callback_of(base_url, upstream)
    return {
        "client_name": NAME,
        "client_uri": base_url,
        "redirect_uris": [callback],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "web" if callback.startswith("https://") else "native",
    }


def document(base_url: str, upstream: str, method: AuthMethod) -> Json:
    """The document that is published at `document_url`."""
    said = {
        "client_id": document_url(base_url, upstream, method),
        **described(base_url, upstream),
        "token_endpoint_auth_method": method,
    }
    if method == "private_key_jwt":
        said |= {"jwks_uri": f"{base_url}{JWKS}", **SIGNED}
    return said
