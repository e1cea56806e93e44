"""The hub as an authorization server, put together.

Rule: addresses that strangers may choose (documents and keys of clients) are fetched by a door of their own, which
leads to public addresses only, whatever private networks the operator allows for upstreams. Hosts of documents that
the operator names are the operator's choice, and so are the clients of the configuration; where a document of such a
host leads to, is a stranger's choice again.
"""

import time
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import final

from mcp_hub.authserver.client_auth import ClientProofs
from mcp_hub.authserver.clients import ClientKind, Clients
from mcp_hub.authserver.consents import Consents
from mcp_hub.authserver.documents import PublishedDocuments, host_of
from mcp_hub.authserver.pairs import Succession
from mcp_hub.authserver.paths import TOKEN
from mcp_hub.authserver.registration import Registration
from mcp_hub.authserver.token_endpoint import TokenEndpoint
from mcp_hub.authserver.tokens import Tokens
from mcp_hub.config import model
from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.fetch import MOST_BYTES, MOST_SECONDS, Document, Fetch, GuardedFetch
from mcp_hub.identity.events import Events
from mcp_hub.identity.jose import KeySets
from mcp_hub.identity.limits import Limits
from mcp_hub.store.base import Store
from mcp_hub.web.authorize import Authorize
from mcp_hub.web.consent import ConsentPages
from mcp_hub.web.frame import Frame
from mcp_hub.web.register import Description, Registrations
from mcp_hub.web.site import Part
from mcp_hub.web.token import TokenRoutes
from mcp_hub.web.visitors import Visitors


@dataclass(frozen=True, slots=True)
class Shared:
    """What the authorization server shares with the other pages of the hub, and the key of its refresh tokens."""

    store: Store
    events: Events
    limits: Limits
    frame: Frame
    visitors: Visitors
    succession: Succession


@dataclass(frozen=True, slots=True)
class _Outside:
    """How the hub learns of clients that live elsewhere."""

    documents: PublishedDocuments
    keys: dict[ClientKind, KeySets]


def authorization_server(
    config: model.Config, shared: Shared, operators: GuardedFetch, stack: AsyncExitStack
) -> list[Part]:
    """Its routes; `stack` ends what it fetches. `operators` is the door to what the operator chose."""
    issuer, login = config.server.base_url, config.login
    store, events, limits = shared.store, shared.events, shared.limits
    outside = _outside(login, limits, operators, stack)
    clients = Clients(config.clients, store, outside.documents, time.time)
    parts: list[Part] = [
        Description(issuer, registration=login.registration),
        _authorize(config, shared, clients),
        TokenRoutes(_token_endpoint(config, shared, clients, outside), limits),
    ]
    if login.registration:
        parts.append(Registrations(Registration(store, limits, events, time.time)))
    return parts


def _outside(login: model.Login, limits: Limits, operators: GuardedFetch, stack: AsyncExitStack) -> _Outside:
    strangers = GuardedFetch(Dialer(allow_private=()))
    stack.push_async_callback(strangers.aclose)
    published = _ByHost(login.client_documents or (), operators, strangers)
    fetches: dict[ClientKind, Fetch] = {
        ClientKind.CONFIGURED: operators,
        ClientKind.DOCUMENT: published,
        ClientKind.REGISTERED: strangers,
    }
    keys = {kind: KeySets(fetch, time.time) for kind, fetch in fetches.items()}
    documents = PublishedDocuments(published, limits, login.client_documents, time.time)
    for each in (*keys.values(), documents):
        stack.push_async_callback(each.aclose)
    return _Outside(documents, keys)


@final
class _ByHost:
    """`Fetch` through the door of the operator for the hosts that the operator names, and of strangers for all others.

    For addresses of documents and of their keys. A host that is named without a port is named with all of them.
    """

    def __init__(self, named: Collection[str], operators: Fetch, strangers: Fetch) -> None:
        self._named = frozenset(host.lower() for host in named)
        self._operators = operators
        self._strangers = strangers

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        most: int = MOST_BYTES,
        seconds: float = MOST_SECONDS,
    ) -> Document:
        """See `Fetch`."""
        return await self._door(url).get(url, headers=headers, most=most, seconds=seconds)

    async def post(
        self,
        url: str,
        form: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        most: int = MOST_BYTES,
        seconds: float = MOST_SECONDS,
    ) -> Document:
        """See `Fetch`."""
        return await self._door(url).post(url, form, headers=headers, most=most, seconds=seconds)

    def _door(self, url: str) -> Fetch:
        host = host_of(url) or ""
        is_named = host in self._named or host.partition(":")[0] in self._named
        return self._operators if is_named else self._strangers


def _authorize(config: model.Config, shared: Shared, clients: Clients) -> Authorize:
    return Authorize(
        issuer=config.server.base_url,
        resources=(config.server.endpoint,),
        clients=clients,
        consents=Consents(shared.store, clients, shared.events, time.time),
        limits=shared.limits,
        pages=ConsentPages(shared.frame),
        visitors=shared.visitors,
    )


def _token_endpoint(config: model.Config, shared: Shared, clients: Clients, outside: _Outside) -> TokenEndpoint:
    issuer, store, events = config.server.base_url, shared.store, shared.events
    tokens = Tokens(
        store,
        clients,
        events,
        succession=shared.succession,
        resources=(config.server.endpoint,),
        lifetimes=config.login.lifetimes,
        now=time.time,
    )
    proofs = ClientProofs(issuer, f"{issuer}{TOKEN}", outside.keys, store, time.time)
    return TokenEndpoint(store, clients, proofs, tokens, events)
