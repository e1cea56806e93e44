"""The row of calls that become tasks."""

import mcp_types as types

from interaction.crossing.clients import Caller, Kind, Made
from interaction.crossing.hubs import LEGACY_UPSTREAMS, MODERN_UPSTREAMS
from interaction.crossing.rows import Cell, No, row

LATEST_LEGACY = {Kind.LEGACY, Kind.SSE}
TOO_DIFFERENT = "The tasks of 2025-11-25 and those of 2026-07-28 differ too much to translate"
NO_TASK = f"{TOO_DIFFERENT}; a call that asks to become one is refused with -32601."
ORDINARY = f"{TOO_DIFFERENT}; the call is an ordinary one."
NO_TASKS_YET = "Revision 2025-03-26 has no tasks; the call is an ordinary one."


def _call(cell: Cell, caller: Caller) -> dict[str, object]:
    return {"name": cell.tool("works"), "arguments": {"text": caller.mark}, "task": {"ttl": 60_000}}


async def _refused(cell: Cell) -> None:
    async def one(caller: Caller) -> None:
        assert (await caller.refused("tools/call", **_call(cell, caller))).error.code == types.METHOD_NOT_FOUND

    await cell.each(one)


async def _ordinary(cell: Cell) -> None:
    async def one(caller: Caller) -> None:
        if caller.kind is Kind.MODERN:
            assert await caller.says(cell.tool("works")) == f"worked, {caller.mark}"
            return
        result = await caller.whole("tools/call", **_call(cell, caller))
        assert result["content"][0]["text"] == f"worked, {caller.mark}"
        assert "task" not in result

    await cell.each(one)


async def _made(cell: Cell, caller: Caller) -> str:
    if caller.kind is Kind.MODERN:
        made = await caller.session.call_tool(cell.tool("works"), {"text": caller.mark}, allow_claimed=True)
        assert isinstance(made, Made)
        return made.task_id
    return (await caller.unjudged("tools/call", **_call(cell, caller)))["task"]["taskId"]


@row(
    "tasks",
    No(NO_TASKS_YET, _ordinary, clients={Kind.FIRST_HTTP}),
    No(ORDINARY, _ordinary, clients={Kind.MODERN}, upstreams=LEGACY_UPSTREAMS),
    No(NO_TASK, _refused, clients=LATEST_LEGACY, upstreams=MODERN_UPSTREAMS),
    tasking=True,
)
async def tasks(cell: Cell) -> None:
    """A call becomes a task. Its caller asks for state and result later, by an id that is of use to nobody else."""
    ids: dict[str, str] = {}

    async def one(caller: Caller) -> None:
        ids[caller.mark] = number = await _made(cell, caller)
        state = await caller.whole("tasks/get", taskId=number)
        assert (state["taskId"], state["status"]) == (number, "completed")
        result = state["result"] if caller.kind is Kind.MODERN else await caller.whole("tasks/result", taskId=number)
        assert result["content"][0]["text"] == f"worked, {caller.mark}"

    await cell.each(one)
    first, other, _ = cell.callers
    assert (await other.refused("tasks/get", taskId=ids[first.mark])).error.code == types.INVALID_PARAMS


ROWS = (tasks,)
