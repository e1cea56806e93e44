"""Where somebody connects their own account with an upstream.

Rule: nothing begins by looking. The page says where its user would be sent, as whom the hub is known there and what it
would ask for; the form on it begins. A link to it holds nothing that would tell one user from another: whoever is
signed in connects their own account. Where there is nothing to connect, it says so in one sentence.
Source: MCP 2026-07-28 client/elicitation "Safe URL Handling"; CSP Level 3, "form-action".
"""

from collections.abc import Mapping
from typing import Final, Protocol, final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mcp_hub.credentials.state import State
from mcp_hub.oauth.connection import ConnectFailed, Connection, Prospect
from mcp_hub.principal import Principal
from mcp_hub.store.connections import Source
from mcp_hub.web.cards import BROUGHT, CLAIM, PASTED, Card
from mcp_hub.web.connections import PATH as HOME_PATH
from mcp_hub.web.connections import Upstreams, drawn_card
from mcp_hub.web.failures import BAD_ADDRESS, sentence_of
from mcp_hub.web.forms import Form
from mcp_hub.web.frame import Frame, Onward
from mcp_hub.web.keys import KeyPages
from mcp_hub.web.lookers import Doorway, Looker
from mcp_hub.web.pace import Pace
from mcp_hub.wire.origin import Origin

PATH: Final = "/connect"

_HOME: Final = Onward("To your connections", HOME_PATH)
_POPUP: Final = "popup"

_NOTHING_TO_DO: Final[Mapping[str, str]] = {
    "none": "{title} needs no sign-in, so there is nothing for you to connect.",
    "undecided": "{title} has not asked anybody to sign in so far, so there is nothing for you to connect.",
    "shared": "{title} is used with one credential for everybody on this hub, so there is nothing for you to connect.",
    "service": "This hub uses {title} with an account of its own, so there is nothing for you to connect.",
    BROUGHT: "{title} takes a credential that your client sends with each call. Set it there; this hub keeps none.",
    CLAIM: "This hub tells {title} who you are, so there is nothing for you to connect.",
}
_KNOWN_AS: Final[Mapping[Source | None, str]] = {
    Source.CONFIGURED: "an app that the operator of this hub has set up there",
    Source.DOCUMENT: "this hub, by the document that it publishes at its own address",
    Source.REGISTERED: "this hub, which has registered itself there",
    None: "this hub, which registers itself there when you go on",
}


class Connections(Protocol):
    """The connections of everybody; see `oauth.connections`."""

    def sign_in(self, upstream: str) -> str: ...
    async def shown(self, caller: Principal) -> list[Connection]: ...
    async def one(self, caller: Principal, upstream: str) -> Connection: ...
    async def prospect(self, caller: Principal, upstream: str) -> Prospect: ...
    async def begin(self, caller: Principal, upstream: str, browser: bytes, *, window: bool = False) -> str: ...


@final
class ConnectPages:
    """The page and its form. People come back to an address below `base_url`: whoever uses the hub under another name
    would come back as somebody whom nobody knows. `keys` are for upstreams that take keys."""

    def __init__(
        self,
        frame: Frame,
        doorway: Doorway,
        *,
        connections: Connections,
        upstreams: Upstreams,
        keys: KeyPages,
        pace: Pace,
        base_url: str,
    ) -> None:
        self._frame = frame
        self._doorway = doorway
        self._connections = connections
        self._upstreams = upstreams
        self._keys = keys
        self._pace = pace
        self._base_url = base_url

    def routes(self) -> list[BaseRoute]:
        """The pages, and where their forms go."""
        door, one = self._doorway, f"{PATH}/{{upstream}}"
        return [
            Route(one, door.looked_at(self._ask), methods=["GET"]),
            Route(one, door.posted("connect", self._begin), methods=["POST"]),
        ]

    async def _ask(self, looker: Looker, request: Request) -> Response:
        drawn = await self._card(looker, request)
        if drawn.sign_in == PASTED and drawn.is_own:
            return self._keys.page(looker, drawn)
        if not drawn.may_sign_in:
            return self._nothing_to_do(looker, drawn)
        if (wait := self._pace.too_often(looker)) is not None:
            return wait
        try:
            prospect = await self._connections.prospect(looker.caller, drawn.name)
        except ConnectFailed as failed:
            return self._failed(looker, drawn, failed) if drawn.is_own else self._nothing_to_do(looker, drawn)
        return self._frame.page(
            "connect.html",
            visitor=looker.shown,
            card=drawn,
            prospect=prospect,
            known_as=_KNOWN_AS[prospect.source],
            in_window=_in_window(request.query_params),
            form_token=self._doorway.token(looker, "connect", drawn.name),
        )

    def _nothing_to_do(self, looker: Looker, drawn: Card) -> Response:
        sentence = _NOTHING_TO_DO.get(drawn.sign_in, _NOTHING_TO_DO["none"]).format(title=drawn.title)
        if drawn.state is State.DISABLED:
            sentence = f"{drawn.title} is not in use here: {drawn.sentence}."
        return self._frame.error(drawn.title, sentence, "", status=200, onward=_HOME, visitor=looker.shown)

    # At an authorization server

    async def _begin(self, looker: Looker, request: Request, form: Form) -> Response:
        drawn = await self._card(looker, request)
        if not drawn.may_sign_in:
            return self._nothing_to_do(looker, drawn)
        if not _is_at(self._base_url, request.headers.get("origin")):
            return self._under_another_name(looker, drawn)
        if (wait := self._pace.too_often(looker)) is not None:
            return wait
        try:
            url = await self._connections.begin(looker.caller, drawn.name, looker.browser, window=_in_window(form))
        except ConnectFailed as failed:
            return self._failed(looker, drawn, failed)
        return self._leave(looker, drawn, url)

    def _leave(self, looker: Looker, drawn: Card, url: str) -> Response:
        """To the authorization server, by itself and by a link. It is no redirect: browsers hold the policy of the
        page with the form against every further address on the way, and nobody knows those."""
        try:
            server = Origin.from_url(url).authority.decode()
        except ValueError:
            return self._failed(looker, drawn, ConnectFailed(sentence_of(BAD_ADDRESS, drawn.title), BAD_ADDRESS))
        answer = self._frame.page("connect_leave.html", visitor=looker.shown, card=drawn, server=server, url=url)
        answer.headers["Refresh"] = f"0;url={url}"
        return answer

    def _under_another_name(self, looker: Looker, drawn: Card) -> Response:
        own = f"{self._base_url}{PATH}/{drawn.name}"
        return self._frame.error(
            "Open this hub at its own address",
            f"You would come back to {self._base_url}, where your browser would not be known.",
            "Connect from there.",
            status=400,
            onward=Onward(f"Connect {drawn.title} at that address", own),
            visitor=looker.shown,
        )

    def _failed(self, looker: Looker, drawn: Card, failed: ConnectFailed) -> Response:
        return self._frame.page(
            "connect_failed.html",
            status=502,
            visitor=looker.shown,
            card=drawn,
            sentence=failed.public,
            code=failed.code,
            reference=failed.reference,
            trace=failed.trace,
        )

    async def _card(self, looker: Looker, request: Request) -> Card:
        return await drawn_card(looker.caller, request.path_params["upstream"], self._connections, self._upstreams)


def _in_window(given: Mapping[str, str]) -> bool:
    return given.get("window") == _POPUP


def _is_at(base_url: str, origin: str | None) -> bool:
    """Whether a page of this origin is below this address; browsers that do not say are believed to be."""
    return origin is None or Origin.from_url(origin.lower()) == Origin.from_url(base_url)
