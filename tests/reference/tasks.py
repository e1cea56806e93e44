"""Calls that go on as tasks: the extension `io.modelcontextprotocol/tasks` of the modern era.

A handler that asks its caller something does not know whether it runs in a task: `Task` is to it what `Call` is.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import mcp_types as types
from call import ANSWERS, Answer, Question
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from mcp_types.jsonrpc import HEADER_MISMATCH, MISSING_REQUIRED_CLIENT_CAPABILITY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

EXTENSION = "io.modelcontextprotocol/tasks"
TTL_MILLISECONDS = 300_000
POLL_MILLISECONDS = 100
KEPT = 256

Work = Callable[["Task"], Awaitable[types.CallToolResult]]


class TaskParams(types.RequestParams):
    task_id: str


class UpdateParams(TaskParams):
    input_responses: dict[str, Any]


def _now() -> str:
    return datetime.now(UTC).isoformat()


@dataclass
class Task:
    """One call that goes on. `outcome` is what its state holds besides once it is over."""

    arguments: Mapping[str, Any]
    id: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    status: str = "working"
    created: str = field(default_factory=_now)
    updated: str = field(default_factory=_now)
    outcome: dict[str, Any] = field(default_factory=dict)
    runner: asyncio.Task[None] | None = None
    _asked: dict[str, Question] = field(default_factory=dict)
    _answers: dict[str, Answer] = field(default_factory=dict)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def over(self) -> bool:
        return self.status in ("completed", "failed", "cancelled")

    async def ask(self, questions: Mapping[str, Question]) -> dict[str, Answer]:
        """The answers, once all of them have come."""
        self._asked |= questions
        self._move("input_required")
        while self._asked.keys() & questions.keys():
            self._answered.clear()
            await self._answered.wait()
        self._move("working")
        return {key: self._answers[key] for key in questions}

    def take(self, responses: Mapping[str, Any]) -> None:
        """Take the answers to what was asked; all others are ignored."""
        for key, response in responses.items():
            question = self._asked.pop(key, None)
            if question is not None:
                self._answers[key] = ANSWERS[question.method].model_validate(response)
        self._answered.set()

    async def run(self, work: Work) -> None:
        try:
            result = await work(self)
        except MCPError as error:
            self._end("failed", error=error.error.model_dump(mode="json", exclude_none=True))
        except asyncio.CancelledError:
            self._end("cancelled")
        else:
            self._end("completed", result=result.model_dump(by_alias=True, mode="json", exclude_none=True))

    def state(self) -> dict[str, Any]:
        """What a client is shown of it when it is made."""
        return {
            "taskId": self.id,
            "status": self.status,
            "createdAt": self.created,
            "lastUpdatedAt": self.updated,
            "ttlMs": TTL_MILLISECONDS,
            "pollIntervalMs": POLL_MILLISECONDS,
        }

    def details(self) -> dict[str, Any]:
        """What a client is shown that asks for its state."""
        asked = {key: one.model_dump(by_alias=True, mode="json", exclude_none=True) for key, one in self._asked.items()}
        return {**self.state(), **({"inputRequests": asked} if asked and not self.over else {}), **self.outcome}

    def _move(self, status: str) -> None:
        if not self.over:
            self.status, self.updated = status, _now()

    def _end(self, status: str, **outcome: Any) -> None:
        self._move(status)
        self.outcome = outcome


class Tasks:
    """The tasks of this server, the latest of them."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}

    def serve(self, server: Server[Any]) -> None:
        """Serve the extension's methods there."""
        server.extensions[EXTENSION] = {}
        modern = {"tasks/get": self._get, "tasks/cancel": self._cancel}
        for method, handler in modern.items():
            server.add_request_handler(method, TaskParams, handler)
        server.add_request_handler("tasks/update", UpdateParams, self._update)

    def begin(self, arguments: Mapping[str, Any], work: Work) -> dict[str, Any]:
        """Let work go on as a task: the result of the call."""
        task = Task(arguments)
        self._tasks[task.id] = task
        if len(self._tasks) > KEPT:
            self._tasks.pop(next(iter(self._tasks)))
        task.runner = asyncio.ensure_future(task.run(work))
        return {"resultType": "task", **task.state()}

    async def _get(self, context: ServerRequestContext[Any, Any], params: TaskParams) -> dict[str, Any]:
        return self._found(context, params).details()

    async def _update(self, context: ServerRequestContext[Any, Any], params: UpdateParams) -> dict[str, Any]:
        self._found(context, params).take(params.input_responses)
        return {}

    async def _cancel(self, context: ServerRequestContext[Any, Any], params: TaskParams) -> dict[str, Any]:
        task = self._found(context, params)
        if task.runner is not None:
            task.runner.cancel()
        return {}

    def _found(self, context: ServerRequestContext[Any, Any], params: TaskParams) -> Task:
        if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            raise MCPError(types.METHOD_NOT_FOUND, "Method not found")
        named = context.request.headers.get("mcp-name") if context.request else params.task_id
        if named != params.task_id:
            raise MCPError(HEADER_MISMATCH, "Mcp-Name does not repeat the task's id")
        require(context)
        task = self._tasks.get(params.task_id)
        if task is None:
            raise MCPError(types.INVALID_PARAMS, "Task not found")
        return task


def declared(context: ServerRequestContext[Any, Any]) -> bool:
    """Whether the caller takes a task for an answer."""
    return context.session.check_client_capability(types.ClientCapabilities(extensions={EXTENSION: {}}))


def require(context: ServerRequestContext[Any, Any]) -> None:
    """Raises: MCPError (-32021) if the caller takes no task for an answer."""
    if not declared(context):
        needed = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "This needs a client that knows tasks.", needed)
