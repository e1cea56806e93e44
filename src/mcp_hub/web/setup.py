"""The page on which the first admin is made, by whoever has the code that the hub printed.

Rule: the code is the only way in, and is written into the form only if it looks like one.
"""

import re
from math import ceil
from typing import Final, final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mcp_hub.identity.browsers import Browsers
from mcp_hub.identity.passwords import LEAST
from mcp_hub.identity.refusals import NotDone, NotSignedIn
from mcp_hub.identity.setup import Setup
from mcp_hub.web.addresses import address_of
from mcp_hub.web.frame import Frame
from mcp_hub.web.login import signed_in
from mcp_hub.web.visitors import Visitors

PATH: Final = "/setup"
PURPOSE: Final = "setup"
_CODE: Final = re.compile(r"[0-9A-Za-z]{4}-?[0-9A-Za-z]{4}")
_FORBIDDEN, _TOO_MANY, _WRONG = 403, 429, 422


@final
class SetupPage:
    """The page and its form."""

    def __init__(self, frame: Frame, visitors: Visitors, *, setup: Setup, browsers: Browsers) -> None:
        self._frame = frame
        self._visitors = visitors
        self._setup = setup
        self._browsers = browsers

    def routes(self) -> list[BaseRoute]:
        """The one address."""
        return [Route(PATH, self._show, methods=["GET"]), Route(PATH, self._claim, methods=["POST"])]

    async def _show(self, request: Request) -> Response:
        code = request.query_params.get("code", "")
        try:
            if not _CODE.fullmatch(code) or not await self._setup.is_good(code, address_of(request)):
                return self._over("This link is not complete, has been used, or is older than ten minutes.")
        except NotSignedIn as refused:
            return self._over(refused.public, refused.wait)
        return self._form(request, code)

    async def _claim(self, request: Request) -> Response:
        form = await self._visitors.form(request, PURPOSE)
        code, password = form.get("code", ""), form.get("password", "")
        if not _CODE.fullmatch(code):
            return self._over("This link is not complete.")
        if password != form.get("again", ""):
            return self._form(request, code, NotDone("The two passwords are not the same.", "again"))
        try:
            user = await self._setup.claim(code, form.get("email", ""), password, address_of(request))
        except NotDone as not_done:
            return self._form(request, code, not_done)
        except NotSignedIn as refused:
            return self._over(refused.public, refused.wait)
        return await signed_in(request, user, "/", self._browsers, self._visitors)

    def _form(self, request: Request, code: str, not_done: NotDone | None = None) -> Response:
        newcomer = self._visitors.newcomer(request)
        page = self._frame.page(
            "setup.html",
            status=200 if not_done is None else _WRONG,
            code=code,
            wrong={} if not_done is None else {not_done.field: not_done.public},
            least=LEAST,
            form_token=self._visitors.form_token(newcomer, PURPOSE),
        )
        return self._visitors.remember(page, newcomer)

    def _over(self, sentence: str, wait: float | None = None) -> Response:
        title = "This hub cannot be set up with this link"
        again = "Start the hub again: while nobody is its admin, it prints a new one."
        page = self._frame.error(title, sentence, again, status=_FORBIDDEN if wait is None else _TOO_MANY)
        if wait is not None:
            page.headers["Retry-After"] = str(ceil(wait))
        return page
