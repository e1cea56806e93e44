"""Calls that go on as tasks, in the way of each era: both are over at once, so that nothing has to be waited for."""

import secrets
from typing import Any

import mcp_types as types
from catalog import is_modern
from hearers import Context
from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError

EXTENSION = "io.modelcontextprotocol/tasks"
RELATED = "io.modelcontextprotocol/related-task"
WHEN = {"createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z"}
OFFERED = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
TOOL = "works"


class TaskParams(types.RequestParams):
    task_id: str


def _done(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": f"worked, {text}"}]}


class Jobs:
    """The tasks of this server: what each was about, by id."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def serve(self, server: Server[Any]) -> None:
        """Serve what concerns tasks there."""
        server.extensions[EXTENSION] = {}
        server.middleware.append(self.around)
        for method, handler in {
            "tasks/get": self._get,
            "tasks/result": self._result,
            "tasks/cancel": self._get,
        }.items():
            server.add_request_handler(method, TaskParams, handler)

    async def around(self, context: Context, call_next: CallNext) -> HandlerResult:
        """Calls of the one tool become tasks where the client can do with one; the SDK knows no legacy ones."""
        params = context.params or {}
        if context.method == "tools/call" and params.get("name") == TOOL:
            return self._called(context, params)
        result = await call_next(context)
        if context.method == "initialize" and isinstance(result, dict):
            result["capabilities"] = {**result["capabilities"], "tasks": OFFERED}
        return result

    def _called(self, context: Context, params: Any) -> dict[str, Any]:
        text = params["arguments"]["text"]
        capabilities = context.session.client_capabilities
        can = (
            EXTENSION in ((capabilities and capabilities.extensions) or {}) if is_modern(context) else "task" in params
        )
        if not can:
            return {**_done(text), **({"resultType": "complete"} if is_modern(context) else {})}
        number = secrets.token_urlsafe(16)
        self._texts[number] = text
        if is_modern(context):
            return {"resultType": "task", **self._state(context, number, "working")}
        return {"task": self._state(context, number, "working")}

    def _state(self, context: Context, number: str, status: str) -> dict[str, Any]:
        lives = {"ttlMs": 60_000, "pollIntervalMs": 100} if is_modern(context) else {"ttl": 60_000, "pollInterval": 100}
        return {"taskId": number, "status": status, **WHEN, **lives}

    async def _get(self, context: Context, params: TaskParams) -> dict[str, Any]:
        text = self._text(params)
        result = {"result": _done(text)} if is_modern(context) else {}
        return {**self._state(context, params.task_id, "completed"), **result}

    async def _result(self, _: Context, params: TaskParams) -> dict[str, Any]:
        return {**_done(self._text(params)), "_meta": {RELATED: {"taskId": params.task_id}}}

    def _text(self, params: TaskParams) -> str:
        if params.task_id not in self._texts:
            raise MCPError(types.INVALID_PARAMS, "There is no such task.")
        return self._texts[params.task_id]
