"""The tools. Each says back what it was told, so that whatever reaches the wrong party can be seen there."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import mcp_types as types
from asking import ASKS, InputNeeded, ask
from catalog import APP, is_modern, page
from hearers import Context, Hearers
from jobs import TOOL
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
LOGGED = ("debug", "info", "warning", "error")
TEXT: dict[str, Any] = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
REGION: dict[str, Any] = {
    "type": "object",
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}, "text": {"type": "string"}},
    "required": ["region"],
}

Params = types.CallToolRequestParams
Work = Callable[["Tools", Context, Params], Awaitable[types.CallToolResult]]


def text(value: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=value)])


def given(params: Params, name: str = "text") -> str:
    return str((params.arguments or {})[name])


@dataclass
class Waiting:
    """One call that waits: whether it has begun, may end, and was cancelled."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)


class Tools:
    """The handlers of `tools/list` and `tools/call`."""

    def __init__(self, hearers: Hearers) -> None:
        self.hearers = hearers
        self.waiting: defaultdict[str, Waiting] = defaultdict(Waiting)

    async def list(self, _: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        added = [types.Tool(name=name, input_schema=NOTHING) for name in sorted(self.hearers.added["tools"])]
        items, following = page([*(tool for tool, _ in OFFERED.values()), *added], params)
        return types.ListToolsResult(tools=items, next_cursor=following)

    async def call(self, context: Context, params: Params) -> types.CallToolResult | types.InputRequiredResult:
        if params.name not in OFFERED:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
        try:
            return await OFFERED[params.name][1](self, context, params)
        except InputNeeded as needed:
            return needed.result


async def echo(_: Tools, __: Context, params: Params) -> types.CallToolResult:
    said = given(params)
    return types.CallToolResult(content=[types.TextContent(text=said)], structured_content={"text": said})


async def fails(_: Tools, __: Context, params: Params) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=f"no, {given(params)}")], is_error=True)


async def refuses(_: Tools, __: Context, params: Params) -> types.CallToolResult:
    raise MCPError(-32055, f"refused, {given(params)}", {"who": given(params)})


async def knows(_: Tools, context: Context, params: Params) -> types.CallToolResult:
    """What the server was told of the caller."""
    capabilities = context.session.client_capabilities
    client = context.session.client_params
    request = context.request
    headers = {} if request is None else {key: request.headers[key] for key in request.headers if key[:4] == "mcp-"}
    known = {
        "text": given(params),
        "revision": context.protocol_version,
        "client": client.client_info.name if client else None,
        "capabilities": capabilities.model_dump(by_alias=True, exclude_none=True) if capabilities else {},
        "meta": dict(context.meta or {}),
        "headers": headers,
    }
    return text(json.dumps(known))


async def region(_: Tools, context: Context, params: Params) -> types.CallToolResult:
    header = context.request.headers.get("mcp-param-region") if context.request is not None else None
    return text(json.dumps({"argument": given(params, "region"), "header": header}))


async def counts(_: Tools, context: Context, params: Params) -> types.CallToolResult:
    for step in (1, 2, 3):
        await context.session.report_progress(step, 3, f"{given(params)} {step}")
    return text(f"counted, {given(params)}")


async def logs(tools: Tools, context: Context, params: Params) -> types.CallToolResult:
    least = 0 if is_modern(context) else LEVELS.index(tools.hearers.of(context).level)
    for level in LOGGED:
        if LEVELS.index(level) >= least:
            said = f"{given(params)} {level}"
            await context.session.send_log_message(level, said, "box", related_request_id=context.request_id)
    return text(f"logged, {given(params)}")


async def waits(tools: Tools, _: Context, params: Params) -> types.CallToolResult:
    mine = tools.waiting[given(params)]
    mine.begun.set()
    try:
        await mine.released.wait()
    except asyncio.CancelledError:
        mine.cancelled.set()
        raise
    return text(f"waited, {given(params)}")


async def begun(tools: Tools, _: Context, params: Params) -> types.CallToolResult:
    await tools.waiting[given(params)].begun.wait()
    return text("begun")


async def cancelled(tools: Tools, _: Context, params: Params) -> types.CallToolResult:
    await tools.waiting[given(params)].cancelled.wait()
    return text("cancelled")


async def release(tools: Tools, _: Context, params: Params) -> types.CallToolResult:
    mine = tools.waiting[given(params)]
    mine.released.set()
    return text("was cancelled" if mine.cancelled.is_set() else "released")


async def pings(_: Tools, context: Context, params: Params) -> types.CallToolResult:
    related = ServerMessageMetadata(related_request_id=context.request_id)
    await context.session.send_request(types.PingRequest(), types.EmptyResult, metadata=related)
    return text(f"ponged, {given(params)}")


async def asks_beside(_: Tools, context: Context, params: Params) -> types.CallToolResult:
    """Asks without saying for which call, as servers do that leave that out, and waits for so many seconds."""
    if is_modern(context):
        raise MCPError(types.INTERNAL_ERROR, "This revision has no such questions.")
    answer = await context.session.send_request(
        types.ListRootsRequest(), types.ListRootsResult, float(given(params, "patience"))
    )
    return text(f"{answer.roots[0].name}, {given(params)}")


async def hears_roots(tools: Tools, context: Context, params: Params) -> types.CallToolResult:
    changes = 0 if is_modern(context) else tools.hearers.of(context).roots_changed
    return text(f"{changes}, {given(params)}")


async def points(_: Tools, __: Context, params: Params) -> types.CallToolResult:
    uri = f"note://by/{given(params)}/1"
    held = types.TextResourceContents(uri=uri, text=f"1 by {given(params)}")
    content = [types.ResourceLink(uri=uri, name="one"), types.EmbeddedResource(resource=held)]
    return types.CallToolResult(content=content)


def asking(kind: str) -> Work:
    async def asks(_: Tools, context: Context, params: Params) -> types.CallToolResult:
        answer = await ask(context, params, kind, given(params))
        return text(json.dumps(answer.model_dump(by_alias=True, mode="json", exclude_none=True)))

    return asks


def _tool(name: str, schema: dict[str, Any], **more: Any) -> types.Tool:
    return types.Tool(name=name, description=f"It {name}.", input_schema=schema, **more)


def _offered(entries: Sequence[tuple[types.Tool, Work]]) -> dict[str, tuple[types.Tool, Work]]:
    return {tool.name: (tool, work) for tool, work in entries}


OFFERED = _offered(
    [
        (_tool("echo", TEXT, output_schema=TEXT, title="Echo"), echo),
        (_tool("app", TEXT, _meta={"ui": {"resourceUri": APP}, "ui/resourceUri": APP}), echo),
        (_tool("region", REGION), region),
        (_tool(TOOL, TEXT, execution=types.ToolExecution(task_support="optional")), echo),
        *((_tool(f"asks_{kind}", TEXT), asking(kind)) for kind in ASKS),
        *(
            (_tool(work.__name__, TEXT), work)
            for work in (
                fails, refuses, knows, counts, logs, waits, begun, cancelled, release, pings, points, asks_beside,
                hears_roots,
            )
        ),
    ]
)  # fmt: skip
