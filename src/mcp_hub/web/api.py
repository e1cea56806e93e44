"""The JSON that the command line reads: how the upstreams stand."""

from collections.abc import Callable, Mapping
from typing import Final, final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mcp_hub.credentials.state import State
from mcp_hub.identity.scopes import ADMIN
from mcp_hub.principal import Principal
from mcp_hub.upstream.upstream import Upstream
from mcp_hub.web.callers import EVERYBODY, Door, called_by
from mcp_hub.wire.jsonrpc import Json, encode

_NO_URLS: Final[Mapping[str, str]] = {}


@final
class Api:
    """The API of one hub. `version` is the hub's; `upstreams_of` gives those of a caller, in declaration order.

    `urls` are by upstream, without what may be a secret in them; where one is missing, its query is left out.
    It takes the tokens that are good for `resource`, as `door` knows them, and nothing else: no cookie counts.
    """

    def __init__(
        self,
        upstreams_of: Callable[[Principal], Mapping[str, Upstream]],
        disabled: Mapping[str, str],
        version: str,
        urls: Mapping[str, str] = _NO_URLS,
        *,
        door: Door = EVERYBODY,
        resource: str = "",
    ) -> None:
        self._upstreams_of = upstreams_of
        self._urls = urls
        self._disabled = disabled
        self._version = version
        self._door = door
        self._resource = resource

    def routes(self) -> list[BaseRoute]:
        """What it answers."""
        return [
            Route("/api/v1/status", self._status),
            Route("/api/v1/upstreams/{name}/refresh", self._refresh, methods=["POST"]),
        ]

    async def _status(self, request: Request) -> Response:
        caller = await called_by(self._door, request, self._resource)
        served = [self._shown(upstream) for upstream in self._upstreams_of(caller).values()]
        absent = [{"name": name, "state": State.DISABLED, "reason": why} for name, why in self._disabled.items()]
        return _json({"version": self._version, "upstreams": served + absent})

    async def _refresh(self, request: Request) -> Response:
        caller = await called_by(self._door, request, self._resource, scope=ADMIN)
        name = request.path_params["name"]
        upstream = self._upstreams_of(caller).get(name)
        if upstream is None:
            return _json({"error": f"No upstream is called {name!r} here."}, status=404)
        upstream.refresh_soon()
        await upstream.refreshed()
        return _json(self._shown(upstream))

    def _shown(self, upstream: Upstream) -> Json:
        url = self._urls.get(upstream.name) or upstream.url.partition("?")[0]
        return {"name": upstream.name, "url": url, **_known(upstream)}


def _json(content: Json, status: int = 200) -> Response:
    # By the encoder that decoded the parts of it which an upstream chose: it can write whatever it has read.
    return Response(encode(content), status, media_type="application/json")


def _known(upstream: Upstream) -> Json:
    known = upstream.known
    part = known.part
    counts = {kind.member: len(items) for kind, items in part.items.items()} if part is not None else {}
    return {
        "state": upstream.state.value,
        "reason": upstream.reason,
        "stale": upstream.is_stale,
        "era": known.era.value if known.era is not None else None,
        "revision": known.opening.revision if known.opening is not None else None,
        "server": known.opening.server_info if known.opening is not None else {},
        "counts": counts,
        "milliseconds": round(known.milliseconds) if known.milliseconds is not None else None,
        "warnings": list(part.warnings) if part is not None else [],
    }
