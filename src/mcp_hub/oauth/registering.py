"""How the hub comes to be a client of an authorization server, for one upstream.

Rule: the first of these ways that is open is taken, and none is tried that the server does not offer. A registration
is kept under the server it was made at, and is never used at another. It is not changed afterwards but for its secret,
so nobody who connected under it is logged out by a change.

1. The operator configured a client id.
2. The hub publishes a document about itself, if the server takes one and can fetch it.
3. The hub registers itself (RFC 7591), if the server has a place for that.
4. The operator has to register it there, and is told how.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, cast, final
from urllib.parse import urlsplit

import structlog

from mcp_hub.config.model import OAuth
from mcp_hub.oauth.document import AuthMethod, callback_of, document_url, is_public
from mcp_hub.oauth.dynamic import Dynamic, Refused, Registered
from mcp_hub.oauth.server import Client, Server
from mcp_hub.principal import DEFAULT_TENANT
from mcp_hub.secret import Secret
from mcp_hub.single_flight import SingleFlight
from mcp_hub.store.connections import Registration, Source

AHEAD: Final = 24 * 3600.0
"""Seconds before a secret ends in which no connection is begun with it any more."""

_log: Final = structlog.stdlib.get_logger("mcp_hub.oauth")


class RegistrationFailed(Exception):
    """The hub is no client there. `code` is a word of ours, `public` says whose turn it is."""

    def __init__(self, code: str, public: str) -> None:
        super().__init__(public)
        self.code = code
        self.public = public


class RegistrationStore(Protocol):
    """What is asked of the store; see `ConnectionStore`."""

    async def add_registration(self, registration: Registration, *, instead_of: str | None) -> Registration:
        """See `ConnectionStore`."""
        ...

    async def registrations(self, tenant: str, upstream: str) -> list[Registration]:
        """See `ConnectionStore`."""
        ...

    async def put_secret(
        self, registration: str, *, was: bytes | None, secret: bytes | None, previous: bytes | None
    ) -> bool:
        """See `ConnectionStore`."""
        ...

    async def retire_registration(self, registration: str, at: float) -> None:
        """See `ConnectionStore`."""
        ...


class SealedRegistrations(Protocol):
    """Keeps the secrets of registrations unreadable in the store. What is sealed for one opens for no other."""

    def with_secrets(
        self,
        registration: Registration,
        *,
        secret: Secret | None,
        previous_secret: Secret | None = None,
        management: Secret | None = None,
    ) -> Registration:
        """The registration with these in the place of what it has."""
        ...

    async def client(self, registration: Registration) -> Client:
        """The registration with its secrets opened.

        Raises:
            HubFault: they cannot be.
        """
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """The registration that is right now, but for its secrets."""

    source: Source
    client_id: str
    auth_method: str
    secret: Secret | None = None


@final
class Registering:
    """The hub's registrations. `base_url` is where the hub is known. Belongs to one event loop."""

    def __init__(
        self,
        store: RegistrationStore,
        sealed: SealedRegistrations,
        dynamic: Dynamic,
        *,
        base_url: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._sealed = sealed
        self._dynamic = dynamic
        self._base_url = base_url
        self._now = now
        self._flights: SingleFlight[tuple[str, str], Client] = SingleFlight()

    async def known(self, upstream: str, said: OAuth, server: Server) -> Source | None:
        """How the hub is known there, or can be without asking; `None` if it would register itself.

        Raises:
            RegistrationFailed: there is no way, or the operator has to act first.
            HubFault: the store or the vault fails.
        """
        wanted = await self._wanted(upstream, said, server)
        if wanted is not None:
            return wanted.source
        own = await self._own(upstream, server)
        self._require_place(upstream, server)
        return None if own is None else own.source

    async def client(self, upstream: str, said: OAuth, server: Server) -> Client:
        """The hub as a client there, registered now if it was not. Of many who ask at once, one registers it.

        Raises:
            RegistrationFailed: as above, or the server did not take it.
            HubFault: the store or the vault fails.
        """
        wanted = await self._wanted(upstream, said, server)
        if wanted is not None:
            return await self._settled(upstream, server.issuer, wanted)
        own = await self._own(upstream, server)
        if own is not None:
            return await self._sealed.client(own)
        self._require_place(upstream, server)
        return await self._flights.run((upstream, server.issuer), lambda: self._registered(upstream, server))

    async def settle(self, upstream: str, said: OAuth) -> None:
        """Put the configured secret in the place of another one, wherever the client id is the configured one.

        The one before is kept beside it, until the new one was taken. Whoever connected before stays connected.

        Raises:
            HubFault: the store or the vault fails.
        """
        if said.client_id is None or said.client_secret is None:
            return
        for each in await self._all(upstream):
            if each.source is Source.CONFIGURED and each.client_id == said.client_id:
                await self._with_secret(each, said.client_secret)

    async def forgotten(self, registration: Registration) -> None:
        """The server does not know the hub any more: if it registered itself there, it does so anew the next time."""
        if registration.source is Source.REGISTERED:
            _log.warning("a registration is not known any more", upstream=registration.upstream)
            await self._store.retire_registration(registration.id, self._now())

    async def aclose(self) -> None:
        """End what is under way."""
        await self._flights.aclose()

    # What is right without asking the server

    async def _wanted(self, upstream: str, said: OAuth, server: Server) -> Wanted | None:
        if said.client_id is not None:
            if said.issuer is None:
                await self._require_same_issuer(upstream, said.client_id, server)
            method = configured_method(server.auth_methods, has_secret=said.client_secret is not None)
            return Wanted(Source.CONFIGURED, said.client_id, method, said.client_secret)
        url = self._document(upstream, said, server)
        return None if url is None else Wanted(Source.DOCUMENT, url, document_method(server.auth_methods))

    def _document(self, upstream: str, said: OAuth, server: Server) -> str | None:
        if not server.takes_documents:
            return None
        if said.document_url is not None:
            return said.document_url
        method = document_method(server.auth_methods)
        return document_url(self._base_url, upstream, method) if is_public(self._base_url) else None

    async def _require_same_issuer(self, upstream: str, client_id: str, server: Server) -> None:
        """A client id is for one server; that the upstream names another one now must not send it there."""
        others = {
            each.issuer
            for each in await self._all(upstream)
            if each.source is Source.CONFIGURED and each.client_id == client_id
        }
        if others and server.issuer not in others:
            host = urlsplit(server.issuer).netloc
            raise RegistrationFailed("issuer_changed", _MOVED.format(name=upstream, host=host))

    async def _settled(self, upstream: str, issuer: str, wanted: Wanted) -> Client:
        """The registration as it is wanted; what is in use and differs in more than its secret is so no longer."""
        used = await self._in_use(upstream, issuer)
        if used is not None and _is(used, self._callback(upstream), wanted):
            return await self._with_secret(used, wanted.secret)
        fresh = self._sealed.with_secrets(self._fresh(upstream, issuer, wanted), secret=wanted.secret)
        return await self._added(fresh, used)

    async def _added(self, fresh: Registration, used: Registration | None) -> Client:
        kept = await self._store.add_registration(fresh, instead_of=None if used is None else used.id)
        return await self._sealed.client(kept)

    async def _with_secret(self, registration: Registration, secret: Secret | None) -> Client:
        client = await self._sealed.client(registration)
        if client.secret == secret or secret is None:
            return client
        changed = self._sealed.with_secrets(registration, secret=secret, previous_secret=client.secret)
        await self._store.put_secret(
            registration.id, was=registration.secret, secret=changed.secret, previous=changed.previous_secret
        )
        return Client(changed, secret, client.secret)

    # Dynamic registration

    async def _own(self, upstream: str, server: Server) -> Registration | None:
        """The registration in use, if it is of the hub's own making and still good for a while."""
        used = await self._in_use(upstream, server.issuer)
        if used is None or (used.source, used.redirect_uri) != (Source.REGISTERED, self._callback(upstream)):
            return None
        is_good = used.secret_expires_at is None or used.secret_expires_at > self._now() + AHEAD
        return used if is_good else None

    def _require_place(self, upstream: str, server: Server) -> None:
        if server.registration_endpoint is None:
            host, callback = urlsplit(server.issuer).netloc, self._callback(upstream)
            raise RegistrationFailed("ask_admin", _ASK.format(name=upstream, host=host, callback=callback))

    async def _registered(self, upstream: str, server: Server) -> Client:
        try:
            given = await self._dynamic.register(server, self._base_url, upstream)
        except Refused as error:
            host, callback = urlsplit(server.issuer).netloc, self._callback(upstream)
            template = _DOWN if error.is_temporary else _REJECTED
            public = template.format(name=upstream, host=host, callback=callback, why=error)
            raise RegistrationFailed("registration_failed", public) from error
        wanted = Wanted(Source.REGISTERED, given.client_id, given.auth_method, given.secret)
        fresh = self._fresh(upstream, server.issuer, wanted, given)
        sealed = self._sealed.with_secrets(fresh, secret=given.secret, management=given.management)
        return await self._added(sealed, await self._in_use(upstream, server.issuer))

    # Rows

    def _fresh(self, upstream: str, issuer: str, wanted: Wanted, given: Registered | None = None) -> Registration:
        return Registration(
            id=secrets.token_urlsafe(16),
            tenant=DEFAULT_TENANT,
            upstream=upstream,
            issuer=issuer,
            client_id=wanted.client_id,
            auth_method=wanted.auth_method,
            redirect_uri=self._callback(upstream),
            source=wanted.source,
            secret=None,
            previous_secret=None,
            management=None,
            secret_expires_at=None if given is None else given.secret_expires_at,
            created_at=self._now(),
        )

    async def _in_use(self, upstream: str, issuer: str) -> Registration | None:
        return next((each for each in await self._all(upstream) if each.issuer == issuer and not each.retired_at), None)

    async def _all(self, upstream: str) -> list[Registration]:
        return await self._store.registrations(DEFAULT_TENANT, upstream)

    def _callback(self, upstream: str) -> str:
        return callback_of(self._base_url, upstream)


def _is(registration: Registration, callback: str, wanted: Wanted) -> bool:
    has = (registration.client_id, registration.redirect_uri, registration.source, registration.auth_method)
    return has == (wanted.client_id, callback, wanted.source, wanted.auth_method)


def configured_method(offered: Sequence[str] | None, *, has_secret: bool) -> str:
    """How the hub proves itself where the operator registered it. Where nothing is said, RFC 8414 says Basic."""
    if has_secret:
        return "client_secret_post" if offered and _only_post(offered) else "client_secret_basic"
    return "private_key_jwt" if offered and "none" not in offered and "private_key_jwt" in offered else "none"


def _only_post(offered: Sequence[str]) -> bool:
    return "client_secret_post" in offered and "client_secret_basic" not in offered


def document_method(offered: Sequence[str] | None) -> AuthMethod:
    """How the hub proves itself where it is known by a document."""
    return "private_key_jwt" if "private_key_jwt" in (offered or ()) else cast("AuthMethod", "none")


_ASK: Final = (
    "{name} has people sign in at {host}, where the hub is not registered and cannot register itself. Tell the hub's"
    " operator: register an app there with the redirect URI {callback}, and put its client_id and client_secret into"
    " the configuration of {name}."
)
_REJECTED: Final = (
    "{name} has people sign in at {host}, where the hub tried to register itself, but {why}. Tell the hub's operator:"
    " register an app there with the redirect URI {callback}, and put its client_id and client_secret into the"
    " configuration of {name}."
)
_DOWN: Final = (
    "{name} has people sign in at {host}, where the hub tried to register itself, but {why}. Try again in a moment; if"
    " it lasts, tell the hub's operator."
)
_MOVED: Final = (
    "{name} now has people sign in at {host}, which is not where the hub's client id for it was used until now, so"
    " nothing was sent there. Tell the hub's operator: if that is right, the configuration of {name} has to name it as"
    " the issuer, with a client_id of that server."
)
