"""Whose request this is: what this room asks of whatever knows the callers.

Rule: nobody is let on unless the door says who they are; where it cannot say, the request is refused.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, final

from mcp_hub.errors import HubFault
from mcp_hub.inbound.asgi import Headers
from mcp_hub.inbound.flight import Ended, Flight
from mcp_hub.inbound.outcome import Outcome, Refused
from mcp_hub.principal import Principal
from mcp_hub.wire.jsonrpc import INTERNAL_ERROR


class Door(Protocol):
    """Knows callers by what their requests bring."""

    def known(self, authorization: bytes | None, /) -> Principal | None:
        """Who calls the main endpoint, if that is known without asking anybody; costs no more than a look-up.

        `authorization` is the header of this name, `None` without one; two of them, joined by a comma, are nobody's.
        """
        ...

    async def identify(self, headers: Headers, query: bytes, resource: str) -> Principal:
        """Who calls this endpoint.

        Raises:
            Unauthenticated, BadCredentials, Forbidden: nobody who may, with the challenge.
            HubFault: nobody can tell now.
        """
        ...

    def watch(self, headers: Headers, resource: str, end: Callable[[], object]) -> Callable[[], None]:
        """Call `end` when whoever opened a stream may not have it any more. Returns what ends the watch."""
        ...


async def admitted(door: Door, headers: Headers, query: bytes, resource: str) -> Principal:
    """Who calls this endpoint.

    Raises:
        Unauthenticated, BadCredentials, Forbidden: nobody who may.
        Refused: 503, nobody can tell now.
    """
    try:
        return await door.identify(headers, query, resource)
    except HubFault as error:
        raise Refused(INTERNAL_ERROR, error.public, status=503) from error


async def while_allowed(
    door: Door, headers: Headers, resource: str, flight: Flight, work: Awaitable[Outcome]
) -> Outcome:
    """Await work that may take as long as its client likes; the request is ended when access is taken away."""
    leave = door.watch(headers, resource, partial(flight.end, Ended.NOT_ALLOWED))
    try:
        return await work
    finally:
        leave()


@final
class Open:
    """A door for one: whoever comes to it is `caller`."""

    def __init__(self, caller: Principal) -> None:
        self._caller = caller

    def known(self, authorization: bytes | None, /) -> Principal | None:
        """See `Door`."""
        del authorization
        return self._caller

    async def identify(self, headers: Headers, query: bytes, resource: str) -> Principal:
        """See `Door`."""
        del headers, query, resource
        return self._caller

    def watch(self, headers: Headers, resource: str, end: Callable[[], object]) -> Callable[[], None]:
        """See `Door`; nothing is ever taken away here."""
        del headers, resource, end
        return _nothing


@final
class ByHeaders:
    """A door that a function of the request's headers is, asked at each request; it may raise `Unauthenticated`."""

    def __init__(self, identify: Callable[[Headers], Principal]) -> None:
        self._identify = identify

    def known(self, authorization: bytes | None, /) -> Principal | None:
        """See `Door`."""
        del authorization
        return None

    async def identify(self, headers: Headers, query: bytes, resource: str) -> Principal:
        """See `Door`."""
        del query, resource
        return self._identify(headers)

    def watch(self, headers: Headers, resource: str, end: Callable[[], object]) -> Callable[[], None]:
        """See `Door`; nothing is ever taken away here."""
        del headers, resource, end
        return _nothing


def _nothing() -> None:
    """What ends a watch that never began."""
