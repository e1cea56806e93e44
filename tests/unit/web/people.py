"""Somebody in a browser, without the rooms below."""

from dataclasses import dataclass

from mcp_hub.identity.tokens import Kind, digest, new_token
from mcp_hub.secret import Secret
from mcp_hub.store.people import BrowserSession, User

ADA = User("u1", "default", "local", "u1", "ada@example.com", "Ada", frozenset(), frozenset(), None, False, 0.0, None)


@dataclass
class SignedIn:
    user: User
    session: BrowserSession


class Browsers:
    def __init__(self):
        self.cookies: dict[str, SignedIn] = {}

    async def find(self, cookie):
        return self.cookies.get(cookie)

    def sign_in(self, user=ADA) -> Secret:
        cookie = new_token(Kind.BROWSER)
        session = BrowserSession(digest(cookie), "default", user.id, 0.0, 0.0, 1e9, "Firefox")
        self.cookies[cookie.open()] = SignedIn(user, session)
        return cookie
