"""What the hub publishes of itself as a client of others: its documents, and the public half of its key.

Rule: authorization servers and whoever else may read them, without a cookie; nothing of a request goes into them.
Source: OAuth client id metadata document draft, section 4; RFC 7517.
"""

from typing import Final, Protocol, final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mcp_hub.authserver.paths import CLIENT_DOCUMENTS, CLIENT_KEYS
from mcp_hub.web.cors import open_json, preflight
from mcp_hub.wire.jsonrpc import Json

_FOR_FIVE_MINUTES: Final = {"Cache-Control": "public, max-age=300"}


class Documents(Protocol):
    """Where they come from; see `oauth.connections`."""

    def client_document(self, name: str) -> Json | None: ...
    def jwks(self) -> Json: ...


@final
class Published:
    """The documents and the keys."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def routes(self) -> list[BaseRoute]:
        """Where they are."""
        methods = ["GET", "OPTIONS"]
        return [
            Route(f"{CLIENT_DOCUMENTS}{{name}}", self._document, methods=methods),
            Route(CLIENT_KEYS, self._keys, methods=methods),
        ]

    async def _document(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return preflight("GET")
        document = self._documents.client_document(request.path_params["name"])
        if document is None:
            raise HTTPException(404)
        return open_json(document, headers=_FOR_FIVE_MINUTES)

    async def _keys(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return preflight("GET")
        return open_json(self._documents.jwks(), headers=_FOR_FIVE_MINUTES)
