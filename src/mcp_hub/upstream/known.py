"""What is known of one upstream, and who is told when that changes."""

from dataclasses import dataclass
from typing import Protocol

from msgspec import Raw

from mcp_hub.catalog.parts import Part
from mcp_hub.upstream.health import UNTRIED, Health
from mcp_hub.upstream.probe import Opening
from mcp_hub.wire.eras import Era


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an upstream. Replaced, never changed. `fetched` is a time of the monotonic clock."""

    health: Health = UNTRIED
    opening: Opening | None = None
    era: Era | None = None
    part: Part | None = None
    fetched: float | None = None
    milliseconds: float | None = None


class Listener(Protocol):
    """Told when what is known of an upstream has changed."""

    def changed(self, name: str, known: Known, *, new_part: bool) -> None:
        """Called in the event loop; must not block."""
        ...


class Notices(Protocol):
    """Told what an upstream itself says of changes. Called in the event loop; must not block."""

    def announced(self, name: str, kinds: frozenset[str]) -> None:
        """It has said that its lists of these kinds changed, and they have been fetched since."""
        ...

    def updated(self, name: str, params: Raw) -> None:
        """It has said that a resource changed: the params of `notifications/resources/updated`, as they came."""
        ...
