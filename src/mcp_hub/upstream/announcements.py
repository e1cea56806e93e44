"""What an upstream itself says of changes, until it is handed on.

Rule: that a list changed is handed on once it has been fetched since, and not before; that a resource changed, at once.
"""

from collections.abc import Callable
from typing import final

from msgspec import Raw

from mcp_hub.upstream.call import CHANGES
from mcp_hub.upstream.known import Notices
from mcp_hub.upstream.pace import Pace
from mcp_hub.upstream.watch import PAUSE
from mcp_hub.wire.jsonrpc import Message


@final
class Announcements:
    """What one upstream announces. `notices` is told of it; `follow` asks for its lists to be fetched."""

    def __init__(self, name: str, notices: Notices | None, follow: Callable[[], None]) -> None:
        self._name = name
        self._notices = notices
        self._following = Pace(follow, PAUSE)
        self._waiting: set[str] = set()

    def heard(self, message: Message) -> None:
        """It was told on a stream that is there for it; whoever reads that has the lists fetched."""
        kind = CHANGES.get(message.method or "")
        if kind is not None:
            self._waiting.add(kind)
        else:
            self.updated(message.params)

    def overheard(self, message: Message) -> None:
        """It was told in the middle of something else. Such come without a pause: they are followed once a second."""
        self.heard(message)
        if message.method in CHANGES:
            self._following.ask()

    def updated(self, params: Raw) -> None:
        """A resource changed: the params of the notice."""
        if self._notices is not None:
            self._notices.updated(self._name, params)

    def waiting(self) -> frozenset[str]:
        """The kinds of lists that are announced to have changed."""
        return frozenset(self._waiting)

    def pass_on(self, kinds: frozenset[str]) -> None:
        """The lists of these kinds have been fetched since."""
        self._waiting -= kinds
        if kinds and self._notices is not None:
            self._notices.announced(self._name, kinds)

    def stop(self) -> None:
        """Nothing is followed any more."""
        self._following.stop()
