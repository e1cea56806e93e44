"""Where somebody connects their own account with an upstream, or pastes a key of theirs.

Rule: nothing begins by looking. The page says where its user would be sent, as whom the hub is known there and what it
would ask for; the form on it begins. A link to it holds nothing that would tell one user from another: whoever is
signed in connects their own account. What comes back from elsewhere is read once, answered with a code of ours, and
leaves the address; nothing of it is ever shown.
Source: RFC 9700 section 4.2.4 (referrers); MCP security best practices; OpenID Connect Core section 3.1.2.6 (errors).
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol, final
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from mcp_hub.credentials.state import State
from mcp_hub.oauth.connection import ConnectFailed, Connection, Finished, Prospect
from mcp_hub.principal import Principal
from mcp_hub.secret import Secret
from mcp_hub.store.connections import Source
from mcp_hub.upstream.check import Status, Verdict
from mcp_hub.web.cards import BROUGHT, CLAIM, PASTED, Card
from mcp_hub.web.connections import PATH as HOME_PATH
from mcp_hub.web.connections import Upstreams, drawn_card, said
from mcp_hub.web.failures import BAD_ADDRESS, NOT_HERE, sentence_of
from mcp_hub.web.forms import Form, query_pairs
from mcp_hub.web.frame import Frame, Onward
from mcp_hub.web.lookers import Doorway, Looker

PATH: Final = "/connect"
CALLBACK: Final = "/oauth/callback"
CHECKS: Final = "check"
KEYS: Final = "key"
ENDED: Final = "ended"

_HOME: Final = Onward("To your connections", HOME_PATH)
_CODE: Final = re.compile(r"[a-z_]{1,40}")
_REFERENCE: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_NO_REFERRER: Final = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_POPUP: Final = "popup"
_CONNECTED: Final = "connected"

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
    async def finish(
        self, upstream: str, query: Sequence[tuple[str, str]], caller: Principal | None, browser: bytes
    ) -> Finished: ...
    async def paste(self, caller: Principal, upstream: str, key: Secret) -> None: ...


Check = Callable[[Principal, str], Awaitable[Verdict]]
"""Whether a caller can use an upstream, and if not, where it fails."""


@final
class ConnectPages:
    """The pages, their forms, and where authorization servers send people back to, which is below `base_url`: whoever
    uses the hub under another name would come back as somebody whom nobody knows."""

    def __init__(
        self,
        frame: Frame,
        doorway: Doorway,
        *,
        connections: Connections,
        upstreams: Upstreams,
        check: Check,
        base_url: str,
    ) -> None:
        self._frame = frame
        self._doorway = doorway
        self._connections = connections
        self._upstreams = upstreams
        self._check = check
        self._base_url = base_url

    def routes(self) -> list[BaseRoute]:
        """The pages, and where their forms go."""
        door, one = self._doorway, f"{PATH}/{{upstream}}"
        return [
            Route(one, door.looked_at(self._ask), methods=["GET"]),
            Route(one, door.posted("connect", self._begin), methods=["POST"]),
            Route(f"{one}/{ENDED}", door.looked_at(self._ended), methods=["GET"]),
            Route(f"{one}/{KEYS}", door.posted(KEYS, self._paste), methods=["POST"]),
            Route(f"{one}/{CHECKS}", door.posted(CHECKS, self._checked), methods=["POST"]),
            Route(f"{CALLBACK}/{{upstream}}", self._come_back, methods=["GET"]),
        ]

    async def _ask(self, looker: Looker, request: Request) -> Response:
        drawn = await self._card(looker, request)
        if drawn.sign_in == PASTED and drawn.is_own:
            return self._key_page(looker, drawn)
        if not drawn.may_sign_in:
            return self._nothing_to_do(looker, drawn)
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
            for_whom=str(looker.caller),
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
        elsewhere = request.headers.get("origin")
        if elsewhere is not None and elsewhere.lower() != _origin(self._base_url):
            return self._under_another_name(looker, drawn)
        try:
            url = await self._connections.begin(looker.caller, drawn.name, looker.browser, window=_in_window(form))
        except ConnectFailed as failed:
            return self._failed(looker, drawn, failed)
        return self._leave(looker, drawn, url)

    def _leave(self, looker: Looker, drawn: Card, url: str) -> Response:
        """To the authorization server, by itself and by a link. It is no redirect: browsers hold the policy of the
        page with the form against every further address on the way, and nobody knows those."""
        place = urlsplit(url)
        if place.scheme not in ("https", "http") or not place.hostname:
            return self._failed(looker, drawn, ConnectFailed(sentence_of(BAD_ADDRESS, drawn.title), BAD_ADDRESS))
        answer = self._frame.page("connect_leave.html", visitor=looker.shown, card=drawn, server=place.netloc, url=url)
        answer.headers["Refresh"] = f"0;url={url}"
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer

    def _under_another_name(self, looker: Looker, drawn: Card) -> Response:
        own = f"{self._base_url}{PATH}/{drawn.name}"
        return self._frame.error(
            "Open this hub at its own address",
            f"You would come back to {_origin(self._base_url)}, where your browser would not be known.",
            "Connect from there.",
            status=400,
            onward=Onward(f"Connect {drawn.title} at that address", own),
            visitor=looker.shown,
        )

    async def _come_back(self, request: Request) -> Response:
        name = request.path_params["upstream"]
        self._upstreams.find(name)
        looker = await self._doorway.looker(request)
        caller, browser = (None, b"") if looker is None else (looker.caller, looker.browser)
        try:
            finished = await self._connections.finish(name, query_pairs(request.scope["query_string"]), caller, browser)
        except KeyError:
            return _ended(name, NOT_HERE, "")
        except ConnectFailed as failed:
            return _ended(name, failed.code, failed.reference)
        if finished.window:
            return _clean(f"{PATH}/{name}/{ENDED}?{urlencode({'code': _CONNECTED, 'window': _POPUP})}")
        return _without_referrer(said(_CONNECTED, name))

    async def _ended(self, looker: Looker, request: Request) -> Response:
        drawn = await self._card(looker, request)
        given = request.query_params
        code, reference = given.get("code", ""), given.get("ref", "")
        is_connected = code == _CONNECTED and drawn.has_credential
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

    # Keys

    def _key_page(self, looker: Looker, drawn: Card, wrong: str = "") -> Response:
        tokens = {verb: self._doorway.token(looker, verb, drawn.name) for verb in (KEYS, CHECKS)}
        return self._frame.page(
            "connect_key.html",
            status=400 if wrong else 200,
            visitor=looker.shown,
            card=drawn,
            wrong=wrong,
            for_whom=str(looker.caller),
            tokens=tokens,
        )

    async def _paste(self, looker: Looker, request: Request, form: Form) -> Response:
        drawn = await self._card(looker, request)
        if drawn.sign_in != PASTED or not drawn.is_own:
            return self._nothing_to_do(looker, drawn)
        try:
            await self._connections.paste(looker.caller, drawn.name, Secret(form.get("key", "").strip()))
        except ConnectFailed as refused:
            return self._key_page(looker, drawn, refused.public)
        return await self._checked(looker, request, form, saved=True)

    async def _checked(self, looker: Looker, request: Request, form: Form, *, saved: bool = False) -> Response:
        del form
        declared = self._upstreams.find(request.path_params["upstream"])
        verdict = await self._check(looker.caller, declared.name)
        drawn = await self._card(looker, request)
        return self._frame.page(
            "check.html",
            visitor=looker.shown,
            card=drawn,
            verdict=verdict,
            is_well=verdict.status is Status.OK,
            saved=saved,
            form_token=self._doorway.token(looker, CHECKS, drawn.name),
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


def _ended(upstream: str, code: str, reference: str) -> Response:
    told = {"code": code, **({"ref": reference} if reference else {})}
    return _clean(f"{PATH}/{upstream}/{ENDED}?{urlencode(told)}")


def _clean(path: str) -> Response:
    return _without_referrer(RedirectResponse(path, status_code=303))


def _without_referrer(response: Response) -> Response:
    response.headers.update(_NO_REFERRER)
    return response


def _in_window(given: Mapping[str, str]) -> bool:
    return given.get("window") == _POPUP


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
