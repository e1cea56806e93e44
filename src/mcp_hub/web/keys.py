"""Where somebody pastes a key of theirs, and where they see whether an upstream takes what they have.

Rule: a key is written once and never read again; what a check found is shown step by step, in the words of the check.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mcp_hub.oauth.connection import ConnectFailed, Connection
from mcp_hub.principal import Principal
from mcp_hub.secret import Secret
from mcp_hub.upstream.check import Status, Verdict
from mcp_hub.web.cards import PASTED, Card
from mcp_hub.web.connections import Upstreams, drawn_card
from mcp_hub.web.forms import Form
from mcp_hub.web.frame import Frame
from mcp_hub.web.lookers import Doorway, Looker
from mcp_hub.web.pace import Pace

KEY: Final = "/connect/{upstream}/key"
CHECK: Final = "/connect/{upstream}/check"


class Connections(Protocol):
    """The connections of everybody; see `oauth.connections`."""

    def sign_in(self, upstream: str) -> str: ...
    async def shown(self, caller: Principal) -> list[Connection]: ...
    async def one(self, caller: Principal, upstream: str) -> Connection: ...
    async def paste(self, caller: Principal, upstream: str, key: Secret) -> None: ...


Check = Callable[[Principal, str], Awaitable[Verdict]]
"""Whether a caller can use an upstream, and if not, where it fails."""


@final
class KeyPages:
    """The page, and what the buttons "Save and check" and "Check ... now" lead to."""

    def __init__(
        self,
        frame: Frame,
        doorway: Doorway,
        *,
        connections: Connections,
        upstreams: Upstreams,
        check: Check,
        pace: Pace,
    ) -> None:
        self._frame = frame
        self._doorway = doorway
        self._connections = connections
        self._upstreams = upstreams
        self._check = check
        self._pace = pace

    def routes(self) -> list[BaseRoute]:
        """Where the forms go."""
        return [
            Route(KEY, self._doorway.posted("key", self._paste), methods=["POST"]),
            Route(CHECK, self._doorway.posted("check", self._now), methods=["POST"]),
        ]

    def page(self, looker: Looker, drawn: Card, wrong: str = "") -> Response:
        """The page with the field; `wrong` says what is wrong with what was entered there."""
        return self._frame.page(
            "connect_key.html",
            status=400 if wrong else 200,
            visitor=looker.shown,
            card=drawn,
            wrong=wrong,
            form_token=self._doorway.token(looker, "key", drawn.name),
        )

    async def _paste(self, looker: Looker, request: Request, form: Form) -> Response:
        drawn = await self._card(looker, request)
        if drawn.sign_in != PASTED or not drawn.is_own:
            raise HTTPException(404)
        try:
            await self._connections.paste(looker.caller, drawn.name, Secret(form.get("key", "").strip()))
        except ConnectFailed as refused:
            return self.page(looker, drawn, refused.public)
        return await self._checked(looker, request, is_saved=True)

    async def _now(self, looker: Looker, request: Request, form: Form) -> Response:
        del form
        return await self._checked(looker, request, is_saved=False)

    async def _checked(self, looker: Looker, request: Request, *, is_saved: bool) -> Response:
        declared = self._upstreams.find(request.path_params["upstream"])
        if (wait := self._pace.too_often(looker)) is not None:
            return wait
        verdict = await self._check(looker.caller, declared.name)
        drawn = await self._card(looker, request)
        return self._frame.page(
            "check.html",
            visitor=looker.shown,
            card=drawn,
            verdict=verdict,
            is_well=verdict.status is Status.OK,
            is_saved=is_saved,
            form_token=self._doorway.token(looker, "check", drawn.name),
        )

    async def _card(self, looker: Looker, request: Request) -> Card:
        return await drawn_card(looker.caller, request.path_params["upstream"], self._connections, self._upstreams)
