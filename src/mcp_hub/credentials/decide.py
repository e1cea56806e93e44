"""How callers sign in to an upstream: decided here, once, by one table.

Rule: whoever shows, checks or uses it asks `decide`, so that nobody says one thing and does another.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mcp_hub.config.model import ApiKey, Auth, ClientCredentials, NoAuth, OAuth, OwnHeader, SharedHeader, Upstream


class SignIn(StrEnum):
    """As whom callers act at an upstream."""

    NONE = "none"
    SHARED = "shared"
    BROUGHT = "brought"
    PASTED = "pasted"
    CLAIM = "claim"
    OAUTH = "oauth"
    SERVICE = "service"
    UNDECIDED = "undecided"

    @property
    def is_own(self) -> bool:
        """Whether each caller has a credential of their own there, so that nothing of it may be shared."""
        return self in _OWN

    @property
    def on_page(self) -> bool:
        """Whether they give it to the hub on the connections page."""
        return self in _ON_PAGE


_OWN: Final = frozenset({SignIn.BROUGHT, SignIn.PASTED, SignIn.CLAIM, SignIn.OAUTH})
_ON_PAGE: Final = frozenset({SignIn.PASTED, SignIn.OAUTH})


class Discovered(StrEnum):
    """What is known of whether an upstream wants its users to sign in (OAuth)."""

    NOT_ASKED = "not_asked"
    NOTHING = "nothing"
    """It was asked, and either let the hub in or said nothing that the hub understands."""
    OAUTH = "oauth"


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided: the row of the table that applied, and why, in one sentence for people."""

    sign_in: SignIn
    row: str
    why: str


# The rows where `auth` says it, by what it says.
_SAID: Final = {
    NoAuth: Decision(SignIn.NONE, "auth: none", "'auth' says that no credential is sent, and none is looked for."),
    ApiKey: Decision(SignIn.SHARED, "auth: api_key", "'auth' gives one key, which is sent for all callers alike."),
    SharedHeader: Decision(
        SignIn.SHARED, "auth: header, value", "'auth' gives one header, which is sent for all callers alike."
    ),
    OAuth: Decision(SignIn.OAUTH, "auth: oauth", "'auth' says that each caller signs in there with their own account."),
    ClientCredentials: Decision(
        SignIn.SERVICE, "auth: client_credentials", "'auth' says that the hub acts there as itself, for all callers."
    ),
}
_OF_THEIR_OWN: Final = {
    "brought": Decision(
        SignIn.BROUGHT, "auth: header, from", "'auth' names the header in which each caller sends their own."
    ),
    "pasted": Decision(
        SignIn.PASTED, "auth: header, per_user", "'auth' says that each user pastes theirs on the connections page."
    ),
    "claim": Decision(SignIn.CLAIM, "auth: header, claim", "'auth' says that a header tells who the caller is."),
}

# The rows where it says nothing.
_COMMAND: Final = Decision(
    SignIn.NONE, "command", "It is a command on this computer, which takes its credentials from its environment."
)
_HEADERS: Final = Decision(
    SignIn.SHARED,
    "headers",
    "'headers' hold what is sent for all callers alike, so no sign-in (OAuth) is looked for.",
)
_FOUND: Final = {
    Discovered.OAUTH: Decision(
        SignIn.OAUTH,
        "OAuth found",
        "Nothing is said here, and the server wants its users to sign in: each caller does with their own account.",
    ),
    Discovered.NOTHING: Decision(
        SignIn.NONE, "nothing found", "Nothing is said here, and the server asks for no sign-in (OAuth)."
    ),
    Discovered.NOT_ASKED: Decision(
        SignIn.UNDECIDED,
        "not asked yet",
        "Nothing is said here: the server is called without a credential, and asked for its sign-in if it refuses.",
    ),
}


def decide(*, headers: bool, auth: Auth | None, found: Discovered, command: bool = False) -> Decision:
    """As whom callers act at an upstream, from `headers` (whether any are filled in), `auth` and what was `found`.

    The first row that fits counts. Where a dash stands, it does not matter; discovery takes place in the last three
    rows only.

    | row | command | headers | auth | discovery | sign-in |
    |---|---|---|---|---|---|
    | command | yes | - | - | - | none |
    | auth: none | no | empty | none | - | none |
    | headers | no | filled | nothing, or none | - | shared |
    | auth: api_key | no | - | api_key | - | shared |
    | auth: header, value | no | - | header, value | - | shared |
    | auth: header, from | no | - | header, from | - | brought |
    | auth: header, per_user | no | - | header, per_user | - | pasted |
    | auth: header, claim | no | - | header, claim | - | claim |
    | auth: oauth | no | (refused if filled) | oauth | - | oauth |
    | auth: client_credentials | no | - | client_credentials | - | service |
    | OAuth found | no | empty | nothing | oauth | oauth |
    | nothing found | no | empty | nothing | nothing | none |
    | not asked yet | no | empty | nothing | not_asked | undecided |
    """
    if command:
        return _COMMAND
    if isinstance(auth, OwnHeader):
        return _OF_THEIR_OWN[auth.source]
    if headers and (auth is None or isinstance(auth, NoAuth)):
        return _HEADERS
    return _FOUND[found] if auth is None else _SAID[type(auth)]


def decide_declared(upstream: Upstream, found: Discovered = Discovered.NOT_ASKED) -> Decision:
    """`decide`, of an upstream as it was declared."""
    return decide(headers=bool(upstream.headers), auth=upstream.auth, found=found, command=bool(upstream.command))
