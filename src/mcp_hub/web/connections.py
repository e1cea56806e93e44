"""The first page: how somebody stands with every upstream, what waits for them, and where clients are pointed at.

Rule: everybody sees their own connections alone. What came of a form is told by a code of ours in the address, and by
the name of an upstream that is looked up; nothing else of the address is read.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mcp_hub.oauth.connection import Connection
from mcp_hub.principal import Principal
from mcp_hub.web.cards import ON_PAGE, PASTED, Card, Contact, Declared, card, cards, is_outdated, summary
from mcp_hub.web.frame import Frame, Notice
from mcp_hub.web.lookers import Doorway, Looker
from mcp_hub.web.ways import Way

PATH: Final = "/"
_PATIENCE: Final = 1.0
"""Seconds that the page waits for upstreams that nobody has heard of yet, such as one that was just connected."""

_THERE: Final = "remove the hub in the settings of your account at {title}."
_NO_WAY: Final = f"{{title}} has no way to be told so; if you wish to end the access there too, {_THERE}"
_NO_ANSWER: Final = f"{{title}} did not confirm that it ended the access; to be sure, {_THERE}"
_GONE: Final = "{title} is disconnected here: the hub's copy is gone."
_STILL: Final = "{title} itself still takes it until you revoke it there."
_SAID: Final[Mapping[str, tuple[str, bool]]] = {
    "connected": ("{title} is connected.", True),
    "confirmed": ("{title} is disconnected, and confirmed that the hub has no access any more.", True),
    "no_way": (f"{_GONE} {_NO_WAY}", False),
    "no_answer": (f"{_GONE} {_NO_ANSWER}", False),
    "nothing": ("{title} was not connected.", True),
    "forgotten": (f"Your key for {{title}} is deleted here. {_STILL}", True),
}
"""What is said after a form: the sentence, and whether all is well."""


class Shown(Protocol):
    """The connections of a caller."""

    def sign_in(self, upstream: str) -> str: ...
    async def shown(self, caller: Principal) -> list[Connection]: ...
    async def one(self, caller: Principal, upstream: str) -> Connection: ...


@dataclass(frozen=True, slots=True)
class Upstreams:
    """All upstreams of a hub, as pages see them. `contacts` are those that a caller has, by name."""

    declared: Sequence[Declared]
    contacts: Callable[[Principal], Mapping[str, Contact]]

    def find(self, name: str) -> Declared:
        """The declared one of this name.

        Raises:
            HTTPException: 404, there is none.
        """
        found = next((each for each in self.declared if each.name == name), None)
        if found is None:
            raise HTTPException(404)
        return found


@final
class ConnectionsPage:
    """Draws it. `endpoint` is where clients are pointed at, by these `ways`."""

    def __init__(
        self,
        frame: Frame,
        doorway: Doorway,
        *,
        connections: Shown,
        upstreams: Upstreams,
        endpoint: str,
        ways: Sequence[Way],
    ) -> None:
        self._frame = frame
        self._doorway = doorway
        self._connections = connections
        self._upstreams = upstreams
        self._endpoint = endpoint
        self._ways = ways
        self.endpoint = doorway.looked_at(self._show)

    async def _show(self, looker: Looker, request: Request) -> Response:
        drawn = await self._cards(looker.caller)
        said = _said(request, self._upstreams)
        return self._frame.page(
            "connections.html",
            visitor=looker.shown,
            here=PATH,
            summary=summary(drawn),
            groups=_groups(drawn),
            said=said,
            endpoint=self._endpoint,
            ways=self._ways,
            tokens={each.name: self._tokens(looker, each) for each in drawn if each.is_own},
        )

    async def _cards(self, caller: Principal) -> list[Card]:
        mine = await self._connections.shown(caller)
        contacts = self._upstreams.contacts(caller)
        await _heard(contacts, mine)
        declared = self._upstreams.declared
        sign_ins = {each.name: self._connections.sign_in(each.name) for each in declared if not each.absent}
        return cards(declared, mine, sign_ins, contacts)

    def _tokens(self, looker: Looker, drawn: Card) -> dict[str, str]:
        verbs = ("check", "key") if drawn.sign_in == PASTED else ("check",)
        return {verb: self._doorway.token(looker, verb, drawn.name) for verb in verbs}


async def drawn_card(caller: Principal, name: str, connections: Shown, upstreams: Upstreams) -> Card:
    """One upstream, as `caller` stands with it.

    Raises:
        HTTPException: 404, there is none of this name.
    """
    declared = upstreams.find(name)
    if declared.absent:
        return card(declared, None, "none", None)
    sign_in = connections.sign_in(name)
    mine = await connections.one(caller, name) if sign_in in ON_PAGE else None
    return card(declared, mine, sign_in, upstreams.contacts(caller).get(name))


def said(code: str, upstream: str) -> Response:
    """Back to the card of this upstream, where the code says what came of it."""
    target = f"{PATH}?{urlencode({'said': code, 'about': upstream})}#{anchor(upstream)}"
    return RedirectResponse(target, status_code=303, headers={"Cache-Control": "no-store"})


def anchor(upstream: str) -> str:
    """The id of an upstream's card on the page."""
    return f"upstream-{upstream}"


def _said(request: Request, upstreams: Upstreams) -> dict[str, Notice]:
    """What is to be said, by the name of the upstream whose card says it."""
    sentence, is_well = _SAID.get(request.query_params.get("said", ""), ("", True))
    about = request.query_params.get("about", "")
    found = next((each for each in upstreams.declared if each.name == about), None)
    if not sentence or found is None:
        return {}
    return {found.name: Notice(sentence.format(title=found.title), "good" if is_well else "warn")}


async def _heard(contacts: Mapping[str, Contact], mine: Sequence[Connection]) -> None:
    """Give those a moment to answer that have not been asked since their user stands as they do."""
    stands = {each.upstream: each for each in mine}
    news = [each for name, each in contacts.items() if is_outdated(stands.get(name), each)]
    if news:
        waits = [asyncio.ensure_future(each.refreshed()) for each in news]
        await asyncio.wait(waits, timeout=_PATIENCE)
        for wait in waits:
            wait.cancel()


def _groups(drawn: Sequence[Card]) -> list[tuple[str, str, list[Card]]]:
    """The parts of the page: their ids, headings and cards."""
    waiting = [each for each in drawn if each.needs_user]
    own = [each for each in drawn if each.is_own and not each.needs_user]
    others = [each for each in drawn if not each.is_own]
    groups = (
        ("waiting", "Waiting for you", waiting),
        ("own", "With your own account", own),
        ("rest", "Without an account of yours", others),
    )
    return [group for group in groups if group[2]]
