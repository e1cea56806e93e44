"""Whoever asked to hear of a change hears of it, in the way of its era; the changes come from outside, as news.

Sessions are told apart by their connection, since not every transport has session ids.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.subscriptions import PromptsListChanged, ResourcesListChanged, ResourceUpdated, ToolsListChanged

Context = ServerRequestContext[Any, Any]

EVENTS = {"tools": ToolsListChanged, "prompts": PromptsListChanged, "resources": ResourcesListChanged}
NOTICES = {
    "tools": types.ToolListChangedNotification,
    "prompts": types.PromptListChangedNotification,
    "resources": types.ResourceListChangedNotification,
}


@dataclass
class Hearer:
    """One legacy connection: where its notices go, what it subscribed to, and the log level it set."""

    session: ServerSession
    uris: set[str] = field(default_factory=set)
    level: str = "debug"
    roots_changed: int = 0


@dataclass
class Hearers:
    """All of them. `added` are the names that news has added to the lists, by kind."""

    bus: InMemorySubscriptionBus = field(default_factory=InMemorySubscriptionBus)
    added: dict[str, set[str]] = field(default_factory=lambda: {kind: set() for kind in EVENTS})
    _hearers: dict[int, Hearer] = field(default_factory=dict)

    def of(self, context: Context) -> Hearer:
        connection = context.session._connection
        if id(connection) not in self._hearers:
            self._hearers[id(connection)] = Hearer(context.session)
            connection.exit_stack.callback(self._hearers.pop, id(connection), None)
        return self._hearers[id(connection)]

    def listen(self) -> ListenHandler:
        return ListenHandler(self.bus)

    async def initialized(self, context: Context, _: types.NotificationParams | None) -> None:
        self.of(context)

    async def subscribe(self, context: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        self.of(context).uris.add(params.uri)
        return types.EmptyResult()

    async def unsubscribe(self, context: Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        self.of(context).uris.discard(params.uri)
        return types.EmptyResult()

    async def set_level(self, context: Context, params: types.SetLevelRequestParams) -> types.EmptyResult:
        self.of(context).level = params.level
        return types.EmptyResult()

    async def roots_changed(self, context: Context, _: types.NotificationParams | None) -> None:
        self.of(context).roots_changed += 1

    async def _changed(self, kind: str) -> None:
        await self.bus.publish(EVENTS[kind]())
        for hearer in list(self._hearers.values()):
            await hearer.session.send_notification(NOTICES[kind]())

    async def _updated(self, uri: str) -> None:
        await self.bus.publish(ResourceUpdated(uri))
        params = types.ResourceUpdatedNotificationParams(uri=uri)
        for hearer in list(self._hearers.values()):
            if uri in hearer.uris:
                await hearer.session.send_notification(types.ResourceUpdatedNotification(params=params))

    async def take(self, news: dict[str, str]) -> None:
        """Make one piece of news true, and tell of it: `add` or `drop` a name of a `kind`, or an `update` of a URI."""
        match news:
            case {"kind": kind, "add": name}:
                self.added[kind].add(name)
                await self._changed(kind)
            case {"kind": kind, "drop": name}:
                self.added[kind].discard(name)
                await self._changed(kind)
            case {"update": uri}:
                await self._updated(uri)


async def read_news(port: int, name: str, take: Callable[[dict[str, str]], Awaitable[None]]) -> None:
    """Take every line of news as it comes, and say that it was taken, until there is no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{name}\n".encode())
    try:
        while line := await reader.readline():
            await take(json.loads(line))
            writer.write(b"taken\n")
            await writer.drain()
    finally:
        writer.close()
