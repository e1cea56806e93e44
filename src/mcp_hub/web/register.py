"""What clients of the authorization server ask before a browser comes into play: its metadata, and to be registered.

Rule: JSON in, JSON out, the RFC's error for whatever is wrong; open to the pages of any site.
Sources: RFC 8414 section 3, RFC 7591 section 3.
"""

from typing import Final, final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mcp_hub.authserver.errors import OAuthError
from mcp_hub.authserver.metadata import metadata
from mcp_hub.authserver.paths import REGISTER, WELL_KNOWN
from mcp_hub.authserver.registration import Registration, TooMany
from mcp_hub.errors import StoreFailed
from mcp_hub.web.addresses import address_of
from mcp_hub.web.cors import open_json, preflight
from mcp_hub.web.forms import BadForm, read_bytes
from mcp_hub.web.frame import try_again

MOST_BYTES: Final = 64 * 1024
"""Of the body of a registration."""
_FOR_AN_HOUR: Final = {"Cache-Control": "public, max-age=3600"}
_OPENID: Final = "/.well-known/openid-configuration"
_ELSEWHERE: Final = (f"{WELL_KNOWN}/{{rest:path}}", _OPENID, f"{_OPENID}/{{rest:path}}")
"""Where clients look as well. They are told that there is nothing, in a way that their browser lets them read: an
answer there would have to name another issuer, and strict clients refuse it.
"""


@final
class Description:
    """What the authorization server at `issuer` says of itself; `registration`: whether clients register themselves."""

    def __init__(self, issuer: str, *, registration: bool) -> None:
        self._metadata = metadata(issuer, registration=registration)

    def routes(self) -> list[BaseRoute]:
        """Where it is found, and where it is looked for."""
        nowhere = [Route(path, self._nothing, methods=["GET", "OPTIONS"]) for path in _ELSEWHERE]
        return [Route(WELL_KNOWN, self._describe, methods=["GET", "OPTIONS"]), *nowhere]

    async def _describe(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return preflight("GET")
        return open_json(self._metadata, headers=_FOR_AN_HOUR)

    async def _nothing(self, request: Request) -> Response:
        return preflight("GET") if request.method == "OPTIONS" else open_json({"error": "not_found"}, 404)


@final
class Registrations:
    """Where clients register themselves."""

    def __init__(self, registration: Registration) -> None:
        self._registration = registration

    def routes(self) -> list[BaseRoute]:
        """The one address that it is."""
        return [Route(REGISTER, self._register, methods=["POST", "OPTIONS"])]

    async def _register(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return preflight("POST")
        try:
            body = await _body(request)
            return open_json(await self._registration.register(body, address_of(request)), 201)
        except TooMany as error:
            return try_again(_refused(error), error.wait)
        except OAuthError as error:
            return _refused(error)
        except StoreFailed:
            return _refused(OAuthError("temporarily_unavailable", "The hub cannot store anything just now.", 503))


def _refused(error: OAuthError) -> Response:
    return open_json({"error": error.code, "error_description": error.description}, error.status)


async def _body(request: Request) -> bytes:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise OAuthError("invalid_client_metadata", "A registration is sent as application/json.")
    try:
        return await read_bytes(request, most=MOST_BYTES)
    except BadForm as bad:
        raise OAuthError("invalid_client_metadata", bad.public, bad.status) from bad
