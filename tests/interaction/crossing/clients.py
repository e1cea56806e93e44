"""Real SDK clients of every downstream kind, which remember what reached them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import httpx2
import mcp_types as types
from mcp import Client, ClientSession
from mcp.client.extension import ClientExtension, ResultClaim
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import PromptsListChanged, ResourcesListChanged, ResourceUpdated, ToolsListChanged
from pydantic import BaseModel, ConfigDict

UPDATED = "notifications/resources/updated"
CHANGES = {kind: f"notifications/{kind}/list_changed" for kind in ("tools", "prompts", "resources")}
_EVENTS = {
    ToolsListChanged: CHANGES["tools"],
    PromptsListChanged: CHANGES["prompts"],
    ResourcesListChanged: CHANGES["resources"],
}

Notice = tuple[str, str | None]
"""The method of a notice, and the resource that it is about."""


class Kind(StrEnum):
    """How a client connects."""

    MODERN = "modern"
    LEGACY = "legacy"
    FIRST_HTTP = "2025-03-26"
    SSE = "sse"


REVISIONS = {Kind.LEGACY: "2025-11-25", Kind.FIRST_HTTP: "2025-03-26", Kind.SSE: "2025-11-25"}
"""What legacy clients speak. The SDK's speak the newest over HTTP+SSE too, which is of 2024-11-05 as a transport."""
_OLD = types.ClientCapabilities(sampling=types.SamplingCapability(), roots=types.RootsCapability(list_changed=True))
_NEW = types.ClientCapabilities(
    sampling=types.SamplingCapability(tools=types.SamplingToolsCapability()),
    roots=types.RootsCapability(list_changed=True),
    elicitation=types.ElicitationCapability(
        form=types.FormElicitationCapability(), url=types.UrlElicitationCapability()
    ),
)


class Whole(BaseModel):
    """A result with everything that came, also what the SDK has no name for."""

    model_config = ConfigDict(extra="allow")

    @property
    def all(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class Plain(types.Request[dict[str, Any], str]):
    """A request with whatever params."""


class OfTask(types.Request[dict[str, Any], str]):
    """A request about a task, whose id stands in a header too."""

    name_param = "taskId"


class Made(types.Result):
    """What answers a call that has become a task, in the modern era."""

    result_type: Literal["task"] = "task"
    task_id: str


class Tasking(ClientExtension):
    """A client that can do with tasks, and looks after them itself."""

    identifier = "io.modelcontextprotocol/tasks"

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=Made, resolve=_never)]


async def _never(made: Made, _: Any) -> types.CallToolResult:
    raise AssertionError(f"{made} was to be looked after by the caller")


@dataclass
class Heard:
    """What reached one client besides results, in the order in which it came."""

    asked: list[BaseModel] = field(default_factory=list)
    logs: list[tuple[str, Any]] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _read: int = 0

    def notice(self, notice: Notice) -> None:
        self.notices.append(notice)
        self._news.set()

    async def until(self, notice: Notice) -> None:
        """Return once this notice has come; the next time waits for another one."""
        while notice not in self.notices[self._read :]:
            self._news.clear()
            await self._news.wait()
        self._read = self.notices.index(notice, self._read) + 1


