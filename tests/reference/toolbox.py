"""A tool is a function and what the list says about it, side by side."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from call import Call, InputNeeded
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

Handler = Callable[[Call], Awaitable[Sequence[types.ContentBlock]]]

NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}


class ToolFailed(Exception):
    """The tool ran and says that it failed."""


@dataclass(frozen=True, slots=True)
class Entry:
    tool: types.Tool
    handler: Handler


class Toolbox:
    """The tools in the order in which they were declared, and the two requests that concern them."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def tool(self, name: str, description: str, schema: dict[str, Any] | None = None) -> Callable[[Handler], Handler]:
        def declare(handler: Handler) -> Handler:
            declared = types.Tool(name=name, description=description, input_schema=schema or NO_ARGUMENTS)
            self._entries[name] = Entry(declared, handler)
            return handler

        return declare

    def add_all(self, other: "Toolbox") -> None:
        self._entries |= other._entries

    async def list(self, _: ServerRequestContext[Any, Any], __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[entry.tool for entry in self._entries.values()])

    async def call(
        self, context: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        entry = self._entries.get(params.name)
        if entry is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
        try:
            return types.CallToolResult(content=list(await entry.handler(Call(context, params))))
        except InputNeeded as needed:
            return needed.result
        except ToolFailed as failed:
            return types.CallToolResult(content=[types.TextContent(text=str(failed))], is_error=True)
