"""Whether somebody can use an upstream, and if not, where it fails: a check put together for one caller.

Rule: it is decided by the one table (`credentials.decide`) whose credential goes there, and asked in the same way as
for a call. A check remembers nothing, uses up nothing and leaves no session behind; where an upstream has its users
sign in is found out anew each time, and every step of that is shown.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final, Protocol, final

from mcp_hub.config import model
from mcp_hub.credentials.access import Access, Fixed
from mcp_hub.credentials.decide import Decision, Discovered, SignIn, decide_declared
from mcp_hub.credentials.missing import Missing
from mcp_hub.credentials.needed import Place, not_connected
from mcp_hub.declared import (
    INFO,
    OLDER,
    command_of,
    credential_of,
    limits_of,
    settings_of,
)
from mcp_hub.egress.client import HttpClient
from mcp_hub.egress.dial import Dialer
from mcp_hub.errors import ConnectionNeeded, HubError, RefusedCredential
from mcp_hub.principal import Principal
from mcp_hub.single_flight import SingleFlight
from mcp_hub.upstream.carrier import Carrier
from mcp_hub.upstream.channel import Channel
from mcp_hub.upstream.check import (
    Reach,
    Status,
    Steps,
    Verdict,
    by_dialing,
    by_starting,
    check,
    status_of,
    url_not_set,
)
from mcp_hub.upstream.credentialed import Credentialed
from mcp_hub.upstream.fetch import Fetch
from mcp_hub.upstream.stdio import Processes
from mcp_hub.upstream.transports import Transports

NOBODY: Final = (
    "Each user has a credential of their own here, and nobody is named. Check as one of them with --as, or on the"
    " connections page."
)
MOST: Final = 16
"""Checks that are under way at once; others wait for their turn."""
_UNAUTHORIZED: Final = 401
_KNOWN: Final = {"oauth": Discovered.OAUTH, "none": Discovered.NOTHING}


class Owners(Protocol):
    """The part of `Connections` that a check asks."""

    def sign_in(self, upstream: str) -> str:
        """See `Connections.sign_in`."""
        ...

    def access(self, caller: Principal, upstream: str) -> Access:
        """See `Connections.access`."""
        ...


@final
class Checking:
    """Checks the upstreams of one configuration. Belongs to one event loop; `aclose` ends what is under way.

    `owners` knows everybody's own connections; without it nobody has any. `shared` is what goes to an upstream where
    the hub acts as itself; without it, that is asked for anew.
    """

    def __init__(
        self, config: model.Config, *, owners: Owners | None = None, shared: Callable[[str], Access] | None = None
    ) -> None:
        self._config = config
        self._owners = owners
        self._shared = shared
        self._turns = asyncio.Semaphore(MOST)
        self._under_way: SingleFlight[tuple[object, ...], Verdict] = SingleFlight()

    async def check_as(self, caller: Principal | None, name: str) -> Verdict:
        """The verdict on the upstream `name` for `caller`; `None` is nobody in particular, for the operator.

        Addresses inside the network are shown to operators and admins only. Whoever asks the same meanwhile gets the
        same answer. Never raises for what is wrong at the other side, or with the caller's connection.

        Raises:
            KeyError: no such upstream is declared.
        """
        declared = self._config.upstreams[name]
        decision = self._decision(declared)
        whose = (caller.key, caller.brought) if caller is not None and decision.sign_in.is_own else None
        is_operator = caller is None or caller.is_admin

        async def work() -> Verdict:
            async with self._turns:
                return await self._verdict(declared, decision, caller)

        return await self._under_way.run((name, whose, is_operator), work)

    async def aclose(self) -> None:
        """End the checks that are under way."""
        await self._under_way.aclose()

    def _decision(self, declared: model.Upstream) -> Decision:
        known = "" if self._owners is None or not declared.is_served else self._owners.sign_in(declared.name)
        return decide_declared(declared, _KNOWN.get(known, Discovered.NOT_ASKED))

    async def _verdict(self, declared: model.Upstream, decision: Decision, caller: Principal | None) -> Verdict:
        dialer = Dialer(allow_private=self._config.network.allow_private)
        async with AsyncExitStack() as stack:
            access = self._access(declared, decision, caller, dialer, stack)
            asked = _Asked(declared, decision, access, self._not_connected(declared, caller), dialer)
            if not declared.is_reachable:
                return url_not_set(declared.name, asked)
            http = HttpClient(dialer)
            stack.push_async_callback(http.aclose)
            settings = settings_of(declared, self._config.defaults, INFO)
            carrier, reach = self._way(declared, http, dialer, tells_addresses=caller is None or caller.is_admin)
            fetch = Fetch(declared.name, Credentialed(carrier, access), INFO, settings.listing)
            return await check(settings, reach, fetch, asked)

    def _access(
        self,
        declared: model.Upstream,
        decision: Decision,
        caller: Principal | None,
        dialer: Dialer,
        stack: AsyncExitStack,
    ) -> Access:
        if isinstance(declared.auth, model.ClientCredentials):
            if self._shared is not None and declared.is_served:
                return self._shared(declared.name)
            from mcp_hub.oauth.machine import opened  # noqa: PLC0415 - as below

            return opened(declared, declared.auth, dialer, stack)
        if not decision.sign_in.is_own:
            return Fixed(credential_of(declared))
        if caller is None or self._owners is None or not declared.is_served:
            return Missing(self._not_connected(declared, caller))
        return self._owners.access(caller, declared.name)

    def _not_connected(self, declared: model.Upstream, caller: Principal | None) -> ConnectionNeeded:
        if caller is None:
            return ConnectionNeeded(declared.name, NOBODY, url=None, state="not_connected")
        page = f"{self._config.server.base_url}/connect/{declared.name}"
        return not_connected(Place(declared.name, declared.title or declared.name, page), caller)

    def _way(
        self, declared: model.Upstream, http: HttpClient, dialer: Dialer, *, tells_addresses: bool
    ) -> tuple[Carrier, Reach]:
        limits = limits_of(declared, self._config.defaults)
        if declared.command:
            processes = Processes(declared.name, command_of(declared), limits)
            return processes, by_starting(processes.start, command_of(declared).program)
        url = declared.url or ""
        channel = Channel(declared.name, url, http, limits)
        reach = by_dialing(url, dialer, tells_addresses=tells_addresses)
        return Transports.over(channel, is_older=OLDER[declared.transport]), reach


@final
class _Asked:
    """For whom one check is made. See `Asked`."""

    def __init__(
        self,
        declared: model.Upstream,
        decision: Decision,
        access: Access,
        needed: ConnectionNeeded,
        dialer: Dialer,
    ) -> None:
        self._declared = declared
        self._decision = decision
        self._access = access
        self._needed = needed
        self._dialer = dialer

    def begun(self, steps: Steps) -> None:
        """Say which row of the table applies, and why."""
        _note(steps, self._decision)

    async def reached(self, steps: Steps) -> None:
        """Ask for the credential, where it has to be asked for."""
        sign_in = self._decision.sign_in
        if sign_in.is_own or sign_in is SignIn.SERVICE:
            whose = "The caller's own credential" if sign_in.is_own else "The credential of the hub itself"
            await steps.take("auth", self._access.credential(), lambda _: f"{whose} is at hand.")

    async def ended(self, steps: Steps, error: HubError | None) -> Status:
        """Look for the sign-in where that explains how it ended."""
        asks_first = self._declared.auth is None and self._decision.sign_in in (SignIn.UNDECIDED, SignIn.NONE)
        if isinstance(error, RefusedCredential) and error.status == _UNAUTHORIZED and asks_first:
            if await self._found(steps, error.challenges):
                _note(steps, decide_declared(self._declared, Discovered.OAUTH))
                steps.note("auth", self._needed.public, ok=False)
                return Status.USER_NOT_AUTHENTICATED
        elif isinstance(error, ConnectionNeeded) and self._decision.sign_in is SignIn.OAUTH:
            await self._found(steps, None)
        elif error is None and self._decision.sign_in is SignIn.UNDECIDED:
            _note(steps, decide_declared(self._declared, Discovered.NOTHING))
        return status_of(error)

    async def _found(self, steps: Steps, challenges: tuple[str, ...] | None) -> bool:
        from mcp_hub.signing_in import found_out  # noqa: PLC0415 - brings half of what OAuth takes, for few checks

        return await found_out(self._declared, self._dialer, steps, challenges)


def _note(steps: Steps, decision: Decision) -> None:
    steps.note("auth", f'Row "{decision.row}": {decision.why}')
