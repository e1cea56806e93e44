"""What people are shown of a connection, and of one that is being made. Values only.

Rule: none of this is secret, and none of it is a stranger's words but for names, which whoever shows them escapes.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mcp_hub.credentials.state import State
from mcp_hub.errors import HubError
from mcp_hub.oauth.server import Step
from mcp_hub.store.connections import Source


class Ending(StrEnum):
    """How a connection ended. The hub's own copy is gone in every case."""

    CONFIRMED = "confirmed"
    """The other side confirmed that it is over there too."""
    NO_WAY = "no_way"
    """The other side offers no way to end it: its user does so there, if they wish."""
    NO_ANSWER = "no_answer"
    """The other side did not confirm it."""
    NOTHING = "nothing"
    """There was nothing to end."""


class What(StrEnum):
    """What happened to a connection, for the record."""

    CONNECTED = "connected"
    CONNECT_REFUSED = "connect_refused"
    """Somebody came back from a server, and nothing was stored."""
    DISCONNECTED = "disconnected"
    RECONNECT_NEEDED = "reconnect_needed"
    """A connection ended without its user."""
    KEY_PASTED = "key_pasted"


@dataclass(frozen=True, slots=True)
class Connection:
    """How one caller stands with one upstream.

    `sign_in` is a `SignIn`: whose credential goes there, and how it is come by. `host` is the upstream's. `sentence`
    says in words what `state` means for them and what to do next; empty where all is well. `account` is what the other
    side calls its user, empty if it did not say. `since` is when it was made and `used` when it was used last (unix
    seconds). `key_hint` is what may be shown of a pasted key. `wanted` are scopes that the upstream asked for beyond
    those that it has.
    """

    upstream: str
    title: str
    host: str
    sign_in: str
    state: State
    sentence: str = ""
    account: str = ""
    scopes: frozenset[str] = frozenset()
    since: float | None = None
    used: float | None = None
    key_hint: str = ""
    wanted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Prospect:
    """What somebody is shown before they connect: where they would be sent, and what would be asked for.

    `server` is the host where they sign in. `scopes` is empty where nothing particular is asked for, and `added` are
    those of them that an existing connection does not have. `source` is how the hub is known there; `None` if it will
    register itself when they go on.
    """

    upstream: str
    title: str
    host: str
    server: str
    scopes: tuple[str, ...]
    added: tuple[str, ...]
    source: Source | None
    trace: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """A connection that was just made. `window` is whether its page was opened in a window of its own."""

    upstream: str
    title: str
    account: str
    window: bool


class ConnectFailed(HubError):
    """No connection was made, and nothing was stored. `public` says why and what to do next.

    `code` is a word of ours, of the table in `flow` or of discovery or registration. `reference` stands in the log
    beside what is not shown; empty where there is nothing more to know. `trace` is how far it came.
    """

    def __init__(self, public: str, code: str, *, reference: str = "", trace: tuple[Step, ...] = ()) -> None:
        super().__init__(public)
        self.code: Final = code
        self.reference: Final = reference
        self.trace: Final = trace
