"""What a token is worth: looked up in the store if it is the hub's own, judged by its issuer's rules if not.

Rule: a token is good only while everything that it hangs on is there and allowed: itself, the grant it belongs to, the
account of its owner. It gives no more than its scopes say, and never more than its owner has.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, final

from mcp_hub.errors import HubFault
from mcp_hub.identity.principals import principal_of, shared
from mcp_hub.identity.scopes import ADMIN, reach
from mcp_hub.identity.signatures import TokenRefused
from mcp_hub.identity.tokens import Kind
from mcp_hub.principal import ADMIN as ADMIN_ROLE
from mcp_hub.principal import Principal
from mcp_hub.store.grants import AccessToken, Family
from mcp_hub.store.people import PersonalToken, User

ANYWHERE: Final = ""
"""The audience of what is good at every endpoint of this hub."""
CLIENTS: Final = "client"
"""The issuer of clients that act for themselves; `subject` is then the client's id."""
_OURS: Final = tuple(Kind)


class Undecided(HubFault):
    """Nobody can say now whose token this is; its sender is not to blame. HTTP 503."""


class TokenStore(Protocol):
    """What the door asks of the store; see `PeopleStore` and `GrantStore`."""

    async def access_generation(self) -> int:
        """See `PeopleStore`."""
        ...

    async def personal_token(self, digest: bytes) -> PersonalToken | None:
        """See `PeopleStore`."""
        ...

    async def access_token(self, digest: bytes) -> tuple[AccessToken, Family] | None:
        """See `GrantStore`."""
        ...

    async def user(self, user: str) -> User | None:
        """See `PeopleStore`."""
        ...

    async def touch_personal_tokens(self, used: Sequence[tuple[bytes, float]]) -> None:
        """See `PeopleStore`."""
        ...

    async def see_user(self, user: str, at: float) -> None:
        """See `PeopleStore`."""
        ...


class Outside(Protocol):
    """Judges the tokens of an authorization server of somebody else's."""

    async def judge(self, token: str, resource: str) -> tuple[Principal, float]:
        """Whose it is, and until when.

        Raises:
            TokenRefused: it proves nothing.
            Undecided: nobody can tell now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Worth:
    """What was found out of a token. `user` is the account it belongs to, empty where it belongs to none here."""

    principal: Principal
    audience: str
    expires_at: float
    user: str = ""
    is_outside: bool = False


@final
class Judge:
    """Judges tokens, without remembering any. See `TokenDoor` for `issues` and `outside`."""

    def __init__(
        self, store: TokenStore, now: Callable[[], float], *, issues: bool = True, outside: Outside | None = None
    ) -> None:
        self._store = store
        self._now = now
        self._issues = issues
        self._outside = outside

    async def worth(self, token: str, key: bytes, resource: str) -> Worth:
        """What a token, whose digest is `key`, is worth at this endpoint.

        Raises:
            TokenRefused: nothing.
            Undecided, StoreFailed: nobody can tell now.
        """
        if token.startswith(Kind.PERSONAL):
            return await self._personal(key)
        if token.startswith(Kind.ACCESS) and self._issues:
            return await self._issued(key, resource)
        if self._outside is None or token.startswith(_OURS):
            raise TokenRefused("it is no token of this hub")
        principal, expires_at = await self._outside.judge(token, resource)
        return Worth(principal, resource, expires_at, is_outside=True)

    async def _personal(self, key: bytes) -> Worth:
        token = await self._store.personal_token(key)
        if token is None:
            raise TokenRefused("there is no such personal token")
        expires_at = float("inf") if token.expires_at is None else token.expires_at
        self._require_time(expires_at)
        user = await self._user(token.user, token.tenant)
        return Worth(_reduced(user, token.scopes), ANYWHERE, expires_at, user.id)

    async def _issued(self, key: bytes, resource: str) -> Worth:
        found = await self._store.access_token(key)
        if found is None:
            raise TokenRefused("there is no such access token")
        token, family = found
        expires_at = min(token.expires_at, family.expires_at)
        self._require_time(expires_at)
        if family.resource != resource:
            raise TokenRefused("it was given for another endpoint")
        if not family.user:
            return Worth(_machine(family, token.scopes), resource, expires_at)
        user = await self._user(family.user, family.tenant)
        return Worth(_reduced(user, token.scopes, family.client), resource, expires_at, user.id)

    async def _user(self, name: str, tenant: str) -> User:
        user = await self._store.user(name)
        if user is None or user.disabled or user.tenant != tenant:
            raise TokenRefused("its owner may not sign in")
        return user

    def _require_time(self, expires_at: float) -> None:
        if expires_at <= self._now():
            raise TokenRefused("it has expired")


def _reduced(user: User, scopes: frozenset[str], client: str = "") -> Principal:
    """The principal of a token, with no more than the token's scopes give."""
    principal = principal_of(user, client=client, scopes=scopes)
    if ADMIN in reach(scopes):
        return principal
    return replace(principal, roles=shared(principal.roles - {ADMIN_ROLE}))


def _machine(family: Family, scopes: frozenset[str]) -> Principal:
    """A client that acts for itself and for nobody else."""
    label = family.client_name or family.client
    return Principal(CLIENTS, family.client, family.tenant, label=label, client=family.client, scopes=scopes)
