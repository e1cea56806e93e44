"""The JSON of a caller's own connections, for programs that act for them.

Rule: a caller is known by a token; each sees and ends their own connections alone. No answer holds a secret.
"""

from typing import Final, Protocol, final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mcp_hub.oauth.connection import Connection, Ending
from mcp_hub.principal import Principal
from mcp_hub.web.callers import Door, called_by
from mcp_hub.wire.jsonrpc import Json, encode

PATH: Final = "/api/v1/connections"


class Connections(Protocol):
    """The connections of everybody; see `oauth.connections`."""

    async def shown(self, caller: Principal) -> list[Connection]: ...
    async def disconnect(self, caller: Principal, upstream: str) -> Ending: ...


@final
class ConnectionsApi:
    """Takes the tokens that are good for `resource`, as `door` knows them, and nothing else: no cookie counts."""

    def __init__(self, connections: Connections, *, door: Door, resource: str, base_url: str) -> None:
        self._connections = connections
        self._door = door
        self._resource = resource
        self._base_url = base_url

    def routes(self) -> list[BaseRoute]:
        """What it answers."""
        return [
            Route(PATH, self._list, methods=["GET"]),
            Route(f"{PATH}/{{name}}", self._end, methods=["DELETE"]),
        ]

    async def _list(self, request: Request) -> Response:
        caller = await called_by(self._door, request, self._resource)
        return _json({"connections": [self._shown(each) for each in await self._connections.shown(caller)]})

    async def _end(self, request: Request) -> Response:
        caller = await called_by(self._door, request, self._resource)
        name = request.path_params["name"]
        try:
            ending = await self._connections.disconnect(caller, name)
        except KeyError:
            return _json({"error": "There is no upstream of this name that you connect with."}, status=404)
        return _json({"name": name, "ending": ending.value})

    def _shown(self, each: Connection) -> Json:
        return {
            "name": each.upstream,
            "title": each.title,
            "host": each.host,
            "sign_in": each.sign_in,
            "state": each.state.value,
            "reason": each.sentence,
            "account": each.account,
            "scopes": sorted(each.scopes),
            "wanted": sorted(each.wanted),
            "since": each.since,
            "used": each.used,
            "url": f"{self._base_url}/connect/{each.upstream}",
        }


def _json(content: Json, status: int = 200) -> Response:
    return Response(encode(content), status, media_type="application/json", headers={"Cache-Control": "no-store"})
