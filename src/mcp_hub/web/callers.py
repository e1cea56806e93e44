"""Who calls the API.

Rule: a caller is known by a token in a header. What a browser sends along by itself is never looked at, so that no page
can make somebody's browser call the API for them.
"""

from typing import Final, Protocol, final

from starlette.requests import Request

from mcp_hub.errors import Forbidden
from mcp_hub.identity.bearer import Headers
from mcp_hub.identity.protected import INSUFFICIENT_SCOPE, Protected
from mcp_hub.identity.scopes import ADMIN, USE, reach
from mcp_hub.principal import LOCAL, Principal


class Door(Protocol):
    """Knows callers by what their requests bring."""

    async def identify(self, headers: Headers, query: bytes, resource: str) -> Principal:
        """Who calls.

        Raises:
            Unauthenticated, BadCredentials, Forbidden: nobody who may, with the challenge.
            HubFault: nobody can tell now.
        """
        ...


@final
class _Everybody:
    """The door of a private hub: whoever can reach it is its one user."""

    async def identify(self, headers: Headers, query: bytes, resource: str) -> Principal:
        """See `Door`."""
        del headers, query, resource
        return LOCAL


EVERYBODY: Final = _Everybody()


async def called_by(door: Door, request: Request, resource: str, *, scope: str = USE) -> Principal:
    """Who calls; with `ADMIN` as the scope, only admins whose token says so.

    Raises:
        Unauthenticated, BadCredentials, Forbidden, HubFault: as `Door.identify`; or this caller is no admin.
    """
    caller = await door.identify(request.scope["headers"], request.scope["query_string"], resource)
    if scope == ADMIN and not caller.is_admin:
        if ADMIN in reach(caller.scopes):
            raise Forbidden("Only admins may do this. Ask one of this hub's admins.")
        challenge = Protected(resource, ()).challenge(INSUFFICIENT_SCOPE, scopes=(ADMIN,))
        sentence = f"This takes an admin's token with the scope {ADMIN}: 'mcp-hub token create --admin' makes one."
        raise Forbidden(sentence, challenge)
    return caller
