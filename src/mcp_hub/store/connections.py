"""What people have given the hub for upstreams: registrations, grants and pasted keys.

Rule: every secret here is sealed before it is stored, under a binding that names its table, row, column, whose it is,
the upstream and the version; each step that may succeed only once is one transaction that says whether it did. A
registration is never changed once a grant points at it, but for its secret. Whatever changes somebody's connection
is noted and raises `connection_generation`, in the same transaction, so that every process looks again at that one.
Times are unix seconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Final, NamedTuple, Protocol

MOST_CHANGES: Final = 1000
"""How many changes of connections are known one by one; whoever looks more seldom looks at all of them."""
RETIRED_FOR: Final = 3600.0
"""Seconds for which a retired registration keeps its secrets without a grant: a connection may be under way."""
KEPT_FOR: Final = 30 * 86400.0
"""Seconds after which a retired registration that no grant needs is deleted."""


class Whose(NamedTuple):
    """One principal at one upstream: what every connection is kept under."""

    tenant: str
    issuer: str
    subject: str
    upstream: str


class Source(StrEnum):
    """How the hub came to a registration."""

    CONFIGURED = "configured"
    DOCUMENT = "document"
    """By a client ID metadata document of the hub's own."""
    REGISTERED = "registered"
    """By dynamic registration (RFC 7591)."""


@dataclass(frozen=True, slots=True)
class Registration:
    """The hub as a client of one authorization server, for one upstream. `issuer` is that server, as it writes itself.

    `secret`, `previous_secret` and `management` (an encoded object: RFC 7592 token and address) are sealed.
    `auth_method` is as in RFC 7591 `token_endpoint_auth_method`. A retired one is used by older grants only.
    """

    id: str
    tenant: str
    upstream: str
    issuer: str
    client_id: str
    auth_method: str
    redirect_uri: str
    source: Source
    secret: bytes | None
    previous_secret: bytes | None
    management: bytes | None
    secret_expires_at: float | None
    created_at: float
    retired_at: float | None = None


