"""A tool is a function and what the list says about it, side by side."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import mcp_types as types
from call import Call, InputNeeded
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from tasks import Task, Tasks, declared, require

Handler = Callable[[Any], Awaitable[Sequence[types.ContentBlock]]]
First = Callable[[Call], Awaitable[Mapping[str, Any]]]
"""What a call does before it becomes a task: the arguments of the task."""

NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}


class ToolFailed(Exception):
    """The tool ran and says that it failed."""


@dataclass(frozen=True, slots=True)
class Entry:
    tool: types.Tool
    handler: Handler
    task: Literal["optional", "required"] | None = None
    first: First | None = None

    async def run(self, call: Call | Task) -> types.CallToolResult:
        try:
            return types.CallToolResult(content=list(await self.handler(call)))
        except ToolFailed as failed:
            return types.CallToolResult(content=[types.TextContent(text=str(failed))], is_error=True)


class Toolbox:
    """The tools in the order in which they were declared, and the two requests that concern them.

    Calls become tasks in `tasks`, of tools that are declared so.
    """

    def __init__(self, tasks: Tasks | None = None) -> None:
        self._entries: dict[str, Entry] = {}
        self._tasks = tasks or Tasks()

    def tool(
        self,
        name: str,
        description: str,
        schema: dict[str, Any] | None = None,
        *,
        task: Literal["optional", "required"] | None = None,
        first: First | None = None,
    ) -> Callable[[Handler], Handler]:
        def declare(handler: Handler) -> Handler:
            listed = types.Tool(name=name, description=description, input_schema=schema or NO_ARGUMENTS)
            self._entries[name] = Entry(listed, handler, task, first)
            return handler

        return declare

    def add_all(self, other: "Toolbox") -> None:
        self._entries |= other._entries

    async def list(self, _: ServerRequestContext[Any, Any], __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[entry.tool for entry in self._entries.values()])

    async def call(
        self, context: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult | dict[str, Any]:
        entry = self._entries.get(params.name)
        if entry is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
        call = Call(context, params)
        if entry.task == "required":
            require(context)
        try:
            if entry.task is not None and declared(context):
                arguments = call.arguments if entry.first is None else await entry.first(call)
                return self._tasks.begin(arguments, entry.run)
            return await entry.run(call)
        except InputNeeded as needed:
            return needed.result
