"""What renews grants in one hub, put together by hand: over a store, in front of one authorization server."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from mcp_hub.credentials.needed import Place
from mcp_hub.credentials.watchers import Watchers
from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.fetch import GuardedFetch
from mcp_hub.errors import RefusedCredential
from mcp_hub.oauth.client_proof import Prover
from mcp_hub.oauth.granted import Granted
from mcp_hub.oauth.grants import Grants
from mcp_hub.oauth.refreshing import Refreshing
from mcp_hub.oauth.renewing import Renewing
from mcp_hub.oauth.revoking import Revoking
from mcp_hub.oauth.sealed import open_access_token, open_client, open_refresh_token, with_secrets, with_tokens
from mcp_hub.oauth.server import Client, Tokens
from mcp_hub.oauth.token_calls import TokenCalls
from mcp_hub.principal import Principal
from mcp_hub.secret import Secret
from mcp_hub.store.connections import Grant, GrantState, Registration, Source, Whose
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.vault.master import Given
from mcp_hub.vault.vault import Vault
from mcp_hub.vault.written import from_text
from rig.misbehaving_as import MisbehavingAS

MASTER = base64.b64encode(bytes(range(32))).decode()
ADA = Principal("idp", "ada", label="ada@example.com", email="ada@example.com")
PLACE = Place("github", "GitHub", "https://hub.example/connect/github")
RESOURCE = "https://up.example/mcp"


class Clock:
    """Unix seconds that only a test moves on."""

    def __init__(self, at: float | None = None) -> None:
        self.at = time.time() if at is None else at

    def __call__(self) -> float:
        return self.at


class StoredRegistrations:
    """The registrations in a store."""

    def __init__(self, store: SqliteStore, vault: Vault, now: Callable[[], float]) -> None:
        self._store, self._vault, self._now = store, vault, now

    async def client(self, registration: str) -> Client | None:
        found = await self._store.registration(registration)
        return None if found is None else await open_client(self._vault, found)

    async def forgotten(self, registration: Registration) -> None:
        await self._store.retire_registration(registration.id, self._now())


@dataclass
class Keeper:
    """One process's part of a hub. `slow` counts what it waited for; `seen` is the token that a credential carries."""

    store: Any
    vault: Vault
    grants: Grants
    revoking: Revoking
    watchers: Watchers
    registrations: StoredRegistrations
    now: Callable[[], float]

    def access(self, caller: Principal = ADA, place: Place = PLACE) -> Granted:
        return self.grants.access(caller, place)

    async def grant(self, caller: Principal = ADA) -> Grant | None:
        return await self.store.grant(Whose(*caller.key, PLACE.upstream))

    async def tokens(self, caller: Principal = ADA) -> tuple[str, str]:
        """The access and the refresh token that are stored."""
        grant = await self.grant(caller)
        assert grant is not None
        renewal = await open_refresh_token(self.vault, grant)
        return (await open_access_token(self.vault, grant)).open(), "" if renewal is None else renewal.open()


async def unlocked(store: SqliteStore) -> Vault:
    return await Vault.unlock(store, Given(from_text(MASTER, "the test")))


@asynccontextmanager
async def keeping(
    path: str | Path = ":memory:",
    *,
    now: Callable[[], float] = time.time,
    store_as: Callable[[SqliteStore], Any] = lambda store: store,
    pause: Callable[[float], Any] = asyncio.sleep,
) -> AsyncIterator[Keeper]:
    """A part of a hub over this file, until the end of the block; `store_as` puts something around the store."""
    bare, fetch = SqliteStore.open(path), GuardedFetch(Dialer(allow_private=[ip_network("127.0.0.0/8")]))
    store, vault = store_as(bare), await unlocked(bare)
    registrations = StoredRegistrations(bare, vault, now)
    calls, watchers = TokenCalls(fetch, Prover(now=now), now), Watchers(bare)
    renewing = Renewing(
        store,
        vault,
        Refreshing(store, registrations, calls, forgotten=registrations.forgotten),
        calls,
        now=now,
        pause=pause,
    )
    grants = Grants(store, vault, renewing, watchers, now=now)
    revoking = Revoking(store, vault, registrations, calls)
    try:
        yield Keeper(store, vault, grants, revoking, watchers, registrations, now)
    finally:
        await grants.aclose()
        await revoking.aclose()
        await fetch.aclose()
        await bare.aclose()


async def registered(keeper: Keeper, server: MisbehavingAS, **more: Any) -> Registration:
    """The hub's registration there; `more` replaces what is stored, and the secrets."""
    known = server.clients.get("hub") or server.admit()
    secrets = {"secret": Secret(known.secret or ""), **{n: more.pop(n) for n in list(more) if n.endswith("secret")}}
    bare = Registration(
        *("r1", "default", "github", server.issuer, "hub", known.method, "https://hub.example/cb", Source.CONFIGURED),
        *(None, None, None, None, keeper.now()),
    )
    made = with_secrets(keeper.vault, replace(bare, **more), **secrets)
    return await keeper.store.add_registration(made, instead_of=None)


async def connected(
    keeper: Keeper,
    server: MisbehavingAS,
    caller: Principal = ADA,
    *,
    lasts: float | None = 3600.0,
    renews: bool = True,
    scopes: str = "read",
    registration: str = "r1",
    **more: Any,
) -> dict[str, Any]:
    """A grant as if this caller had just connected; gives what the server gave. `more` replaces what is stored."""
    if await keeper.store.registration(registration) is None:
        await registered(keeper, server)
    given, at = server.give(subject=caller.subject, scopes=scopes, resource=RESOURCE), keeper.now()
    whose = Whose(*caller.key, PLACE.upstream)
    bare = Grant(
        id=f"g-{given['access_token'][-8:]}",
        whose=whose,
        registration=registration,
        authorization_server=server.issuer,
        token_endpoint=server.token_endpoint,
        revocation_endpoint=server.revocation_endpoint,
        resource=RESOURCE,
        scopes=frozenset(),
        wanted=frozenset(),
        access_token=b"",
        refresh_token=None,
        expires_at=None,
        state=GrantState.READY,
        reason="",
        account="",
        version=1,
        created_at=at,
        refreshed_at=at,
        used_at=None,
    )
    tokens = Tokens(
        Secret(given["access_token"]),
        Secret(given["refresh_token"]) if renews else None,
        None if lasts is None else at + lasts,
        frozenset(scopes.split()),
    )
    await keeper.store.put_grant(with_tokens(keeper.vault, replace(bare, **more), tokens))
    return given


def token_in(credential: Any) -> str:
    """What a request would carry."""
    return credential.open().decode().strip().removeprefix("Authorization: Bearer ")


def refusal(status: int = 401, challenge: str = "") -> RefusedCredential:
    """What the upstream answered."""
    return RefusedCredential("github", "refused", status=status, challenges=(challenge,) if challenge else ())
