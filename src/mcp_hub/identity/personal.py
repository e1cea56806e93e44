"""Personal tokens: what people give to scripts, and to clients that cannot open a browser.

Rule: a token is shown once, when it is made. It can do no more than whoever made it, and ends when they do.
"""

import secrets
import time
from collections.abc import Callable
from typing import Final, final

from mcp_hub.identity.events import Events, Kind
from mcp_hub.identity.refusals import NotDone
from mcp_hub.identity.scopes import ADMIN, SUPPORTED, USE
from mcp_hub.identity.tokens import Kind as TokenKind
from mcp_hub.identity.tokens import digest, new_token
from mcp_hub.principal import ADMIN as ADMIN_ROLE
from mcp_hub.principal import DEFAULT_TENANT, Principal
from mcp_hub.secret import Secret
from mcp_hub.store.people import MOST_PERSONAL_TOKENS, PeopleStore, PersonalToken, User

MOST_NAME: Final = 100
_SHOWN: Final = 4
"""Characters behind the prefix by which people tell their tokens apart."""


@final
class PersonalTokens:
    """The personal tokens of a hub. Every method raises `StoreFailed` where the store does not answer."""

    def __init__(self, store: PeopleStore, events: Events, *, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._events = events
        self._now = now

    async def create(
        self,
        user: User,
        name: str,
        expires_in: float | None,
        scopes: frozenset[str] = frozenset({USE}),
        *,
        actor: User | Principal | None = None,
    ) -> tuple[PersonalToken, Secret]:
        """A new token of `user`, and the secret itself, which nobody can be shown again.

        `expires_in` are seconds, `None` for ever. `actor` is who makes it, if not the user.

        Raises:
            NotDone: it has no name, or there are too many.
        """
        if not 0 < len(name) <= MOST_NAME or not name.isprintable():
            raise NotDone(f"A token needs a name of 1 to {MOST_NAME} characters, on one line.", "name")
        if not scopes or not scopes <= set(SUPPORTED):
            raise NotDone(f"A token can be for {' or '.join(SUPPORTED)}, and for nothing else.", "scopes")
        if ADMIN in scopes and ADMIN_ROLE not in user.roles:
            raise NotDone("Only an admin's token may administer the hub. Make its owner an admin first.", "scopes")
        secret, at = new_token(TokenKind.PERSONAL), self._now()
        token = PersonalToken(
            id=secrets.token_hex(6),
            digest=digest(secret),
            tenant=user.tenant,
            user=user.id,
            name=name,
            prefix=secret.open()[: len(TokenKind.PERSONAL) + _SHOWN],
            scopes=scopes,
            created_at=at,
            expires_at=None if expires_in is None else at + expires_in,
            used_at=None,
        )
        if not await self._store.add_personal_token(token):
            sentence = f"No token was made: one account has at most {MOST_PERSONAL_TOKENS}. Revoke one, then try again."
            raise NotDone(sentence)
        self._events.note(Kind.PERSONAL_TOKEN_CREATED, actor=actor or user, about=token.id)
        return token, secret

    async def list(self, user: User) -> "list[PersonalToken]":
        """Those of one user, the newest first."""
        return await self._store.personal_tokens(user.tenant, user.id)

    async def revoke(self, user: User, token: str) -> bool:
        """End the token of this id, if it is this user's; `False` if there is none."""
        return await self._revoke(user.tenant, token, user.id, user)

    async def list_all(self, tenant: str = DEFAULT_TENANT) -> "list[PersonalToken]":
        """Those of everybody, the newest first: for the operator."""
        return await self._store.personal_tokens(tenant)

    async def revoke_any(self, token: str, *, actor: User | Principal, tenant: str = DEFAULT_TENANT) -> bool:
        """End the token of this id, whosever it is: for the operator."""
        return await self._revoke(tenant, token, None, actor)

    async def _revoke(self, tenant: str, token: str, user: str | None, actor: User | Principal) -> bool:
        ended = await self._store.revoke_personal_token(tenant, token, user)
        if ended:
            self._events.note(Kind.PERSONAL_TOKEN_REVOKED, actor=actor, about=token)
        return ended
