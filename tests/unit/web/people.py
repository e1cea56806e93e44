"""Somebody in a browser in memory, without the rooms below."""

from mcp_hub.identity.browsers import SignedIn
from mcp_hub.identity.tokens import Kind, digest, new_token
from mcp_hub.secret import Secret
from mcp_hub.store.people import BrowserSession, User

NOW = 1_795_388_580.0
"""22 Nov 2026, 23:03 UTC."""
ADA = User(
    "u1", "default", "local", "u1", "ada@example.com", "Ada", frozenset(), frozenset(), None, False, NOW - 9e5, NOW
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class Browsers:
    """Browser sessions by their cookie."""

    def __init__(self):
        self.cookies: dict[str, SignedIn] = {}

    async def find(self, cookie):
        return self.cookies.get(cookie)

    def sign_in(self, user=ADA, agent=FIREFOX) -> Secret:
        cookie = new_token(Kind.BROWSER)
        session = BrowserSession(digest(cookie), user.tenant, user.id, NOW - 3600, NOW, NOW + 9e5, agent)
        self.cookies[cookie.open()] = SignedIn(user, session)
        return cookie
