"""What an authorization server's metadata mean (RFC 8414), and what the operator's word changes of that.

Rule: pure. Metadata count only if they name the identical issuer that was asked for; an address that a browser is sent
to is https, or on the very host that the operator let the hub ask over http.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from mcp_hub.config.model import OAuth
from mcp_hub.oauth.metadata import IssuerUnavailable, safe_url
from mcp_hub.oauth.pkce import METHOD
from mcp_hub.oauth.resources import texts
from mcp_hub.oauth.server import Server
from mcp_hub.wire.origin import Origin


class BadServer(ValueError):
    """The metadata cannot be used. `code` is a word of ours; the text is a part of a sentence, and safe to show."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code: Final = code


def is_issuer(issuer: str) -> bool:
    """Whether this can be the address of an authorization server: http or https, no query, no fragment."""
    try:
        Origin.from_url(issuer)
    except ValueError:
        return False
    return issuer.isascii() and not urlsplit(issuer).query and "/." not in urlsplit(issuer).path


def read_server(metadata: Mapping[str, Any], issuer: str, said: OAuth) -> Server:
    """The server of this issuer, by its metadata and what the operator says instead.

    Raises:
        BadServer: these are somebody else's metadata, or they do not say what is needed.
    """
    if metadata.get("issuer") != issuer:
        raise BadServer("issuer_mismatch", "its metadata name another issuer than was asked for, or spell it otherwise")
    authorize = said.authorization_url or _page(metadata, issuer)
    token = said.token_url or _endpoint(metadata, "token_endpoint", issuer)
    if not authorize or not token:
        missing = "authorization_endpoint" if not authorize else "token_endpoint"
        raise BadServer("no_endpoint", f"its metadata name no {missing}")
    return Server(
        issuer=issuer,
        authorization_endpoint=authorize,
        token_endpoint=token,
        registration_endpoint=_optional(metadata, "registration_endpoint", issuer),
        revocation_endpoint=said.revocation_url or _optional(metadata, "revocation_endpoint", issuer),
        auth_methods=texts(metadata, "token_endpoint_auth_methods_supported"),
        scopes=texts(metadata, "scopes_supported") or (),
        sends_iss=metadata.get("authorization_response_iss_parameter_supported") is True,
        takes_documents=metadata.get("client_id_metadata_document_supported") is True,
        knows_pkce=METHOD in (texts(metadata, "code_challenge_methods_supported") or ()),
        metadata=metadata,
    )


def older_server(origin: str) -> Server:
    """The server of an upstream of 2025-03-26 that publishes nothing: the upstream itself, at the usual places."""
    return Server(
        issuer=origin,
        authorization_endpoint=f"{origin}/authorize",
        token_endpoint=f"{origin}/token",
        registration_endpoint=f"{origin}/register",
        has_metadata=False,
    )


def told_server(said: OAuth, issuer: str | None) -> Server | None:
    """The server that the operator describes whole; `None` if something is left to be found out."""
    if not said.authorization_url or not said.token_url:
        return None
    return Server(
        issuer=said.issuer or issuer or str(Origin.from_url(said.token_url)),
        authorization_endpoint=said.authorization_url,
        token_endpoint=said.token_url,
        revocation_endpoint=said.revocation_url,
        has_metadata=False,
    )


def with_told(server: Server, said: OAuth) -> Server:
    """A server with the addresses that the operator says in place of its own."""
    return replace(
        server,
        authorization_endpoint=said.authorization_url or server.authorization_endpoint,
        token_endpoint=said.token_url or server.token_endpoint,
        revocation_endpoint=said.revocation_url or server.revocation_endpoint,
    )


def _page(metadata: Mapping[str, Any], issuer: str) -> str | None:
    url = _endpoint(metadata, "authorization_endpoint", issuer)
    if url and not url.startswith("https://") and Origin.from_url(url).host != Origin.from_url(issuer).host:
        raise BadServer("bad_endpoint", "its metadata name an authorization_endpoint that cannot be used")
    return url


def _endpoint(metadata: Mapping[str, Any], name: str, issuer: str) -> str | None:
    try:
        return safe_url(metadata, name, issuer)
    except IssuerUnavailable as error:
        raise BadServer("bad_endpoint", str(error)) from error


def _optional(metadata: Mapping[str, Any], name: str, issuer: str) -> str | None:
    # Nothing is asked there, and the rest works without it.
    try:
        return safe_url(metadata, name, issuer)
    except IssuerUnavailable:
        return None
