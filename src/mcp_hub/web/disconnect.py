"""Where somebody ends their connection with an upstream.

Rule: the page says what will happen, the form on it ends; the hub's copy is gone whatever the other side says, and what
it said is told as it was.
"""

from typing import Final, Protocol, final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mcp_hub.oauth.connection import Connection, Ending
from mcp_hub.principal import Principal
from mcp_hub.web.cards import PASTED
from mcp_hub.web.connections import Upstreams, drawn_card, said
from mcp_hub.web.forms import Form
from mcp_hub.web.frame import Frame
from mcp_hub.web.lookers import Doorway, Looker

PATH: Final = "/disconnect"
_FORGOTTEN: Final = "forgotten"


class Connections(Protocol):
    """The connections of everybody; see `oauth.connections`."""

    def sign_in(self, upstream: str) -> str: ...
    async def shown(self, caller: Principal) -> list[Connection]: ...
    async def one(self, caller: Principal, upstream: str) -> Connection: ...
    async def disconnect(self, caller: Principal, upstream: str) -> Ending: ...


@final
class DisconnectPages:
    """The page and its form."""

    def __init__(self, frame: Frame, doorway: Doorway, *, connections: Connections, upstreams: Upstreams) -> None:
        self._frame = frame
        self._doorway = doorway
        self._connections = connections
        self._upstreams = upstreams

    def routes(self) -> list[BaseRoute]:
        """The page, and where its form goes."""
        one, door = f"{PATH}/{{upstream}}", self._doorway
        return [
            Route(one, door.looked_at(self._ask), methods=["GET"]),
            Route(one, door.posted("disconnect", self._end), methods=["POST"]),
        ]

    async def _ask(self, looker: Looker, request: Request) -> Response:
        name = request.path_params["upstream"]
        drawn = await drawn_card(looker.caller, name, self._connections, self._upstreams)
        if not drawn.has_credential:
            return said(Ending.NOTHING, name)
        token = self._doorway.token(looker, "disconnect", name)
        return self._frame.page("disconnect.html", visitor=looker.shown, card=drawn, form_token=token)

    async def _end(self, looker: Looker, request: Request, form: Form) -> Response:
        del form
        name = request.path_params["upstream"]
        drawn = await drawn_card(looker.caller, name, self._connections, self._upstreams)
        if not drawn.is_own:
            return said(Ending.NOTHING, name)
        ending = await self._connections.disconnect(looker.caller, name)
        is_key = drawn.sign_in == PASTED and ending is not Ending.NOTHING
        return said(_FORGOTTEN if is_key else ending, name)
