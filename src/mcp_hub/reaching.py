"""How each upstream is reached and with whose credential, put together.

Rule: it is decided by the one table (`credentials.decide`), and by what was found out since, whose credential goes
there. What is one caller's own is made for that caller and given to nobody else.
"""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, final

from mcp_hub.config import model
from mcp_hub.credentials.access import Access, Fixed
from mcp_hub.credentials.decide import SignIn, decide_declared
from mcp_hub.declared import INFO, credential_of, settings_of, way_to
from mcp_hub.egress.client import HttpClient
from mcp_hub.egress.dial import Dialer
from mcp_hub.errors import RefusedCredential
from mcp_hub.gateway.fleet import Ears
from mcp_hub.gateway.undecided import Undecided
from mcp_hub.principal import Principal
from mcp_hub.upstream.starts import Starts
from mcp_hub.upstream.upstream import Upstream

if TYPE_CHECKING:
    from mcp_hub.oauth.connections import Connections

_FLEETING = frozenset({SignIn.BROUGHT, SignIn.CLAIM})


def served_of(config: model.Config) -> dict[str, model.Upstream]:
    """The upstreams that are served, in declaration order."""
    return {name: each for name, each in config.upstreams.items() if each.enabled and each.is_reachable}


def takes_connections(config: model.Config) -> bool:
    """Whether callers have, or may turn out to have, a credential of their own anywhere."""
    ways = {decide_declared(each).sign_in for each in served_of(config).values()}
    return SignIn.UNDECIDED in ways or any(way.is_own for way in ways)


@final
class Reaching:
    """Makes the upstreams of a hub: a `gateway.fleet.Maker`. `stack` closes what it opened.

    `connections` are those of everybody; `None` where nobody has any.
    """

    def __init__(self, config: model.Config, connections: "Connections | None", stack: AsyncExitStack) -> None:
        self._served = served_of(config)
        self._defaults = config.defaults
        self._connections = connections
        self._dialer = Dialer(allow_private=config.network.allow_private)
        self._http = HttpClient(self._dialer)
        self._starts = Starts()
        self.undecided = Undecided(self._signs_in)
        for close in (self._http.aclose, self.undecided.aclose):
            stack.push_async_callback(close)
        self._shared = {name: self._of_all(each, stack) for name, each in self._served.items()}

    def __call__(self, name: str, caller: Principal | None, ears: Ears) -> Upstream:
        """See `Maker`."""
        declared = self._served[name]
        access = self.shared(name) if caller is None else self._own(caller, name)
        return Upstream(
            settings_of(declared, self._defaults, INFO),
            access,
            way_to(declared, self._defaults, self._http, self._starts, ears.partition),
            ears.listeners,
            known=ears.known,
            notices=ears.notices,
            prepare=ears.prepare,
        )

    def shared(self, name: str) -> Access:
        """What goes there for all callers alike."""
        return self._shared[name]

    @property
    def own(self) -> frozenset[str]:
        """The upstreams where each caller has a credential of their own, as far as is known."""
        return frozenset(name for name in self._served if self._sign_in(name).is_own)

    @property
    def fleeting(self) -> frozenset[str]:
        """Those of them where it depends on what each request brings."""
        return frozenset(name for name in self._served if self._sign_in(name) in _FLEETING)

    @property
    def by_claims(self) -> bool:
        """Whether one of them is told who its callers are."""
        return any(self._sign_in(name) is SignIn.CLAIM for name in self._served)

    def _sign_in(self, name: str) -> SignIn:
        if self._connections is not None:
            return self._connections.sign_in(name)
        return decide_declared(self._served[name]).sign_in

    async def _signs_in(self, name: str, refusal: RefusedCredential) -> bool:
        return self._connections is not None and await self._connections.signs_in(name, refusal)

    def _own(self, caller: Principal, name: str) -> Access:
        if self._connections is None:
            raise AssertionError("who has credentials of their own has connections")
        return self._connections.access(caller, name)

    def _of_all(self, declared: model.Upstream, stack: AsyncExitStack) -> Access:
        sign_in = decide_declared(declared).sign_in
        if sign_in is SignIn.UNDECIDED:
            return self.undecided.access(declared.name)
        if isinstance(declared.auth, model.ClientCredentials):
            return self._service(declared, declared.auth, stack)
        return Fixed(credential_of(declared))

    def _service(self, declared: model.Upstream, auth: model.ClientCredentials, stack: AsyncExitStack) -> Access:
        # Loaded here: few hubs are one, and all others start sooner.
        from mcp_hub.egress.fetch import GuardedFetch  # noqa: PLC0415
        from mcp_hub.oauth.machine import Service  # noqa: PLC0415

        fetch = GuardedFetch(self._dialer)
        title, url = declared.title or declared.name, declared.url or ""
        service = Service(declared.name, title, url, auth, fetch=fetch, also=declared.headers)
        for close in (fetch.aclose, service.aclose):
            stack.push_async_callback(close)
        return service
