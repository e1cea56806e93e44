"""Who there is and how they are known: the records of accounts, browser sessions and personal tokens.

Rule: what lets somebody in is stored as a digest (SHA-256 of a random secret, argon2 of a password), never as itself.
Whatever takes access away also raises the store's `access_generation`, in the same transaction, so that every process
forgets what it believed. Times are unix seconds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

MOST_BROWSER_SESSIONS: Final = 100
"""How many browser sessions a user has; the oldest make room."""
MOST_PERSONAL_TOKENS: Final = 100
"""How many personal tokens a user has, expired ones included."""


@dataclass(frozen=True, slots=True)
class User:
    """An account. (`tenant`, `issuer`, `subject`) is unique; for local accounts `subject` equals `id`.

    `email` is for display, and for signing in to a local account: among those of one tenant and issuer `local` it is
    unique without regard to case. `password` is an argon2 hash; `disabled` people are let in nowhere.
    """

    id: str
    tenant: str
    issuer: str
    subject: str
    email: str
    name: str
    roles: frozenset[str]
    groups: frozenset[str]
    password: str | None
    disabled: bool
    created_at: float
    seen_at: float | None
    email_verified: bool = False
    """Whether the issuer, where it is not the hub itself, vouches for the address."""


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """One browser in which somebody is signed in. `digest` is of the cookie's value."""

    digest: bytes
    tenant: str
    user: str
    created_at: float
    used_at: float
    expires_at: float
    agent: str


@dataclass(frozen=True, slots=True)
class PersonalToken:
    """A token somebody made for a script. `id` is public and names it; `prefix` are the first characters, for people.

    `expires_at` is `None` where it does not expire.
    """

    id: str
    digest: bytes
    tenant: str
    user: str
    name: str
    prefix: str
    scopes: frozenset[str]
    created_at: float
    expires_at: float | None
    used_at: float | None


class PeopleStore(Protocol):
    """The part of a store that knows people. Every method raises `StoreFailed` and nothing else.

    An address is compared without regard to case, and an empty one is nobody's. When something was seen or used last
    only ever moves on. What belongs to an account is never kept without it.
    """

    async def access_generation(self) -> int:
        """A number that grows whenever access is taken away from anybody, by whatever process."""
        ...

    def on_access_taken(self, tell: Callable[[], object]) -> None:
        """Call `tell`, which must not fail, whenever this process has taken access away: before the method that did
        so returns, and even if its caller is cancelled meanwhile. There is one `tell`."""
        ...

    async def add_user(self, user: User) -> bool:
        """Insert; `False`, and nothing changed, if the account, its id or the local email exists."""
        ...

    async def update_user(self, user: User, *, was: User | None = None) -> bool:
        """Replace the row of this id and tenant, but for `seen_at`. Raises the access generation.

        Give `was` where the new row was made from an old one: then only if all but `seen_at` still is as it was, so
        that what somebody else did meanwhile (disable, a new role) is not undone. `False`, and nothing changed: it is
        not, there is no such account, or another one has this subject or local email.
        """
        ...

    async def see_user(self, user: str, at: float) -> None:
        """Note when somebody was seen last."""
        ...

    async def remove_user(self, user: str) -> None:
        """Delete the account with its browser sessions, personal tokens, codes and families. Raises the generation.

        The principal it stood for loses their grants, pasted keys and remembered catalogs, which raises the connection
        generation."""
        ...

    async def user(self, user: str) -> User | None:
        """The account of this id."""
        ...

    async def user_known_as(self, tenant: str, issuer: str, subject: str) -> User | None:
        """The account that this issuer calls `subject`."""
        ...

    async def user_by_email(self, tenant: str, issuer: str, email: str) -> User | None:
        """The account of this issuer with this address, without regard to case; `None` too if several have it."""
        ...

    async def users(self, tenant: str) -> list[User]:
        """All accounts of a tenant, by email."""
        ...

    async def add_first_admin(self, user: User) -> bool:
        """Insert, if no enabled account of this tenant has the role `admin`; of many at once, one wins.

        `False`, and nothing changed, also where `add_user` says so.
        """
        ...

    async def keep_browser_session(self, session: BrowserSession) -> None:
        """Insert; a user's oldest above `MOST_BROWSER_SESSIONS` make room, which raises the generation. Without the
        account nothing is kept."""
        ...

    async def browser_session(self, digest: bytes) -> BrowserSession | None:
        """The session of this cookie, expired or not."""
        ...

    async def touch_browser_session(self, digest: bytes, at: float) -> None:
        """Note its use; one that was dropped stays away."""
        ...

    async def drop_browser_session(self, digest: bytes) -> None:
        """Delete it. Raises the access generation."""
        ...

    async def browser_sessions(self, user: str) -> list[BrowserSession]:
        """All of a user, the last used first."""
        ...

    async def sign_out(self, user: str) -> None:
        """End all browser sessions and families of a user, and codes under way. Raises the access generation."""
        ...

    async def add_personal_token(self, token: PersonalToken) -> bool:
        """Insert. `False`, and nothing changed: no such account, or it has `MOST_PERSONAL_TOKENS`."""
        ...

    async def personal_token(self, digest: bytes) -> PersonalToken | None:
        """The token of this digest, expired or not."""
        ...

    async def personal_tokens(self, tenant: str, user: str | None = None) -> list[PersonalToken]:
        """Those of a tenant, or of one user, the newest first."""
        ...

    async def touch_personal_tokens(self, used: Sequence[tuple[bytes, float]]) -> None:
        """Note when tokens were used last, all or none."""
        ...

    async def revoke_personal_token(self, tenant: str, token: str, user: str | None = None) -> bool:
        """Delete the token of this id, if it is `user`'s where one is given. Raises the generation. `False`: none."""
        ...
