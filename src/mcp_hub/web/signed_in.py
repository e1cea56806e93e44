"""Pages and forms for people who are signed in. Rule: everybody else is sent to sign in before anything is read."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from mcp_hub.identity.browsers import SignedIn
from mcp_hub.web.forms import Form
from mcp_hub.web.visitors import Visitors

Endpoint = Callable[[Request], Awaitable[Response]]


def looked_at(visitors: Visitors, show: Callable[[SignedIn, Request], Awaitable[Response]]) -> Endpoint:
    """A page for whoever is signed in."""

    async def endpoint(request: Request) -> Response:
        visitor = await visitors.visitor(request)
        return visitors.sign_in_first(request) if visitor is None else await show(visitor, request)

    return endpoint


def posted(visitors: Visitors, purpose: str, act: Callable[[SignedIn, Form], Awaitable[Response]]) -> Endpoint:
    """What happens to a form of this purpose that one of our pages showed to whoever is signed in."""

    async def endpoint(request: Request) -> Response:
        visitor = await visitors.visitor(request)
        if visitor is None:
            return visitors.sign_in_first(request)
        return await act(visitor, await visitors.form(request, purpose))

    return endpoint
