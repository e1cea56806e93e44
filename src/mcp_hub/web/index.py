"""What stands at `/`: a page for people, for programs one line."""

from collections.abc import Awaitable, Callable
from typing import Final, final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from mcp_hub.web.site import wants_page

PATH: Final = "/"


@final
class Index:
    """The first page. Without a `page` there is none for people, and everybody gets the line."""

    def __init__(
        self, version: str, endpoint: str = "", page: Callable[[Request], Awaitable[Response]] | None = None
    ) -> None:
        """`endpoint` is what programs are told; where it is empty, it is the one below the address they asked."""
        self._version = version
        self._endpoint = endpoint
        self._page = page

    def routes(self) -> list[BaseRoute]:
        """The one route."""
        return [Route(PATH, self._index)]

    async def _index(self, request: Request) -> Response:
        if self._page is not None and wants_page(request):
            return await self._page(request)
        endpoint = self._endpoint or f"{request.base_url}mcp"
        return PlainTextResponse(f"mcp_hub {self._version} is running. Point an MCP client at {endpoint}\n")
