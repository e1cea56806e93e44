"""Accounts and tokens in memory, as far as the door asks for them; and the headers that bring a token."""

from dataclasses import replace

from mcp_hub.errors import StoreFailed
from mcp_hub.identity.scopes import USE
from mcp_hub.identity.tokens import Kind, digest, new_token
from mcp_hub.principal import DEFAULT_TENANT, LOCAL_ISSUER
from mcp_hub.store.grants import AccessToken, Family
from mcp_hub.store.people import PersonalToken, User

HUB = "https://hub.example/mcp"
SCOPES = frozenset({USE})


def bearer(token) -> list[tuple[bytes, bytes]]:
    """The headers of a request with this token."""
    return [(b"host", b"hub.example"), (b"authorization", f"Bearer {token}".encode()), (b"accept", b"*/*")]


def sent(token) -> bytes:
    """The header that brings this token."""
    return dict(bearer(token))[b"authorization"]


def account(name: str, *roles: str) -> User:
    """A local account."""
    mail = f"{name}@example.com"
    return User(
        name,
        DEFAULT_TENANT,
        LOCAL_ISSUER,
        name,
        mail,
        name.title(),
        frozenset(roles),
        frozenset(),
        None,
        False,
        0.0,
        None,
    )


class TokenStore:
    """See `judge.TokenStore`. `asked` counts what was looked up; it fails while `fails` is set."""

    def __init__(self) -> None:
        self.people: dict[str, User] = {}
        self.personal: dict[bytes, PersonalToken] = {}
        self.access: dict[bytes, AccessToken] = {}
        self.families: dict[str, Family] = {}
        self.generation = 1
        self.asked: list[str] = []
        self.fails: BaseException | None = None
        self.seen: dict[str, float] = {}

    # What a test does

    def add(self, name: str, *roles: str) -> User:
        """An account of this name."""
        self.people[name] = user = account(name, *roles)
        return user

    def change(self, name: str, **changes) -> None:
        """Change an account."""
        self.people[name] = replace(self.people[name], **changes)
        self.generation += 1

    def give_personal(self, user: str, *, scopes=SCOPES, expires_at: float | None = None, tenant=DEFAULT_TENANT) -> str:
        """A personal token of theirs."""
        token = new_token(Kind.PERSONAL).open()
        key = digest(token)
        self.personal[key] = PersonalToken(
            f"id-{user}-{len(self.personal)}",
            key,
            tenant,
            user,
            "script",
            token[:15],
            frozenset(scopes),
            0.0,
            expires_at,
            None,
        )
        return token

    def give_access(
        self,
        user: str,
        family: str = "f",
        *,
        resource=HUB,
        scopes=SCOPES,
        expires_at=10.0**10,
        client="c",
        ends=10.0**10,
    ) -> str:
        """An access token of this family of theirs."""
        token = new_token(Kind.ACCESS).open()
        held = frozenset(scopes)
        self.families[family] = Family(family, DEFAULT_TENANT, user, client, "Client", resource, held, 0.0, 0.0, ends)
        self.access[digest(token)] = AccessToken(digest(token), family, held, expires_at)
        return token

    def revoke_family(self, family: str) -> None:
        """End a family."""
        del self.families[family]
        self.access = {key: each for key, each in self.access.items() if each.family != family}
        self.generation += 1

    def revoke_personal(self, token: str) -> None:
        """Delete a personal token."""
        del self.personal[digest(token)]
        self.generation += 1

    # What the door asks

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.fails is not None:
            raise self.fails

    async def access_generation(self) -> int:
        self._ask("generation")
        return self.generation

    async def personal_token(self, digest: bytes) -> PersonalToken | None:
        self._ask("personal")
        return self.personal.get(digest)

    async def access_token(self, digest: bytes) -> tuple[AccessToken, Family] | None:
        self._ask("access")
        token = self.access.get(digest)
        return None if token is None else (token, self.families[token.family])

    async def user(self, user: str) -> User | None:
        self._ask("user")
        return self.people.get(user)

    async def touch_personal_tokens(self, used) -> None:
        self._ask("touch")
        for key, at in used:
            if key in self.personal:
                self.personal[key] = replace(self.personal[key], used_at=at)

    async def see_user(self, user: str, at: float) -> None:
        self._ask("see")
        self.seen[user] = at


DOWN = StoreFailed("The store at /secret/path cannot be read.")
