"""Everybody's own connections: how each caller stands with each upstream, and how they make and end a connection.

Rule: whatever is asked here is asked for one caller, and acts on nobody else's. No answer holds a secret.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, final
from urllib.parse import urlsplit

from mcp_hub.config.model import OwnHeader
from mcp_hub.credentials.access import Access
from mcp_hub.credentials.brought import brought_access
from mcp_hub.credentials.claimed import claimed_access
from mcp_hub.credentials.decide import SignIn
from mcp_hub.credentials.needed import Place
from mcp_hub.credentials.pasted import PastedAccess, PastedKeys, UnusableKey
from mcp_hub.credentials.state import State
from mcp_hub.errors import ConnectionNeeded, RefusedCredential
from mcp_hub.oauth.asked import asked
from mcp_hub.oauth.authorizing import Authorizing, Back, Made, Plan
from mcp_hub.oauth.connection import ConnectFailed, Connection, Ending, Finished, Prospect, What
from mcp_hub.oauth.deciding import Deciding
from mcp_hub.oauth.declared import Declared
from mcp_hub.oauth.discovery import Discovery, DiscoveryFailed, NotOffered
from mcp_hub.oauth.document import document, named
from mcp_hub.oauth.registering import Registering, RegistrationFailed
from mcp_hub.oauth.server import Client, Found, Tokens
from mcp_hub.oauth.standing import of_grant, of_key, standing
from mcp_hub.oauth.unanswered import Unanswered
from mcp_hub.principal import Principal
from mcp_hub.secret import Secret
from mcp_hub.store.connections import Grant, PastedKey, Whose
from mcp_hub.wire.jsonrpc import Json


class Store(Protocol):
    """What is asked of the store; see `ConnectionStore`."""

    async def grant(self, whose: Whose) -> Grant | None:
        """See `ConnectionStore`."""
        ...

    async def put_grant(self, grant: Grant) -> Grant | None:
        """See `ConnectionStore`."""
        ...

    async def key(self, whose: Whose) -> PastedKey | None:
        """See `ConnectionStore`."""
        ...

    async def drop_key(self, whose: Whose) -> bool:
        """See `ConnectionStore`."""
        ...


class Grants(Protocol):
    """The grants of everybody, in use."""

    def access(self, caller: Principal, place: Place, also: Mapping[str, Secret]) -> Access:
        """The caller's own way to a credential there; the same one each time, while it is in use. `also` are headers
        that go there for everybody."""
        ...

    def sealed(self, grant: Grant, tokens: Tokens) -> Grant:
        """A new grant with these tokens in it."""
        ...

    async def end(self, whose: Whose) -> Ending:
        """Delete somebody's grant, then have it ended at the other side."""
        ...

    def trouble(self, whose: Whose) -> str:
        """Why somebody's grant could not be renewed the last time, in a public sentence; empty if it could."""
        ...

    def replaced(self, old: Grant, new: Grant) -> None:
        """A grant took the place of another, which is not needed any more at the other side either."""
        ...


class Notes(Protocol):
    """The record of what happened."""

    def note(self, what: What, outcome: str, *, caller: Principal | None, upstream: str) -> None:
        """Note it; neither waits nor fails. `outcome` is `ok`, or a word of ours."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What connections are made of."""

    discovery: Discovery
    deciding: Deciding
    registering: Registering
    authorizing: Authorizing
    grants: Grants
    keys: PastedKeys
    notes: Notes
    jwks: Callable[[], Json]


OK: Final = "ok"


