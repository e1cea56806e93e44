"""What is asked for a grant at its own authorization server, and what the answers mean for it.

Rule: pure but for the calls. A grant is refreshed with the registration it was given under, whatever the hub is
registered as by now (RFC 6749 section 6), and a client secret that was replaced is tried once more before anybody is
troubled. Only the server's word that it is over ends a grant. Sources: RFC 6749 sections 5.2 and 6; RFC 8707.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, Literal, Protocol, final
from urllib.parse import urlsplit

from mcp_hub.errors import StoreFailed
from mcp_hub.oauth.client_proof import CannotProve
from mcp_hub.oauth.server import Client, Tokens
from mcp_hub.oauth.token_calls import Denied, NoAnswer, TokenCalls, Unusable
from mcp_hub.secret import Secret
from mcp_hub.store.connections import Grant, Registration, Source

_OVER: Final = frozenset({"invalid_grant", "bad_refresh_token", "invalid_refresh_token"})
_CLIENT: Final = frozenset({"invalid_client", "unauthorized_client", "incorrect_client_credentials"})

_log: Final = logging.getLogger(__name__)

Hold = Callable[[], Awaitable[bool]]
"""Makes sure that there is time for one more call; `False` if there is none."""


class Registrations(Protocol):
    """The hub's registrations, opened."""

    async def client(self, registration: str) -> Client | None:
        """The one of this id, retired or not; `None` if it is gone. Raises: HubFault."""
        ...


class SecretStore(Protocol):
    """The part of the store that keeps secrets of registrations; see `ConnectionStore`."""

    async def put_secret(
        self, registration: str, *, was: bytes | None, secret: bytes | None, previous: bytes | None
    ) -> bool: ...


class NotRenewed(Exception):
    """The grant stays as it was. The text is a public sentence; `turn` is whose turn it is."""

    def __init__(self, why: str, turn: Literal["server", "admin", "user"], retry_after: float | None = None) -> None:
        super().__init__(why)
        self.turn: Final = turn
        self.retry_after: Final = retry_after


class GrantOver(Exception):
    """The server says that the grant is over. The text is a public sentence."""


@final
class Refreshing:
    """Asks for new tokens. `forgotten` is told of a registration that its server does not know any more."""

    def __init__(
        self,
        store: SecretStore,
        registrations: Registrations,
        calls: TokenCalls,
        *,
        forgotten: Callable[[Registration], Awaitable[object]],
    ) -> None:
        self._forgotten = forgotten
        self._store = store
        self._registrations = registrations
        self._calls = calls

    async def tokens(self, grant: Grant, renewal: Secret, hold: Hold) -> tuple[Client, Tokens]:
        """New tokens for this refresh token, and as which client they were got. `hold` is asked before a second call.

        Raises:
            GrantOver: there are none, and never will be.
            NotRenewed: there are none now.
            HubFault: the store or the vault fails.
        """
        server = server_of(grant)
        client = await self._registrations.client(grant.registration)
        if client is None:
            raise NotRenewed(f"The hub's registration at {server} is gone.", "admin")
        try:
            return await self._as_client(client, grant, renewal, hold)
        except Denied as refusal:
            raise await self._meant(refusal, client, server) from refusal
        except NoAnswer as error:
            raise NotRenewed(_failed(server, error), "server", error.retry_after) from error
        except Unusable as error:
            raise NotRenewed(_failed(server, error), "server") from error
        except CannotProve as error:
            raise NotRenewed(f"The hub cannot ask {server}: {error}.", "admin") from error

    async def _as_client(self, client: Client, grant: Grant, renewal: Secret, hold: Hold) -> tuple[Client, Tokens]:
        try:
            tokens = await self._ask(client, grant, renewal, hold)
        except Denied as refusal:
            if refusal.code not in _CLIENT or client.previous_secret is None or not await hold():
                raise
            client = replace(client, secret=client.previous_secret)
            return client, await self._ask(client, grant, renewal, hold)
        await self._settled(client)
        return client, tokens

    async def _ask(self, client: Client, grant: Grant, renewal: Secret, hold: Hold) -> Tokens:
        try:
            return await self._asked(client, grant, renewal, say_scopes=True)
        except Denied as refusal:
            if refusal.code != "invalid_scope" or not grant.scopes or not await hold():
                raise
        return await self._asked(client, grant, renewal, say_scopes=False)

    async def _asked(self, client: Client, grant: Grant, renewal: Secret, *, say_scopes: bool) -> Tokens:
        return await self._calls.refresh(
            client,
            grant.token_endpoint,
            refresh_token=renewal,
            scopes=grant.scopes,
            resource=grant.resource,
            say_scopes=say_scopes,
        )

    async def _meant(self, refusal: Denied, client: Client, server: str) -> Exception:
        code = refusal.code
        if code in _OVER:
            return GrantOver(f"{server} has ended the access.")
        if code in _CLIENT and client.registration.source is Source.REGISTERED:
            # Where the hub registered itself, it does so again when somebody connects.
            await self._forgotten(client.registration)
            return NotRenewed(f"{server} does not know this hub any more.", "user")
        if code in _CLIENT:
            return NotRenewed(f"{server} does not take the hub's client id or its proof any more.", "admin")
        if code == "invalid_target":
            return NotRenewed(f"{server} does not take the upstream's address as a resource any more.", "admin")
        if not code:
            return NotRenewed(_failed(server, refusal), "server")
        return NotRenewed(f"{server} does not renew the access ({code}).", "user")

    async def _settled(self, client: Client) -> None:
        """The secret in use is taken there: the one before it is not needed any more."""
        known = client.registration
        if known.previous_secret is None:
            return
        try:
            await self._store.put_secret(known.id, was=known.secret, secret=known.secret, previous=None)
        except StoreFailed:
            _log.warning("a secret that is not needed any more could not be forgotten; that is tried again")


def server_of(grant: Grant) -> str:
    """What the authorization server of a grant is called for people: its host."""
    return urlsplit(grant.token_endpoint).hostname or "the authorization server"


def _failed(server: str, error: Exception) -> str:
    return f"The access could not be renewed at {server}: {error}."
