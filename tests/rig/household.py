"""People of a hub with what acts for them: the real services on a store in memory, and cheap passwords."""

import secrets
from collections.abc import Callable
from dataclasses import replace

from mcp_hub.config.model import Lifetimes
from mcp_hub.identity.accounts import Accounts, local_account
from mcp_hub.identity.attempts import Attempts
from mcp_hub.identity.browsers import Browsers, SignedIn
from mcp_hub.identity.events import Events
from mcp_hub.identity.limits import Limits
from mcp_hub.identity.passwords import Cost, Passwords
from mcp_hub.identity.personal import PersonalTokens
from mcp_hub.identity.scopes import USE
from mcp_hub.identity.setup import Setup
from mcp_hub.identity.tokens import digest
from mcp_hub.store.grants import AccessToken, Code, Family, Issued, Once
from mcp_hub.store.people import User
from mcp_hub.store.sqlite import SqliteStore

NOW = 1_795_388_580.0
"""22 Nov 2026, 23:03 UTC."""
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
DAY = 86400.0


class People:
    """Ada uses the hub, Bo is its admin."""

    def __init__(self):
        self.at = NOW
        now: Callable[[], float] = lambda: self.at  # noqa: E731 - the clock is a function
        self.now = now
        self.store = SqliteStore.open(":memory:")
        self.events = Events(self.store, now=now)
        self.passwords = Passwords(Cost(1, 8, 1))
        limits = Limits(now=now)
        attempts = Attempts(limits)
        self.accounts = Accounts(self.store, self.passwords, attempts, self.events, declared={}, now=now)
        self.browsers = Browsers(self.store, Lifetimes(), now=now)
        self.setup = Setup(self.store, self.store, self.passwords, limits, self.events, now=now)
        self.tokens = PersonalTokens(self.store, self.events, now=now)

    async def add(self, name: str, *roles: str, email: str | None = None) -> User:
        made = local_account(email or f"{name.lower()}@example.com", None, frozenset(roles), NOW - 90 * DAY, name)
        user = replace(made, seen_at=NOW - DAY)
        assert await self.store.add_user(user)
        return user

    async def set_password(self, user: User, password: str) -> None:
        await self.accounts.set_password(user, password, actor=user)

    async def sign_in(self, user: User, agent: str = FIREFOX) -> str:
        """The cookie of a browser in which somebody is signed in."""
        return (await self.browsers.begin(user, agent)).open()

    async def signed_in(self, user: User) -> tuple[str, SignedIn]:
        cookie = await self.sign_in(user)
        found = await self.browsers.find(cookie)
        assert found is not None
        return cookie, found

    async def grant(self, user: User, name: str = "Claude Code", client: str = "", *scopes: str) -> Family:
        """Let a client in, as the token endpoint does."""
        client, given = client or "https://claude.ai/oauth/client.json", frozenset(scopes or (USE,))
        number, code = secrets.token_hex(8), secrets.token_bytes(32)
        made, ends = NOW - 12 * DAY, NOW + 90 * DAY
        about = (user.tenant, client, name, user.id, "http://127.0.0.1/cb", "c" * 43, "http://hub/mcp", given)
        await self.store.add_code(Code(code, *about, b"browser", made, ends))
        family = Family(number, user.tenant, user.id, client, name, "http://hub/mcp", given, made, NOW - 600, ends)
        access = AccessToken(digest(number), number, given, ends)
        assert await self.store.redeem(code, family, Issued(access, None), made) is Once.WON
        return family

    async def everything(self) -> tuple[object, ...]:
        """All that acts for anybody."""
        users = await self.accounts.users()
        browsers = [each for user in users for each in await self.store.browser_sessions(user.id)]
        return users, browsers, await self.store.families("default"), await self.tokens.list_all()

    async def aclose(self) -> None:
        await self.events.aclose()
        await self.store.aclose()
