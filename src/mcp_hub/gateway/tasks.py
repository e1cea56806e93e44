"""Tasks between sides of one era: their ids on the way out and back, and who may ask for which.

    client  upstream
    modern  modern    the extension `io.modelcontextprotocol/tasks`
    legacy  legacy    the tasks of 2025-11-25, asked for by `task` in a call
    else              not offered: `task` in a call is left out, or refused where the hub does offer tasks

Rule: a client sees sealed ids only, in every place where one stands; an id that is not the caller's own is the id of
no task. Sources: MCP 2025-11-25, basic/utilities/tasks; the extension, "Security Considerations".
"""

from typing import Final, final

from msgspec import Raw

from mcp_hub.catalog.task_ids import RELATED, STATUS, Rename, rewrite_ids
from mcp_hub.errors import BadRequest, BrokeProtocol, MissingCapability, UnknownMethod
from mcp_hub.gateway.ask import Ask, Emit
from mcp_hub.gateway.created import Created
from mcp_hub.gateway.task_ids import LONGEST, TaskIds
from mcp_hub.gateway.view import View
from mcp_hub.upstream.call import AskClient
from mcp_hub.wire.eras import TASKS, TASKS_REVISION, Client, Era
from mcp_hub.wire.jsonrpc import Fields, Reply, fields, notification, parse, text

METHODS: Final = {
    Era.MODERN: frozenset({"tasks/get", "tasks/update", "tasks/cancel"}),
    Era.LEGACY: frozenset({"tasks/get", "tasks/result", "tasks/cancel", "tasks/list"}),
}
LIST: Final = "tasks/list"
RESULT: Final = "tasks/result"
OF_TASKS: Final = frozenset({method for methods in METHODS.values() for method in methods})
_CALL: Final = "tools/call"
LONGEST_RESULT: Final = 600.0
"""Seconds that `tasks/result` waits for the end of its task; then it can be asked for again."""


