"""Asking the user: what a client wants is put before them each time, and only their click gives it a code.

Rule: a question is answered once, within ten minutes, in the browser it was shown to (in which one user is signed in),
about the client as it was shown. There is no consent that is remembered, so there is none that somebody else could make
use of.
Sources: MCP security best practices "Confused deputy"; RFC 9700 section 4.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import msgspec

from mcp_hub.authserver.clients import Client, Clients
from mcp_hub.authserver.redirects import matches
from mcp_hub.authserver.requests import Asked, check_rights, unknown_client, unknown_place
from mcp_hub.errors import CallerError
from mcp_hub.identity.events import Events, Kind
from mcp_hub.identity.scopes import SUPPORTED, reach
from mcp_hub.identity.tokens import Kind as TokenKind
from mcp_hub.identity.tokens import digest, new_token
from mcp_hub.principal import ADMIN
from mcp_hub.store.grants import Code, GrantStore, Pending
from mcp_hub.store.people import User

ANSWER_WITHIN: Final = 600.0
"""Seconds for which a question waits."""
CODE_FOR: Final = 60.0
"""Seconds for which a code is good."""
MOST_WAITING: Final = 10_000
"""Questions of a hub that wait at a time."""

_KIND: Final = "consent"


class NotAsked(CallerError):
    """An answer to a question that does not wait (any more), or was put to somebody else."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is put before the user. `key` names it in the answer, and is of use to this browser only.

    `scopes` are in the order in which they are listed; `new` are those of them that go beyond what the client was
    given last, all of them for one that the user has given nothing yet. `changed`: the client is not what it was when
    the question was asked before.
    """

    key: str
    client: Client
    asked: Asked
    scopes: tuple[str, ...]
    new: frozenset[str]
    changed: bool = False

    @property
    def is_known(self) -> bool:
        """Whether the client has access already."""
        return len(self.new) < len(self.scopes)


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer was taken: the user goes to `url`, which brings it to the client."""

    url: str
    client: Client
    asked: Asked
    allowed: bool


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who answers: an account, and the digest of the cookie of its browser."""

    user: User
    browser: bytes
    address: str


class _Waiting(msgspec.Struct, frozen=True):
    """What is kept of a question."""

    asked: Asked
    browser: bytes
    fingerprint: str


_waiting: Final = msgspec.json.Decoder(_Waiting)


@final
class Consents:
    """Puts the questions of one hub, of which the newest `most` wait, and turns answers into codes."""

    def __init__(
        self,
        store: GrantStore,
        clients: Clients,
        events: Events,
        now: Callable[[], float],
        *,
        most: int = MOST_WAITING,
    ) -> None:
        self._store = store
        self._clients = clients
        self._events = events
        self._now = now
        self._most = most

    async def ask(self, asked: Asked, client: Client, visitor: Visitor, *, changed: bool = False) -> Question:
        """Put a question of its own, whatever else waits.

        Raises:
            StoreFailed: it could not be kept.
        """
        key = secrets.token_urlsafe(32)
        waiting = _Waiting(asked, visitor.browser, client.fingerprint)
        at = self._now()
        item = Pending(_KIND, digest(key), msgspec.json.encode(waiting), at + ANSWER_WITHIN)
        await self._store.put_pending(item, at=at, most=self._most)
        scopes = tuple(scope for scope in SUPPORTED if scope in asked.scopes)
        new = frozenset(scopes) - reach(await self._given(client, visitor.user))
        return Question(key, client, asked, scopes, new, changed)

    async def answer(self, key: str, *, allowed: bool, visitor: Visitor) -> Decision | Question:
        """Take the answer to a question; it is a `Question` again if the client changed meanwhile.

        Raises:
            NotAsked: it does not wait, or for somebody else: nothing happens.
            NoDocument: the client's document is gone.
            Unanswerable: the client is gone, or the address to which the answer should go is no longer one of its own.
            OAuthError: the user may not give this any more.
            StoreFailed: the store could not be asked.
        """
        waiting = await self._take(key, visitor)
        asked = waiting.asked
        client = await self._clients.find(asked.client, may_fetch=True)
        if client is None:
            raise unknown_client()
        if not matches(client.redirect_uris, asked.back.redirect_uri):
            raise unknown_place()
        if not allowed:
            self._note("denied", client, visitor)
            return Decision(asked.back.error("access_denied", "The user did not allow it."), client, asked, allowed)
        if client.fingerprint != waiting.fingerprint:
            return await self.ask(asked, client, visitor, changed=True)
        check_rights(asked, is_admin=ADMIN in visitor.user.roles)
        code = await self._code(asked, client, visitor)
        self._note("ok", client, visitor)
        return Decision(asked.back.answer(("code", code)), client, asked, allowed)

    async def _take(self, key: str, visitor: Visitor) -> _Waiting:
        # Looked at before it is taken, so that whoever got hold of the key cannot take the question away either.
        at = self._now()
        item = await self._store.pending(_KIND, digest(key), at)
        if item is not None:
            waiting = _waiting.decode(item.payload)
            is_theirs = secrets.compare_digest(waiting.browser, visitor.browser)
            if is_theirs and await self._store.take_pending(_KIND, digest(key), at) is not None:
                return waiting
        raise NotAsked(
            "This question was answered before, waited for more than ten minutes, or was put to somebody else."
        )

    async def _code(self, asked: Asked, client: Client, visitor: Visitor) -> str:
        code, at = new_token(TokenKind.CODE), self._now()
        await self._store.add_code(
            Code(
                digest=digest(code),
                tenant=visitor.user.tenant,
                client=client.id,
                client_name=client.name,
                user=visitor.user.id,
                redirect_uri=asked.literal,
                challenge=asked.challenge,
                resource=asked.resource,
                scopes=asked.scopes,
                browser=visitor.browser,
                created_at=at,
                expires_at=at + CODE_FOR,
            )
        )
        await self._clients.used(client)
        return code.open()

    async def _given(self, client: Client, user: User) -> frozenset[str]:
        """The scopes that this client has been given last, none if it has no access."""
        families = [each for each in await self._store.families(user.tenant, user.id) if each.client == client.id]
        newest = max(families, key=lambda family: family.created_at, default=None)
        return frozenset() if newest is None else newest.scopes

    def _note(self, outcome: str, client: Client, visitor: Visitor) -> None:
        self._events.note(
            Kind.CONSENT, outcome, actor=visitor.user, client=client.id, about=client.id, address=visitor.address
        )
