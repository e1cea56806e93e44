"""An upstream whose calls become tasks, in either era, under ids of its own."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from rig.fake_upstream import MODERN, Answer, FakeUpstream, Json, Request, error, result, sse

TASKS = "io.modelcontextprotocol/tasks"
RELATED = "io.modelcontextprotocol/related-task"
LINK = {"type": "resource_link", "uri": "file:///made", "name": "made"}
QUESTION = {"message": "Sure?", "requestedSchema": {"type": "object", "properties": {}}}
WHEN = {"createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z"}


class TaskUpstream(FakeUpstream):
    """`tasks` holds the state of each task by its own id; `done` ends the waiting for results."""

    def __init__(self, *, name: str = "up", eras: str = "modern", **more: Any) -> None:
        super().__init__(name=name, eras=eras, **more)
        of_tasks = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
        self.capabilities |= {"extensions": {TASKS: {}}} if eras == "modern" else {"tasks": of_tasks}
        self.tasks: dict[str, Json] = {}
        self.done = asyncio.Event()
        self.asks_for_results = False
        self.told_before: list[Json] = []
        self.answers: list[Json] = []
        self.ttl: int | None = 60_000
        self.handlers |= {
            "tools/call": self._call,
            "tasks/get": self._get,
            "tasks/cancel": self._cancel,
            "tasks/update": self._update,
            "tasks/result": self._result,
            "tasks/list": self._list,
            "": self._answered,
        }

    @property
    def ids(self) -> list[str]:
        return list(self.tasks)

    async def _call(self, request: Request) -> Answer | None:
        modern = request.headers.get("mcp-protocol-version") == MODERN
        meta = request.message["params"].get("_meta", {})
        declared = meta.get("io.modelcontextprotocol/clientCapabilities", {}).get("extensions", {})
        if not (TASKS in declared if modern else "task" in request.message["params"]):
            return None
        task = f"task-{len(self.tasks)}"
        ttl = {"ttlMs": self.ttl} if modern else {"ttl": self.ttl}
        self.tasks[task] = {"taskId": task, "status": "working", **WHEN, **ttl}
        return result(request, self._made(task, modern=modern))

    def _made(self, task: str, *, modern: bool) -> Json:
        state = self.tasks[task]
        return {"resultType": "task", **state} if modern else {"task": state, "_meta": {RELATED: {"taskId": task}}}

    async def _get(self, request: Request) -> Answer:
        state = self._state(request)
        return error(request, -32602, "Task not found") if state is None else result(request, self._shown(state))

    def _shown(self, state: Json) -> Json:
        if self.eras == "legacy":
            return state
        finished = {"status": "completed", "result": self._content()} if self.done.is_set() else {}
        return {"resultType": "complete", **state, **finished}

    async def _cancel(self, request: Request) -> Answer:
        state = self._state(request)
        if state is None:
            return error(request, -32602, "Task not found")
        state["status"] = "cancelled"
        return result(request, state if self.eras == "legacy" else {"resultType": "complete"})

    async def _update(self, request: Request) -> Answer:
        if self._state(request) is None:
            return error(request, -32602, "Task not found")
        self.answers.append(request.message["params"]["inputResponses"])
        return result(request, {"resultType": "complete"})

    async def _list(self, request: Request) -> Answer:
        return result(request, self._page("tasks", list(self.tasks.values()), request.message["params"].get("cursor")))

    async def _result(self, request: Request) -> Answer:
        state = self._state(request)
        if state is None:
            return error(request, -32602, "Task not found")

        async def chunks() -> AsyncIterator[bytes]:
            related = {"_meta": {RELATED: {"taskId": state["taskId"]}}}
            for told in self.told_before:
                yield sse(told)
            if self.asks_for_results:
                yield sse({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": QUESTION | related})
            await self.done.wait()
            yield sse({"jsonrpc": "2.0", "id": request.message["id"], "result": self._content() | related})

        return Answer(content_type="text/event-stream", chunks=chunks())

    async def _answered(self, request: Request) -> Answer | None:
        if request.verb != "POST" or request.message.get("id") != "q":
            return None
        self.answers.append(request.message["result"])
        self.done.set()
        return Answer(status=202)

    def _content(self) -> Json:
        return {"content": [LINK], "isError": False}

    def _state(self, request: Request) -> Json | None:
        named = request.message["params"]["taskId"]
        if self.eras == "modern" and request.headers.get("mcp-name") != named:
            return None
        return self.tasks.get(named)
