"""Rows of calls that become tasks."""

from typing import Any

from mcp_types.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND

from interaction.crossing.clients import Caller, Kind, Plain, Whole
from interaction.crossing.hubs import LEGACY_UPSTREAMS, MODERN_UPSTREAMS
from interaction.crossing.rows import Cell, No, row

RELATED = "io.modelcontextprotocol/related-task"
OF_2025_11_25 = frozenset({Kind.LEGACY, Kind.SSE})
TWO_KINDS = "Tasks of the two eras are different things, and the hub translates none into the other."
NO_TASKS = "Revision 2025-03-26 has no tasks."


class OfTask(Plain):
    name_param = "taskId"


async def _asked(caller: Caller, method: str, **params: Any) -> dict[str, Any]:
    return (await caller.session.send_request(OfTask(method=method, params=params), Whole)).all


async def _made(cell: Cell, caller: Caller) -> str:
    augmented = {} if caller.kind is Kind.MODERN else {"task": {"ttl": 60_000}}
    result = await caller.whole("tools/call", name=cell.tool("later"), arguments={"text": caller.mark}, **augmented)
    return (result if caller.kind is Kind.MODERN else result["task"])["taskId"]


async def _result(caller: Caller, task: str) -> dict[str, Any]:
    if caller.kind is Kind.MODERN:
        return (await _asked(caller, "tasks/get", taskId=task))["result"]
    result = await _asked(caller, "tasks/result", taskId=task)
    assert result["_meta"][RELATED]["taskId"] == task
    return result


async def _refused(caller: Caller, method: str, task: str, code: int) -> str:
    error = (await caller.refused(method, of=OfTask, taskId=task)).error
    assert error.code == code
    return error.message


async def _none(cell: Cell) -> None:
    """The call is an ordinary one, and there is no task to ask for."""

    async def one(caller: Caller) -> None:
        asked = {} if caller.kind is Kind.MODERN else {"task": {"ttl": 60_000}}
        params = {"name": cell.tool("later"), "arguments": {"text": caller.mark}, **asked}
        assert (await caller.whole("tools/call", **params))["content"][0]["text"] == caller.mark

    await cell.each(one)


async def _not_as_a_task(cell: Cell) -> None:
    async def one(caller: Caller) -> None:
        params = {"name": cell.tool("later"), "arguments": {"text": caller.mark}, "task": {"ttl": 60_000}}
        assert (await caller.refused("tools/call", **params)).error.code == METHOD_NOT_FOUND

    await cell.each(one)


@row(
    "calls that become tasks",
    No(TWO_KINDS, _none, clients={Kind.MODERN}, upstreams=LEGACY_UPSTREAMS),
    No(TWO_KINDS, _not_as_a_task, clients=OF_2025_11_25, upstreams=MODERN_UPSTREAMS),
    No(NO_TASKS, _none, clients={Kind.FIRST_HTTP}),
    tasks=True,
)
async def tasks(cell: Cell) -> None:
    """State, result and list of a task reach the user who made it, under an id that is of use to nobody else."""
    ids: dict[str, str] = {}

    async def one(caller: Caller) -> None:
        task = ids[caller.mark] = await _made(cell, caller)
        state = await _asked(caller, "tasks/get", taskId=task)
        assert (state["taskId"], state["status"]) == (task, "completed")
        said, link = (await _result(caller, task))["content"]
        assert said["text"] == f"later, {caller.mark}"
        assert link["uri"] == cell.uri(f"note://by/{caller.mark}/1")
        if caller.kind is not Kind.MODERN:
            assert task in [each["taskId"] for each in (await caller.whole("tasks/list"))["tasks"]]

    await cell.each(one)
    first, other, _ = cell.callers
    for method in ("tasks/get", "tasks/cancel"):
        unknown = await _refused(other, method, "unknown", INVALID_PARAMS)
        assert await _refused(other, method, ids[first.mark], INVALID_PARAMS) == unknown
    if other.kind is not Kind.MODERN:
        assert ids[first.mark] not in repr(await other.whole("tasks/list"))


ROWS = (tasks,)
