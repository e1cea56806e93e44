"""The addresses where clients get and give back tokens, as HTTP.

Rule: a bounded form in, JSON out, and no cache keeps it; whatever is wrong has the RFC's error. They are open to the
pages of any site: they take no cookie, and who calls has to bring a secret of its own.
Sources: RFC 6749 sections 3.2 and 5, RFC 7009 section 2.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mcp_hub.authserver.errors import OAuthError
from mcp_hub.authserver.paths import REVOKE, TOKEN
from mcp_hub.authserver.token_endpoint import Form, TokenEndpoint
from mcp_hub.errors import HubError
from mcp_hub.identity.limits import Limit, Limits, neighbourhood
from mcp_hub.web.addresses import address_of
from mcp_hub.web.cors import open_json, preflight
from mcp_hub.web.forms import BadForm, read_form
from mcp_hub.web.frame import try_again
from mcp_hub.wire.jsonrpc import Json

_SAID: Final = (408, 413)
"""What may be wrong with a body besides what it says: too slow, too large."""
_OLD_CACHES: Final = {"Pragma": "no-cache"}

_log: Final = structlog.stdlib.get_logger("mcp_hub.authserver")
_Serve = Callable[[Form, Sequence[str], str], Awaitable[Json | None]]


@final
class TokenRoutes:
    """Both addresses of one hub."""

    def __init__(self, endpoint: TokenEndpoint, limits: Limits) -> None:
        self._endpoint = endpoint
        self._limits = limits

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [
            Route(TOKEN, self._token, methods=["POST", "OPTIONS"]),
            Route(REVOKE, self._revoke, methods=["POST", "OPTIONS"]),
        ]

    async def _token(self, request: Request) -> Response:
        return await self._answer(request, self._endpoint.token)

    async def _revoke(self, request: Request) -> Response:
        return await self._answer(request, self._endpoint.revoke)

    async def _answer(self, request: Request, serve: _Serve) -> Response:
        if request.method == "OPTIONS":
            return preflight("POST")
        address = address_of(request)
        wait = self._limits.take(Limit.TOKEN, neighbourhood(address))
        if wait is not None:
            return try_again(_refused(_too_many()), wait)
        try:
            form = await _form(request)
            said = await serve(form, request.headers.getlist("authorization"), address)
        except OAuthError as error:
            return _refused(error)
        except HubError as failed:
            # The store, or whatever is below it: our turn, and nothing of it is for the client.
            _log.error("tokens cannot be served", reason=failed.public)
            return _refused(OAuthError("temporarily_unavailable", "The hub cannot do this just now.", 503))
        return open_json(said or {}, headers=_OLD_CACHES)


async def _form(request: Request) -> Form:
    try:
        return await read_form(request)
    except BadForm as bad:
        sentence = "The request has to be a form (application/x-www-form-urlencoded) that names no parameter twice."
        raise OAuthError("invalid_request", sentence, bad.status if bad.status in _SAID else 400) from bad


def _too_many() -> OAuthError:
    return OAuthError("temporarily_unavailable", "Too many requests came from this address. Try again later.", 429)


def _refused(error: OAuthError) -> Response:
    headers = dict(_OLD_CACHES)
    if error.challenge:
        headers["WWW-Authenticate"] = error.challenge
    return open_json({"error": error.code, "error_description": error.description}, error.status, headers)
