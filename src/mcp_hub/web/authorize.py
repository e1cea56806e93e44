"""Where clients send a browser: is the request in order, who is there, do they want it, and back.

Rule: nobody is sent to a place that is not registered, nothing happens without a click in the browser that was asked,
and a document of a stranger is fetched for nobody who is not signed in.

The way back is a page that goes on by itself, not a redirect: Chromium applies the policy of the page whose form was
sent to every redirect that follows, those of the client's own site included, and would stop there.
"""

from typing import Final, final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from mcp_hub.authserver import requests
from mcp_hub.authserver.clients import Client, Clients, NoDocument
from mcp_hub.authserver.consents import Consents, NotAsked, Question, Visitor
from mcp_hub.authserver.errors import OAuthError
from mcp_hub.authserver.paths import AUTHORIZE
from mcp_hub.authserver.requests import Asked, Back, Query, Unanswerable
from mcp_hub.identity.limits import Limit, Limits, neighbourhood
from mcp_hub.principal import ADMIN
from mcp_hub.web.addresses import address_of
from mcp_hub.web.consent import ConsentPages
from mcp_hub.web.visitors import SignedIn, Visitors

PURPOSE: Final = "consent"
"""What the forms of the question are for; see `Visitors.form`."""


@final
class Authorize:
    """The authorization endpoint of one hub. `resources` are its endpoints, the one that is meant by default first."""

    def __init__(
        self,
        *,
        issuer: str,
        resources: tuple[str, ...],
        clients: Clients,
        consents: Consents,
        limits: Limits,
        pages: ConsentPages,
        visitors: Visitors,
    ) -> None:
        self._issuer = issuer
        self._resources = resources
        self._clients = clients
        self._consents = consents
        self._limits = limits
        self._pages = pages
        self._visitors = visitors

    def routes(self) -> list[BaseRoute]:
        """The one address that it is."""
        return [Route(AUTHORIZE, self._begin, methods=["GET"]), Route(AUTHORIZE, self._decide, methods=["POST"])]

    async def _begin(self, request: Request) -> Response:
        wait = self._limits.take(Limit.AUTHORIZE, neighbourhood(address_of(request)))
        if wait is not None:
            return self._pages.too_often(wait)
        try:
            return await self._asked(request)
        except (Unanswerable, NoDocument) as error:
            return self._pages.stay(error)

    async def _asked(self, request: Request) -> Response:
        query = requests.read_query(request.scope["query_string"])
        client_id = requests.client_id_of(query)
        client = await self._clients.find(client_id, may_fetch=False)
        if client is None and not self._clients.is_document(client_id):
            raise requests.unknown_client()
        # What is wrong is said before anybody has to sign in for it, where that takes no document to know.
        asked = None if client is None else self._judged(query, client)
        if isinstance(asked, Response):
            return asked
        visitor = await self._visitors.visitor(request)
        if visitor is None:
            return self._visitors.sign_in_first(request)
        return await self._put(query, client_id, visitor, request)

    async def _put(self, query: Query, client_id: str, visitor: SignedIn, request: Request) -> Response:
        """Put the question to somebody who is signed in."""
        client = await self._clients.find(client_id, may_fetch=True)
        if client is None:
            raise requests.unknown_client()
        back = requests.way_back(query, client, self._issuer)
        try:
            asked = requests.judged(query, client, back, self._resources)
            requests.check_rights(asked, is_admin=ADMIN in visitor.user.roles)
        except OAuthError as error:
            return self._pages.refused(client, back, error)
        question = await self._consents.ask(asked, client, _who(visitor, request))
        return self._question(question, visitor)

    def _judged(self, query: Query, client: Client) -> Asked | Response:
        back = requests.way_back(query, client, self._issuer)
        try:
            return requests.judged(query, client, back, self._resources)
        except OAuthError as error:
            return self._refused(client, back, error)

    def _refused(self, client: Client, back: Back, error: OAuthError) -> Response:
        if not requests.is_trusted(client, back):
            return self._pages.refused(client, back, error)
        url = back.error(error.code, error.description)
        return RedirectResponse(url, 302, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})

    def _question(self, question: Question, visitor: SignedIn) -> Response:
        token = self._visitors.form_token(visitor, PURPOSE)
        return self._pages.question(question, self._visitors.shown(visitor), token)

    async def _decide(self, request: Request) -> Response:
        visitor = await self._visitors.visitor(request)
        if visitor is None:
            return self._visitors.sign_in_first(request)
        form = await self._visitors.form(request, PURPOSE)
        key, allowed = form.get("question", ""), form.get("answer") == "allow"
        try:
            decided = await self._consents.answer(key, allowed=allowed, visitor=_who(visitor, request))
        except (Unanswerable, NotAsked, NoDocument) as error:
            return self._pages.stay(error)
        except OAuthError as error:
            return self._pages.stay(NotAsked(error.description))
        if isinstance(decided, Question):
            return self._question(decided, visitor)
        return self._pages.on_the_way(decided)


def _who(visitor: SignedIn, request: Request) -> Visitor:
    return Visitor(visitor.user, visitor.session.digest, address_of(request))
