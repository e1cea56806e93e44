"""Somebody in a browser with what acts for them, in memory, without the rooms below."""

from dataclasses import dataclass, replace

from mcp_hub.identity.scopes import ADMIN as ADMIN_SCOPE
from mcp_hub.identity.scopes import USE
from mcp_hub.identity.tokens import Kind, digest, new_token
from mcp_hub.principal import ADMIN
from mcp_hub.secret import Secret
from mcp_hub.store.grants import Family
from mcp_hub.store.people import BrowserSession, PersonalToken, User

NOW = 1_795_388_580.0
"""22 Nov 2026, 23:03 UTC."""
ADA = User(
    "u1", "default", "local", "u1", "ada@example.com", "Ada", frozenset(), frozenset(), None, False, NOW - 9e5, NOW
)
BO = replace(ADA, id="u2", subject="u2", email="bo@example.com", name="Bo", roles=frozenset({ADMIN}))
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@dataclass
class SignedIn:
    user: User
    session: BrowserSession


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


class Records(Browsers):
    """What acts for everybody: the parts of the store that pages use."""

    def __init__(self):
        super().__init__()
        self.all_families: list[Family] = []
        self.all_tokens: list[PersonalToken] = []

    def grant(self, user=ADA, name="Claude Code", client="https://claude.ai/oauth/client.json", **more) -> Family:
        scopes = frozenset({USE, ADMIN_SCOPE}) if more.pop("administers", False) else frozenset({USE})
        times = (NOW - 86400 * 12, NOW - 600, NOW + 9e6)
        number = f"f{len(self.all_families) + 1}"
        self.all_families.append(Family(number, user.tenant, user.id, client, name, "http://hub/mcp", scopes, *times))
        return self.all_families[-1]

    async def families(self, tenant, user=None):
        return [each for each in self.all_families if each.tenant == tenant and user in (None, each.user)]

    async def revoke_family(self, tenant, family, user=None):
        found = [each for each in await self.families(tenant, user) if each.id == family]
        self.all_families = [each for each in self.all_families if each not in found]
        return bool(found)

    async def browser_sessions(self, user):
        return [each.session for each in self.cookies.values() if each.user.id == user]

    async def drop_browser_session(self, digest):
        self.cookies = {name: each for name, each in self.cookies.items() if each.session.digest != digest}

    async def sign_out(self, user):
        self.cookies = {name: each for name, each in self.cookies.items() if each.user.id != user}
        self.all_families = [each for each in self.all_families if each.user != user]

    async def create(self, user, name, expires_in, scopes):
        return self.make_token(user, name, expires_in, scopes)

    def make_token(self, user, name, expires_in, scopes=(USE,)):
        secret = new_token(Kind.PERSONAL)
        ends = None if expires_in is None else NOW + expires_in
        number, begins = f"t{len(self.all_tokens) + 1}", secret.open()[:16]
        row = (number, digest(secret), user.tenant, user.id, name, begins, frozenset(scopes), NOW, ends, None)
        self.all_tokens.append(PersonalToken(*row))
        return self.all_tokens[-1], secret

    async def list(self, user):
        return [each for each in self.all_tokens if each.user == user.id]

    async def revoke(self, user, token):
        found = [each for each in await self.list(user) if each.id == token]
        self.all_tokens = [each for each in self.all_tokens if each not in found]
        return bool(found)

    async def append_events(self, events):
        self.events = events


def now() -> float:
    return NOW
