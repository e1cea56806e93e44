"""What one upstream is told of the configuration. Rule: nothing here is looked up again later."""

from dataclasses import dataclass

from msgspec import Raw

from mcp_hub.wire.eras import Era


@dataclass(frozen=True, slots=True)
class Settings:
    """What an upstream is told of the configuration. `ttl`, `listing` and `start` are seconds.

    `start` is how much longer than for a list it may take to introduce itself, since it has to be started first.
    """

    name: str
    url: str
    pinned: Era | None
    ttl: float
    listing: float
    info: Raw
    start: float = 0.0

    @property
    def introduction(self) -> float:
        """Seconds within which it has to introduce itself."""
        return self.listing + self.start
