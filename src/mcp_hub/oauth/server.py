"""What the hub knows of an authorization server and of itself there. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_hub.secret import Secret
from mcp_hub.store.connections import Registration


@dataclass(frozen=True, slots=True)
class Server:
    """An authorization server, as discovery or the configuration says. All addresses have been judged.

    `issuer` is the literal string of its metadata, or the origin that was asked where it publishes none
    (`has_metadata` is false: MCP 2025-03-26). `metadata` are the raw ones. `auth_methods` are those of its token
    endpoint, `None` where it does not say. `sends_iss` is whether answers must name their issuer (RFC 9207).
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    auth_methods: tuple[str, ...] | None = None
    scopes: tuple[str, ...] = ()
    sends_iss: bool = False
    takes_documents: bool = False
    knows_pkce: bool = True
    has_metadata: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Step:
    """One step of discovery, for people: what was asked, how it went. Never a body, a query or a secret."""

    what: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Found:
    """What discovery found for an upstream. `resource` is of its metadata (RFC 9728), `None` where it has none.

    `scopes` are those of the challenge, else of the resource's metadata; `None` where neither says. `is_refused` is
    whether the upstream answers nobody without a credential, as far as it was asked.
    """

    server: Server
    resource: str | None
    scopes: tuple[str, ...] | None
    trace: tuple[Step, ...] = ()
    is_refused: bool = True


@dataclass(frozen=True, slots=True)
class Client:
    """A registration of which the secrets have been opened, to be used at a token endpoint."""

    registration: Registration
    secret: Secret | None = None
    previous_secret: Secret | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a token endpoint gave. `expires_at` is absolute, in unix seconds; `scopes` are what was asked for where the
    answer says nothing. `account` is a name for people, empty where there is none."""

    access_token: Secret
    refresh_token: Secret | None
    expires_at: float | None
    scopes: frozenset[str]
    account: str = ""
