"""The OAuth clients of the hub: those that the operator registered, that registered themselves, and that publish a
document about themselves.

Rule: whatever its kind, a client is one value with checked fields. A document is fetched only where the caller of
`find` says so: for somebody who is signed in, or who holds a code or a token of that client.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Final, Literal, Protocol, final

import msgspec

from mcp_hub.authserver.redirects import is_local
from mcp_hub.config.model import Client as ConfiguredClient
from mcp_hub.identity.tokens import digest
from mcp_hub.store.grants import GrantStore, RegisteredClient
from mcp_hub.wire.jsonrpc import Json

AuthMethod = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
ApplicationType = Literal["native", "web"]

CODE_GRANT: Final = "authorization_code"
REFRESH_GRANT: Final = "refresh_token"
GRANTS: Final = (CODE_GRANT, REFRESH_GRANT)
"""What clients may register for."""
CLIENT_GRANT: Final = "client_credentials"
"""For clients without users, which nobody but the operator makes."""
UNUSED_FOR: Final = 86_400.0
"""Seconds that a client which registered itself is kept before anybody authorized it."""
IDLE_FOR: Final = 90 * 86_400.0
"""And after its last use."""


REGISTERED_ID: Final = "mcphub_c_"
"""What the ids of clients that registered themselves begin with."""


class ClientKind(StrEnum):
    """How the hub knows a client."""

    CONFIGURED = "configured"
    REGISTERED = "registered"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Details:
    """What a client says of itself, checked. The URIs are literal strings; `jwks` is a JSON object.

    A client whose `auth_method` is `client_secret_basic` may send its secret in the body just as well.
    """

    name: str
    redirect_uris: tuple[str, ...]
    auth_method: AuthMethod = "none"
    grant_types: tuple[str, ...] = GRANTS
    application_type: ApplicationType = "native"
    jwks_url: str | None = None
    jwks: Json | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """A client. `secret` is the digest of its secret; `host` is where its document is, empty for the other kinds.

    `name` is what it calls itself; only that of a configured client is verified.
    """

    id: str
    kind: ClientKind
    details: Details
    secret: bytes | None = None
    host: str = ""

    @property
    def name(self) -> str:
        """What it calls itself, or its id."""
        return self.details.name or self.id

    @property
    def redirect_uris(self) -> tuple[str, ...]:
        """Where its users may be sent back to."""
        return self.details.redirect_uris

    @property
    def auth_method(self) -> AuthMethod:
        """How it proves at the token endpoint who it is."""
        return self.details.auth_method

    @property
    def grant_types(self) -> tuple[str, ...]:
        """What it may ask the token endpoint for."""
        return self.details.grant_types

    @property
    def may_refresh(self) -> bool:
        """Whether it gets refresh tokens."""
        return REFRESH_GRANT in self.details.grant_types

    @property
    def is_loopback_only(self) -> bool:
        """Whether all it has are redirects to the user's own computer, where any program may pose as it."""
        return all(is_local(uri) for uri in self.details.redirect_uris)

    @property
    def fingerprint(self) -> str:
        """Changes exactly if where users are sent, or how the client proves itself, does."""
        details = self.details
        parts = (details.redirect_uris, details.auth_method, details.jwks_url, details.jwks)
        return sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()


class NoDocument(Exception):
    """A client's document cannot be had or is not one. The text is a whole sentence that is safe to show.

    `is_temporary` is whether the same request may succeed later.
    """

    def __init__(self, public: str, *, is_temporary: bool = False) -> None:
        super().__init__(public)
        self.public = public
        self.is_temporary = is_temporary


class Documents(Protocol):
    """The clients whose `client_id` is the URL of a document about them."""

    def may_be(self, client_id: str) -> bool:
        """Whether it is such a URL, and one of a host that is taken."""
        ...

    def known(self, client_id: str) -> Client | None:
        """The client, if its document is at hand and fresh."""
        ...

    async def client(self, client_id: str) -> Client:
        """The client, fetched if need be.

        Raises:
            NoDocument: there is none, or it is not as it has to be.
        """
        ...


@final
class Clients:
    """All clients of a hub."""

    def __init__(
        self,
        configured: Mapping[str, ConfiguredClient],
        store: GrantStore,
        documents: Documents,
        now: Callable[[], float],
    ) -> None:
        self._configured = {name: _configured(client) for name, client in configured.items()}
        self._store = store
        self._documents = documents
        self._now = now

    async def find(self, client_id: str, *, may_fetch: bool) -> Client | None:
        """The client of this id, or `None`. Without `may_fetch`, a document that is not at hand is not there.

        Raises:
            NoDocument: it is the URL of a document, which cannot be had.
            StoreFailed: the store could not be asked.
        """
        configured = self._configured.get(client_id)
        if configured is not None:
            return configured
        if self.is_document(client_id):
            known = self._documents.known(client_id)
            return await self._documents.client(client_id) if known is None and may_fetch else known
        registered = await self._store.client(client_id)
        if registered is None or registered.expires_at <= self._now():
            return None
        return registered_client(registered)

    def is_document(self, client_id: str) -> bool:
        """Whether this is the URL of a document that the hub would fetch."""
        return client_id not in self._configured and self._documents.may_be(client_id)

    async def used(self, client: Client) -> None:
        """Note that a user or a token used the client, so that one that registered itself is kept.

        Raises:
            StoreFailed: the store could not be written.
        """
        if client.kind is ClientKind.REGISTERED:
            at = self._now()
            await self._store.touch_client(client.id, at, at + IDLE_FOR)


def stored_details(details: Details) -> bytes:
    """What `RegisteredClient.metadata` holds."""
    return msgspec.json.encode(details)


def registered_client(row: RegisteredClient) -> Client:
    """The client that registered itself."""
    details = msgspec.json.decode(row.metadata, type=Details)
    return Client(row.id, ClientKind.REGISTERED, details, secret=row.secret)


def _configured(client: ConfiguredClient) -> Client:
    details = Details(
        name=client.title or client.name,
        redirect_uris=client.redirect_uris,
        auth_method=_method(client),
        jwks_url=client.jwks_url,
    )
    secret = None if client.secret is None else digest(client.secret)
    return Client(client.name, ClientKind.CONFIGURED, details, secret=secret)


def _method(client: ConfiguredClient) -> AuthMethod:
    if client.jwks_url is not None:
        return "private_key_jwt"
    return "none" if client.secret is None else "client_secret_basic"
