"""Whoever asked to hear of a change hears of it: listen streams in the modern era, sessions in the legacy one."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import anyio
import mcp_types as types
from call import session_id
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.subscriptions import PromptsListChanged, ResourceUpdated, ToolsListChanged

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
KEPT_SESSIONS = 64


@dataclass
class Notices:
    """What each legacy session wants to hear, and the bus that feeds the modern listen streams."""

    bus: InMemorySubscriptionBus = field(default_factory=InMemorySubscriptionBus)
    sessions: dict[str, ServerSession] = field(default_factory=dict)
    watched: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    levels: dict[str, str] = field(default_factory=dict)

    def listen(self) -> ListenHandler:
        return ListenHandler(self.bus)

    async def initialized(self, context: ServerRequestContext[Any, Any], _: types.NotificationParams) -> None:
        """Keeps the session, and forgets the oldest one beyond the limit."""
        self.sessions[session_id(context)] = context.session
        if len(self.sessions) > KEPT_SESSIONS:
            self.sessions.pop(next(iter(self.sessions)))

    async def subscribe(
        self, context: ServerRequestContext[Any, Any], params: types.SubscribeRequestParams
    ) -> types.EmptyResult:
        self.watched[str(params.uri)].add(session_id(context))
        return types.EmptyResult()

    async def unsubscribe(
        self, context: ServerRequestContext[Any, Any], params: types.UnsubscribeRequestParams
    ) -> types.EmptyResult:
        self.watched[str(params.uri)].discard(session_id(context))
        return types.EmptyResult()

    async def set_level(
        self, context: ServerRequestContext[Any, Any], params: types.SetLevelRequestParams
    ) -> types.EmptyResult:
        self.levels[session_id(context)] = params.level
        return types.EmptyResult()

    def wants(self, session_id: str | None, level: str) -> bool:
        """Whether a legacy session wants log messages of this level; everything until it says otherwise."""
        return LEVELS.index(level) >= LEVELS.index(self.levels.get(session_id or "", "debug"))

    async def tools_changed(self) -> None:
        await self.bus.publish(ToolsListChanged())
        await self._tell(types.ToolListChangedNotification(), set(self.sessions))

    async def prompts_changed(self) -> None:
        await self.bus.publish(PromptsListChanged())
        await self._tell(types.PromptListChangedNotification(), set(self.sessions))

    async def resource_changed(self, uri: str) -> None:
        await self.bus.publish(ResourceUpdated(uri))
        params = types.ResourceUpdatedNotificationParams(uri=uri)
        await self._tell(types.ResourceUpdatedNotification(params=params), self.watched[uri])

    async def _tell(self, notification: types.ServerNotification, session_ids: set[str]) -> None:
        for each in session_ids & set(self.sessions):
            try:
                await self.sessions[each].send_notification(notification)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                self.sessions.pop(each, None)
