"""Calls of real clients become tasks of real servers, through the hub, in both eras."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import mcp_types as types
import pytest
from mcp import Client
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.shared.exceptions import MCPError

import python1_tools

pytestmark = pytest.mark.promise("A5", "F2")
TASKS = "io.modelcontextprotocol/tasks"
RELATED = "io.modelcontextprotocol/related-task"
PROGRAM = Path(__file__).parent / "clients" / "py_tasks_1x.py"
SECONDS = 40
OVER = ("completed", "failed", "cancelled")


# Modern: the extension, with the SDK 2.x


class TaskParams(types.RequestParams):
    task_id: str


class UpdateParams(TaskParams):
    input_responses: dict[str, Any]


class GetTask(types.Request[TaskParams, Literal["tasks/get"]]):
    method: Literal["tasks/get"] = "tasks/get"
    name_param = "taskId"


class UpdateTask(types.Request[UpdateParams, Literal["tasks/update"]]):
    method: Literal["tasks/update"] = "tasks/update"
    name_param = "taskId"


class CancelTask(types.Request[TaskParams, Literal["tasks/cancel"]]):
    method: Literal["tasks/cancel"] = "tasks/cancel"
    name_param = "taskId"


class Created(types.Result):
    result_type: Literal["task"]
    task_id: str
    status: str


class State(types.Result):
    task_id: str
    status: str
    input_requests: dict[str, Any] | None = None
    result: types.CallToolResult | None = None
    error: dict[str, Any] | None = None


class TasksExtension(ClientExtension):
    """Follows every task to its end: `act` is done at each state, `states` is what was seen."""

    identifier = TASKS

    def __init__(self, act: Callable[[ClaimContext, State], Any] | None = None) -> None:
        self.made: list[str] = []
        self.states: list[State] = []
        self._act = act

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=Created, resolve=self._follow)]

    async def _follow(self, created: Created, context: ClaimContext) -> types.CallToolResult:
        self.made.append(created.task_id)
        while True:
            request = GetTask(params=TaskParams(task_id=created.task_id))
            state = await context.session.send_request(request, State)
            self.states.append(state)
            if state.status in OVER:
                return state.result or types.CallToolResult(content=[], is_error=True)
            if self._act is not None:
                await self._act(context, state)


async def answered(context: ClaimContext, state: State) -> None:
    """Accept whatever the task asks."""
    if state.input_requests:
        accepted = {key: {"action": "accept", "content": {"confirm": True}} for key in state.input_requests}
        params = UpdateParams(task_id=state.task_id, input_responses=accepted)
        await context.session.send_request(UpdateTask(params=params), types.EmptyResult)


async def cancelled(context: ClaimContext, state: State) -> None:
    request = CancelTask(params=TaskParams(task_id=state.task_id))
    await context.session.send_request(request, types.EmptyResult)


async def test_a_modern_client_follows_a_task_to_its_result(both_through_hub):
    tasks = TasksExtension()
    async with asyncio.timeout(SECONDS), Client(both_through_hub, extensions=[tasks]) as client:
        result = await client.call_tool("reference__slow_compute", {"seconds": 0.3, "label": "x"})
    assert result.content[0].text == "Computed x in 0.3 s"
    assert {state.task_id for state in tasks.states} == set(tasks.made)
    assert tasks.states[-1].status == "completed"


async def test_what_a_modern_task_asks_is_answered(both_through_hub):
    tasks = TasksExtension(answered)
    async with asyncio.timeout(SECONDS), Client(both_through_hub, extensions=[tasks]) as client:
        result = await client.call_tool("reference__confirm_delete", {"filename": "x"})
    assert result.content[0].text == "Deleted: True"
    assert any(state.status == "input_required" for state in tasks.states)


async def test_a_modern_task_is_cancelled_and_one_that_fails_says_why(both_through_hub):
    tasks = TasksExtension(cancelled)
    async with asyncio.timeout(SECONDS), Client(both_through_hub, extensions=[tasks]) as client:
        await client.call_tool("reference__slow_compute", {"seconds": 60})
    assert tasks.states[-1].status == "cancelled"
    tasks = TasksExtension()
    async with asyncio.timeout(SECONDS), Client(both_through_hub, extensions=[tasks]) as client:
        await client.call_tool("reference__protocol_error_job")
    assert (tasks.states[-1].status, tasks.states[-1].error["code"]) == ("failed", -32603)


async def test_a_modern_client_without_the_extension_gets_the_result_at_once_or_learns_what_it_lacks(both_through_hub):
    async with asyncio.timeout(SECONDS), Client(both_through_hub) as client:
        result = await client.call_tool("reference__slow_compute", {"seconds": 0, "label": "y"})
        assert result.content[0].text == "Computed y in 0 s"
        with pytest.raises(MCPError) as lacking:
            await client.call_tool("reference__failing_job")
        assert lacking.value.error.code == -32021
        assert TASKS in json.dumps(lacking.value.error.data)


# Legacy: the tasks of 2025-11-25, with the SDK 1.x and a published server


async def followed(url: str, tool: str, **arguments: Any) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        python1_tools.install(),
        PROGRAM,
        url,
        tool,
        json.dumps(arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS):
            printed, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode()
    return json.loads(printed)


async def test_a_legacy_task_of_a_published_server_asks_its_client_and_gives_its_result(both_through_hub, everything):
    research = {"topic": "python", "ambiguous": True}
    direct = await followed(everything, "simulate-research-query", **research)
    through = await followed(both_through_hub, "everything__simulate-research-query", **research)
    assert through["result"]["content"] == direct["result"]["content"]
    assert "programming" in through["result"]["content"][0]["text"]
    assert through["statuses"][-1] == direct["statuses"][-1] == "input_required"
    assert through["offered"] == direct["offered"]
    asked_of = [asked["_meta"][RELATED]["taskId"] for asked in through["asked"]]
    assert asked_of == [through["made"]]
    assert through["result"]["_meta"][RELATED]["taskId"] == through["made"]
    assert through["listed"] == [through["made"]]
    assert through["refused"] == -32602
