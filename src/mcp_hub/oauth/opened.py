"""Registrations and grants, opened and in use: what the parts of this room ask of the store and the vault.

Rule: a secret is opened when it is needed, and kept by nobody here.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol, final

from mcp_hub.credentials.needed import Place
from mcp_hub.oauth.connection import Ending
from mcp_hub.oauth.granted import Granted
from mcp_hub.oauth.grants import Grants
from mcp_hub.oauth.revoking import Revoking
from mcp_hub.oauth.sealed import open_client, with_secrets, with_tokens
from mcp_hub.oauth.server import Client, Tokens
from mcp_hub.principal import Principal
from mcp_hub.secret import Secret
from mcp_hub.store.connections import Grant, Registration, Whose
from mcp_hub.vault.vault import Vault


class RegistrationStore(Protocol):
    """The registrations; see `ConnectionStore`."""

    async def registration(self, registration: str) -> Registration | None:
        """See `ConnectionStore`."""
        ...


@final
class Seals:
    """Seals and opens, with one vault."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def with_secrets(
        self,
        registration: Registration,
        *,
        secret: Secret | None,
        previous_secret: Secret | None = None,
        management: Secret | None = None,
    ) -> Registration:
        """See `SealedRegistrations`."""
        return with_secrets(
            self._vault, registration, secret=secret, previous_secret=previous_secret, management=management
        )

    async def client(self, registration: Registration) -> Client:
        """See `SealedRegistrations`."""
        return await open_client(self._vault, registration)

    def with_tokens(self, grant: Grant, tokens: Tokens) -> Grant:
        """A new grant with these tokens in it."""
        return with_tokens(self._vault, grant, tokens)


@final
class Registered:
    """The registrations by their ids, opened."""

    def __init__(self, store: RegistrationStore, seals: Seals) -> None:
        self._store = store
        self._seals = seals

    async def client(self, registration: str) -> Client | None:
        """The registration of this id, retired or not; `None` if it is gone. Raises: HubFault."""
        found = await self._store.registration(registration)
        return None if found is None else await self._seals.client(found)


@final
class GrantsInUse:
    """The grants of everybody, as `Connections` asks for them. Belongs to one event loop."""

    def __init__(self, seals: Seals, grants: Grants, revoking: Revoking) -> None:
        self._seals = seals
        self._grants = grants
        self._revoking = revoking
        self._under_way: set[asyncio.Task[Ending]] = set()

    def access(self, caller: Principal, place: Place, also: Mapping[str, Secret]) -> Granted:
        """The same one for the same caller, while somebody holds it; `also` are headers that go there for everybody."""
        return self._grants.access(caller, place, also)

    def trouble(self, whose: Whose) -> str:
        """Why somebody's grant could not be renewed the last time, in a public sentence; empty if it could."""
        return self._grants.trouble(whose)

    def sealed(self, grant: Grant, tokens: Tokens) -> Grant:
        """A new grant with these tokens in it."""
        return self._seals.with_tokens(grant, tokens)

    async def end(self, whose: Whose) -> Ending:
        """Delete somebody's grant, then have it ended at the other side."""
        return await self._revoking.disconnect(whose)

    def replaced(self, old: Grant, new: Grant) -> None:
        """Have a grant ended that another one took the place of, if that was given by another server or to another
        client of it: elsewhere the new one might end with it. Does not wait."""
        if (old.authorization_server, old.registration) != (new.authorization_server, new.registration):
            task = asyncio.ensure_future(self._revoking.revoke(old))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def aclose(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._under_way, return_exceptions=True)
