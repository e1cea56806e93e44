"""Upstreams about which nothing is said: called without a credential until one says that it wants people to sign in.

Rule: an upstream is asked for that by one at a time, and nobody else's upstream waits for it.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import final

from mcp_hub.credentials.credential import NOTHING, Credential
from mcp_hub.errors import RefusedCredential
from mcp_hub.single_flight import SingleFlight

SignsIn = Callable[[str, RefusedCredential], Awaitable[bool]]
"""Whether an upstream, which has refused to answer without a credential, has people sign in. Does not raise for what
the other side does."""


@final
class Undecided:
    """Asks the upstreams that refuse. `found` is told of each that has people sign in; it is set before any is."""

    def __init__(self, signs_in: SignsIn) -> None:
        self._signs_in = signs_in
        self._asking = SingleFlight[str, bool]()
        self.found: Callable[[str], None] = _nobody

    def access(self, upstream: str) -> "Unsaid":
        """What everybody's requests to one of them carry: nothing."""
        return Unsaid(self, upstream)

    async def ask(self, upstream: str, refusal: RefusedCredential) -> None:
        """Find out whether it has people sign in, and tell. Whoever is cancelled leaves the others waiting."""
        await self._asking.run(upstream, lambda: self._ask(upstream, refusal))

    async def aclose(self) -> None:
        """Ask no more."""
        await self._asking.aclose()

    async def _ask(self, upstream: str, refusal: RefusedCredential) -> bool:
        found = await self._signs_in(upstream, refusal)
        if found:
            self.found(upstream)
        return found


@final
class Unsaid:
    """An `Access` to one of them."""

    def __init__(self, undecided: Undecided, upstream: str) -> None:
        self._undecided = undecided
        self._upstream = upstream

    def ready(self) -> Credential | None:
        """See `Access`."""
        return NOTHING

    async def credential(self) -> Credential:
        """See `Access`."""
        return NOTHING

    async def refused(self, credential: Credential, refusal: RefusedCredential) -> Credential:
        """See `Access`: there is no other one, but perhaps each caller can have their own from now on."""
        del credential
        if refusal.status == HTTPStatus.UNAUTHORIZED:
            await self._undecided.ask(self._upstream, refusal)
        raise refusal

    def watch(self, changed: Callable[[], object]) -> Callable[[], None]:
        """See `Access`: it never does."""
        del changed
        return _nothing


def _nobody(upstream: str) -> None:
    del upstream


def _nothing() -> None:
    pass
