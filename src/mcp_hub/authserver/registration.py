"""Clients that register themselves (RFC 7591).

Rule: anybody may ask, so everything is bounded: how often from one address, how many there are, how large each is and
how long it stays before somebody uses it. A secret is shown once and kept as a digest.
"""

import secrets
from collections.abc import Callable
from typing import Final, final

from mcp_hub.authserver import details
from mcp_hub.authserver.clients import REGISTERED_ID, UNUSED_FOR, AuthMethod, Details, stored_details
from mcp_hub.authserver.errors import OAuthError
from mcp_hub.identity.events import Events, Kind
from mcp_hub.identity.limits import Limit, Limits, neighbourhood
from mcp_hub.identity.tokens import Kind as TokenKind
from mcp_hub.identity.tokens import digest, new_token
from mcp_hub.principal import DEFAULT_TENANT
from mcp_hub.secret import Secret
from mcp_hub.store.grants import GrantStore, RegisteredClient
from mcp_hub.wire.jsonrpc import Json
from mcp_hub.wire.redirects import MOST_URIS, redirect_fault

MOST_CLIENTS: Final = 10_000
"""Registered clients of a hub at a time."""
MOST_BYTES: Final = 8 * 1024
"""Of what is stored of one client."""

_METHODS: Final[tuple[AuthMethod, ...]] = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
_WITH_SECRET: Final = ("client_secret_basic", "client_secret_post")


class TooMany(OAuthError):
    """There were too many before this one. HTTP 429; `wait` is in how many seconds it may be tried again."""

    def __init__(self, wait: float) -> None:
        super().__init__("temporarily_unavailable", "Too many clients registered themselves; try again later.", 429)
        self.wait = wait


@final
class Registration:
    """Takes registrations. At most `most` clients are kept."""

    def __init__(
        self,
        store: GrantStore,
        limits: Limits,
        events: Events,
        now: Callable[[], float],
        *,
        most: int = MOST_CLIENTS,
    ) -> None:
        self._store = store
        self._limits = limits
        self._events = events
        self._now = now
        self._most = most

    async def register(self, body: bytes, address: str) -> Json:
        """Register the client that `body` describes, for somebody at this network address; what it is told.

        Raises:
            TooMany: from there, or altogether.
            OAuthError: `invalid_redirect_uri` or `invalid_client_metadata`.
            StoreFailed: the store could not be written.
        """
        wait = self._limits.take(Limit.REGISTER, neighbourhood(address))
        if wait is not None:
            raise TooMany(wait)
        described = read_metadata(body)
        secret = new_token(TokenKind.CLIENT) if described.auth_method in _WITH_SECRET else None
        row = self._row(described, secret)
        if not await self._store.add_client(row, most=self._most):
            self._events.note(Kind.CLIENT_REGISTERED, "too_many", address=address)
            raise TooMany(UNUSED_FOR)
        self._events.note(Kind.CLIENT_REGISTERED, client=row.id, about=row.id, address=address)
        return _told(row, described, secret)

    def _row(self, described: Details, secret: Secret | None) -> RegisteredClient:
        metadata = stored_details(described)
        if len(metadata) > MOST_BYTES:
            raise details.bad(f"The metadata is larger than {MOST_BYTES} bytes.")
        at = self._now()
        return RegisteredClient(
            id=f"{REGISTERED_ID}{secrets.token_urlsafe(18)}",
            tenant=DEFAULT_TENANT,
            secret=None if secret is None else digest(secret),
            metadata=metadata,
            created_at=at,
            used_at=None,
            expires_at=at + UNUSED_FOR,
        )


def read_metadata(body: bytes) -> Details:
    """What a client says of itself.

    Raises:
        OAuthError: it may not be like that.
    """
    said = details.json_object(body)
    uris = _redirects(said)
    details.check_urls(said)
    jwks_url, jwks = details.key_set(said)
    return Details(
        name=details.name_of(said),
        redirect_uris=uris,
        auth_method=details.auth_method(said, _METHODS, "client_secret_basic"),
        grant_types=details.grant_types(said),
        application_type=details.application_type(said, uris),
        jwks_url=jwks_url,
        jwks=jwks,
    )


def _redirects(said: Json) -> tuple[str, ...]:
    uris = details.texts(said, "redirect_uris")
    if not 0 < len(uris) <= MOST_URIS:
        raise OAuthError("invalid_redirect_uri", f"redirect_uris has to name 1 to {MOST_URIS} addresses.")
    apps = said.get("application_type") != "web"
    for place, uri in enumerate(uris, 1):
        why = redirect_fault(uri, private_use=apps)
        if why:
            raise OAuthError("invalid_redirect_uri", f"Number {place} of redirect_uris {why}.")
    return uris


def _told(row: RegisteredClient, described: Details, secret: Secret | None) -> Json:
    told: Json = {
        "client_id": row.id,
        "client_id_issued_at": int(row.created_at),
        "redirect_uris": list(described.redirect_uris),
        "token_endpoint_auth_method": described.auth_method,
        "grant_types": list(described.grant_types),
        "response_types": ["code"],
        "application_type": described.application_type,
    }
    optional = {"client_name": described.name, "jwks_uri": described.jwks_url, "jwks": described.jwks}
    told.update({field: value for field, value in optional.items() if value})
    if secret is not None:
        told.update(client_secret=secret.open(), client_secret_expires_at=0)
    return told
