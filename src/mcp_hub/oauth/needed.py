"""What a caller is told whose connection cannot be used as it is.

Rule: each sentence is complete: it names whose connection, where to act and what to do then. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mcp_hub.errors import ConnectionNeeded, Unreachable

_MOST_NAMED: Final = 8


@dataclass(frozen=True, slots=True)
class Place:
    """One caller at one upstream, in words. `url` is the page where they connect; `label` is what they are called."""

    upstream: str
    title: str
    url: str
    label: str

    def not_connected(self) -> ConnectionNeeded:
        """They have not connected yet."""
        public = f"{self.title} is not connected for {self.label}. Open {self.url}, then try again."
        return ConnectionNeeded(self.upstream, public, url=self.url, state="not_connected")

    def reconnect(self, why: str) -> ConnectionNeeded:
        """They have to connect anew; `why` is a public sentence."""
        public = f"{why} {self.label} has to connect {self.title} anew: open {self.url}, then try again."
        return ConnectionNeeded(self.upstream, public, url=self.url, state="reconnect_needed")

    def allow_more(self, missing: Iterable[str]) -> ConnectionNeeded:
        """They have to allow more than they did; `missing` are scopes, in the form that RFC 6749 gives them."""
        names = sorted(missing)
        named = ", ".join(names[:_MOST_NAMED]) + (" and more" if len(names) > _MOST_NAMED else "")
        public = (
            f"{self.title} asks for more than {self.label} has allowed (missing: {named}). Open {self.url} to allow it,"
            " then try again."
        )
        return ConnectionNeeded(self.upstream, public, url=self.url, state="reconnect_needed")

    def away(self, why: str) -> Unreachable:
        """Nobody can get a credential now; `why` is a public sentence."""
        return Unreachable(self.upstream, f"{why} Nothing was sent to {self.title}. Try again in a moment.")

    def for_admin(self, why: str) -> Unreachable:
        """The admin has to act; `why` is a public sentence."""
        return Unreachable(
            self.upstream,
            f"{why} The connection of {self.label} is kept. An administrator of this hub has to set the client for"
            f" {self.title} right.",
        )