@final
class Connections:
    """The connections of everybody, with these upstreams. Belongs to one event loop. `base_url` is the hub's.

    Every method that takes a name raises `KeyError` for an upstream that is not declared or, but for `sign_in`, where
    callers have no connection of their own; those that wait raise `HubFault` where the store or the vault fails.
    `pages` is whether they can be opened, and `first` what is said before (see `Place`).
    """

    def __init__(
        self,
        declared: Sequence[Declared],
        store: Store,
        parts: Parts,
        base_url: str,
        *,
        pages: bool = True,
        first: str = "",
    ) -> None:
        self._declared = {each.name: each for each in declared}
        self._store = store
        self._parts = parts
        self._base_url = base_url
        self._pages = pages
        self._first = first
        self._unanswered = Unanswered()

    def sign_in(self, upstream: str) -> SignIn:
        """How callers come by a credential for this upstream. `UNDECIDED` until it has been asked."""
        declared = self._declared[upstream]
        if declared.sign_in is SignIn.UNDECIDED and self._parts.deciding.signs_in(upstream):
            return SignIn.OAUTH
        return declared.sign_in

    async def signs_in(self, upstream: str, refusal: RefusedCredential) -> bool:
        """Whether an undecided upstream, which has refused to answer without a credential, has people sign in.

        If it has, that is remembered, for as long as its URL is the same: from then on `sign_in` says so. Otherwise it
        is found out anew after a while. Never raises for what the other side does.
        """
        declared, deciding = self._declared[upstream], self._parts.deciding
        if self.sign_in(upstream) is SignIn.UNDECIDED and deciding.is_due(upstream):
            outcome = await self._parts.discovery.find(declared.target, challenges=refusal.challenges)
            if isinstance(outcome, Found):
                await self._decided(upstream, outcome)
            else:
                deciding.nothing(upstream)
        return self.sign_in(upstream) is SignIn.OAUTH

    def access(self, caller: Principal, upstream: str) -> Access:
        """The caller's own way to a credential there, to be kept by whoever sends with it."""
        declared, place = self._own(upstream), self._place(upstream)
        match self.sign_in(upstream):
            case SignIn.OAUTH:
                return self._parts.grants.access(caller, place, declared.also)
            case SignIn.PASTED:
                return PastedAccess(self._parts.keys, caller, place, _header(declared), declared.also)
            case SignIn.BROUGHT:
                return brought_access(caller, place, _header(declared), declared.also)
            case _:
                return claimed_access(caller, place, _header(declared), declared.also)

    # How a caller stands

    async def shown(self, caller: Principal) -> list[Connection]:
        """How the caller stands with each upstream where callers have a connection of their own, as declared."""
        return [await self.one(caller, name) for name in self._declared if self.sign_in(name).is_own]

    async def one(self, caller: Principal, upstream: str) -> Connection:
        """How the caller stands with one of them."""
        declared, whose = self._own(upstream), Whose(*caller.key, upstream)
        match self.sign_in(upstream):
            case SignIn.OAUTH:
                return of_grant(declared, await self._store.grant(whose), self._parts.grants.trouble(whose))
            case SignIn.PASTED:
                return of_key(declared, await self._store.key(whose))
            case other:
                return await self._given(declared, other, caller)

    # Connecting

    async def prospect(self, caller: Principal, upstream: str) -> Prospect:
        """What connecting would mean, before anything is done.

        Raises:
            ConnectFailed: they cannot connect; nothing was changed.
        """
        declared, grant = self._connectable(upstream), await self._grant(caller, upstream)
        found = await self._found(declared, grant)
        try:
            source = await self._parts.registering.known(upstream, declared.said, found.server)
        except RegistrationFailed as error:
            raise self._failed(error.code, error.public, found) from error
        scopes = asked(declared.said, found, declared.url, grant).scopes
        has = frozenset[str]() if grant is None else grant.scopes
        return Prospect(
            upstream=upstream,
            title=declared.title,
            host=declared.host,
            server=urlsplit(found.server.authorization_endpoint).netloc,
            scopes=tuple(sorted(scopes)),
            added=tuple(sorted(scopes - has)) if has else (),
            source=source,
            trace=found.trace,
        )

    async def begin(self, caller: Principal, upstream: str, browser: bytes, *, window: bool = False) -> str:
        """The address to send the caller's browser to, where they sign in. Registers the hub there if need be.

        `browser` is the digest of the browser's cookie: the connection ends in that browser or nowhere.

        Raises:
            ConnectFailed: they cannot connect now; the sentence says whose turn it is.
        """
        declared, grant = self._connectable(upstream), await self._grant(caller, upstream)
        found = await self._found(declared, grant)
        what, whose = asked(declared.said, found, declared.url, grant), Whose(*caller.key, upstream)
        if self.sign_in(upstream) is SignIn.UNDECIDED:
            await self._decided(upstream, found)
        client = await self._client(declared, found)
        if self._unanswered.is_vain(whose, client.registration.id):
            await self._parts.registering.forgotten(client.registration)
            client = await self._client(declared, found)
        return await self._parts.authorizing.begin(
            Plan(whose, declared.stands_for, found.server, client, what, browser, window=window)
        )

    async def finish(
        self, upstream: str, query: Sequence[tuple[str, str]], caller: Principal | None, browser: bytes
    ) -> Finished:
        """Make the connection with what came back to `upstream`'s callback in that browser, where `caller` is signed
        in; `None` if nobody is.

        Raises:
            ConnectFailed: nothing was stored, for one of the reasons of the table in `flow`.
        """
        declared = self._connectable(upstream)
        if caller is not None:
            self._unanswered.came_back(Whose(*caller.key, upstream))
        back = Back(upstream, declared.title, declared.stands_for, query, caller, browser)
        try:
            made = await self._parts.authorizing.finish(back)
        except ConnectFailed as error:
            self._note(What.CONNECT_REFUSED, error.code, caller, upstream)
            raise
        await self._keep(made, declared.place)
        if declared.sign_in is SignIn.UNDECIDED:
            await self._parts.deciding.remember(upstream)
        self._note(What.CONNECTED, OK, caller, upstream)
        return Finished(upstream, declared.title, made.grant.account, made.window)

    async def paste(self, caller: Principal, upstream: str, key: Secret) -> None:
        """Keep a key of the caller's for an upstream that takes one; it replaces the one before.

        Raises:
            ConnectFailed: this cannot be a key; nothing was changed.
        """
        if self.sign_in(upstream) is not SignIn.PASTED:
            raise KeyError(upstream)
        try:
            await self._parts.keys.paste(Whose(*caller.key, upstream), key, self._declared[upstream].place)
        except UnusableKey as error:
            raise ConnectFailed(error.public, "unusable_key") from error
        self._note(What.KEY_PASTED, OK, caller, upstream)

    async def disconnect(self, caller: Principal, upstream: str) -> Ending:
        """End the caller's connection, or forget their key. The hub's copy is gone before the other side is asked."""
        self._own(upstream)
        whose = Whose(*caller.key, upstream)
        if self.sign_in(upstream) is SignIn.OAUTH:
            ending = await self._parts.grants.end(whose)
        else:
            ending = Ending.NO_WAY if await self._store.drop_key(whose) else Ending.NOTHING
        if ending is not Ending.NOTHING:
            self._note(What.DISCONNECTED, ending.value, caller, upstream)
        return ending

    # What is published of the hub

    def client_document(self, name: str) -> Json | None:
        """What is published at `/oauth/client/{name}`, where `name` ends with `.json`; `None` if nothing is."""
        said = named(name)
        if said is None or said[0] not in self._declared:
            return None
        return document(self._base_url, *said) if self.sign_in(said[0]) in _BY_SIGN_IN else None

    def jwks(self) -> Json:
        """What is published at `/oauth/jwks.json`: the public half of the hub's key."""
        return self._parts.jwks()

    # Inside

    async def _given(self, declared: Declared, sign_in: SignIn, caller: Principal) -> Connection:
        """By what this very request brought, or by who they are: nothing of it is stored."""
        try:
            await self.access(caller, declared.name).credential()
        except ConnectionNeeded as needed:
            return standing(declared, sign_in, State(needed.state), needed.public)
        if sign_in is SignIn.CLAIM:
            return standing(declared, sign_in, State.READY, f"{declared.title} is told who you are.")
        sentence = f"Your client sends your credential in the header {_header(declared).word}."
        return standing(declared, sign_in, State.READY, sentence)

    def _own(self, upstream: str) -> Declared:
        if not self.sign_in(upstream).is_own:
            raise KeyError(upstream)
        return self._declared[upstream]

    def _connectable(self, upstream: str) -> Declared:
        """One whose users sign in, or may."""
        if self.sign_in(upstream) not in _BY_SIGN_IN:
            raise KeyError(upstream)
        return self._declared[upstream]

    def _place(self, upstream: str) -> Place:
        declared = self._declared[upstream]
        page = f"{self._base_url}/connect/{upstream}" if self._pages else None
        return Place(upstream, declared.title, page, declared.place, self._first)

    async def _grant(self, caller: Principal, upstream: str) -> Grant | None:
        """What they gave for where it is now: what was for another place says nothing of this one."""
        grant = await self._store.grant(Whose(*caller.key, upstream))
        return grant if grant is not None and grant.place == self._declared[upstream].place else None

    async def _found(self, declared: Declared, grant: Grant | None) -> Found:
        """Where they sign in. Whoever connects anew does so because something changed, so nothing known is used."""
        bound = None if grant is None else grant.authorization_server
        outcome = await self._parts.discovery.find(declared.target, bound=bound, fresh=grant is not None)
        if isinstance(outcome, DiscoveryFailed):
            raise ConnectFailed(outcome.public, outcome.code, trace=outcome.trace)
        is_undecided = self.sign_in(declared.name) is SignIn.UNDECIDED
        # What lets everybody in as they are is not closed to them all because one of them would like to sign in.
        if isinstance(outcome, NotOffered) or (is_undecided and not outcome.is_refused):
            raise ConnectFailed(_NOT_OFFERED.format(title=declared.title), "not_offered", trace=outcome.trace)
        if not outcome.server.knows_pkce and not declared.said.unadvertised_pkce:
            host = urlsplit(outcome.server.issuer).netloc
            raise self._failed("no_pkce", _NO_PKCE.format(title=declared.title, host=host), outcome)
        return outcome

    async def _decided(self, upstream: str, found: Found) -> None:
        """Its users sign in: certain where it says so, else guessed, and seen for sure when the first has."""
        if found.server.has_metadata:
            await self._parts.deciding.remember(upstream)
        else:
            self._parts.deciding.believe(upstream)

    async def _client(self, declared: Declared, found: Found) -> Client:
        try:
            return await self._parts.registering.client(declared.name, declared.said, found.server)
        except RegistrationFailed as error:
            raise self._failed(error.code, error.public, found) from error

    async def _keep(self, made: Made, place: str) -> None:
        grant = self._parts.grants.sealed(replace(made.grant, place=place), made.tokens)
        old = await self._store.put_grant(grant)
        if old is not None:
            self._parts.grants.replaced(old, grant)

    def _failed(self, code: str, public: str, found: Found) -> ConnectFailed:
        return ConnectFailed(public, code, trace=found.trace)

    def _note(self, what: What, outcome: str, caller: Principal | None, upstream: str) -> None:
        self._parts.notes.note(what, outcome, caller=caller, upstream=upstream)


_BY_SIGN_IN: Final = frozenset({SignIn.OAUTH, SignIn.UNDECIDED})


def _header(declared: Declared) -> OwnHeader:
    if declared.header is None:
        raise KeyError(declared.name)
    return declared.header


_NOT_OFFERED: Final = (
    "{title} does not say where its users sign in, so it cannot be connected. Tell the hub's operator, who can"
    " configure where, or another way to authenticate."
)
_NO_PKCE: Final = (
    "{title} has people sign in at {host}, which does not say that it protects a sign-in with PKCE, so nobody was sent"
    " there. Tell the hub's operator, who can allow it for this server if it does so all the same."
)
