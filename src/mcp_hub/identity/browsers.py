"""The browsers in which somebody is signed in.

Rule: a browser session is a random cookie of which the store has the digest. It ends when it was not used for a while,
after its whole time, and with its account; every sign-in begins a new one. The account is looked at on every request.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from mcp_hub.config.model import Lifetimes
from mcp_hub.identity.tokens import Kind, digest, new_token
from mcp_hub.secret import Secret
from mcp_hub.store.people import BrowserSession, PeopleStore, User

_LONGEST_AGENT: Final = 256
_APART: Final = 60.0
"""Seconds between two notes of a session's use."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody in a browser."""

    user: User
    session: BrowserSession


@final
class Browsers:
    """The browser sessions of a hub. Every method raises `StoreFailed` where the store does not answer."""

    def __init__(self, store: PeopleStore, lifetimes: Lifetimes, *, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._lifetimes = lifetimes
        self._now = now

    async def begin(self, user: User, agent: str, *, replacing: str | None = None) -> Secret:
        """Sign `user` in in the browser that calls itself `agent`; the value for its cookie.

        `replacing` is the value it had before, which ends.
        """
        if replacing is not None:
            await self.end(replacing)
        cookie, at = new_token(Kind.BROWSER), self._now()
        ends = at + self._lifetimes.browser
        agent = agent[:_LONGEST_AGENT]
        await self._store.keep_browser_session(
            BrowserSession(digest(cookie), user.tenant, user.id, at, at, ends, agent)
        )
        return cookie

    async def find(self, cookie: str) -> SignedIn | None:
        """Who is signed in with the cookie of this value, if they still are."""
        session, at = await self._store.browser_session(digest(cookie)), self._now()
        if session is None or at >= min(session.expires_at, session.used_at + self._lifetimes.browser_idle):
            return None
        user = await self._store.user(session.user)
        if user is None or user.disabled or user.tenant != session.tenant:
            return None
        if at - session.used_at >= _APART:
            await self._store.touch_browser_session(session.digest, at)
        return SignedIn(user, session)

    async def end(self, cookie: str) -> None:
        """Sign this browser out; does nothing where nobody is."""
        await self._store.drop_browser_session(digest(cookie))

    async def end_session(self, session: BrowserSession) -> None:
        """The same, for a session that was found."""
        await self._store.drop_browser_session(session.digest)
