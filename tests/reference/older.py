"""The same server over HTTP+SSE, the transport of 2024-11-05, as servers offered it before there was another."""

from typing import Any

from mcp.server.lowlevel.server import Server
from mcp.server.sse import SseServerTransport
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

STREAM, MESSAGES = "/mcp", "/messages"


def older_transport(server: Server[Any]) -> ASGIApp:
    """An app that opens streams on `/mcp` and knows no other transport."""
    transport = SseServerTransport(MESSAGES)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == MESSAGES:
            await transport.handle_post_message(scope, receive, send)
        elif scope["path"] == STREAM and scope["method"] == "GET":
            async with transport.connect_sse(scope, receive, send) as (reading, writing):
                await server.run(reading, writing, server.create_initialization_options())
        else:
            await Response(status_code=405 if scope["path"] == STREAM else 404)(scope, receive, send)

    return serve
