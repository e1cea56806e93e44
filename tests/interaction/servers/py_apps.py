"""A server of apps, as the SDK makes one: a tool with a face, and one that only its app calls.

Prints `Endpoint http://...` as soon as it accepts requests.
"""

import asyncio
import socket

import uvicorn
from mcp.server.apps import Apps, client_supports_apps
from mcp.server.mcpserver import Context, MCPServer

PAGE = "<!doctype html><title>Clock</title>"

apps = Apps()


@apps.tool(resource_uri="ui://clock/app.html", description="Shows the time")
def show_time(context: Context) -> str:
    return f"noon, {'with' if client_supports_apps(context) else 'without'} a face"


@apps.tool(resource_uri="ui://clock/app.html", description="Sets the clock", visibility=["app"])
def set_time(time: str) -> str:
    return f"set to {time}"


apps.add_html_resource("ui://clock/app.html", PAGE)
server = MCPServer("clock", extensions=[apps])


@server.resource("ui://clock/faces/{name}", mime_type="text/html;profile=mcp-app")
def face(name: str) -> str:
    return f"<!doctype html><title>{name}</title>"


async def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"Endpoint http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    settings = uvicorn.Config(server.streamable_http_app(), log_level="error")
    await uvicorn.Server(settings).serve(sockets=[listener])


asyncio.run(main())
