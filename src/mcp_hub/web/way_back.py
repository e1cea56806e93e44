"""Where somebody comes back to who was sent to an authorization server, and how that ended.

Rule: what comes back is read once, answered with a word of ours, and leaves the address; nothing of it is ever shown,
and nobody is asked to sign in with it in the address.
Source: RFC 9700 section 4.2.4; MCP security best practices.
"""

import re
from collections.abc import Sequence
from typing import Final, Protocol, final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from mcp_hub.oauth.connection import ConnectFailed, Connection, Finished
from mcp_hub.principal import Principal
from mcp_hub.web.connections import Upstreams, drawn_card, said
from mcp_hub.web.failures import NOT_HERE, sentence_of
from mcp_hub.web.forms import query_pairs
from mcp_hub.web.frame import Frame
from mcp_hub.web.lookers import Doorway, Looker

CALLBACK: Final = "/oauth/callback/{upstream}"
ENDED: Final = "/connect/{upstream}/ended"
CONNECTED: Final = "connected"

_CODE: Final = re.compile(r"[a-z_]{1,40}")
_REFERENCE: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_NO_REFERRER: Final = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


class Connections(Protocol):
    """The connections of everybody; see `oauth.connections`."""

    def sign_in(self, upstream: str) -> str: ...
    async def shown(self, caller: Principal) -> list[Connection]: ...
    async def one(self, caller: Principal, upstream: str) -> Connection: ...
    async def finish(
        self, upstream: str, query: Sequence[tuple[str, str]], caller: Principal | None, browser: bytes
    ) -> Finished: ...


@final
class WayBack:
    """The way back, and the page on which it ends if it led nowhere, or in a window of its own."""

    def __init__(self, frame: Frame, doorway: Doorway, *, connections: Connections, upstreams: Upstreams) -> None:
        self._frame = frame
        self._doorway = doorway
        self._connections = connections
        self._upstreams = upstreams

    def routes(self) -> list[BaseRoute]:
        """Both."""
        return [
            Route(CALLBACK, self._come_back, methods=["GET"]),
            Route(ENDED, self._doorway.looked_at(self._ended), methods=["GET"]),
        ]

    async def _come_back(self, request: Request) -> Response:
        name = self._upstreams.find(request.path_params["upstream"]).name
        looker = await self._doorway.looker(request)
        caller, browser = (None, b"") if looker is None else (looker.caller, looker.browser)
        try:
            finished = await self._connections.finish(name, query_pairs(request.scope["query_string"]), caller, browser)
        except KeyError:
            return _ended(name, code=NOT_HERE)
        except ConnectFailed as failed:
            return _ended(name, code=failed.code, ref=failed.reference)
        return _ended(name, code=CONNECTED, window="popup") if finished.window else _clean(said(CONNECTED, name))

    async def _ended(self, looker: Looker, request: Request) -> Response:
        name = request.path_params["upstream"]
        drawn = await drawn_card(looker.caller, name, self._connections, self._upstreams)
        code, reference = request.query_params.get("code", ""), request.query_params.get("ref", "")
        is_connected = code == CONNECTED and drawn.has_credential
        return self._frame.page(
            "connect_ended.html",
            status=200 if is_connected else 400,
            visitor=looker.shown,
            card=drawn,
            is_connected=is_connected,
            sentence=sentence_of(code, drawn.title),
            code=code if _CODE.fullmatch(code) else "",
            reference=reference if _REFERENCE.fullmatch(reference) else "",
        )


def _ended(upstream: str, **told: str) -> Response:
    query = urlencode({name: value for name, value in told.items() if value})
    return _clean(RedirectResponse(f"{ENDED.format(upstream=upstream)}?{query}", status_code=303))


def _clean(response: Response) -> Response:
    response.headers.update(_NO_REFERRER)
    return response
