"""The hub as a client with other people's credentials, put together: registrations, grants, pasted keys.

Rule: what an upstream's configuration says of credentials is split here; the rooms get the few values they need.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final, final

from mcp_hub.config import model
from mcp_hub.credentials.decide import SignIn, decide_declared
from mcp_hub.credentials.pasted import PastedKeys
from mcp_hub.credentials.watchers import Watchers
from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.fetch import GuardedFetch
from mcp_hub.identity.events import Events, Kind
from mcp_hub.oauth.authorizing import Authorizing
from mcp_hub.oauth.client_key import ClientKey, kept_client_key
from mcp_hub.oauth.client_proof import Prover
from mcp_hub.oauth.connection import What
from mcp_hub.oauth.connections import OK, Connections, Parts
from mcp_hub.oauth.deciding import Deciding
from mcp_hub.oauth.declared import Declared
from mcp_hub.oauth.discovery import Discovery
from mcp_hub.oauth.dynamic import Dynamic
from mcp_hub.oauth.grants import Grants
from mcp_hub.oauth.opened import GrantsInUse, Registered, Seals
from mcp_hub.oauth.refreshing import Refreshing
from mcp_hub.oauth.registering import Registering
from mcp_hub.oauth.renewing import Renewing
from mcp_hub.oauth.revoking import Revoking
from mcp_hub.oauth.token_calls import TokenCalls
from mcp_hub.principal import Principal
from mcp_hub.store.base import Store
from mcp_hub.store.connections import Whose
from mcp_hub.store.sweeping import keep_swept
from mcp_hub.vault.column import SealedColumn
from mcp_hub.vault.settings import SealedSettings
from mcp_hub.vault.vault import Vault

Run = Callable[[], Awaitable[None]]
_ELSEWHERE: Final = "Start 'mcp-hub serve' with the same configuration, which has the page for that. "
_NO_PAGE: Final = (
    "That is done on a page of the hub after signing in, and a client that has started the hub itself (mcp-hub stdio)"
    " does not sign in: have it use the hub that 'mcp-hub serve' serves."
)


@dataclass(frozen=True, slots=True)
class Connecting:
    """The connections of a hub. `runs` have to run for them."""

    connections: Connections
    runs: Mapping[str, Run]


@dataclass(frozen=True, slots=True)
class _Basis:
    """What the parts share."""

    store: Store
    vault: Vault
    settings: SealedSettings
    seals: Seals
    registered: Registered
    fetch: GuardedFetch
    key: ClientKey
    calls: TokenCalls
    watchers: Watchers
    noted: "_Noted"
    now: Callable[[], float]


async def open_connections(
    config: model.Config,
    store: Store,
    vault: Vault,
    stack: AsyncExitStack,
    now: Callable[[], float] = time.time,
    *,
    over_http: bool = True,
) -> Connecting:
    """The connections of a hub of this configuration; `stack` closes what it opened. `now` gives unix seconds. A hub
    that is not served `over_http` has no pages itself.

    Raises:
        StoreFailed: the store does not answer.
        Unsealable: something of the hub's own was not put into the store by a hub.
    """
    declared = [declared_of(each) for each in config.upstreams.values() if each.is_served]
    basis = await _basis(config, store, vault, stack, now)
    keys = PastedKeys(store, vault, basis.watchers, now)
    stack.push_async_callback(keys.flush)
    registering = _registering(config, basis, stack)
    grants, in_use = _grants(basis, registering, stack)
    for each in declared:
        await registering.settle(each.name, each.said)
    parts = Parts(
        discovery=_discovery(basis, stack),
        deciding=await _deciding(basis, declared),
        registering=registering,
        authorizing=_authorizing(basis, registering),
        grants=in_use,
        keys=keys,
        notes=basis.noted,
        jwks=basis.key.jwks,
    )
    runs: dict[str, Run] = {
        "changes of connections": basis.watchers.run,
        "the use of connections": grants.run,
        "the use of keys": keys.run,
    }
    if config.login.type == "none":  # else it runs for the entrance
        runs["what has expired"] = partial(keep_swept, store, now)
    has_login = config.login.type != "none"
    first = "" if over_http else _NO_PAGE if has_login else _ELSEWHERE
    connections = Connections(
        declared, store, parts, config.server.base_url, pages=over_http or not has_login, first=first
    )
    return Connecting(connections, runs)


async def open_revoking(config: model.Config, store: Store, vault: Vault, stack: AsyncExitStack) -> Revoking:
    """What ends connections for an operator, whether a hub runs or not; `stack` closes what it opened.

    Raises:
        StoreFailed, Unsealable: as `open_connections`.
    """
    basis = await _basis(config, store, vault, stack, time.time)
    revoking = Revoking(store, vault, basis.registered, basis.calls)
    stack.push_async_callback(revoking.aclose)
    return revoking


def declared_of(upstream: model.Upstream) -> Declared:
    """An upstream, as its callers connect with it."""
    auth = upstream.auth
    return Declared(
        name=upstream.name,
        title=upstream.title or upstream.name,
        url=upstream.url or "",
        sign_in=decide_declared(upstream).sign_in,
        said=auth if isinstance(auth, model.OAuth) else model.OAuth(),
        header=auth if isinstance(auth, model.OwnHeader) else None,
        also=upstream.headers,
    )


async def _basis(
    config: model.Config, store: Store, vault: Vault, stack: AsyncExitStack, now: Callable[[], float]
) -> _Basis:
    fetch = GuardedFetch(Dialer(allow_private=config.network.allow_private))
    stack.push_async_callback(fetch.aclose)
    settings, seals = SealedSettings(store, vault), Seals(vault)
    key = await kept_client_key(settings)
    calls = TokenCalls(fetch, Prover(key, now=now), now)
    registered = Registered(store, seals)
    noted = _noted(store, stack, now)
    return _Basis(store, vault, settings, seals, registered, fetch, key, calls, Watchers(store), noted, now)


def _grants(basis: _Basis, registering: Registering, stack: AsyncExitStack) -> tuple[Grants, GrantsInUse]:
    store, vault, now = basis.store, basis.vault, basis.now
    refreshing = Refreshing(store, basis.registered, basis.calls, forgotten=registering.forgotten)
    renewing = Renewing(store, vault, refreshing, basis.calls, now=now, ended=basis.noted.ended)
    grants = Grants(store, vault, renewing, basis.watchers, now=now)
    revoking = Revoking(store, vault, basis.registered, basis.calls)
    in_use = GrantsInUse(basis.seals, grants, revoking)
    for close in (grants.aclose, revoking.aclose, in_use.aclose):
        stack.push_async_callback(close)
    return grants, in_use


def _registering(config: model.Config, basis: _Basis, stack: AsyncExitStack) -> Registering:
    dynamic = Dynamic(basis.fetch, basis.key.jwks)
    registering = Registering(basis.store, basis.seals, dynamic, base_url=config.server.base_url, now=basis.now)
    stack.push_async_callback(registering.aclose)
    return registering


def _discovery(basis: _Basis, stack: AsyncExitStack) -> Discovery:
    discovery = Discovery(basis.fetch, basis.now)
    stack.push_async_callback(discovery.aclose)
    return discovery


async def _deciding(basis: _Basis, declared: list[Declared]) -> Deciding:
    urls = {each.name: each.url for each in declared if each.sign_in is SignIn.UNDECIDED}
    deciding = Deciding(basis.settings, basis.store, urls, basis.now)
    await deciding.recall()
    return deciding


def _authorizing(basis: _Basis, registering: Registering) -> Authorizing:
    sealer = SealedColumn(basis.vault, "pending", "payload")
    return Authorizing(
        basis.store, sealer, basis.calls, registered=basis.registered, forgotten=registering.forgotten, now=basis.now
    )


def _noted(store: Store, stack: AsyncExitStack, now: Callable[[], float]) -> "_Noted":
    events = Events(store, now=now)
    stack.push_async_callback(events.aclose)
    return _Noted(events)


@final
class _Noted:
    """What happens to connections, in the record of events."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def note(self, what: What, outcome: str, *, caller: Principal | None, upstream: str) -> None:
        """See `Notes`."""
        self._events.note(Kind(what.value), outcome, actor=caller, about=upstream)

    def ended(self, whose: Whose) -> None:
        """A connection is of no use any more, and its user has to act."""
        caller = Principal(whose.issuer, whose.subject, whose.tenant)
        self.note(What.RECONNECT_NEEDED, OK, caller=caller, upstream=whose.upstream)
