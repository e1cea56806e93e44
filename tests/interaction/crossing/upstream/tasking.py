"""Calls that become tasks, of either era; short-circuited before the SDK, which knows no tasks of the legacy era."""

import secrets
from typing import Any

import mcp_types as types
from catalog import is_modern
from hearers import Context
from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError

EXTENSION = "io.modelcontextprotocol/tasks"
RELATED = "io.modelcontextprotocol/related-task"
OFFERED = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
WHEN = {"createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z"}
TOOL = "later"


class Tasks:
    """The tasks of this server: each is over at once, and holds what its call was given."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    async def __call__(self, context: Context, call_next: CallNext) -> HandlerResult:
        """Serves what is of tasks, and has all else served."""
        params: dict[str, Any] = dict(context.params or {})
        if context.method == "tools/call" and params.get("name") == TOOL and self._wants_task(context, params):
            return self._made(context, params["arguments"]["text"])
        if context.method in ("tasks/get", "tasks/result", "tasks/cancel"):
            return self._served(context, str(params.get("taskId")))
        if context.method == "tasks/list":
            return {"tasks": [self._state(context, task) for task in self._texts]}
        result = await call_next(context)
        if isinstance(result, dict) and context.method in ("initialize", "server/discover"):
            offered = {"extensions": {EXTENSION: {}}} if context.method == "server/discover" else {"tasks": OFFERED}
            result["capabilities"] |= offered
        return result

    def _wants_task(self, context: Context, params: dict[str, Any]) -> bool:
        if not is_modern(context):
            return "task" in params
        return context.session.check_client_capability(types.ClientCapabilities(extensions={EXTENSION: {}}))

    def _made(self, context: Context, text: str) -> dict[str, Any]:
        task = secrets.token_hex(8)
        self._texts[task] = text
        state = self._state(context, task)
        # The SDK's client takes no result of a legacy call without content.
        return {"resultType": "task", **state} if is_modern(context) else {"task": state, "content": []}

    def _served(self, context: Context, task: str) -> dict[str, Any]:
        if task not in self._texts:
            raise MCPError(types.INVALID_PARAMS, "Task not found")
        if context.method == "tasks/result":
            return {**self._result(task), "_meta": {RELATED: {"taskId": task}}}
        if context.method == "tasks/cancel" and is_modern(context):
            return {"resultType": "complete"}
        over = {"resultType": "complete", "result": self._result(task)} if is_modern(context) else {}
        return {**self._state(context, task), **over}

    def _state(self, context: Context, task: str) -> dict[str, Any]:
        ttl = {"ttlMs": 60_000} if is_modern(context) else {"ttl": 60_000}
        return {"taskId": task, "status": "completed", **WHEN, **ttl}

    def _result(self, task: str) -> dict[str, Any]:
        text = self._texts[task]
        link = {"type": "resource_link", "uri": f"note://by/{text}/1", "name": "one"}
        return {"content": [{"type": "text", "text": f"later, {text}"}, link]}
