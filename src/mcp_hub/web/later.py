"""Pages that are put together when somebody asks for the first of them, so that a hub nobody looks at starts sooner."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, final

from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send

from mcp_hub.web.site import Part

PATHS: Final = (
    *("/", "/activity", "/connect/{rest:path}", "/disconnect/{rest:path}", "/oauth/{rest:path}"),
    *("/api/v1/connections", "/api/v1/connections/{rest:path}"),
)
"""Where the pages about somebody's own connections are, and what belongs to them."""


@final
class Later:
    """What stands at `paths`, made once by `make`. Should that fail, whoever asks next may try again."""

    def __init__(self, paths: Iterable[str], make: Callable[[], Awaitable[Sequence[Part]]]) -> None:
        self._paths = tuple(paths)
        self._make = make
        self._making = asyncio.Lock()
        self._made: Router | None = None

    def routes(self) -> list[BaseRoute]:
        """The paths; what is below each is decided by what is made."""
        return [Route(path, self) for path in self._paths]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: an answer of what was made."""
        if self._made is None:
            async with self._making:
                self._made = self._made or await self._router()
        await self._made(scope, receive, send)

    async def _router(self) -> Router:
        routes = [route for part in await self._make() for route in part.routes()]
        return Router(routes, redirect_slashes=False)