@dataclass
class Caller:
    """One client. `mark` stands in all it says, so that what reaches somebody else is found there."""

    kind: Kind
    mark: str
    heard: Heard = field(default_factory=Heard)
    streaming: asyncio.Event = field(default_factory=asyncio.Event)
    client: Any = None
    """The SDK's client: a `Client` of the modern era, or else a `ClientSession`."""

    @property
    def session(self) -> ClientSession:
        return self.client.session if isinstance(self.client, Client) else self.client

    async def call(self, tool: str, **arguments: Any) -> types.CallToolResult:
        """Call a tool with this caller's mark as its `text`, unless `arguments` say something else."""
        return await self.client.call_tool(tool, {"text": self.mark, **arguments})

    async def says(self, tool: str, **arguments: Any) -> str:
        """The text of the result of a tool, which must be no error."""
        result = await self.call(tool, **arguments)
        assert not result.is_error, result
        return "".join(each.text for each in result.content)

    async def whole(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of any request, with members that the SDK does not know."""
        request = (OfTask if method.startswith("tasks/") else Plain)(method=method, params=params)
        return (await self.session.send_request(request, Whole)).all

    async def unjudged(self, method: str, **params: Any) -> dict[str, Any]:
        """The same for results that the SDK would refuse: it knows no tasks of the legacy era."""
        data: dict[str, Any] = {"method": method, "params": params}
        options: dict[str, Any] = {}
        self.session._stamp(data, options)
        return await self.session._dispatcher.send_raw_request(method, params, options)

    async def refused(self, method: str, **params: Any) -> MCPError:
        """The error that answers a request."""
        try:
            result = await self.whole(method, **params)
        except MCPError as error:
            return error
        raise AssertionError(f"{method} was answered with {result}")

    async def all(self, kind: str) -> list[Any]:
        """The whole list of a kind."""
        lists = {
            "tools": self.client.list_tools,
            "resources": self.client.list_resources,
            "resource_templates": self.client.list_resource_templates,
            "prompts": self.client.list_prompts,
        }
        return getattr(await lists[kind](), kind)

    @asynccontextmanager
    async def hearing(self, kinds: Sequence[str] = (), uris: Sequence[str] = ()) -> AsyncIterator[None]:
        """Hear of changes of lists and resources, in the way of the client's era."""
        hearing = self._listening if self.kind is Kind.MODERN else self._subscribed
        async with hearing(kinds, uris):
            yield

    @asynccontextmanager
    async def _listening(self, kinds: Sequence[str], uris: Sequence[str]) -> AsyncIterator[None]:
        wanted = {f"{kind}_list_changed": True for kind in kinds}
        async with self.client.listen(**wanted, resource_subscriptions=uris) as subscription:
            assert set(subscription.honored.resource_subscriptions or ()) == set(uris)

            async def relay() -> None:
                async for event in subscription:
                    about = event.uri if isinstance(event, ResourceUpdated) else None
                    self.heard.notice((_EVENTS.get(type(event), UPDATED), about))

            relaying = asyncio.ensure_future(relay())
            try:
                yield
            finally:
                relaying.cancel()

    @asynccontextmanager
    async def _subscribed(self, kinds: Sequence[str], uris: Sequence[str]) -> AsyncIterator[None]:
        del kinds  # a session hears of all of them
        await self.streaming.wait()
        for uri in uris:
            await self.session.subscribe_resource(uri)
        yield
        for uri in uris:
            await self.session.unsubscribe_resource(uri)

    # What the SDK calls back

    async def on_elicitation(self, _: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        self.heard.asked.append(params)
        content = {"name": self.mark} if params.mode == "form" else None
        return types.ElicitResult(action="accept", content=content)

    async def on_sampling(
        self, _: Any, params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult | types.CreateMessageResultWithTools:
        self.heard.asked.append(params)
        if params.tools is None:
            said = types.TextContent(text=f"a pixel, {self.mark}")
            return types.CreateMessageResult(role="assistant", content=said, model=self.mark, stop_reason="endTurn")
        use = types.ToolUseContent(id=f"use-{self.mark}", name="weather", input={"city": self.mark})
        return types.CreateMessageResultWithTools(
            role="assistant", content=[use], model=self.mark, stop_reason="toolUse"
        )

    async def on_roots(self, _: Any) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root(uri=f"file:///home/{self.mark}", name=self.mark)])

    async def on_log(self, params: types.LoggingMessageNotificationParams) -> None:
        self.heard.logs.append((params.level, params.data))

    async def on_message(self, message: Any) -> None:
        if getattr(message, "method", None) in (*CHANGES.values(), UPDATED):
            about = message.params.uri if message.method == UPDATED else None
            self.heard.notice((message.method, about))

    async def on_response(self, response: httpx2.Response) -> None:
        if response.request.method == "GET" and response.status_code == 200:
            self.streaming.set()


@asynccontextmanager
async def connected(
    base: str,
    kind: Kind,
    mark: str,
    owner: str,
    *,
    silent: bool = False,
    tasking: bool = False,
    log_level: types.LoggingLevel | None = None,
) -> AsyncIterator[Caller]:
    """A client of this kind at the hub whose address is `base`, which takes it for `owner`'s.

    One that is `silent` answers no questions; a modern one that is `tasking` can do with tasks. `log_level` is what a
    modern client asks to be logged; legacy ones say so by themselves.
    """
    caller = Caller(kind, mark)
    asked = {} if silent else _answers(caller)
    usual = {**asked, "logging_callback": caller.on_log, "message_handler": caller.on_message}
    headers = {"X-Caller": owner}
    async with AsyncExitStack() as stack:
        if kind is Kind.SSE:
            transport: Any = sse_client(f"{base}/sse", headers)
            caller.streaming.set()  # before anything else, or there is no session
        else:
            hooks = {"response": [caller.on_response]}
            http = httpx2.AsyncClient(headers=headers, trust_env=False, timeout=20, event_hooks=hooks)
            transport = streamable_http_client(f"{base}/mcp", http_client=await stack.enter_async_context(http))
        if kind is Kind.MODERN:
            tools = types.SamplingCapability(tools=types.SamplingToolsCapability())
            caller.client = await stack.enter_async_context(
                Client(
                    transport,
                    cache=None,
                    log_level=log_level,
                    sampling_capabilities=tools,
                    extensions=[Tasking()] if tasking else None,
                    **usual,
                )
            )
        else:
            read, write = await stack.enter_async_context(transport)
            # What still comes while the session closes fails the SDK's reader unless somebody else could take it.
            await stack.enter_async_context(read.clone())
            caller.client = await stack.enter_async_context(ClientSession(read, write, **usual))
            await _initialize(caller.session, REVISIONS[kind], silent=silent)
        yield caller


def _answers(caller: Caller) -> dict[str, Any]:
    return {
        "elicitation_callback": caller.on_elicitation,
        "sampling_callback": caller.on_sampling,
        "list_roots_callback": caller.on_roots,
    }


async def _initialize(session: ClientSession, revision: str, *, silent: bool) -> None:
    """Open the session as a client of this revision does, which the SDK by itself only does for the newest."""
    capabilities = types.ClientCapabilities() if silent else _OLD if revision < "2025-06-18" else _NEW
    params = types.InitializeRequestParams(
        protocol_version=revision,
        capabilities=capabilities,
        client_info=types.Implementation(name="grid", version="1"),
    )
    opened = await session.send_request(types.InitializeRequest(params=params), types.InitializeResult)
    assert opened.protocol_version == revision
    session.adopt(opened)
    await session.send_notification(types.InitializedNotification())
