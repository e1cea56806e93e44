"""The embedded store: one SQLite file.

Rule: nothing is decided here. Each method is one function of a part (`sqlite_*.py`) in the file's turn; one that writes
is one transaction.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import final

from mcp_hub.store import (
    sqlite_access,
    sqlite_catalogs,
    sqlite_entries,
    sqlite_grants,
    sqlite_keys,
    sqlite_logs,
    sqlite_once,
    sqlite_people,
    sqlite_registrations,
    sqlite_sessions,
)
from mcp_hub.store.base import MOST_CALLS, CallRecord, Remembered, SessionUse, StoredSession
from mcp_hub.store.events import MOST_EVENTS, Event
from mcp_hub.store.grants import AccessToken, Code, Family, Issued, Once, Pending, RefreshToken, RegisteredClient
from mcp_hub.store.keys import Changed, Rewrapped, StoredKey
from mcp_hub.store.people import BrowserSession, PersonalToken, User
from mcp_hub.store.sqlite_connection_part import SqliteConnectionPart
from mcp_hub.store.sqlite_file import SqliteFile


@final
class SqliteStore(SqliteConnectionPart):
    """`Store` on a SQLite file. Made by `open`; owns one thread and one connection until `aclose`."""

    def __init__(self, file: SqliteFile, most_calls: int, most_events: int) -> None:
        super().__init__(file)
        self._most_calls = most_calls
        self._most_events = most_events

    @classmethod
    def open(cls, path: str | Path, *, most_calls: int = MOST_CALLS, most_events: int = MOST_EVENTS) -> "SqliteStore":
        """Open the file, making it (0600) and its directory (0700) if missing, and bring it to this version.

        Blocks: call it before anything is served. `:memory:` keeps everything in this object.

        Raises:
            StoreFailed: not readable or writable, damaged, of a newer version, or not a store of ours. The sentence
                names the file and what to do. The file is left as it is.
        """
        return cls(SqliteFile.open(str(path)), most_calls, most_events)

    async def aclose(self) -> None:
        await self._file.aclose()

    # What upstreams offered.

    async def remembered(self, tenant: str, visibility: str | None = None) -> list[Remembered]:
        return await self._file.read(sqlite_catalogs.remembered, tenant, visibility)

    async def remember(self, item: Remembered) -> None:
        await self._file.write(sqlite_catalogs.remember, item)

    async def forget(self, tenant: str, upstream: str, visibility: str | None = None) -> None:
        await self._file.write(sqlite_catalogs.forget, tenant, upstream, visibility)

    # Settings, and the keys that seal them.

    async def setting(self, key: str) -> bytes | None:
        return await self._file.read(sqlite_keys.setting, key)

    async def settings(self) -> list[tuple[str, bytes]]:
        return await self._file.read(sqlite_keys.settings)

    async def keep_setting_if_absent(self, key: str, value: bytes) -> bytes:
        return await self._file.write(sqlite_keys.keep_setting, key, value)

    async def replace_setting(self, key: str, old: bytes, new: bytes) -> bool:
        return await self._file.write(sqlite_keys.replace_setting, key, old, new)

    async def keys(self) -> list[StoredKey]:
        return await self._file.read(sqlite_keys.all_of)

    async def begin_keys(self, first: StoredKey, settings: Sequence[Changed]) -> bool:
        begun = await self._file.write(sqlite_keys.begin, first, settings)
        if begun:
            await self._file.forget_what_was()
        return begun

    async def add_key(self, key: StoredKey, current: StoredKey) -> bool:
        return await self._file.write(sqlite_keys.add, key, current)

    async def promote_key(self, kid: bytes) -> bool:
        return await self._file.write(sqlite_keys.promote, kid)

    async def retire_keys(self, current: bytes) -> None:
        await self._file.write(sqlite_keys.retire, current)

    async def rewrap_keys(self, changes: Sequence[Rewrapped]) -> bool:
        return await self._file.write(sqlite_keys.rewrap, changes)

    # Calls and events.

    async def append_calls(self, records: Sequence[CallRecord]) -> None:
        await self._file.write(sqlite_logs.append_calls, tuple(records), self._most_calls)

    async def calls(self, tenant: str, *, limit: int) -> list[CallRecord]:
        return await self._file.read(sqlite_logs.calls, tenant, limit)

    async def calls_of(self, tenant: str, issuer: str, subject: str, *, limit: int) -> list[CallRecord]:
        """See `Store`."""
        return await self._file.read(sqlite_logs.calls_of, (tenant, issuer, subject), limit)

    async def append_events(self, events: Sequence[Event]) -> None:
        await self._file.write(sqlite_logs.append_events, tuple(events), self._most_events)

    async def events(self, tenant: str, *, limit: int) -> list[Event]:
        return await self._file.read(sqlite_logs.events, tenant, limit)

    # Sessions of MCP clients.

    async def session_uses(self) -> list[SessionUse]:
        return await self._file.read(sqlite_sessions.uses)

    async def session(self, session: bytes) -> StoredSession | None:
        return await self._file.read(sqlite_sessions.one, session)

    async def keep_sessions(self, sessions: Sequence[StoredSession]) -> None:
        await self._file.write(sqlite_sessions.keep, tuple(sessions))

    async def touch_sessions(self, used: Sequence[tuple[bytes, float]]) -> None:
        await self._file.write(sqlite_sessions.touch, tuple(used))

    async def drop_sessions(self, sessions: Sequence[bytes]) -> None:
        await self._file.write(sqlite_sessions.drop, tuple(sessions))

    # Accounts.

    async def access_generation(self) -> int:
        return await self._file.read(sqlite_access.generation)

    def on_access_taken(self, tell: Callable[[], object]) -> None:
        self._file.watch(sqlite_access.generation, lambda _db, _seen: tell)

    async def add_user(self, user: User) -> bool:
        return await self._file.write(sqlite_people.add, user)

    async def update_user(self, user: User, *, was: User | None = None) -> bool:
        return await self._file.write(sqlite_people.update, user, was)

    async def see_user(self, user: str, at: float) -> None:
        await self._file.write(sqlite_people.see, user, at)

    async def remove_user(self, user: str) -> None:
        await self._file.write(sqlite_people.remove, user)

    async def user(self, user: str) -> User | None:
        return await self._file.read(sqlite_people.one, user)

    async def user_known_as(self, tenant: str, issuer: str, subject: str) -> User | None:
        return await self._file.read(sqlite_people.known_as, tenant, issuer, subject)

    async def user_by_email(self, tenant: str, issuer: str, email: str) -> User | None:
        return await self._file.read(sqlite_people.by_email, tenant, issuer, email)

    async def users(self, tenant: str) -> list[User]:
        return await self._file.read(sqlite_people.all_of, tenant)

    async def add_first_admin(self, user: User) -> bool:
        return await self._file.write(sqlite_people.add_first_admin, user)

    async def sign_out(self, user: str) -> None:
        await self._file.write(sqlite_people.sign_out, user)

    # Browser sessions and personal tokens.

    async def keep_browser_session(self, session: BrowserSession) -> None:
        await self._file.write(sqlite_entries.keep_session, session)

    async def browser_session(self, digest: bytes) -> BrowserSession | None:
        return await self._file.read(sqlite_entries.session, digest)

    async def touch_browser_session(self, digest: bytes, at: float) -> None:
        await self._file.write(sqlite_entries.touch_session, digest, at)

    async def drop_browser_session(self, digest: bytes) -> None:
        await self._file.write(sqlite_entries.drop_session, digest)

    async def browser_sessions(self, user: str) -> list[BrowserSession]:
        return await self._file.read(sqlite_entries.sessions, user)

    async def add_personal_token(self, token: PersonalToken) -> bool:
        return await self._file.write(sqlite_entries.add_personal, token)

    async def personal_token(self, digest: bytes) -> PersonalToken | None:
        return await self._file.read(sqlite_entries.personal, digest)

    async def personal_tokens(self, tenant: str, user: str | None = None) -> list[PersonalToken]:
        return await self._file.read(sqlite_entries.personal_of, tenant, user)

    async def touch_personal_tokens(self, used: Sequence[tuple[bytes, float]]) -> None:
        await self._file.write(sqlite_entries.touch_personal, tuple(used))

    async def revoke_personal_token(self, tenant: str, token: str, user: str | None = None) -> bool:
        return await self._file.write(sqlite_entries.revoke_personal, tenant, token, user)

    # Clients, codes and families.

    async def add_client(self, client: RegisteredClient, *, most: int) -> bool:
        return await self._file.write(sqlite_once.add_client, client, most)

    async def client(self, client: str) -> RegisteredClient | None:
        return await self._file.read(sqlite_once.client, client)

    async def touch_client(self, client: str, at: float, expires_at: float) -> None:
        await self._file.write(sqlite_once.touch_client, client, at, expires_at)

    async def add_code(self, code: Code) -> None:
        await self._file.write(sqlite_grants.add_code, code)

    async def code(self, digest: bytes) -> Code | None:
        return await self._file.read(sqlite_grants.code, digest)

    async def redeem(self, code: bytes, family: Family, tokens: Issued, at: float) -> Once:
        return await self._file.write(sqlite_grants.redeem, code, family, tokens, at)

    async def family(self, family: str) -> Family | None:
        return await self._file.read(sqlite_grants.family, family)

    async def families(self, tenant: str, user: str | None = None) -> list[Family]:
        return await self._file.read(sqlite_grants.families, tenant, user)

    async def access_token(self, digest: bytes) -> tuple[AccessToken, Family] | None:
        return await self._file.read(sqlite_grants.access_token, digest)

    async def refresh_token(self, digest: bytes) -> tuple[RefreshToken, Family] | None:
        return await self._file.read(sqlite_grants.refresh_token, digest)

    async def rotate(self, old: bytes, tokens: Issued, at: float) -> Once:
        return await self._file.write(sqlite_grants.rotate, old, tokens, at)

    async def give(self, family: Family, token: AccessToken, at: float) -> None:
        await self._file.write(sqlite_grants.give, family, token, at)

    async def revoke_access_token(self, digest: bytes) -> None:
        await self._file.write(sqlite_grants.revoke_access_token, digest)

    async def revoke_family(self, tenant: str, family: str, user: str | None = None) -> bool:
        return await self._file.write(sqlite_grants.revoke_family, tenant, family, user)

    # What waits, and what may be used once.

    async def put_pending(self, item: Pending, *, at: float, most: int) -> bool:
        return await self._file.write(sqlite_once.put_pending, item, at, most)

    async def pending(self, kind: str, digest: bytes, at: float) -> Pending | None:
        return await self._file.read(sqlite_once.pending, kind, digest, at)

    async def take_pending(self, kind: str, digest: bytes, at: float) -> Pending | None:
        return await self._file.write(sqlite_once.take_pending, kind, digest, at)

    async def use_once(self, kind: str, digest: bytes, *, at: float, expires_at: float) -> bool:
        return await self._file.write(sqlite_once.use_once, kind, digest, at, expires_at)

    async def sweep(self, at: float) -> None:
        await self._file.write(sqlite_grants.sweep, at)
        await self._file.write(sqlite_once.sweep, at)
        await self._file.write(sqlite_registrations.sweep, at)
