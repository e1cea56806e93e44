"""What a user is told when only they can go on. Pure.

Rule: each sentence is complete in itself: what is missing, for whom, and where they act. It repeats no value.
"""

from dataclasses import dataclass
from typing import Final

from mcp_hub.errors import ConnectionNeeded
from mcp_hub.principal import Principal


@dataclass(frozen=True, slots=True)
class Place:
    """An upstream as people are told of it: its configured name, its title, and the page where they connect to it.

    `stands_for` stands for its address: what somebody gave for another one does not go there. `first` is said before
    they are told to open the page, in whole sentences; where there is no page, it is all that they are told to do.
    """

    upstream: str
    title: str
    page: str | None
    stands_for: str = ""
    first: str = ""

    def step(self, to: str = "") -> str:
        """What they do next, in whole sentences; `to` says what for, such as " to allow it"."""
        return self.first if self.page is None else f"{self.first}Open {self.page}{to}, then try again."


def name_of(caller: Principal) -> str:
    """How a caller is told that they are meant."""
    return caller.email or str(caller)


def not_connected(place: Place, caller: Principal) -> ConnectionNeeded:
    """They have not connected yet, or have ended it."""
    public = f"{place.title} is not connected for {name_of(caller)}. {place.step()}"
    return ConnectionNeeded(place.upstream, public, url=place.page, state="not_connected")


def moved(place: Place) -> str:
    """Why what they gave the hub is not sent: it was given for another address."""
    return MOVED.format(title=place.title)


def reconnect_needed(place: Place, caller: Principal, reason: str) -> ConnectionNeeded:
    """Their connection is of no use any more; `reason` is a whole public sentence."""
    public = f"{reason} {place.step(f' to connect {place.title} again for {name_of(caller)}')}"
    return ConnectionNeeded(place.upstream, public, url=place.page, state="reconnect_needed")


MOVED: Final = "The address of {title} was changed in the hub's configuration since you connected."
