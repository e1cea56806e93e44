"""The hub as itself at an upstream: OAuth client credentials, the same for all callers.

Rule: who gets the secret is said by the operator and by nobody else: what the upstream says of its authorization server
is not even read. Sources: RFC 6749 section 4.4; RFC 7523; MCP extension `io.modelcontextprotocol/oauth-client-
credentials`.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, final
from urllib.parse import urlsplit

from mcp_hub.config import model
from mcp_hub.credentials.credential import Credential
from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.fetch import Fetch, GuardedFetch
from mcp_hub.errors import RefusedCredential, Unreachable
from mcp_hub.oauth.client_proof import CannotProve, Prover
from mcp_hub.oauth.lasting import Replaced, times
from mcp_hub.oauth.metadata import Discovery, IssuerUnavailable, Metadata, metadata_urls, safe_url
from mcp_hub.oauth.pem_key import PemKey
from mcp_hub.oauth.resources import canonical, texts
from mcp_hub.oauth.server import Client, Tokens
from mcp_hub.oauth.token_calls import Denied, TokenCallFailed, TokenCalls
from mcp_hub.principal import DEFAULT_TENANT
from mcp_hub.secret import Secret
from mcp_hub.single_flight import SingleFlight
from mcp_hub.store.connections import Registration, Source

APART: Final = 5.0
"""Seconds between two attempts after one that failed."""
_UNAUTHORIZED: Final = 401
_POST: Final = "client_secret_post"
_MOST_SECOND: Final = 64

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Held:
    token: Secret
    credential: Credential
    due: float
    until: float


@final
class Service:
    """The `Access` of all callers to one upstream at `url`. Belongs to one event loop; `now` gives unix seconds.

    `also` are the headers that go there besides.
    """

    def __init__(
        self,
        upstream: str,
        title: str,
        url: str,
        said: model.ClientCredentials,
        *,
        fetch: Fetch,
        also: Mapping[str, Secret] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._upstream = upstream
        self._also = dict(also or {})
        self._title = title
        self._said = said
        self._resource = canonical(url) if said.resource is None else said.resource or None
        self._fetch = fetch
        self._now = now
        self._discovery = Discovery(fetch, now, said.issuer, metadata_urls(said.issuer))
        self._flights: SingleFlight[str, None] = SingleFlight()
        self._replaced = Replaced()
        self._second: deque[Credential] = deque(maxlen=_MOST_SECOND)
        self._held: _Held | None = None
        self._failure: tuple[str, float] | None = None

    # What `Access` says

    def ready(self) -> Credential | None:
        """See `Access`."""
        held, now = self._held, self._now()
        return None if held is None or now >= held.due else held.credential

    async def credential(self) -> Credential:
        """See `Access`. One that is due is used on, if there is no other."""
        ready = self.ready()
        if ready is None:
            await self._renewed()
            held = self._held
            if held is None or self._now() >= held.until:
                raise self._away()
            ready = held.credential
        return ready

    async def refused(self, credential: Credential, refusal: RefusedCredential) -> Credential:
        """See `Access`. What this gives is for the one request, so that its refusal is known for the second."""
        if refusal.status != _UNAUTHORIZED or any(each is credential for each in self._second):
            raise refusal
        if self._held is not None and self._held.credential is credential:
            if not self._replaced.may_be(self._now()):
                raise refusal
            self._held = None
        await self.credential()
        if self._held is None:
            raise refusal
        again = self._bearer(self._held.token)
        self._second.append(again)
        return again

    def watch(self, changed: Callable[[], object]) -> Callable[[], None]:
        """See `Access`: it never does."""
        del changed
        return _nothing

    async def aclose(self) -> None:
        """End what is under way."""
        await self._flights.aclose()
        await self._discovery.aclose()

    # Inside

    async def _renewed(self) -> None:
        if self._failure is None or self._now() >= self._failure[1]:
            await self._flights.run(self._upstream, self._fetched)

    async def _fetched(self) -> None:
        try:
            tokens = await self._asked()
        except (TokenCallFailed, CannotProve, IssuerUnavailable, ValueError) as error:
            why = self._why(error)
            _log.warning("no token for %s: %s", self._upstream, why)
            self._failure = why, self._now() + APART
            return
        due, until = times(self._now(), tokens.expires_at)
        self._held = _Held(tokens.access_token, self._bearer(tokens.access_token), due, until)
        self._failure = None

    def _bearer(self, token: Secret) -> Credential:
        return Credential({**self._also, "Authorization": Secret(f"Bearer {token.open()}")})

    async def _asked(self) -> Tokens:
        said = self._said
        metadata: Metadata = {} if said.token_url else await self._discovery.metadata()
        url = said.token_url or safe_url(metadata, "token_endpoint", said.issuer)
        if url is None:
            raise IssuerUnavailable("its metadata name no token_endpoint")
        client, prover = _client(said, self._upstream, metadata), _prover(said, metadata, self._now)
        calls = TokenCalls(self._fetch, prover, self._now)
        return await calls.client_credentials(client, url, scopes=frozenset(said.scopes), resource=self._resource)

    def _why(self, error: Exception) -> str:
        server = urlsplit(self._said.token_url or self._said.issuer).hostname or "its authorization server"
        if isinstance(error, Denied | CannotProve | ValueError):
            return f"{server} gave the hub no access: {error}. An administrator of this hub sets its client right."
        return f"{server} gave the hub no access: {error}. Try again in a moment."

    def _away(self) -> Unreachable:
        why = "the access that it was given had ended already." if self._failure is None else self._failure[0]
        return Unreachable(self._upstream, f"{self._title} cannot be used: {why}")


def _client(said: model.ClientCredentials, upstream: str, metadata: Metadata) -> Client:
    offered = texts(metadata, "token_endpoint_auth_methods_supported")
    if said.private_key is not None:
        method = "private_key_jwt"
    else:
        only_post = offered is not None and _POST in offered and "client_secret_basic" not in offered
        method = _POST if only_post else "client_secret_basic"
    return Client(
        Registration(
            id="",
            tenant=DEFAULT_TENANT,
            upstream=upstream,
            issuer=said.issuer,
            client_id=said.client_id,
            auth_method=method,
            redirect_uri="",
            source=Source.CONFIGURED,
            secret=None,
            previous_secret=None,
            management=None,
            secret_expires_at=None,
            created_at=0.0,
        ),
        said.client_secret,
    )


def _prover(said: model.ClientCredentials, metadata: Metadata, now: Callable[[], float]) -> Prover:
    """
    Raises:
        ValueError: the private key is none, or not for this server; the sentence repeats nothing of it.
    """
    if said.private_key is None:
        return Prover(now=now)
    return Prover(
        PemKey(said.private_key, texts(metadata, "token_endpoint_auth_signing_alg_values_supported")), now=now
    )


def _nothing() -> None:
    pass


def opened(declared: model.Upstream, said: model.ClientCredentials, dialer: Dialer, stack: AsyncExitStack) -> Service:
    """The hub's own access to an upstream of which the configuration says this; `stack` closes it."""
    fetch = GuardedFetch(dialer)
    title, url = declared.title or declared.name, declared.url or ""
    service = Service(declared.name, title, url, said, fetch=fetch, also=declared.headers)
    for close in (fetch.aclose, service.aclose):
        stack.push_async_callback(close)
    return service
