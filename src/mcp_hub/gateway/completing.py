"""Tells clients of 2025-11-25 that what their user was asked to open is done, so that they can go on by themselves.

Rule: only the session that was asked is told, and once. What is told may come too early, never to somebody else: who
calls again and still lacks something is asked again.
Source: MCP 2025-11-25 client/elicitation ("Completion Notifications for URL Mode Elicitation").
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, final

from msgspec import Raw

from mcp_hub.gateway.listener import Listener
from mcp_hub.wire.jsonrpc import encode

COMPLETE: Final = "notifications/elicitation/complete"
MOST: Final = 1024
"""How many wait; when more come, the oldest are not told any more."""

Watch = Callable[[Callable[[], object]], Callable[[], None]]
"""Calls what it is given whenever the connection has changed, until what it returns is called."""


@final
class Completing:
    """Those who wait for their user. Belongs to one event loop."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._waiting: OrderedDict[str, Callable[[], None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, elicitation: str, listener: Listener, watch: Watch) -> None:
        """Tell `listener` that this elicitation is complete, as soon as the connection has changed."""

        def changed() -> None:
            self._forget(elicitation)
            listener.tell(f"{COMPLETE} {elicitation}", (COMPLETE, {"elicitationId": Raw(encode(elicitation))}))

        self._waiting[elicitation] = watch(changed)
        while len(self._waiting) > self._most:
            self._forget(next(iter(self._waiting)))

    def _forget(self, elicitation: str) -> None:
        stop = self._waiting.pop(elicitation, None)
        if stop is not None:
            stop()
