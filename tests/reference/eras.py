"""A server of one era only answers the other era as real servers of its kind do."""

import json
from typing import Literal

from mcp_types.jsonrpc import UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

Era = Literal["both", "modern", "legacy"]


class OneEra:
    """Passes on requests of one era and refuses the others with 400 (405 for a method the era does not know)."""

    def __init__(self, app: ASGIApp, era: Era) -> None:
        self._app = app
        self._era = era

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._era == "both":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        version = request.headers.get("mcp-protocol-version")
        modern = version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS
        if modern == (self._era == "modern"):
            await self._app(scope, receive, send)
            return
        refuse = _refuse_modern if modern else _refuse_legacy
        await (await refuse(request))(scope, receive, send)


async def _refuse_modern(request: Request) -> Response:
    """What servers of the legacy era say to a revision they never heard of."""
    version = request.headers["mcp-protocol-version"]
    known = ", ".join(HANDSHAKE_PROTOCOL_VERSIONS)
    message = f"Bad Request: Unsupported protocol version: {version} (supported versions: {known})"
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": message}}, 400)


async def _refuse_legacy(request: Request) -> Response:
    if request.method != "POST":
        return Response(status_code=405, headers={"Allow": "POST"})
    body = json.loads(await request.body())
    requested = (body.get("params") or {}).get("protocolVersion", request.headers.get("mcp-protocol-version"))
    error = {
        "code": UNSUPPORTED_PROTOCOL_VERSION,
        "message": "Unsupported protocol version",
        "data": {"supported": list(MODERN_PROTOCOL_VERSIONS), "requested": requested},
    }
    return JSONResponse({"jsonrpc": "2.0", "id": body.get("id"), "error": error}, 400)
