"""Tools whose calls become tasks; their names and behaviour are the ones the conformance suite looks for."""

from collections.abc import Mapping
from typing import Any

import anyio
import mcp_types as types
import samples
from call import Call, field_of, form
from mcp.shared.exceptions import MCPError
from tasks import Task
from toolbox import Toolbox, ToolFailed

STRING: dict[str, Any] = {"type": "string"}
BOOLEAN: dict[str, Any] = {"type": "boolean"}
FAILS_AFTER_SECONDS = 0.2

tasking = Toolbox()


def _takes(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@tasking.tool("greet", "Greets at once.", _takes(name=STRING))
async def greet(call: Call) -> list[types.TextContent]:
    return [samples.text(f"Hello, {call.arguments['name']}!")]


@tasking.tool("slow_compute", "Takes its time.", _takes(seconds={"type": "number"}, label=STRING), task="optional")
async def slow_compute(call: Call | Task) -> list[types.TextContent]:
    seconds = float(call.arguments.get("seconds", 1))
    await anyio.sleep(seconds)
    return [samples.text(f"Computed {call.arguments.get('label', 'nothing')} in {seconds:g} s")]


@tasking.tool("failing_job", "Fails after a while.", task="required")
async def failing_job(_: Call | Task) -> list[types.TextContent]:
    await anyio.sleep(FAILS_AFTER_SECONDS)
    raise ToolFailed("The job failed")


@tasking.tool("protocol_error_job", "Ends with a protocol error.", task="required")
async def protocol_error_job(_: Call | Task) -> list[types.TextContent]:
    await anyio.sleep(FAILS_AFTER_SECONDS)
    raise MCPError(types.INTERNAL_ERROR, "The job broke down")


@tasking.tool("confirm_delete", "Asks before it deletes.", _takes(filename=STRING), task="optional")
async def confirm_delete(call: Call | Task) -> list[types.TextContent]:
    question = form(f"Delete {call.arguments.get('filename')}?", confirm=BOOLEAN)
    answer = (await call.ask({"confirm-delete": question}))["confirm-delete"]
    return [samples.text(f"Deleted: {field_of(answer, 'confirm')}")]


@tasking.tool("multi_input", "Asks two things at once.", task="optional")
async def multi_input(call: Call | Task) -> list[types.TextContent]:
    answers = await call.ask({key: form(f"What is the {key}?", name=STRING) for key in ("first", "second")})
    return [samples.text(", ".join(field_of(answer, "name") for answer in answers.values()))]


async def _asks_for_a_name(call: Call) -> Mapping[str, Any]:
    answer = (await call.ask({"user_name": form("What is your name?", name=STRING)}))["user_name"]
    return {**call.arguments, "user_name": field_of(answer, "name")}


@tasking.tool("test_tool_with_task", "Asks, then goes on as a task.", task="required", first=_asks_for_a_name)
async def tool_with_task(call: Call | Task) -> list[types.TextContent]:
    return [samples.text(f"Done for {call.arguments['user_name']}")]
