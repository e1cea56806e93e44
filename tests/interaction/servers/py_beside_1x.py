"""A server on the Python SDK 1.x whose tools ask and log by the session, without saying for which call.

Usage: python py_beside_1x.py. Prints `Endpoint http://...` as soon as it accepts requests.
"""

import asyncio
import socket

import uvicorn
from mcp import types
from mcp.server.fastmcp import Context, FastMCP

server = FastMCP("python-1x", log_level="ERROR")


@server.tool()
async def elicits(text: str, ctx: Context) -> str:
    """Asks the user."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    answer = await ctx.session.elicit(f"Who, {text}?", schema)
    return answer.content["name"]


@server.tool()
async def samples(text: str, ctx: Context) -> str:
    """Asks the model."""
    said = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=f"Say it, {text}"))
    return (await ctx.session.create_message([said], max_tokens=10)).model


@server.tool()
async def roots(text: str, ctx: Context) -> str:
    """Asks for the roots."""
    return (await ctx.session.list_roots()).roots[0].name


@server.tool()
async def logs(text: str, ctx: Context) -> str:
    """Logs, and then asks on the same stream, so that the client has heard it when it is answered."""
    await ctx.session.send_log_message("error", text)
    return (await ctx.session.list_roots()).roots[0].name


async def main() -> None:
    bound = socket.create_server(("127.0.0.1", 0))
    print(f"Endpoint http://127.0.0.1:{bound.getsockname()[1]}/mcp", flush=True)
    settings = uvicorn.Config(server.streamable_http_app(), log_level="error", timeout_graceful_shutdown=1)
    await uvicorn.Server(settings).serve(sockets=[bound])


asyncio.run(main())
