"""A grant, renewed by one process at a time.

Rule: whoever has the lease asks, once, and what comes back is stored before anything else happens; whoever has not
waits for the next version. Nothing that may pass costs a grant: only the server's word that it is over, for tokens that
nobody has replaced meanwhile, makes its user act. A grant that is gone is not brought back, and what was got for it is
ended at the other side. Sources: RFC 6749 section 10.4; RFC 9700 section 4.14.

| what happened                            | the grant                                             | whose turn |
|------------------------------------------|-------------------------------------------------------|------------|
| new tokens                               | next version; the old refresh token if none came      |            |
| no answer, 5xx, 429, nothing usable      | as it was                                             | server     |
| `invalid_grant`                          | marked, unless there is another version by now        | user       |
| `invalid_client`, `unauthorized_client`  | as it was, once the secret before this one was tried  | admin      |
| `invalid_scope`                          | asked once more without scopes                        |            |
| another refusal                          | as it was                                             | user       |
| there is no refresh token                | marked                                                | user       |
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, NamedTuple, Protocol, final

from mcp_hub.errors import HubFault, StoreFailed
from mcp_hub.oauth.client_proof import CannotProve
from mcp_hub.oauth.refreshing import GrantOver, NotRenewed, Refreshing
from mcp_hub.oauth.sealed import open_refresh_token, renewed
from mcp_hub.oauth.server import Client, Tokens
from mcp_hub.oauth.token_calls import TokenCallFailed, TokenCalls
from mcp_hub.store.connections import Grant, GrantState, Renewed, Whose
from mcp_hub.vault.vault import Vault

LEASE: Final = 15.0
"""Seconds for which one process alone may renew a grant: longer than one call of a token endpoint may take."""
POLL: Final = 0.075
"""Seconds between two looks for the version that another process gets."""
LOOKS: Final = 14
"""After this many looks, which is about a second, whoever waits asks for the lease itself."""
WRITES: Final = 6
"""How often it is tried to store what was got."""
NO_WAY: Final = "The access has ended, and its server gave no way to renew it."

_log: Final = logging.getLogger(__name__)


class GrantStore(Protocol):
    """The part of the store that keeps grants; see `ConnectionStore`. Every method raises `StoreFailed` only."""

    async def grant(self, whose: Whose) -> Grant | None: ...
    async def lease_grant(self, grant: str, version: int, owner: str, *, at: float, until: float) -> bool: ...
    async def renew_grant(self, grant: str, version: int, renewed: Renewed) -> bool: ...
    async def release_grant(self, grant: str, owner: str) -> None: ...
    async def mark_grant(self, grant: str, version: int, reason: str, at: float) -> bool: ...


class _Got(NamedTuple):
    """What came back for one version of a grant, until it is stored."""

    version: int
    renewed: Renewed
    client: Client
    tokens: Tokens


@final
class Renewing:
    """Renews grants. Whoever calls sees to it that in this process nobody else renews the same one meanwhile, and does
    not cancel it: what is under way then may be lost at both sides. `pause` waits for seconds; `ended`
    is told of each that its user has to make anew."""

    def __init__(
        self,
        store: GrantStore,
        vault: Vault,
        refreshing: Refreshing,
        calls: TokenCalls,
        *,
        now: Callable[[], float] = time.time,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
        ended: Callable[[Whose], object] | None = None,
    ) -> None:
        self._ended = ended
        self._store = store
        self._vault = vault
        self._refreshing = refreshing
        self._calls = calls
        self._now = now
        self._pause = pause
        self._owner = secrets.token_hex(8)
        self._got: dict[str, _Got] = {}

    async def renewed(self, known: Grant) -> Grant | None:
        """The grant in a later version than the one that is `known`, or marked, or another in its place; `None` if it
        is gone.

        Raises:
            NotRenewed: it could not be renewed now.
            HubFault: the store or the vault fails; what was got meanwhile is kept, and stored the next time.
        """
        looks = 0
        while True:
            grant = await self._store.grant(known.whose)
            if grant is None or grant.state is not GrantState.READY or not _is_same(grant, known):
                await self._let_go(known, grant)
                return grant
            if looks % LOOKS == 0 and await self._leased(grant):
                return await self._with_lease(grant)
            looks += 1
            await self._pause(POLL)

    async def _leased(self, grant: Grant) -> bool:
        at = self._now()
        return await self._store.lease_grant(grant.id, grant.version, self._owner, at=at, until=at + LEASE)

    async def _with_lease(self, grant: Grant) -> Grant | None:
        try:
            got = self._got.get(grant.id)
            if got is None or got.version != grant.version:
                got = await self._fetched(grant)
                self._got[grant.id] = got
            return await self._stored(grant, got)
        except GrantOver as error:
            return await self._marked(grant, str(error))
        except (NotRenewed, HubFault):
            await self._released(grant)
            raise

    async def _fetched(self, grant: Grant) -> _Got:
        renewal = await open_refresh_token(self._vault, grant)
        if renewal is None:
            raise GrantOver(NO_WAY)
        client, tokens = await self._refreshing.tokens(grant, renewal, lambda: self._leased(grant))
        if tokens.refresh_token is None:
            tokens = replace(tokens, refresh_token=renewal)
        return _Got(grant.version, renewed(self._vault, grant, tokens, self._now()), client, tokens)

    async def _stored(self, grant: Grant, got: _Got) -> Grant | None:
        if await self._write(grant, got.renewed):
            del self._got[grant.id]
            return _after(grant, got.renewed)
        now = await self._store.grant(grant.whose)
        await self._let_go(grant, now)
        return now

    async def _write(self, grant: Grant, renewed: Renewed) -> bool:
        for attempt in range(WRITES - 1):
            try:
                return await self._store.renew_grant(grant.id, grant.version, renewed)
            except StoreFailed:
                await self._pause(POLL * 2**attempt)
        return await self._store.renew_grant(grant.id, grant.version, renewed)

    async def _marked(self, grant: Grant, reason: str) -> Grant | None:
        # Does nothing where somebody else was first; what there is then counts.
        is_mine = await self._store.mark_grant(grant.id, grant.version, reason, self._now())
        if is_mine and self._ended is not None:
            self._ended(grant.whose)
        return await self._store.grant(grant.whose)

    async def _let_go(self, grant: Grant, now: Grant | None) -> None:
        """Somebody else was first. What came back for a grant that is gone is nobody's; where its user has connected
        anew it is left alone, since with it some servers would end that connection, too."""
        got = self._got.pop(grant.id, None)
        if got is None or now is not None or grant.revocation_endpoint is None:
            return
        tokens = got.tokens
        try:
            if tokens.refresh_token is not None:
                await self._calls.revoke(got.client, grant.revocation_endpoint, tokens.refresh_token, "refresh_token")
            await self._calls.revoke(got.client, grant.revocation_endpoint, tokens.access_token, "access_token")
        except (TokenCallFailed, CannotProve) as error:
            _log.warning("what was got for a connection that had ended was not revoked: %s", error)

    async def _released(self, grant: Grant) -> None:
        if grant.id in self._got:
            return  # nobody else can renew this version any more, and what was got is stored soon
        try:
            await self._store.release_grant(grant.id, self._owner)
        except StoreFailed:
            _log.warning("a lease could not be ended; it ends by itself after %g s", LEASE)


def _is_same(grant: Grant, known: Grant) -> bool:
    return (grant.id, grant.version) == (known.id, known.version)


def _after(grant: Grant, renewed: Renewed) -> Grant:
    return replace(
        grant,
        access_token=renewed.access_token,
        refresh_token=renewed.refresh_token,
        expires_at=renewed.expires_at,
        scopes=renewed.scopes,
        refreshed_at=renewed.at,
        state=GrantState.READY,
        reason="",
        version=grant.version + 1,
    )
