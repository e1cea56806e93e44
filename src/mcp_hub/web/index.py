"""What stands at `/`: for somebody signed in their endpoint and how clients get there, for programs one line."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from mcp_hub.config.snippets import CLIENTS, TITLES
from mcp_hub.errors import BadRequest
from mcp_hub.web.frame import Frame
from mcp_hub.web.site import wants_page
from mcp_hub.web.visitors import Visitors

PATH: Final = "/"


@dataclass(frozen=True, slots=True)
class Way:
    """How one client gets to the hub: what to do, and what to paste."""

    client: str
    steps: tuple[str, ...]
    paste: str


@final
class Index:
    """The first page. Without `pages` nobody signs in here, and everybody gets the line."""

    def __init__(self, version: str, endpoint: str, pages: tuple[Frame, Visitors] | None = None) -> None:
        self._version = version
        self._endpoint = endpoint
        self._pages = pages
        self._ways = tuple(ways(endpoint))

    def routes(self) -> list[BaseRoute]:
        """The one route."""
        return [Route(PATH, self._index)]

    async def _index(self, request: Request) -> Response:
        if self._pages is None or not wants_page(request):
            endpoint = f"{request.base_url}mcp" if self._pages is None else self._endpoint
            return PlainTextResponse(f"mcp_hub {self._version} is running. Point an MCP client at {endpoint}\n")
        frame, visitors = self._pages
        visitor = await visitors.visitor(request)
        if visitor is None:
            return visitors.sign_in_first(request)
        shown = visitors.shown(visitor)
        return frame.page("index.html", visitor=shown, here=PATH, endpoint=self._endpoint, ways=self._ways)


def ways(endpoint: str) -> Iterator[Way]:
    """How each client gets to this endpoint; those that cannot reach it are told why, and have nothing to paste."""
    for name, snippet in CLIENTS.items():
        try:
            found = snippet(endpoint)
        except BadRequest as cannot:
            yield Way(TITLES[name], (cannot.public,), "")
        else:
            yield Way(TITLES[name], found.where, found.paste)