class GrantState(StrEnum):
    """Whether a grant can be used; the words of the connection's state."""

    READY = "ready"
    RECONNECT_NEEDED = "reconnect_needed"


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody gave the hub at an authorization server. At most one per principal and upstream.

    It is renewed at `token_endpoint` of `authorization_server` with its own `registration`, wherever discovery leads
    by now. The tokens are sealed with `version` in their binding; `expires_at` is absolute, `None` where nothing was
    said. `resource` is what was sent as such, `None` if nothing was. `scopes` were granted, `wanted` are those that the
    upstream asked for beyond them. `reason` is a public sentence where it is not ready. `account` is what the other
    side calls its user, empty if it did not say.
    """

    id: str
    whose: Whose
    registration: str
    authorization_server: str
    token_endpoint: str
    revocation_endpoint: str | None
    resource: str | None
    scopes: frozenset[str]
    wanted: frozenset[str]
    access_token: bytes
    refresh_token: bytes | None
    expires_at: float | None
    state: GrantState
    reason: str
    account: str
    version: int
    created_at: float
    refreshed_at: float
    used_at: float | None
    marked_at: float | None = None
    """Since when its user has to connect anew."""
    place: str = ""
    """What stands for the address of the upstream that it was given for: it goes to no other."""


@dataclass(frozen=True, slots=True)
class Renewed:
    """What a refresh brought, sealed for the version after the one it was made from.

    Where it brought no refresh token, that is the one before, sealed anew; `None` only where there is none to use.
    """

    access_token: bytes
    refresh_token: bytes | None
    expires_at: float | None
    scopes: frozenset[str]
    at: float


@dataclass(frozen=True, slots=True)
class PastedKey:
    """A key that somebody pasted on the page for an upstream, sealed; `hint` is what may be shown of it.

    `id` is another one each time they paste one.
    """

    id: str
    whose: Whose
    key: bytes
    hint: str
    created_at: float
    used_at: float | None
    place: str = ""
    """As in `Grant`."""


class Sealed(StrEnum):
    """The columns that hold sealed values: of registrations, grants and pasted keys."""

    SECRET = auto()
    PREVIOUS_SECRET = auto()
    MANAGEMENT = auto()
    ACCESS_TOKEN = auto()
    REFRESH_TOKEN = auto()
    KEY = auto()


class Changes(NamedTuple):
    """Whose connections changed after the generation `since`, up to `generation`; `None`: there were too many."""

    since: int
    generation: int
    whose: frozenset[Whose] | None


class ConnectionStore(Protocol):
    """The part of a store that keeps connections. Every method raises `StoreFailed` and nothing else.

    When something was used last only ever moves on.
    """

    async def connection_generation(self) -> int:
        """A number that grows whenever somebody's connection is made, ended or marked, by whatever process; a refresh
        does not raise it."""
        ...

    async def connection_changes(self, since: int) -> Changes:
        """What raised it after it was `since`."""
        ...

    def on_connections_changed(self, tell: Callable[[Changes], object]) -> None:
        """Call `tell`, which must not fail, whenever this process has raised it: before the method that did so
        returns, and even if its caller is cancelled meanwhile. There is one `tell`."""
        ...

    async def add_registration(self, registration: Registration, *, instead_of: str | None) -> Registration:
        """Insert, and retire the one that is in use for this upstream and issuer, if that one is `instead_of` (its id;
        `None`: there is none). Otherwise another one was first: nothing is changed, and it is handed back.

        There is one in use at most: of many who register at once one wins, and all get that one."""
        ...

    async def registration(self, registration: str) -> Registration | None:
        """The registration of this id, retired or not."""
        ...

    async def registrations(self, tenant: str, upstream: str) -> list[Registration]:
        """Those of an upstream, the newest first; retired ones with them."""
        ...

    async def put_secret(
        self, registration: str, *, was: bytes | None, secret: bytes | None, previous: bytes | None
    ) -> bool:
        """Replace both secrets of a registration if its secret still is `was`; `False` if it is not: somebody replaced
        it or sealed it anew meanwhile."""
        ...

    async def retire_registration(self, registration: str, at: float) -> None:
        """No new grant is made under it. What no grant needs any more loses its secrets when it is swept."""
        ...

    async def put_grant(self, grant: Grant) -> Grant | None:
        """Insert, in the place of the one this principal had there, which is handed back; who is renewing that one has
        nothing to renew any more. Raises the generation."""
        ...

    async def grant(self, whose: Whose) -> Grant | None:
        """Somebody's grant for an upstream."""
        ...

    async def grants(self, tenant: str, *, issuer: str = "", subject: str = "", upstream: str = "") -> list[Grant]:
        """Those of a tenant, or of one principal, or for one upstream; by upstream and principal."""
        ...

    async def lease_grant(self, grant: str, version: int, owner: str, *, at: float, until: float) -> bool:
        """Let `owner` alone renew this version until then. Who has it already may have it for longer.

        `False`: at `at` another one has it, the version is another, or its user has to connect anew."""
        ...

    async def renew_grant(self, grant: str, version: int, renewed: Renewed) -> bool:
        """Replace the tokens if the version still is that, and raise it by one; the lease ends, the state is ready.

        `False`, and nothing changed: the grant is gone, or another one was first. Raises the generation only where the
        grant had been marked meanwhile."""
        ...

    async def release_grant(self, grant: str, owner: str) -> None:
        """End the lease of `owner`, if it has it."""
        ...

    async def mark_grant(self, grant: str, version: int, reason: str, at: float) -> bool:
        """Say that its user has to connect anew, and end the lease, if the version still is that. Raises the
        generation."""
        ...

    async def want_scopes(self, grant: str, wanted: frozenset[str]) -> None:
        """Note which scopes the upstream asked for."""
        ...

    async def touch_grants(self, used: Mapping[str, float]) -> None:
        """Note when grants were used last, by id, all or none."""
        ...

    async def drop_grant(self, whose: Whose) -> Grant | None:
        """Delete somebody's grant and what is remembered of their catalog there; hand the grant back. Raises the
        generation."""
        ...

    async def put_key(self, key: PastedKey) -> None:
        """Insert or replace. Raises the generation."""
        ...

    async def key(self, whose: Whose) -> PastedKey | None:
        """What somebody pasted for an upstream."""
        ...

    async def keys_of(self, tenant: str, *, issuer: str = "", subject: str = "") -> list[PastedKey]:
        """Those of a tenant or of one principal; by upstream and principal."""
        ...

    async def touch_keys(self, used: Mapping[str, float]) -> None:
        """Note when keys were used last, by id, all or none."""
        ...

    async def drop_key(self, whose: Whose) -> bool:
        """Delete it, and what is remembered of their catalog there; `False` if there was none. Raises the
        generation."""
        ...

    async def all_registrations(self, after: str, limit: int) -> list[Registration]:
        """At most `limit` whose id comes after `after`, of every tenant, by id."""
        ...

    async def all_grants(self, after: str, limit: int) -> list[Grant]:
        """The same of grants."""
        ...

    async def all_keys(self, after: str, limit: int) -> list[PastedKey]:
        """The same of pasted keys."""
        ...

    async def reseal(self, column: Sealed, row: str, *, was: bytes, sealed: bytes) -> bool:
        """Put another sealed value in the place of this one, in the row of this id; `False` if it has changed or is
        gone. It means the same, so it raises nothing."""
        ...
