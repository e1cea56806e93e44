"""The reference upstream: a server that passes the conformance suite by itself, in both eras or in one.

    python tests/reference/server.py --port 0 --era both

Prints `Endpoint http://...` as soon as it accepts requests. Era `sse` is the transport of 2024-11-05 on the same path.
"""

import argparse
import signal
import socket
import sys
import warnings
from typing import Any

import mcp_types as types
import plain_tools
import prompts
import resources
import uvicorn
from asking_tools import asking
from eras import OneEra
from events import RecentEvents
from mcp.server.caching import CacheHint
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from notices import Notices
from older import older_transport
from starlette.types import ASGIApp
from task_tools import tasking
from tasks import Tasks
from toolbox import Toolbox

NAME = "reference"
RETRY_MILLISECONDS = 200
LISTS = CacheHint(ttl_ms=60_000, scope="public")
READS = CacheHint(ttl_ms=1_000, scope="private")


class ReferenceServer(Server[Any]):
    """Announces changes of its lists in the legacy era too; has tasks in the modern one only."""

    def create_initialization_options(
        self, notification_options: NotificationOptions | None = None, *rest: Any, **more: Any
    ) -> InitializationOptions:
        announced = notification_options or NotificationOptions(
            prompts_changed=True, resources_changed=True, tools_changed=True
        )
        return super().create_initialization_options(announced, *rest, **more)

    def get_capabilities(
        self, *given: Any, protocol_version: str | None = None, **more: Any
    ) -> types.ServerCapabilities:
        said = super().get_capabilities(*given, protocol_version=protocol_version, **more)
        modern = protocol_version in MODERN_PROTOCOL_VERSIONS
        return said if modern else said.model_copy(update={"extensions": None})


def build() -> Server[Any]:
    notices, tasks = Notices(), Tasks()
    tools = Toolbox(tasks)
    for box in (plain_tools.content, plain_tools.noticing(notices), asking, tasking):
        tools.add_all(box)
    server = ReferenceServer(
        NAME,
        version="1.0.0",
        instructions="Made to be tested against.",
        cache_hints={
            "tools/list": LISTS,
            "prompts/list": LISTS,
            "resources/list": LISTS,
            "resources/templates/list": LISTS,
            "resources/read": READS,
        },
        on_list_tools=tools.list,
        on_call_tool=tools.call,
        on_list_resources=resources.list_resources,
        on_list_resource_templates=resources.list_templates,
        on_read_resource=resources.read,
        on_subscribe_resource=notices.subscribe,
        on_unsubscribe_resource=notices.unsubscribe,
        on_subscriptions_listen=notices.listen(),
        on_list_prompts=prompts.list_prompts,
        on_get_prompt=prompts.get,
        on_completion=prompts.complete,
        on_set_logging_level=notices.set_level,
    )
    tasks.serve(server)
    server.add_notification_handler("notifications/initialized", types.NotificationParams, notices.initialized)
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=NAME))
    return server


class Announcing(uvicorn.Server):
    """Says where it listens once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for bound in sockets or ():
            host, port = bound.getsockname()[:2]
            print(f"Endpoint http://{host}:{port}/mcp", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--era", choices=("both", "modern", "legacy", "sse"), default="both")
    options = parser.parse_args()
    # What the newest revision deprecates is what a server of both eras must still do.
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    server = build()
    app: ASGIApp
    if options.era == "sse":
        app = older_transport(server)
    else:
        app = OneEra(
            server.streamable_http_app(event_store=RecentEvents(), retry_interval=RETRY_MILLISECONDS), options.era
        )
    # h11 trims both ends of a header value, as HTTP wants it; httptools leaves the end as it came.
    config = uvicorn.Config(app, http="h11", log_level="warning", timeout_graceful_shutdown=1)
    bound = socket.create_server(("127.0.0.1", options.port), backlog=128)
    # uvicorn raises the signal again once it has drained; by then there is nothing left to do but to end well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Announcing(config).run(sockets=[bound])


if __name__ == "__main__":
    main()
