"""Who may come in, put together: the door, the pages of signing in, and the hub as an authorization server.

Rule: the configuration's `login`, `clients` and `users` are split here; the rooms get the few values they need. What
`login: none` does not need is not built.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from mcp_hub import __version__
from mcp_hub.authserver.pairs import KEY_NAME, Succession
from mcp_hub.config import model
from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.fetch import GuardedFetch
from mcp_hub.gateway.keys import Settings, kept_key
from mcp_hub.identity.accounts import Accounts
from mcp_hub.identity.attempts import Attempts
from mcp_hub.identity.browsers import Browsers
from mcp_hub.identity.door import TokenDoor
from mcp_hub.identity.events import Events
from mcp_hub.identity.jwt import ExternalTokens
from mcp_hub.identity.limits import Limits
from mcp_hub.identity.oidc import RelyingParty
from mcp_hub.identity.passwords import Passwords
from mcp_hub.identity.personal import PersonalTokens
from mcp_hub.identity.protected import Protected
from mcp_hub.identity.setup import Setup
from mcp_hub.issuing import Shared, authorization_server
from mcp_hub.store.base import Store
from mcp_hub.store.sweeping import keep_swept
from mcp_hub.vault.column import SealedColumn
from mcp_hub.vault.settings import SealedSettings
from mcp_hub.vault.vault import Vault
from mcp_hub.web.access import Access
from mcp_hub.web.frame import Frame
from mcp_hub.web.login import CALLBACK, LoginPages
from mcp_hub.web.login import Provider as LoginProvider
from mcp_hub.web.lookers import Doorway, Members
from mcp_hub.web.setup import PATH as SETUP_PATH
from mcp_hub.web.setup import SetupPage
from mcp_hub.web.site import Part
from mcp_hub.web.users import Users
from mcp_hub.web.visitors import FORM_KEY, Visitors
from mcp_hub.web.well_known import EndpointMetadata


@dataclass(frozen=True, slots=True)
class Entrance:
    """What a hub with a login has beside its endpoint. `runs` have to run for it, and `setup` makes the first admin.

    `doorway` is where those come in who look at pages; `None` if nobody can sign in here.
    """

    base_url: str
    door: TokenDoor
    frame: Frame
    parts: tuple[Part, ...]
    doorway: Doorway | None
    setup: Setup | None
    runs: Mapping[str, Callable[[], Awaitable[None]]]

    async def setup_link(self) -> str | None:
        """The URL where the first admin is made, good once and for ten minutes; `None` if none is needed.

        Raises:
            StoreFailed: the store does not answer.
        """
        code = None if self.setup is None else await self.setup.offer()
        return None if code is None else f"{self.base_url}{SETUP_PATH}?code={code}"


@dataclass(frozen=True, slots=True)
class _People:
    """Those who may come in, and how they are known."""

    accounts: Accounts
    browsers: Browsers
    setup: Setup
    tokens: PersonalTokens


@dataclass(frozen=True, slots=True)
class _Basis:
    """What all parts of the entrance share."""

    store: Store
    events: Events
    limits: Limits
    frame: Frame
    visitors: Visitors
    people: _People


async def open_entrance(config: model.Config, store: Store, vault: Vault, stack: AsyncExitStack) -> Entrance:
    """The entrance of a hub whose login is not `none`; `stack` closes what it opened.

    Raises:
        StoreFailed: the store does not answer.
        Unsealable: one of the hub's own keys was not put into the store by a hub.
    """
    fetch = GuardedFetch(Dialer(allow_private=config.network.allow_private))
    stack.push_async_callback(fetch.aclose)
    settings = SealedSettings(store, vault)
    basis = await _basis(config, store, settings, stack)
    await basis.people.accounts.settle()
    protected = _protected(config)
    door = _door(config.login, store, protected, fetch, stack)
    parts: list[Part] = [EndpointMetadata([protected], [_path_of(config.server.endpoint)])]
    if config.login.issues_tokens:
        succession = Succession(await kept_key(settings, KEY_NAME))
        shared = Shared(store, basis.events, basis.limits, basis.frame, basis.visitors, succession)
        provider = _provider(config, store, vault, fetch, stack)
        parts += [*_pages(config, basis, provider), *authorization_server(config, shared, fetch, stack)]
    setup = basis.people.setup if config.login.type == "local" else None
    runs = {"the door": door.run, "what has expired": partial(keep_swept, store, time.time)}
    return Entrance(
        config.server.base_url, door, basis.frame, tuple(parts), _doorway(config.login, basis.visitors), setup, runs
    )


def _doorway(login: model.Login, visitors: Visitors) -> Doorway | None:
    return Doorway(Members(visitors), visitors) if login.issues_tokens else None


def _door(
    login: model.Login, store: Store, protected: Protected, fetch: GuardedFetch, stack: AsyncExitStack
) -> TokenDoor:
    outside = None if login.external is None else ExternalTokens(login.external, fetch)
    if outside is not None:
        stack.push_async_callback(outside.aclose)
    door = TokenDoor(store, [protected], issues=login.issues_tokens, outside=outside)
    store.on_access_taken(door.forget)
    stack.push_async_callback(door.aclose)
    return door


async def _basis(config: model.Config, store: Store, settings: Settings, stack: AsyncExitStack) -> _Basis:
    events, limits, passwords = Events(store), Limits(), Passwords()
    stack.push_async_callback(events.aclose)
    stack.callback(passwords.close)
    people = _people(config, store, limits, events, passwords)
    visitors = Visitors(people.browsers, base_url=config.server.base_url, key=await kept_key(settings, FORM_KEY))
    return _Basis(store, events, limits, Frame(__version__), visitors, people)


def _people(config: model.Config, store: Store, limits: Limits, events: Events, passwords: Passwords) -> _People:
    accounts = Accounts(
        store,
        passwords,
        Attempts(limits),
        events,
        declared=config.users,
        provider=config.login.provider,
    )
    browsers = Browsers(store, config.login.lifetimes)
    setup = Setup(store, store, passwords, limits, events)
    return _People(accounts, browsers, setup, PersonalTokens(store, events))


def _provider(
    config: model.Config, store: Store, vault: Vault, fetch: GuardedFetch, stack: AsyncExitStack
) -> LoginProvider | None:
    provider = config.login.provider
    if provider is None:
        return None
    callback, sealer = f"{config.server.base_url}{CALLBACK}", SealedColumn(vault, "pending", "payload")
    party = RelyingParty(provider, callback, store, fetch=fetch, sealer=sealer)
    stack.push_async_callback(party.aclose)
    return LoginProvider(urlsplit(provider.issuer).netloc, party)


def _pages(config: model.Config, basis: _Basis, provider: LoginProvider | None) -> list[Part]:
    people, frame, visitors = basis.people, basis.frame, basis.visitors
    first: list[Part] = [] if provider else [SetupPage(frame, visitors, setup=people.setup, browsers=people.browsers)]
    return [
        *first,
        LoginPages(
            frame,
            visitors,
            accounts=people.accounts,
            browsers=people.browsers,
            limits=basis.limits,
            events=basis.events,
            provider=provider,
        ),
        Users(
            frame,
            visitors,
            accounts=people.accounts,
            grants=basis.store,
            tokens=people.tokens,
            events=basis.events,
            now=time.time,
        ),
        Access(
            frame,
            visitors,
            grants=basis.store,
            sessions=basis.store,
            browsers=people.browsers,
            accounts=people.accounts,
            tokens=people.tokens,
            events=basis.events,
            endpoint=config.server.endpoint,
            now=time.time,
        ),
    ]


def _protected(config: model.Config) -> Protected:
    external = config.login.external
    if external is not None:
        return Protected(config.server.endpoint, (external.issuer,), external.scopes)
    return Protected(config.server.endpoint, (config.server.base_url,))


def _path_of(url: str) -> str:
    return urlsplit(url).path
