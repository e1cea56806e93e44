"""What the page "Connections" shows of each upstream, and in which order.

Rule: pure. What needs the user comes first; a state is one of the five words; how somebody's connection stands is what
the hub knows of their credential, and, where that is good, what the upstream made of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from mcp_hub.catalog.parts import Kind
from mcp_hub.credentials.decide import SignIn
from mcp_hub.credentials.state import State
from mcp_hub.oauth.connection import Connection
from mcp_hub.upstream.known import Known

OAUTH: Final = SignIn.OAUTH
PASTED: Final = SignIn.PASTED
BROUGHT: Final = SignIn.BROUGHT
CLAIM: Final = SignIn.CLAIM
UNDECIDED: Final = SignIn.UNDECIDED
ON_PAGE: Final = frozenset(each for each in SignIn if each.on_page)
"""Ways of signing in for which somebody does something on a page of the hub."""

HOW: Final[Mapping[str, str]] = {
    SignIn.NONE: "No sign-in",
    UNDECIDED: "No sign-in, as far as is known",
    SignIn.SHARED: "One credential for everybody",
    SignIn.SERVICE: "An account of the hub's own",
    BROUGHT: "A credential that your client sends",
    CLAIM: "Who you are, as this hub knows you",
    PASTED: "A key of yours",
    OAUTH: "OAuth, your own account",
}
STATES: Final[Mapping[State, str]] = {
    State.READY: "Ready",
    State.NOT_CONNECTED: "Not connected",
    State.RECONNECT_NEEDED: "Reconnect needed",
    State.UNREACHABLE: "Unreachable",
    State.DISABLED: "Disabled",
}
_NOT_YET: Final[Mapping[str, str]] = {
    OAUTH: "You have to sign in there before its tools can be used.",
    PASTED: "It takes a key of yours.",
}
_MORE: Final = "A tool needs more than you allowed."
_NEEDS_USER: Final = (State.RECONNECT_NEEDED, State.NOT_CONNECTED)
_NOUNS: Final = {Kind.TOOL: "tool", Kind.PROMPT: "prompt", Kind.RESOURCE: "resource"}


@dataclass(frozen=True, slots=True)
class Declared:
    """An upstream of the configuration. `host` is where it is, in words if it is no address, and empty if it is not
    served. `header` is the one that clients send, where they do; `absent` says why it is not served, empty if it is."""

    name: str
    title: str
    host: str
    header: str = ""
    absent: str = ""


class Contact(Protocol):
    """An upstream as one caller has it."""

    @property
    def state(self) -> State: ...
    @property
    def reason(self) -> str: ...
    @property
    def known(self) -> Known: ...
    async def refreshed(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Card:
    """One upstream on the page. Moments are unix seconds; `offers` says in words what its lists hold."""

    name: str
    title: str
    host: str
    sign_in: str
    how: str
    state: State
    sentence: str = ""
    account: str = ""
    scopes: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    since: float | None = None
    used: float | None = None
    key_hint: str = ""
    offers: str = ""

    @property
    def is_own(self) -> bool:
        """Whether its user can do something about it here."""
        return self.sign_in in ON_PAGE and self.state is not State.DISABLED

    @property
    def may_sign_in(self) -> bool:
        """Whether there is, or may be, a place where its user signs in for it."""
        return self.sign_in in (OAUTH, UNDECIDED) and self.state is not State.DISABLED

    @property
    def needs_user(self) -> bool:
        """Whether it waits for its user."""
        return self.is_own and (self.state in _NEEDS_USER or bool(self.wanted))

    @property
    def has_credential(self) -> bool:
        """Whether the hub keeps something of its user's for it."""
        return self.is_own and self.state is not State.NOT_CONNECTED

    @property
    def counts(self) -> bool:
        """Whether a page can know how it stands: what only a client brings is not here."""
        return self.sign_in not in (BROUGHT, CLAIM) and self.state is not State.DISABLED

    @property
    def word(self) -> str:
        """Its state in words; empty where the page cannot know it."""
        return STATES[self.state] if self.counts or self.state is State.DISABLED else ""


