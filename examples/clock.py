"""A clock of the old school: speaks the legacy era only, with sessions, and each session has a time of its own.

It moves when somebody winds it, so that its answers are the same every time.
"""

from collections import OrderedDict

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import INVALID_REQUEST
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

MORNING = 9 * 60
MOST_SESSIONS = 1000

server = MCPServer(
    "clock",
    title="Clock",
    description="A clock per session. It starts at 09:00 and moves when wound.",
    version="1.0",
    log_level="ERROR",
)
minutes_wound: OrderedDict[str, int] = OrderedDict()


@server.tool()
def now(ctx: Context) -> str:
    """What this session's clock shows."""
    return shown(minutes_wound.get(session_of(ctx), 0))


@server.tool()
def wind(ctx: Context, minutes: int = 1) -> str:
    """Move this session's clock forward and say what it shows."""
    if minutes < 0:
        raise ToolError("This clock does not go backwards.")
    session = session_of(ctx)
    minutes_wound[session] = minutes_wound.pop(session, 0) + minutes
    if len(minutes_wound) > MOST_SESSIONS:
        minutes_wound.popitem(last=False)
    return shown(minutes_wound[session])


def shown(wound: int) -> str:
    hours, minutes = divmod(MORNING + wound, 60)
    return f"{hours % 24:02}:{minutes:02}"


def session_of(ctx: Context) -> str:
    return (ctx.headers or {}).get("mcp-session-id", "")


def app() -> ASGIApp:
    return legacy_only(server.streamable_http_app(json_response=True))


def legacy_only(app: ASGIApp) -> ASGIApp:
    """Refuse what a server that has never heard of the modern era refuses: its revision, with a plain 400."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            version = Headers(scope=scope).get("mcp-protocol-version")
            if version not in (None, *HANDSHAKE_PROTOCOL_VERSIONS):
                known = ", ".join(HANDSHAKE_PROTOCOL_VERSIONS)
                message = f"Bad Request: Unsupported protocol version: {version}. Supported versions: {known}"
                error = {"code": INVALID_REQUEST, "message": message}
                answer = JSONResponse({"jsonrpc": "2.0", "id": "server-error", "error": error}, 400)
                await answer(scope, receive, send)
                return
        await app(scope, receive, send)

    return guarded
