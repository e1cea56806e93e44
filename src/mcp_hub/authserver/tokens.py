"""What clients get: tokens for codes, for refresh tokens, and for themselves; and how they give them back.

Rule: the store decides who is first, and it does so in one step; what is decided here before is only whether the
request is in order. Whoever comes second with a code, or late with a refresh token, ends the family: of two who have
it, one stole it, and nobody knows which.
Sources: RFC 6749 sections 4.1.2, 4.4 and 6; RFC 7009; RFC 9700 sections 2.2.2 and 4.14.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, final

from mcp_hub.authserver.clients import Client, Clients
from mcp_hub.authserver.errors import OAuthError
from mcp_hub.authserver.pairs import Pair, Succession, answer, first_pair, stored
from mcp_hub.authserver.rules import (
    CodeRequest,
    Standing,
    check_code,
    check_resource,
    narrowed,
    refused_code,
    refused_refresh,
    standing,
)
from mcp_hub.config.model import Lifetimes
from mcp_hub.identity.events import OK, Events, Kind
from mcp_hub.identity.scopes import USE
from mcp_hub.identity.tokens import digest
from mcp_hub.principal import DEFAULT_TENANT
from mcp_hub.store.grants import Code, Family, GrantStore, Once, RefreshToken
from mcp_hub.store.people import User
from mcp_hub.wire.jsonrpc import Json

_REPLAYED: Final = "used_again"


class TokenStore(GrantStore, Protocol):
    """What of the store is needed."""

    async def user(self, user: str) -> User | None:
        """See `PeopleStore`."""
        ...


class _Known(NamedTuple):
    """A refresh token with what it hangs on."""

    token: RefreshToken
    family: Family
    user: User


@final
class Tokens:
    """The tokens of one hub. `resources` are its endpoints, the one that is meant by default first."""

    def __init__(
        self,
        store: TokenStore,
        clients: Clients,
        events: Events,
        *,
        succession: Succession,
        resources: Sequence[str],
        lifetimes: Lifetimes,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._clients = clients
        self._events = events
        self._succession = succession
        self._resources = tuple(resources)
        self._lifetimes = lifetimes
        self._now = now

    async def redeem(self, code: Code | None, asked: CodeRequest, client: Client, address: str) -> Json:
        """The answer to a code, which is `None` if nobody knows it.

        Raises:
            OAuthError: it may not be redeemed; used before, also what it became is gone.
            StoreFailed: the store could not be asked or written.
        """
        at = self._now()
        if code is None or code.client != client.id:
            raise refused_code()
        if code.family is not None:
            raise await self._replayed(code, client, address, at)
        check_code(code, asked, at)
        user = await self._user(code.user, refused_code)
        await self._clients.used(client)
        family, pair = self._family(code, client, at), first_pair(may_refresh=client.may_refresh)
        issued = stored(pair, family, code.scopes, self._lifetimes, at)
        once = await self._store.redeem(code.digest, family, issued, at)
        if once is Once.WON:
            self._note(Kind.TOKEN_ISSUED, family, address, user)
            return answer(pair, issued.access, at)
        if once is Once.LOST:
            self._note(Kind.REPLAY, family, address, user, outcome=_REPLAYED)
        raise refused_code()

    async def refresh(self, text: str, scope: str | None, resource: str | None, client: Client, address: str) -> Json:
        """The answer to a refresh token: its successors, the same for `GRACE` seconds.

        Raises:
            OAuthError: it may not be used; long used before, its family is gone.
            StoreFailed: the store could not be asked or written.
        """
        token, family, user = await self._refresh_token(text, client)
        scopes = narrowed(token.scopes, scope)
        check_resource(family.resource, resource)
        at = self._now()
        pair = self._succession.after(text)
        if standing(token, family, at) is Standing.USABLE:
            issued = stored(pair, family, scopes, self._lifetimes, at)
            await self._clients.used(client)
            if await self._store.rotate(token.digest, issued, at) is Once.WON:
                self._note(Kind.TOKEN_REFRESHED, family, address, user)
                return answer(pair, issued.access, at)
            # Somebody was first since it was looked up, or ended it.
            token, family, user = await self._refresh_token(text, client)
        return await self._again(_Known(token, family, user), pair, address)

    async def give(self, scope: str | None, resource: str | None, client: Client, address: str) -> Json:
        """An access token with which a client acts for itself, for nobody's account.

        Raises:
            OAuthError: it asks for more than there is for clients.
            StoreFailed: the store could not be written.
        """
        scopes = narrowed(frozenset({USE}), scope)
        if resource is not None and resource not in self._resources:
            raise OAuthError("invalid_target", "This is not the address of an endpoint of this hub.")
        at, pair = self._now(), first_pair(may_refresh=False)
        family = self._own_family(client, resource or self._resources[0], at)
        issued = stored(pair, family, scopes, self._lifetimes, at)
        await self._store.give(family, issued.access, at)
        self._note(Kind.TOKEN_ISSUED, family, address)
        return answer(pair, issued.access, at)

    async def revoke(self, text: str, client: Client, address: str) -> None:
        """End an access token, or with a refresh token its whole family. One that nobody knows has ended already.

        Raises:
            OAuthError: it was issued to another client.
            StoreFailed: the store could not be asked or written.
        """
        key = digest(text)
        refresh = await self._store.refresh_token(key)
        found = refresh or await self._store.access_token(key)
        if found is None:
            return
        family = found[1]
        if family.client != client.id:
            raise OAuthError("invalid_grant", "The token was issued to another client.")
        user = await self._store.user(family.user)
        if refresh is None:
            await self._store.revoke_access_token(key)
        else:
            await self._store.revoke_family(family.tenant, family.id)
        self._note(Kind.TOKEN_REVOKED, family, address, user)

    async def _replayed(self, code: Code, client: Client, address: str, at: float) -> OAuthError:
        """End what a code that was used became."""
        family = await self._store.family(code.family or "")
        user = await self._store.user(code.user)
        unused = self._family(code, client, at)
        nothing = stored(first_pair(may_refresh=False), unused, code.scopes, self._lifetimes, at)
        await self._store.redeem(code.digest, unused, nothing, at)
        if family is not None:
            self._note(Kind.REPLAY, family, address, user, outcome=_REPLAYED)
        return refused_code()

    async def _refresh_token(self, text: str, client: Client) -> "_Known":
        found = await self._store.refresh_token(digest(text))
        if found is None or found[1].client != client.id:
            raise refused_refresh()
        return _Known(*found, await self._user(found[1].user, refused_refresh))

    async def _user(self, user: str, refused: Callable[[], OAuthError]) -> User:
        found = await self._store.user(user)
        if found is None or found.disabled:
            raise refused()
        return found

    async def _again(self, known: "_Known", pair: Pair, address: str) -> Json:
        """The answer to a refresh token that was used before."""
        at = self._now()
        match standing(known.token, known.family, at):
            case Standing.REPEATED:
                found = await self._store.access_token(digest(pair.access))
                if found is not None:
                    return answer(pair, found[0], at)
            case Standing.REPLAYED:
                if await self._store.revoke_family(known.family.tenant, known.family.id):
                    self._note(Kind.REPLAY, known.family, address, known.user, outcome=_REPLAYED)
            case Standing.USABLE | Standing.ENDED:
                pass  # it ended between two looks
        raise refused_refresh()

    def _family(self, code: Code, client: Client, at: float) -> Family:
        life = self._lifetimes.refresh_token if client.may_refresh else self._lifetimes.access_token
        return Family(
            id=f"f_{secrets.token_urlsafe(12)}",
            tenant=code.tenant,
            user=code.user,
            client=client.id,
            client_name=client.name,
            resource=code.resource,
            scopes=code.scopes,
            created_at=at,
            used_at=at,
            expires_at=at + life,
        )

    def _own_family(self, client: Client, resource: str, at: float) -> Family:
        # One for all tokens that it gets for an endpoint, so that they are seen and revoked together.
        which = digest(f"{client.id}\0{resource}").hex()[:16]
        return Family(
            id=f"c_{which}",
            tenant=DEFAULT_TENANT,
            user="",
            client=client.id,
            client_name=client.name,
            resource=resource,
            scopes=frozenset({USE}),
            created_at=at,
            used_at=at,
            expires_at=at + self._lifetimes.access_token,
        )

    def _note(self, kind: Kind, family: Family, address: str, user: User | None = None, *, outcome: str = OK) -> None:
        self._events.note(kind, outcome, actor=user, client=family.client, about=family.id, address=address)