@final
class Tasks:
    """The tasks of all callers, of which nothing is kept but which were made here."""

    def __init__(self, ids: TaskIds) -> None:
        self._ids = ids
        self._created = Created()

    # What a client asks for

    def require_offered(self, ask: Ask, view: View) -> None:
        """Whether the method is one of tasks as the hub offers them to this client.

        Raises:
            UnknownMethod: it is not.
            MissingCapability: the client did not declare the extension.
        """
        client = ask.client
        if ask.method not in METHODS[client.era] or not view.with_tasks[client.era] or not _knows_tasks(client):
            raise UnknownMethod(f"This hub does not serve {ask.method!r} to clients of {client.revision}.")
        if client.era is Era.MODERN and not declares(client, TASKS):
            raise MissingCapability(TASKS, f"{ask.method} needs a client that declares the extension {TASKS}.")

    def find(self, ask: Ask, view: View) -> tuple[str, str]:
        """The upstream and its own id of the task that a request is about.

        Raises:
            UnknownMethod, MissingCapability: as `require_offered` says.
            BadRequest: there is no such task, as far as this caller is concerned.
        """
        self.require_offered(ask, view)
        shown = text(ask.params.get("taskId"))
        if shown is None:
            raise BadRequest(f"{ask.method} needs a string 'taskId'.")
        found = self._ids.open(ask.caller.key, shown)
        if found is None or found[0] not in view.with_tasks[ask.client.era]:
            raise BadRequest("There is no such task. Its id is not one of yours, or its server is gone.")
        return found

    def opened(self, ask: Ask, shown: str) -> tuple[str, str] | None:
        """The upstream and its own id of what may be a task of this caller's."""
        return self._ids.open(ask.caller.key, shown)

    def of_call(self, ask: Ask, upstream: str, era: Era | None, view: View) -> bool:
        """Whether the `task` in a call goes on to this upstream, which is spoken to in this era.

        Raises:
            UnknownMethod: the hub offers tasks to this client, but this tool's upstream has none.
        """
        if ask.client.era is Era.MODERN:
            return era is Era.MODERN  # which tolerates it; a legacy upstream would make a task that nobody can see
        if not _knows_tasks(ask.client) or not view.with_tasks[Era.LEGACY]:
            return False  # "MUST process requests of that type normally, ignoring any task-augmentation metadata"
        if upstream not in view.with_tasks[Era.LEGACY]:
            raise UnknownMethod("This tool cannot be called as a task. Call it without 'task'.")
        return True

    # What an upstream says

    def outward(self, ask: Ask, upstream: str, result: bytes | Raw) -> bytes | Raw:
        """A result with the ids that this caller may see.

        Raises:
            Malformed: a part that had to be opened is not valid JSON.
            BrokeProtocol: an id is longer than the hub carries.
        """
        if ask.method != _CALL and ask.method not in OF_TASKS:
            return result
        era, makes = ask.client.era, _makes(ask)
        # The result of a legacy call that did not ask for a task is none, whatever a tool calls its own.
        method = "" if era is Era.LEGACY and ask.method == _CALL and not makes else ask.method
        return rewrite_ids(result, method, era, self._shown(ask, upstream, made=makes))

    def emit(self, ask: Ask, upstream: str) -> Emit:
        """The way of what a legacy upstream tells during a call; states of tasks that are not the caller's end here."""
        shown = self._shown(ask, upstream)

        async def emit(data: bytes) -> None:
            if b'"taskId"' not in data and b"\\u00" not in data:
                await ask.emit(data)
                return
            message = parse(data)
            method = message.method or ""
            if method != STATUS[Era.LEGACY] or self._is_own(ask, upstream, message.params):
                params = rewrite_ids(message.params, method, Era.LEGACY, shown)
                await ask.emit(notification(method, fields(params)))

        return emit

    def ask_client(self, ask: Ask, upstream: str) -> AskClient | None:
        """The way of a legacy upstream's questions, which say of which task they are, and so do their answers."""
        asking = ask.ask_client
        if asking is None:
            return None
        shown, own = self._shown(ask, upstream), self._own(ask, upstream)

        async def ask_client(method: str, params: Raw) -> Reply:
            reply = await asking(method, Raw(rewrite_ids(params, method, Era.LEGACY, shown)))
            if reply.result is None:
                return reply
            return Reply(result=rewrite_ids(reply.result, method, Era.LEGACY, own))

        return ask_client

    def of_list(self, ask: Ask, upstream: str, task: Raw) -> Raw | None:
        """One task of an upstream's list as this caller sees it, `None` if it is not the caller's own.

        Raises:
            Malformed: it is not valid JSON.
            BrokeProtocol: its id is longer than the hub carries.
        """
        if not self._is_own(ask, upstream, task):
            return None
        return Raw(rewrite_ids(task, "tasks/get", Era.LEGACY, self._shown(ask, upstream)))

    # Ids

    def _shown(self, ask: Ask, upstream: str, *, made: bool = False) -> Rename:
        principal = ask.caller.key

        def shown(task: str) -> str:
            if len(task) > LONGEST:
                raise BrokeProtocol(upstream, f"{upstream} uses a longer task id than the hub carries.")
            if made:
                self._created.note(principal, (upstream, task))
            return self._ids.close(principal, upstream, task)

        return shown

    def _own(self, ask: Ask, upstream: str) -> Rename:
        def own(shown: str) -> str | None:
            found = self._ids.open(ask.caller.key, shown)
            return found[1] if found is not None and found[0] == upstream else None

        return own

    def _is_own(self, ask: Ask, upstream: str, state: Raw) -> bool:
        task = text(fields(state).get("taskId"))
        return task is not None and self._created.has(ask.caller.key, (upstream, task))


def meta_of(ask: Ask) -> Fields:
    """What a request says of itself, as far as it goes on."""
    if ask.method not in OF_TASKS or RELATED not in ask.meta:
        return ask.meta
    # "Receivers MUST ignore such metadata". Left out of a copy: what was given is remembered for other requests, too.
    return {key: each for key, each in ask.meta.items() if key != RELATED}


def require_known(ask: Ask, upstream: str) -> None:
    """Whether the client can do with a task in place of a result, as modern upstreams may answer.

    Raises:
        BrokeProtocol: it cannot, and the upstream was not told that it could.
    """
    if ask.client.era is Era.LEGACY or not declares(ask.client, TASKS):
        raise BrokeProtocol(upstream, f"{upstream} answered with a task, which this client does not know.")


def declares(client: Client, extension: str) -> bool:
    """Whether a client says that it knows an extension.

    Raises:
        Malformed: its capabilities are not what they should be.
    """
    return extension in fields(fields(client.capabilities).get("extensions", Raw(b"{}")))


def _knows_tasks(client: Client) -> bool:
    return client.era is Era.MODERN or client.revision == TASKS_REVISION


def _makes(ask: Ask) -> bool:
    """Whether it asks for a task, as only legacy calls do."""
    return ask.method == _CALL and ask.client.era is Era.LEGACY and "task" in ask.params
