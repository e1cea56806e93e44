"""What the hub publishes of its endpoints, so that a client that knows nothing but a URL finds out how to sign in.

Rule: the documents are made once, from the configuration; nothing of a request goes into them, so that any page may
read them. Source: RFC 9728 section 3.1; MCP 2026-07-28 basic/authorization "Protected Resource Metadata".
"""

from collections.abc import Sequence
from typing import Final, final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mcp_hub.identity.protected import WELL_KNOWN, Protected
from mcp_hub.web.cors import open_json, preflight
from mcp_hub.wire.jsonrpc import Json

_FOR_FIVE_MINUTES: Final = {"Cache-Control": "public, max-age=300"}


@final
class EndpointMetadata:
    """The metadata of these endpoints, which are at `paths` below the hub's own address.

    The first one's is also at the root form of the path, where clients look that know no other. Behind a proxy that
    takes a part off, an endpoint's is also found without that part.
    """

    def __init__(self, protected: Sequence[Protected], paths: Sequence[str]) -> None:
        self._documents: dict[str, Json] = {}
        for each, path in zip(protected, paths, strict=True):
            document = each.document()
            for place in (f"{WELL_KNOWN}{path}", each.metadata_path):
                self._documents.setdefault(place, document)
        if protected:
            self._documents.setdefault(WELL_KNOWN, protected[0].document())

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [_route(place, document) for place, document in self._documents.items()]


def _route(place: str, document: Json) -> BaseRoute:
    async def serve(request: Request) -> Response:
        if request.method == "OPTIONS":
            return preflight("GET")
        return open_json(document, headers=_FOR_FIVE_MINUTES)

    return Route(place, serve, methods=["GET", "OPTIONS"])
