"""What carries requests to one upstream, whatever lies between: HTTP, or the pipes of a process.

Rule: whoever sends names the era and nothing else; how a session is opened, kept and ended is the carrier's.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from mcp_hub.credentials.credential import Credential
from mcp_hub.errors import RefusedCredential, Unreachable, UpstreamError
from mcp_hub.upstream.call import Call, Owner
from mcp_hub.wire.eras import Client, Era
from mcp_hub.wire.jsonrpc import Json, Message, Reply

CATALOG_OWNER: Final[Owner] = ("catalog",)
"""Whose legacy session the hub's own listings use."""

Told = AsyncIterator[list[Message]]
"""Notifications as they come, those together that came together; ends when no more can come."""


class NoStream(Exception):
    """The upstream does not tell of changes, or not of these."""


class Lost(Unreachable):
    """What one owner had at the upstream has ended, which says nothing about what anybody else has there."""


class RefusedOpening(RefusedCredential):
    """The session was refused that several requests waited for; `credential` is the one with which it was opened."""

    def __init__(self, refusal: RefusedCredential, credential: Credential) -> None:
        super().__init__(refusal.upstream, refusal.public, status=refusal.status, challenges=refusal.challenges)
        self.credential = credential


@dataclass(frozen=True, slots=True)
class Overheard:
    """What is announced in the catalog's legacy session: `session` is the same object as long as the session is."""

    session: object
    told: Told


class Ear(Protocol):
    """Told what an upstream says by the way. Called in the event loop; must not block."""

    def overheard(self, message: Message) -> None:
        """It announced a change in the middle of something else."""
        ...

    def lost(self, error: UpstreamError) -> None:
        """It has gone, and nothing was asked of it that would fail with this."""
        ...


class Carrier(Protocol):
    """The way to one upstream in both eras."""

    def send(self, era: Era, call: Call, credential: Credential) -> Awaitable[Reply]:
        """Send one request in this era, once awaited; a legacy one in its owner's session. Cancellation cancels it.

        Raises:
            NotModern, SessionGone: a modern request was refused as only a legacy upstream refuses one.
            UpstreamError: what else came of it.
        """
        ...

    async def opened(self, owner: Owner, client: Client, credential: Credential) -> Json:
        """The upstream's answer to the `initialize` of the owner's session, opened if there is none.

        Raises:
            UpstreamError: it cannot be opened.
        """
        ...

    def listen(self, wanted: Json, client: Client, credential: Credential) -> AbstractAsyncContextManager[Told]:
        """A modern `subscriptions/listen` for the notifications that `wanted` names, while entered.

        Raises:
            NoStream: on entering, it is refused.
            UpstreamError: on entering or later, it broke off.
        """
        ...

    def overhear(self, client: Client, credential: Credential) -> AbstractAsyncContextManager[Overheard]:
        """What the upstream announces in the catalog's legacy session, which is opened if there is none, while entered.

        Raises:
            NoStream: on entering, it announces nothing.
            UpstreamError: on entering or later, it broke off.
        """
        ...

    async def end(self, owner: Owner) -> None:
        """Close the owner's session, if there is one; trouble on the way is of no interest."""
        ...

    async def end_others(self, credential: Credential | None) -> None:
        """Close every session there is now but those in which this very credential was used last."""
        ...

    async def end_idle(self, spared: Owner) -> None:
        """Close the sessions that nobody has used for long, except the one of `spared`."""
        ...

    async def aclose(self) -> None:
        """Close every session."""
        ...


Way = Callable[[Ear], Carrier]
"""Makes the carrier of one upstream, which tells this ear what it hears by the way."""
