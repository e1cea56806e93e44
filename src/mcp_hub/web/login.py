"""Where people sign in and out.

Rule: nobody is signed in but in the browser in which they began; every sign-in gives the browser a new cookie; where to
go on is a path of this hub or its first page. Whatever goes wrong, a page says so, and nobody is let in.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, final
from urllib.parse import quote

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from mcp_hub.identity.accounts import Accounts
from mcp_hub.identity.arrival import Arrival
from mcp_hub.identity.browsers import Browsers
from mcp_hub.identity.events import Events, Kind
from mcp_hub.identity.limits import Limit, Limits, neighbourhood
from mcp_hub.identity.refusals import NotSignedIn
from mcp_hub.store.people import User
from mcp_hub.web.addresses import address_of
from mcp_hub.web.forms import Form, query_pairs
from mcp_hub.web.frame import Frame, Notice, Onward, try_again
from mcp_hub.web.signed_in import posted
from mcp_hub.web.visitors import SIGN_OUT, SignedIn, Visitors, safe_next

PATH: Final = "/login"
BEGIN: Final = "/login/provider"
CALLBACK: Final = "/login/callback"
LOGOUT: Final = "/logout"
PURPOSE: Final = "sign in"
"""The purpose of the form with the password."""

_SAID: Final = {"out": Notice("You are signed out of this browser.")}
_FORBIDDEN: Final = 403


class RelyingParty(Protocol):
    """The login at the identity provider."""

    async def begin(self, browser: bytes, next_path: str) -> str:
        """The URL to send the browser to, which is known by this digest.

        Raises:
            NotSignedIn: the provider cannot be asked.
        """
        ...

    async def finish(self, query: Sequence[tuple[str, str]], browser: bytes) -> Arrival:
        """Who came back with this query, in this browser.

        Raises:
            NotSignedIn: nobody that the provider vouches for, or in another browser than it began in.
        """
        ...


@dataclass(frozen=True, slots=True)
class Provider:
    """The identity provider as people see it: what its button says, and the login there."""

    host: str
    party: RelyingParty


@final
class LoginPages:
    """The pages of signing in and out. Without a `provider` people sign in with passwords alone."""

    def __init__(
        self,
        frame: Frame,
        visitors: Visitors,
        *,
        accounts: Accounts,
        browsers: Browsers,
        limits: Limits,
        events: Events,
        provider: Provider | None = None,
    ) -> None:
        self._frame = frame
        self._visitors = visitors
        self._accounts = accounts
        self._browsers = browsers
        self._limits = limits
        self._events = events
        self._provider = provider

    def routes(self) -> list[BaseRoute]:
        """The pages, and where their forms go."""
        routes: list[BaseRoute] = [
            Route(PATH, self._show, methods=["GET"]),
            Route(PATH, self._with_password, methods=["POST"]),
            Route(LOGOUT, posted(self._visitors, SIGN_OUT, self._sign_out), methods=["POST"]),
        ]
        if self._provider is not None:
            routes.append(Route(BEGIN, self._begin, methods=["GET"]))
            routes.append(Route(CALLBACK, self._come_back, methods=["GET"]))
        return routes

    async def _show(self, request: Request) -> Response:
        next_path = safe_next(request.query_params.get("next", "/"))
        if await self._visitors.visitor(request) is not None:
            return _go_on(next_path)
        return self._form(request, next_path, notice=_SAID.get(request.query_params.get("said", "")))

    def _form(
        self, request: Request, next_path: str, *, wrong: str = "", notice: Notice | None = None, status: int = 200
    ) -> Response:
        newcomer = self._visitors.newcomer(request)
        provider = self._provider
        by_password = provider is None or bool(wrong) or request.query_params.get("with") == "password"
        page = self._frame.page(
            "login.html",
            status=status,
            notice=notice,
            wrong=wrong,
            next_path=next_path,
            provider=None if provider is None else provider.host,
            begin=_with_next(BEGIN, next_path),
            by_password=by_password,
            other_way=_with_next(f"{PATH}?with=password", next_path),
            form_token=self._visitors.form_token(newcomer, PURPOSE),
        )
        return self._visitors.remember(page, newcomer)

    # With a password

    async def _with_password(self, request: Request) -> Response:
        form = await self._visitors.form(request, PURPOSE)
        next_path = safe_next(form.get("next", "/"))
        try:
            user = await self._accounts.sign_in(form.get("email", ""), form.get("password", ""), address_of(request))
        except NotSignedIn as refused:
            page = self._form(request, next_path, wrong=refused.public, status=_FORBIDDEN)
            return try_again(page, refused.wait)
        return await self._signed_in(request, user, next_path)

    async def _signed_in(self, request: Request, user: User, next_path: str) -> Response:
        return await signed_in(request, user, next_path, self._browsers, self._visitors)

    # At the provider

    async def _begin(self, request: Request) -> Response:
        provider = self._provider
        if provider is None:
            return _go_on(PATH)
        next_path = safe_next(request.query_params.get("next", "/"))
        wait = self._limits.take(Limit.PROVIDER, neighbourhood(address_of(request)))
        if wait is not None:
            return self._failed(NotSignedIn("Too many sign-ins were begun. Try again in a minute.", "often", wait=wait))
        newcomer = self._visitors.newcomer(request)
        try:
            url = await provider.party.begin(newcomer.digest, next_path)
        except NotSignedIn as failed:
            return self._failed(failed)
        return self._visitors.remember(_go_on(url), newcomer)

    async def _come_back(self, request: Request) -> Response:
        provider, newcomer = self._provider, self._visitors.newcomer(request)
        query = query_pairs(request.scope["query_string"])
        if provider is None or newcomer.cookie is not None:
            sentence = "This sign-in was not begun in this browser, or too long ago."
            return self._failed(NotSignedIn(sentence, "another_browser"))
        try:
            arrival = await provider.party.finish(query, newcomer.digest)
            user = await self._accounts.arrived(arrival, address_of(request))
        except NotSignedIn as failed:
            return self._failed(failed)
        return await self._signed_in(request, user, safe_next(arrival.next_path))

    def _failed(self, failed: NotSignedIn) -> Response:
        """A page that says that nobody was signed in; its reference stands in the log, with the cause in one line."""
        reference, cause = secrets.token_hex(4), failed.__cause__
        said = {} if cause is None else {"cause": f"{type(cause).__name__}: {cause}"}
        _log.warning("sign-in failed", reference=reference, reason=failed.reason, **said)
        page = self._frame.error(
            "You are not signed in",
            failed.public,
            "If it goes on like this, tell the operator of this hub the code below.",
            status=_FORBIDDEN,
            code=f"{failed.reason} {reference}",
            onward=Onward("Try again", PATH),
        )
        return try_again(page, failed.wait)

    # Out

    async def _sign_out(self, visitor: SignedIn, form: Form) -> Response:
        del form
        await self._browsers.end_session(visitor.session)
        self._events.note(Kind.SIGN_OUT, actor=visitor.user, about=visitor.user.id)
        response = _go_on(f"{PATH}?said=out")
        self._visitors.clear_cookie(response)
        return response


async def signed_in(request: Request, user: User, next_path: str, browsers: Browsers, visitors: Visitors) -> Response:
    """On to `next_path`, with a new cookie; what the browser was signed in with before has ended."""
    agent = request.headers.get("user-agent", "")
    cookie = await browsers.begin(user, agent, replacing=visitors.cookie(request))
    response = _go_on(next_path)
    visitors.set_cookie(response, cookie)
    return response


def _go_on(url: str) -> Response:
    return RedirectResponse(url, status_code=303, headers={"Cache-Control": "no-store"})


def _with_next(path: str, next_path: str) -> str:
    if next_path == "/":
        return path
    return f"{path}{'&' if '?' in path else '?'}next={quote(next_path, safe='/')}"


_log: Final = structlog.stdlib.get_logger("mcp_hub.login")
