"""Everything on HTTP that is not the MCP endpoint, put together from parts.

Rule: a part brings its routes and raises what goes wrong; how that is told to people and programs is decided here, so
that no part answers with more than the sentence that is meant to be seen.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol, final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute

from mcp_hub.errors import BadCredentials, BadRequest, Forbidden, HubError, HubFault, StoreFailed, Unauthenticated
from mcp_hub.web.forms import BadForm
from mcp_hub.web.frame import Frame
from mcp_hub.wire.jsonrpc import encode

_API: Final = "/api/"

# The first that fits counts, so a class stands before the one it is derived from.
_TOLD: Final[tuple[tuple[type[HubError], int, str], ...]] = (
    (BadCredentials, 400, "This could not be read"),
    (Unauthenticated, 401, "Please sign in first"),
    (Forbidden, 403, "This is not allowed"),
    (BadRequest, 400, "This could not be read"),
    (StoreFailed, 503, "The hub cannot read its store"),
    (HubFault, 503, "The hub cannot do this now"),
)
_STATUSES: Final = {
    404: ("There is no page here", "The address may have been mistyped, or what it led to is gone."),
    405: ("This address is not asked like this", "It was asked with another method than it takes."),
}
_OTHERWISE: Final = ("This did not work", "The request cannot be answered.")


class Part(Protocol):
    """Some of the routes of a hub."""

    def routes(self) -> Sequence[BaseRoute]: ...


@final
class Site:
    """The site that these parts make; `frame` is how its pages look."""

    def __init__(self, parts: Iterable[Part], frame: Frame) -> None:
        self._parts = [*parts, frame]
        self._frame = frame

    def app(self) -> Starlette:
        """The ASGI app that serves them."""
        routes = [route for part in self._parts for route in part.routes()]
        app = Starlette(routes=routes, exception_handlers={HTTPException: self._missed, HubError: self._failed})
        # A slash too many is another address. Behind a proxy that ends TLS, a redirect from here would lead to plain
        # http, and whoever follows it would send its code or its password once more, readable for everybody between.
        app.router.redirect_slashes = False
        return app

    async def _missed(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = error.headers if isinstance(error, HTTPException) else None
        title, sentence = _STATUSES.get(status, _OTHERWISE)
        answer = self._answer(request, status, title, sentence)
        answer.headers.update(headers or {})
        return answer

    async def _failed(self, request: Request, error: Exception) -> Response:
        kind = next((told for told in _TOLD if isinstance(error, told[0])), (HubError, 500, _OTHERWISE[0]))
        public = error.public if isinstance(error, HubError) else _OTHERWISE[1]
        status = error.status if isinstance(error, BadForm) else kind[1]
        answer = self._answer(request, status, kind[2], public)
        if isinstance(error, Unauthenticated | Forbidden) and error.challenge:
            answer.headers["WWW-Authenticate"] = error.challenge
        return answer

    def _answer(self, request: Request, status: int, title: str, sentence: str) -> Response:
        if request.url.path.startswith(_API):
            return Response(encode({"error": sentence}), status, media_type="application/json")
        if wants_page(request):
            return self._frame.error(title, sentence, "", status=status)
        return PlainTextResponse(f"{sentence}\n", status, {"X-Content-Type-Options": "nosniff"})


def wants_page(request: Request) -> bool:
    """Whether it is a browser that asks, which takes pages, rather than a program."""
    return "text/html" in request.headers.get("accept", "")