def cards(
    declared: Iterable[Declared],
    connections: Iterable[Connection],
    sign_ins: Mapping[str, str],
    contacts: Mapping[str, Contact],
) -> list[Card]:
    """All of them, what waits for the user first, and otherwise as declared."""
    mine = {each.upstream: each for each in connections}
    drawn = [
        card(each, mine.get(each.name), sign_ins.get(each.name, "none"), contacts.get(each.name)) for each in declared
    ]
    return sorted(drawn, key=_rank)


def card(declared: Declared, mine: Connection | None, sign_in: str, contact: Contact | None) -> Card:
    """One upstream: `mine` is how its user stands with it, `contact` how it answers them."""
    basis = (declared.name, declared.title, declared.host, sign_in, HOW.get(sign_in, sign_in))
    if declared.absent:
        return Card(*basis, State.DISABLED, declared.absent)
    if mine is None or sign_in not in ON_PAGE:
        state, sentence = _shared(sign_in, declared, contact)
        return Card(*basis, state, sentence, offers=offered(contact))
    state, sentence = _standing(mine, contact)
    return Card(
        *basis,
        state,
        sentence,
        account=mine.account,
        scopes=tuple(sorted(mine.scopes)),
        wanted=tuple(sorted(mine.wanted - mine.scopes)) if mine.state is State.READY else (),
        since=mine.since,
        used=mine.used,
        key_hint=mine.key_hint,
        offers="" if mine.state is State.NOT_CONNECTED else offered(contact),
    )


def is_outdated(mine: Connection | None, contact: Contact) -> bool:
    """Whether an upstream has not been asked since its user stands as they do."""
    if not contact.known.health.tried:
        return True
    return mine is not None and mine.state is State.READY and contact.state is State.NOT_CONNECTED


def offered(contact: Contact | None) -> str:
    """What its lists hold, such as `41 tools, 3 prompts`; empty while that is not known."""
    part = None if contact is None else contact.known.part
    if part is None:
        return ""
    counts = {noun: len(part.of(kind)) for kind, noun in _NOUNS.items()}
    told = [f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items() if count]
    return ", ".join(told) or "nothing"


def summary(drawn: Sequence[Card]) -> str:
    """One line over all of them: `3 of 5 are ready. 1 needs you to reconnect.`"""
    counted = [each for each in drawn if each.counts]
    if not counted:
        return "No upstream is set up here yet." if not drawn else ""
    ready = sum(each.state is State.READY for each in counted)
    total = len(counted)
    told = ["All are ready." if ready == total > 1 else f"{ready} of {total} {'is' if ready == 1 else 'are'} ready."]
    for state, one, many in _COUNTED:
        count = sum(each.state is state for each in counted)
        if count:
            told.append(f"{count} {one if count == 1 else many}.")
    return " ".join(told)


_COUNTED: Final = (
    (State.RECONNECT_NEEDED, "needs you to reconnect", "need you to reconnect"),
    (State.NOT_CONNECTED, "is not connected", "are not connected"),
    (State.UNREACHABLE, "does not answer", "do not answer"),
)


def _standing(mine: Connection, contact: Contact | None) -> tuple[State, str]:
    if mine.state is not State.READY:
        return mine.state, mine.sentence or _NOT_YET.get(mine.sign_in, "")
    sentence = mine.sentence or (_MORE if mine.wanted - mine.scopes else "")
    if contact is None or is_outdated(mine, contact):
        return mine.state, sentence
    return contact.state, contact.reason or sentence


def _shared(sign_in: str, declared: Declared, contact: Contact | None) -> tuple[State, str]:
    if sign_in == BROUGHT:
        return State.NOT_CONNECTED, f"Your client sends it with each call, in the header {declared.header}."
    if sign_in == CLAIM or contact is None:
        return State.READY, ""
    return contact.state, contact.reason


def _rank(each: Card) -> int:
    if each.needs_user:
        return _NEEDS_USER.index(each.state) if each.state in _NEEDS_USER else len(_NEEDS_USER)
    return 3 if each.is_own else 5 if each.state is State.DISABLED else 4
