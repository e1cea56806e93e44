"""A connection, ended: here first, then at the other side.

Rule: the hub's own copy is gone before anybody is asked, so that nothing the other side does keeps it; and it is said
that it is over there only if the server has confirmed it. A renewal under way finds that there is nothing to renew any
more, and ends by itself what it got. Source: RFC 7009.
"""

import asyncio
import logging
from dataclasses import replace
from typing import Final, Literal, Protocol, final

from mcp_hub.errors import HubFault
from mcp_hub.oauth.client_proof import CannotProve
from mcp_hub.oauth.connection import Ending
from mcp_hub.oauth.refreshing import Registrations, server_of
from mcp_hub.oauth.sealed import open_access_token, open_refresh_token
from mcp_hub.oauth.server import Client
from mcp_hub.oauth.token_calls import REVOKE_SECONDS, Denied, TokenCallFailed, TokenCalls
from mcp_hub.secret import Secret
from mcp_hub.store.connections import Grant, Whose
from mcp_hub.vault.vault import Vault

Kind = Literal["refresh_token", "access_token"]
_CLIENT: Final = frozenset({"invalid_client", "unauthorized_client"})
_UNSUPPORTED: Final = "unsupported_token_type"

_log: Final = logging.getLogger(__name__)


class DroppingStore(Protocol):
    """The part of the store that ends connections; see `ConnectionStore`."""

    async def drop_grant(self, whose: Whose) -> Grant | None: ...


@final
class Revoking:
    """Ends connections."""

    def __init__(self, store: DroppingStore, vault: Vault, registrations: Registrations, calls: TokenCalls) -> None:
        self._store = store
        self._vault = vault
        self._registrations = registrations
        self._calls = calls
        self._under_way: set[asyncio.Task[Ending]] = set()

    async def disconnect(self, whose: Whose) -> Ending:
        """End the connection of this principal; how it ended at the other side, within `REVOKE_SECONDS`. A caller that
        goes away leaves the rest to be done.

        Raises:
            StoreFailed: nothing was changed.
        """
        grant = await self._store.drop_grant(whose)
        return Ending.NOTHING if grant is None else await self.revoke(grant)

    async def revoke(self, grant: Grant) -> Ending:
        """End a grant that the store has no more at the other side. Never fails."""
        task = asyncio.ensure_future(self._in_time(grant))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _in_time(self, grant: Grant) -> Ending:
        if grant.revocation_endpoint is None:
            return Ending.NO_WAY
        try:
            async with asyncio.timeout(REVOKE_SECONDS):
                await self._revoked(grant, grant.revocation_endpoint)
        except (TokenCallFailed, CannotProve, HubFault, TimeoutError) as error:
            _log.warning("%s did not confirm that a connection ended: %s", server_of(grant), error or "too slow")
            return Ending.NO_ANSWER
        return Ending.CONFIRMED

    async def _revoked(self, grant: Grant, endpoint: str) -> None:
        client = await self._registrations.client(grant.registration)
        if client is None:
            raise CannotProve("the registration is gone")
        renewal = await open_refresh_token(self._vault, grant)
        if renewal is not None:
            client = await self._end(client, endpoint, renewal, "refresh_token")
        token = await open_access_token(self._vault, grant)
        try:
            await self._end(client, endpoint, token, "access_token")
        except Denied as refusal:
            # Where access tokens cannot be ended one by one, they end with the refresh token (RFC 7009 section 2.1).
            if refusal.code != _UNSUPPORTED or renewal is None:
                raise

    async def _end(self, client: Client, endpoint: str, token: Secret, kind: Kind) -> Client:
        try:
            await self._calls.revoke(client, endpoint, token, kind)
        except Denied as refusal:
            if refusal.code not in _CLIENT or client.previous_secret is None:
                raise
            client = replace(client, secret=client.previous_secret, previous_secret=None)
            await self._calls.revoke(client, endpoint, token, kind)
        return client
