"""What the hub holds of others, sealed: its secrets at authorization servers, and the tokens of its users.

Rule: a sealed value opens in its own row and column only, for the same user, upstream, authorization server and
version. So nothing can be put in the place of something else, and no token or secret be sent to another server than the
one that gave it, by whoever can write into the store.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, final

from mcp_hub.credentials.sealed_keys import key_binding
from mcp_hub.oauth.server import Client, Tokens
from mcp_hub.secret import Secret
from mcp_hub.store.connections import ConnectionStore, Grant, Registration, Renewed, Sealed
from mcp_hub.vault.resealing import BATCH, Row
from mcp_hub.vault.sealing import Binding
from mcp_hub.vault.vault import Vault

_REGISTRATIONS: Final = "registrations"
_GRANTS: Final = "grants"

_Entry = tuple[str, Binding, bytes | None]


def with_secrets(
    vault: Vault,
    registration: Registration,
    *,
    secret: Secret | None,
    previous_secret: Secret | None = None,
    management: Secret | None = None,
) -> Registration:
    """The same with these secrets in it, sealed, for `add_registration`; and for `put_secret`, which takes two."""

    def sealed(column: Sealed, value: Secret | None) -> bytes | None:
        return None if value is None else vault.seal(value.open(), _registration(registration, column))

    return replace(
        registration,
        secret=sealed(Sealed.SECRET, secret),
        previous_secret=sealed(Sealed.PREVIOUS_SECRET, previous_secret),
        management=sealed(Sealed.MANAGEMENT, management),
    )


async def open_client(vault: Vault, registration: Registration) -> Client:
    """A registration with its secrets opened.

    Raises:
        Unsealable: one was not sealed for this registration.
        StoreFailed, VaultLocked: as `Vault.open`.
    """
    secret = await _opened(vault, registration.secret, _registration(registration, Sealed.SECRET))
    previous = _registration(registration, Sealed.PREVIOUS_SECRET)
    return Client(registration, secret, await _opened(vault, registration.previous_secret, previous))


async def open_management(vault: Vault, registration: Registration) -> Secret | None:
    """What a registration is managed with; raises as `open_client`."""
    return await _opened(vault, registration.management, _registration(registration, Sealed.MANAGEMENT))


def with_tokens(vault: Vault, grant: Grant, tokens: Tokens) -> Grant:
    """A new grant with these tokens in it, sealed for its version; what else is said of them is taken over too."""
    return replace(
        grant,
        access_token=vault.seal(tokens.access_token.open(), _grant(grant, Sealed.ACCESS_TOKEN)),
        refresh_token=_sealed_refresh(vault, grant, tokens.refresh_token),
        expires_at=tokens.expires_at,
        scopes=tokens.scopes,
        account=tokens.account or grant.account,
    )


def renewed(vault: Vault, grant: Grant, tokens: Tokens, at: float) -> Renewed:
    """What a refresh of this version of a grant brought, sealed for the next one.

    Give the refresh token that was used in `tokens` again where the answer had none.
    """
    following = replace(grant, version=grant.version + 1)
    access_token = vault.seal(tokens.access_token.open(), _grant(following, Sealed.ACCESS_TOKEN))
    refresh_token = _sealed_refresh(vault, following, tokens.refresh_token)
    return Renewed(access_token, refresh_token, tokens.expires_at, tokens.scopes, at)


async def open_access_token(vault: Vault, grant: Grant) -> Secret:
    """The access token of a grant.

    Raises:
        Unsealable: it was not sealed for this version of this grant.
        StoreFailed, VaultLocked: as `Vault.open`.
    """
    return Secret((await vault.open(grant.access_token, _grant(grant, Sealed.ACCESS_TOKEN))).decode())


async def open_refresh_token(vault: Vault, grant: Grant) -> Secret | None:
    """The refresh token of a grant, if it has one; raises as `open_access_token`."""
    return await _opened(vault, grant.refresh_token, _grant(grant, Sealed.REFRESH_TOKEN))


@final
class SealedConnections:
    """Everything of connections that is sealed. A `Resealable`; its keys are column and row."""

    def __init__(self, store: ConnectionStore) -> None:
        self._store = store
        self._pages: Mapping[Sealed, Callable[[str], Awaitable[list[_Entry]]]] = {
            Sealed.ACCESS_TOKEN: partial(self._grants, Sealed.ACCESS_TOKEN),
            Sealed.KEY: self._keys,
            Sealed.MANAGEMENT: partial(self._registrations, Sealed.MANAGEMENT),
            Sealed.PREVIOUS_SECRET: partial(self._registrations, Sealed.PREVIOUS_SECRET),
            Sealed.REFRESH_TOKEN: partial(self._grants, Sealed.REFRESH_TOKEN),
            Sealed.SECRET: partial(self._registrations, Sealed.SECRET),
        }

    async def sealed_rows(self, after: str, limit: int) -> Sequence[Row]:
        """See `Resealable`."""
        seen, _, row = after.partition("/")
        found: list[Row] = []
        for column in sorted(self._pages):
            if column >= seen and len(found) < limit:
                found += await self._rows(column, row if column == seen else "", limit - len(found))
        return found

    async def replace_sealed(self, row: Row, sealed: bytes) -> bool:
        """See `Resealable`."""
        column, _, known = row.key.partition("/")
        return await self._store.reseal(Sealed(column), known, was=row.sealed, sealed=sealed)

    async def _rows(self, column: Sealed, after: str, limit: int) -> list[Row]:
        found: list[Row] = []
        while len(found) < limit and (page := await self._pages[column](after)):
            found += [Row(f"{column}/{row}", binding, sealed) for row, binding, sealed in page if sealed is not None]
            after = page[-1][0]
        return found[:limit]

    async def _registrations(self, column: Sealed, after: str) -> list[_Entry]:
        return [
            (each.id, _registration(each, column), getattr(each, column))
            for each in await self._store.all_registrations(after, BATCH)
        ]

    async def _grants(self, column: Sealed, after: str) -> list[_Entry]:
        return [
            (each.id, _grant(each, column), getattr(each, column))
            for each in await self._store.all_grants(after, BATCH)
        ]

    async def _keys(self, after: str) -> list[_Entry]:
        return [(each.id, key_binding(each), each.key) for each in await self._store.all_keys(after, BATCH)]


def _registration(registration: Registration, column: Sealed) -> Binding:
    return Binding(
        _REGISTRATIONS,
        registration.id,
        column,
        tenant=registration.tenant,
        issuer=registration.issuer,
        upstream=registration.upstream,
    )


def _grant(grant: Grant, column: Sealed) -> Binding:
    ends = grant.revocation_endpoint or ""
    row = f"{grant.id}\n{grant.registration}\n{grant.authorization_server}\n{grant.token_endpoint}\n{ends}"
    return Binding(_GRANTS, row, column, *grant.whose, version=grant.version)


def _sealed_refresh(vault: Vault, grant: Grant, token: Secret | None) -> bytes | None:
    return None if token is None else vault.seal(token.open(), _grant(grant, Sealed.REFRESH_TOKEN))


async def _opened(vault: Vault, sealed: bytes | None, binding: Binding) -> Secret | None:
    return None if sealed is None else Secret((await vault.open(sealed, binding)).decode())
