"""A server on the Python SDK with everything that must cross, spoken to in one of several ways.

    python serve.py --way modern|legacy|sse|stdio|stdio-legacy --news PORT

Over HTTP it prints `Endpoint http://...` as soon as it accepts requests. What changes in its lists and resources it
reads from the port, so that all its processes hear the same news.
"""

import argparse
import asyncio
import signal
import socket
import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3] / "reference"))

import mcp_types as types
import uvicorn
from asking import InputNeeded, ask
from catalog import Catalog
from eras import OneEra
from hearers import Context, Hearers, read_news
from jobs import Jobs
from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.runner import serve_loop
from mcp.server.sse import SseServerTransport
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPDeprecationWarning
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp
from tools import Tools

UNHEARD_OF = {"com.example/later": {"é": [1, None]}}
"""What a revision yet to come might add to anything."""


class Box(Server[Any]):
    """Says in the legacy era too that it announces changes of its lists."""

    def create_initialization_options(self, *_: Any, **__: Any) -> InitializationOptions:
        announced = NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True)
        return super().create_initialization_options(announced)


async def _from_later(context: Context, call_next: CallNext) -> HandlerResult:
    """Adds to results, and to what they hold, members that no revision so far has."""
    result = await call_next(context)
    if isinstance(result, dict) and context.method in ("tools/list", "tools/call", "prompts/get", "resources/read"):
        for member in ("tools", "content", "messages", "contents"):
            result[member] = [{**each, **UNHEARD_OF} for each in result.get(member, [])] or result.get(member)
        result = {key: value for key, value in {**result, **UNHEARD_OF}.items() if value is not None}
    return result


def build(hearers: Hearers, way: str) -> Server[Any]:
    catalog, tools = Catalog(hearers), Tools(hearers)

    async def get_prompt(
        context: Context, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult | types.InputRequiredResult:
        topic = (params.arguments or {})["topic"]
        if params.name != "asks":
            return await catalog.prompt(params.name, topic)
        try:
            answer = await ask(context, params, "form", topic)
        except InputNeeded as needed:
            return needed.result
        return await catalog.prompt(str(answer.content), topic)

    server = Box(
        "box",
        version="1.0.0",
        instructions=f"This is the box that speaks {way}.",
        on_list_tools=tools.list,
        on_call_tool=tools.call,
        on_list_resources=catalog.resources,
        on_list_resource_templates=catalog.templates,
        on_read_resource=catalog.read,
        on_subscribe_resource=hearers.subscribe,
        on_unsubscribe_resource=hearers.unsubscribe,
        on_subscriptions_listen=hearers.listen(),
        on_list_prompts=catalog.prompts,
        on_get_prompt=get_prompt,
        on_completion=catalog.complete,
        on_set_logging_level=hearers.set_level,
        on_roots_list_changed=hearers.roots_changed,
    )
    server.add_notification_handler("notifications/initialized", types.NotificationParams, hearers.initialized)
    server.middleware.append(_from_later)
    Jobs().serve(server)
    return server


async def run_legacy(server: Server[Any], read: Any, write: Any) -> None:
    """Serve one connection as servers of before 2026-07-28 do; `Server.run` speaks both eras."""
    options = server.create_initialization_options()
    async with server.lifespan(server) as state:
        await serve_loop(server, read, write, lifespan_state=state, init_options=options)


def over_sse(server: Server[Any]) -> ASGIApp:
    """The transport of 2024-11-05: a stream from `/sse`, messages to where it says."""
    transport = SseServerTransport("/messages/")

    async def stream(request: Request) -> Response:
        async with transport.connect_sse(request.scope, request.receive, request._send) as (read, write):
            await run_legacy(server, read, write)
        return Response()

    return Starlette(routes=[Route("/sse", stream), Mount("/messages/", transport.handle_post_message)])


class Announcing(uvicorn.Server):
    """Says where it listens once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        path = "sse" if isinstance(self.config.app, Starlette) else "mcp"
        for bound in sockets or ():
            print(f"Endpoint http://127.0.0.1:{bound.getsockname()[1]}/{path}", flush=True)


async def over_stdio(server: Server[Any], way: str) -> None:
    async with stdio_server() as (read, write):
        if way == "stdio":
            await server.run(read, write, server.create_initialization_options())
        else:
            await run_legacy(server, read, write)


async def over_http(server: Server[Any], way: str) -> None:
    app = over_sse(server) if way == "sse" else OneEra(server.streamable_http_app(), way)
    # h11 trims both ends of a header value, as HTTP wants it; httptools leaves the end as it came.
    config = uvicorn.Config(app, http="h11", log_level="warning", timeout_graceful_shutdown=1)
    bound = socket.create_server(("127.0.0.1", 0), backlog=128)
    # uvicorn raises the signal again once it has drained; by then there is nothing left to do but to end well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    await Announcing(config).serve(sockets=[bound])


async def serve(way: str, news: int) -> None:
    hearers = Hearers()
    server = build(hearers, way)
    reading = asyncio.ensure_future(read_news(news, way, hearers.take))
    try:
        await (over_stdio(server, way) if way.startswith("stdio") else over_http(server, way))
    finally:
        reading.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", choices=("modern", "legacy", "sse", "stdio", "stdio-legacy"), required=True)
    parser.add_argument("--news", type=int, required=True, help="the port that tells what changes")
    options = parser.parse_args()
    # What the newest revision deprecates is what a server of both eras must still do.
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    asyncio.run(serve(options.way, options.news))


if __name__ == "__main__":
    main()
