"""How a connection is made, as one table: what happens at which stage, where that leads, and what people are told.

Rule: pure. An answer goes through the stages in their order, and at each of them there is one way on; whatever else
happens ends the flow for good, stores nothing, and has a word and a sentence. Nothing of what came back is acted on
before it is known to belong to a flow of this browser and this user, and to come from this server. Sources: MCP
2026-07-28 basic/authorization; RFC 9207 section 2.4; RFC 9700 sections 2.1 and 4.4; OAuth 2.1 section 4.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Stage(StrEnum):
    """How far it came."""

    WAITING = "waiting"
    """Somebody was sent to the server, and an answer arrived at the hub."""
    CLAIMED = "claimed"
    """The answer belongs to a flow that this user began in this browser."""
    GENUINE = "genuine"
    """It comes from the server they were sent to."""
    AGREED = "agreed"
    """They agreed there: the answer holds a code."""
    CONNECTED = "connected"
    OVER = "over"
    """Nothing was stored."""


class Event(StrEnum):
    """What happens. The value of one that ends the flow is the word for it."""

    MALFORMED = "malformed"
    NO_SUCH_FLOW = "no_such_flow"
    ANOTHER_BROWSER = "another_browser"
    NOT_SIGNED_IN = "not_signed_in"
    ANOTHER_USER = "another_user"
    ANOTHER_UPSTREAM = "another_upstream"
    CHANGED = "changed"
    MINE = "mine"
    ANOTHER_ISSUER = "another_issuer"
    SAME_ISSUER = "same_issuer"
    DENIED = "denied"
    SERVER_BUSY = "server_busy"
    SCOPE_REFUSED = "scope_refused"
    CLIENT_UNKNOWN = "client_unknown"
    ERROR = "error"
    NO_CODE = "no_code"
    CODE = "code"
    NO_ANSWER = "no_answer"
    CODE_REFUSED = "code_refused"
    CLIENT_REFUSED = "client_refused"
    UNUSABLE = "unusable"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class Row:
    """Where an event leads. `public` is a sentence about `{title}` and `{host}`, empty where the flow goes on."""

    next: Stage
    public: str = ""


_AGAIN: Final = "Begin again on the connections page."
_OPERATOR: Final = "If it happens again, tell the hub's operator, who finds the cause in the log."


def _over(public: str) -> Row:
    return Row(Stage.OVER, public)


TABLE: Final[Mapping[Stage, Mapping[Event, Row]]] = {
    Stage.WAITING: {
        Event.MALFORMED: _over(f"What came back cannot be read, so {{title}} was not connected. {_AGAIN}"),
        Event.NO_SUCH_FLOW: _over(
            f"This took too long, or was finished already: {{title}} was not connected by it. {_AGAIN}"
        ),
        Event.ANOTHER_BROWSER: _over(
            f"This was begun in another browser, so {{title}} was not connected. Finish it there, or {_AGAIN.lower()}"
        ),
        Event.NOT_SIGNED_IN: _over(
            "You are not signed in to the hub any more, so {title} was not connected. Sign in, then begin again on the"
            " connections page."
        ),
        Event.ANOTHER_USER: _over(
            "This was begun by somebody else than who is signed in to the hub here, so {title} was not connected. Sign"
            " in to the hub as yourself, then begin again on the connections page."
        ),
        Event.ANOTHER_UPSTREAM: _over(f"This answer is for another server, so nothing was connected. {_AGAIN}"),
        Event.CHANGED: _over(
            f"The configuration of {{title}} was changed meanwhile, so it was not connected. {_AGAIN}"
        ),
        Event.MINE: Row(Stage.CLAIMED),
    },
    Stage.CLAIMED: {
        Event.ANOTHER_ISSUER: _over(
            f"This answer does not come from {{host}}, so {{title}} was not connected. {_AGAIN} {_OPERATOR}"
        ),
        Event.SAME_ISSUER: Row(Stage.GENUINE),
    },
    Stage.GENUINE: {
        Event.DENIED: _over(f"You did not agree at {{host}}, so {{title}} was not connected. {_AGAIN}"),
        Event.SERVER_BUSY: _over(
            "{host} cannot do it just now, so {title} was not connected. Try again in a moment on the connections page."
        ),
        Event.SCOPE_REFUSED: _over(
            "{host} does not allow what the hub asks for, so {title} was not connected. Tell the hub's operator, who"
            " can configure its scopes."
        ),
        Event.CLIENT_UNKNOWN: _over(
            f"{{host}} does not know the hub any more, so {{title}} was not connected. {_AGAIN} {_OPERATOR}"
        ),
        Event.ERROR: _over(f"{{host}} refused, so {{title}} was not connected. {_AGAIN} {_OPERATOR}"),
        Event.NO_CODE: _over(f"{{host}} sent you back without a code, so {{title}} was not connected. {_AGAIN}"),
        Event.CODE: Row(Stage.AGREED),
    },
    Stage.AGREED: {
        Event.NO_ANSWER: _over(
            "{host} did not answer when the hub asked for access, so {title} was not connected. Try again in a moment"
            " on the connections page."
        ),
        Event.CODE_REFUSED: _over(
            f"{{host}} did not give the hub access after all, so {{title}} was not connected. {_AGAIN} {_OPERATOR}"
        ),
        Event.CLIENT_REFUSED: _over(
            f"{{host}} does not take the hub as the client that it is registered as, so {{title}} was not connected."
            f" {_AGAIN} {_OPERATOR}"
        ),
        Event.UNUSABLE: _over(
            "{host} gave the hub something that it cannot use, so {title} was not connected. Tell the hub's operator,"
            " who finds the cause in the log."
        ),
        Event.TOKENS: Row(Stage.CONNECTED),
    },
    Stage.CONNECTED: {},
    Stage.OVER: {},
}

ERRORS: Final[Mapping[str, Event]] = {
    "access_denied": Event.DENIED,
    "consent_required": Event.DENIED,
    "interaction_required": Event.DENIED,
    "login_required": Event.DENIED,
    "server_error": Event.SERVER_BUSY,
    "temporarily_unavailable": Event.SERVER_BUSY,
    "invalid_scope": Event.SCOPE_REFUSED,
    "invalid_client": Event.CLIENT_UNKNOWN,
    "unauthorized_client": Event.CLIENT_UNKNOWN,
}
"""What the words mean that a server sends back in place of a code; any other is `Event.ERROR`."""


def step(stage: Stage, event: Event) -> Row:
    """Where this leads.

    Raises:
        KeyError: nothing of that kind happens at this stage.
    """
    return TABLE[stage][event]
