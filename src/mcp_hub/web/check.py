"""The check of an upstream as JSON: for whoever calls, with the credential that their calls would have.

Rule: the answer is the same as on the page and from the command, in the same words; what is wrong with the upstream is
an answer too, and not an error of the request.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Final, final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mcp_hub.principal import Principal
from mcp_hub.upstream.check import Verdict
from mcp_hub.web.callers import EVERYBODY, Door, called_by
from mcp_hub.wire.jsonrpc import Json, encode

CHECK: Final = "/api/v1/upstreams/{name}/check"


@final
class Check:
    """Answers a POST with the verdict on one of the upstreams `names`; see `Checking.check_as`.

    It takes the tokens that are good for `resource`, as `door` knows them, and nothing else: no cookie counts.
    """

    def __init__(
        self,
        check_as: Callable[[Principal, str], Awaitable[Verdict]],
        names: Collection[str],
        *,
        door: Door = EVERYBODY,
        resource: str = "",
    ) -> None:
        self._check_as = check_as
        self._names = names
        self._door = door
        self._resource = resource

    def routes(self) -> list[BaseRoute]:
        """What it answers."""
        return [Route(CHECK, self._check, methods=["POST"])]

    async def _check(self, request: Request) -> Response:
        caller = await called_by(self._door, request, self._resource)
        name = request.path_params["name"]
        if name not in self._names:
            return _json({"error": f"No upstream is called {name!r} here."}, status=404)
        return _json((await self._check_as(caller, name)).document())


def _json(content: Json, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(encode(content), status, media_type="application/json", headers=headers)
