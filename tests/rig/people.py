"""A hub's people, with the real store and passwords that cost little."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mcp_hub.config.model import DeclaredUser, Lifetimes, Provider
from mcp_hub.identity.accounts import Accounts
from mcp_hub.identity.arrival import Arrival
from mcp_hub.identity.attempts import Attempts
from mcp_hub.identity.browsers import Browsers
from mcp_hub.identity.events import OPERATOR, Events
from mcp_hub.identity.limits import Limits
from mcp_hub.identity.passwords import Cost, Passwords
from mcp_hub.identity.personal import PersonalTokens
from mcp_hub.identity.setup import Setup
from mcp_hub.principal import ADMIN, DEFAULT_TENANT
from mcp_hub.store.people import User
from mcp_hub.store.sqlite import SqliteStore

CHEAP = Cost(passes=1, memory=8, lanes=1)
PASSWORD = "correct horse battery"
HERE = "192.0.2.1"
PROVIDER = Provider("https://id.example.com", "hub")


class Clock:
    def __init__(self) -> None:
        self.at = 1_000_000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class People:
    """All that knows people, over one store."""

    store: SqliteStore
    clock: Clock
    passwords: Passwords
    limits: Limits
    events: Events
    accounts: Accounts
    browsers: Browsers
    personal: PersonalTokens
    setup: Setup

    async def noted(self) -> list[tuple[str, str]]:
        """Kind and outcome of all events, the first noted first."""
        await self.events.aclose()
        return [(each.kind, each.outcome) for each in reversed(await self.store.events(DEFAULT_TENANT, limit=1000))]

    async def user(self, email: str = "ada@example.com", *, admin: bool = False) -> User:
        roles = frozenset({ADMIN}) if admin else frozenset({"user"})
        return await self.accounts.add_local(email, PASSWORD, actor=OPERATOR, roles=roles)


@asynccontextmanager
async def people(
    *,
    declared: dict[str, DeclaredUser] | None = None,
    provider: Provider | None = None,
    path: str = ":memory:",
    **rules,
) -> AsyncIterator[People]:
    store, clock = SqliteStore.open(path), Clock()
    passwords, limits = Passwords(CHEAP), Limits(now=clock)
    events = Events(store, now=clock)
    attempts = Attempts(limits)
    accounts = Accounts(store, passwords, attempts, events, declared=declared or {}, provider=provider, now=clock)
    setup = Setup(store, store, passwords, limits, events, now=clock)
    browsers = Browsers(store, Lifetimes(), now=clock)
    try:
        yield People(
            store, clock, passwords, limits, events, accounts, browsers, PersonalTokens(store, events, now=clock), setup
        )
    finally:
        await events.aclose()
        passwords.close()
        await store.aclose()


def arrival(subject: str = "s1", email: str = "ada@example.com", *groups: str, verified: bool = True) -> Arrival:
    return Arrival(PROVIDER.issuer, subject, email, verified, "Ada", frozenset(groups))
