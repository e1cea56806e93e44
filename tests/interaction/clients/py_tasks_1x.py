"""The Python SDK 1.x with the tasks of 2025-11-25; runs in an environment of its own.

Usage: python py_tasks_1x.py URL TOOL ARGUMENTS, the last as JSON. Calls the tool as a task, answers what it asks, and
prints as one JSON line what it saw on the way.
"""

import asyncio
import json
import sys
from typing import Any

from mcp import ClientSession, McpError, types
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.context import RequestContext


class Person:
    """Accepts whatever is asked, with the first choice of the first field."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def __call__(
        self, context: RequestContext[ClientSession, Any], params: types.ElicitRequestParams
    ) -> types.ElicitResult:
        asked = params.model_dump(by_alias=True, mode="json", exclude_none=True)
        self.asked.append(asked)
        name, field = next(iter(asked["requestedSchema"]["properties"].items()))
        return types.ElicitResult(action="accept", content={name: field["oneOf"][0]["const"]})


async def follow(session: ClientSession, tool: str, arguments: dict[str, Any], person: Person) -> dict[str, Any]:
    tasks = session.experimental
    made = (await tasks.call_tool_as_task(tool, arguments)).task
    statuses: list[str] = []
    async for state in tasks.poll_task(made.taskId):
        statuses.append(state.status)
        if state.status == "input_required":
            break
    result = await tasks.get_task_result(made.taskId, types.CallToolResult)
    listed = [task.taskId for task in (await tasks.list_tasks()).tasks]
    try:
        await tasks.get_task("somebody-elses")
        refused = 0
    except McpError as error:
        refused = error.error.code
    return {
        "made": made.taskId,
        "statuses": statuses,
        "result": result.model_dump(by_alias=True, mode="json", exclude_none=True),
        "asked": person.asked,
        "listed": listed,
        "refused": refused,
    }


async def main(url: str, tool: str, arguments: dict[str, Any]) -> None:
    person = Person()
    async with (
        streamable_http_client(url) as (read, write, _),
        ClientSession(read, write, elicitation_callback=person) as session,
    ):
        started = await session.initialize()
        offered = started.capabilities.model_dump(by_alias=True, mode="json", exclude_none=True).get("tasks")
        print(json.dumps({"offered": offered, **await follow(session, tool, arguments, person)}))


asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
