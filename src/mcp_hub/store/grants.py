"""What the hub's own authorization server remembers: clients, codes, families of tokens, and what may be used once.

Rule: codes, tokens and client secrets are stored as SHA-256 digests, never as themselves; each step that may succeed
only once is one transaction that says whether it did. Times are unix seconds.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

MOST_SUPERSEDED: Final = 100
"""How many superseded refresh tokens of a family are kept, so that somebody who uses one again is noticed."""
MOST_ACCESS_TOKENS: Final = 100
"""How many access tokens a family has; those that end first make room."""
MOST_FAMILIES: Final = 50
"""How many families a user has of one client; those that were not used for the longest time make room."""


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A client that registered itself (RFC 7591). `metadata` is what it was told of itself, encoded.

    `expires_at` moves on with each use; until the first authorization it is near.
    """

    id: str
    tenant: str
    secret: bytes | None
    metadata: bytes
    created_at: float
    used_at: float | None
    expires_at: float


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code, and what it was given for. `redirect_uri` is the literal string of the request, or empty
    where the request had none. `family` is that of the tokens it became, once it was redeemed.
    """

    digest: bytes
    tenant: str
    client: str
    client_name: str
    user: str
    redirect_uri: str
    challenge: str
    resource: str
    scopes: frozenset[str]
    browser: bytes
    created_at: float
    expires_at: float
    family: str | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """What one redeemed code began: one client's access for one user, with all its access and refresh tokens.

    `user` is empty where a client acts for itself: there was no code, and nobody gave consent.
    """

    id: str
    tenant: str
    user: str
    client: str
    client_name: str
    resource: str
    scopes: frozenset[str]
    created_at: float
    used_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token of a family."""

    digest: bytes
    family: str
    scopes: frozenset[str]
    expires_at: float


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token of a family; `superseded_at` is when its successor was made."""

    digest: bytes
    family: str
    scopes: frozenset[str]
    created_at: float
    expires_at: float
    superseded_at: float | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """The tokens of one answer of the token endpoint; a client without the grant type gets no refresh token."""

    access: AccessToken
    refresh: RefreshToken | None


class Once(StrEnum):
    """How a step that may succeed only once ended."""

    WON = "won"
    """It was this one."""
    LOST = "lost"
    """Another one was first."""
    GONE = "gone"
    """There is nothing to do it with (any more)."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Something that waits for one step of a browser, and is taken at most once: a setup code, a login under way, a
    consent that is asked for. `kind` says which; `payload` is its owner's, sealed where it holds a secret.
    """

    kind: str
    digest: bytes
    payload: bytes
    expires_at: float


class GrantStore(Protocol):
    """The part of a store that the authorization server needs. Every method raises `StoreFailed` and nothing else.

    What ends at a moment has ended at that moment. An ending alone does not raise the access generation.
    """

    async def add_client(self, client: RegisteredClient, *, most: int) -> bool:
        """Insert; `False` if the tenant has `most` that have not expired at `created_at`, or the id is taken.

        Expired ones are deleted.
        """
        ...

    async def client(self, client: str) -> RegisteredClient | None:
        """The client of this id, expired or not."""
        ...

    async def touch_client(self, client: str, at: float, expires_at: float) -> None:
        """Note that a client was used, and until when it is kept."""
        ...

    async def add_code(self, code: Code) -> None:
        """Insert, if the account exists. Expired ones are deleted, with a day of grace for replays."""
        ...

    async def code(self, digest: bytes) -> Code | None:
        """The code of this digest, used and expired or not."""
        ...

    async def redeem(self, code: bytes, family: Family, tokens: Issued, at: float) -> Once:
        """Mark a code used and insert the family and its tokens, if it is unused and not expired at `at`. Families of
        this user and client above `MOST_FAMILIES` make room, which raises the generation.

        `LOST` if it was used: the family it became is then revoked in the same transaction, and the access generation
        raised. Of many at once one wins. `GONE`: no such code, expired, its user is gone or disabled, or the family is
        for another tenant, user or client than the code.
        """
        ...

    async def family(self, family: str) -> Family | None:
        """The family of this id; a revoked one is gone."""
        ...

    async def families(self, tenant: str, user: str | None = None) -> list[Family]:
        """Those of a tenant, or of one user, that have not been revoked; the last used first."""
        ...

    async def access_token(self, digest: bytes) -> tuple[AccessToken, Family] | None:
        """The access token of this digest with its family, expired or not."""
        ...

    async def refresh_token(self, digest: bytes) -> tuple[RefreshToken, Family] | None:
        """The refresh token of this digest with its family, superseded or expired or not."""
        ...

    async def rotate(self, old: bytes, tokens: Issued, at: float) -> Once:
        """Supersede a refresh token and insert its successors, noting the family's use.

        `LOST`: it was superseded before; nothing changes. `GONE`: no such token, it expired, its family did, or the
        user is gone or disabled. Expired tokens of the family are deleted, and so are the oldest superseded ones above
        `MOST_SUPERSEDED` and the oldest access tokens above `MOST_ACCESS_TOKENS` (which raises the generation).
        """
        ...

    async def give(self, family: Family, token: AccessToken, at: float) -> None:
        """Insert an access token of a client that acts for itself, and its family if it is not there yet.

        Otherwise its use is noted, its end moves to that of the one that is given, and it loses tokens as in `rotate`.
        """
        ...

    async def revoke_access_token(self, digest: bytes) -> None:
        """Delete one access token. Raises the access generation."""
        ...

    async def revoke_family(self, tenant: str, family: str, user: str | None = None) -> bool:
        """Delete a family with its tokens, if it is `user`'s where one is given. Raises the generation."""
        ...

    async def put_pending(self, item: Pending, *, at: float, most: int) -> bool:
        """Insert; expired ones of any kind go, and of this kind the oldest above `most`.

        Whoever begins many things thus loses their own first, and keeps nobody else from beginning one. `False`, and
        nothing inserted, if one of this digest waits already.
        """
        ...

    async def pending(self, kind: str, digest: bytes, at: float) -> Pending | None:
        """What waits, if it has not expired."""
        ...

    async def take_pending(self, kind: str, digest: bytes, at: float) -> Pending | None:
        """The same, deleted in one step: of many at once, one gets it."""
        ...

    async def use_once(self, kind: str, digest: bytes, *, at: float, expires_at: float) -> bool:
        """Note that something (a `jti`) was used; `False` if that was noted before and has not expired."""
        ...

    async def sweep(self, at: float) -> None:
        """Delete what has expired: tokens, families, codes, pending items, browser sessions, clients; and what no
        grant needs any more of the hub's own registrations elsewhere: `RETIRED_FOR` and `KEPT_FOR` in `connections`.

        A family has also come to its end when it has neither an access token nor a refresh token left to use. Codes
        are kept for a day longer, for replays. Personal tokens stay: their owners see that they expired.
        """
        ...
