"""What lets a person in: browser sessions and personal tokens in SQLite.

Rule: pure but for the connection it is given; whoever calls owns the transaction. Nothing is kept for an account that
is not there (any more).
"""

import sqlite3
from collections.abc import Iterable
from typing import Final

from mcp_hub.store.people import MOST_BROWSER_SESSIONS, MOST_PERSONAL_TOKENS, BrowserSession, PersonalToken
from mcp_hub.store.sqlite_access import taken_away
from mcp_hub.store.sqlite_words import pack, unpack

_SESSION: Final = "SELECT digest, tenant, user, created_at, used_at, expires_at, agent FROM browser_sessions "
_KEEP_SESSION: Final = """
    INSERT INTO browser_sessions (digest, tenant, user, created_at, used_at, expires_at, agent)
    SELECT ?1, tenant, id, ?4, ?5, ?6, ?7 FROM users WHERE tenant = ?2 AND id = ?3
"""
_MAKE_ROOM: Final = """
    DELETE FROM browser_sessions WHERE digest IN (
        SELECT digest FROM browser_sessions WHERE user = ? ORDER BY created_at DESC, rowid DESC LIMIT -1 OFFSET ?
    )
"""
_ONE_SESSION: Final = _SESSION + "WHERE digest = ?"
_SESSIONS: Final = _SESSION + "WHERE user = ? ORDER BY used_at DESC, rowid DESC"
_TOUCH_SESSION: Final = "UPDATE browser_sessions SET used_at = max(used_at, ?) WHERE digest = ?"
_DROP_SESSION: Final = "DELETE FROM browser_sessions WHERE digest = ?"

_PERSONAL: Final = """
    SELECT id, digest, tenant, user, name, prefix, scopes, created_at, expires_at, used_at FROM personal_tokens
"""
_ADD_PERSONAL: Final = """
    INSERT INTO personal_tokens (id, digest, tenant, user, name, prefix, scopes, created_at, expires_at, used_at)
    SELECT ?1, ?2, tenant, id, ?5, ?6, ?7, ?8, ?9, ?10 FROM users WHERE tenant = ?3 AND id = ?4
        AND (SELECT count(*) FROM personal_tokens WHERE user = ?4) < ?11
"""
_ONE_PERSONAL: Final = _PERSONAL + "WHERE digest = ?"
_PERSONAL_OF: Final = _PERSONAL + (
    "WHERE tenant = ?1 AND (?2 IS NULL OR user = ?2) ORDER BY created_at DESC, rowid DESC"
)
_TOUCH_PERSONAL: Final = "UPDATE personal_tokens SET used_at = max(coalesce(used_at, ?1), ?1) WHERE digest = ?2"
_REVOKE_PERSONAL: Final = "DELETE FROM personal_tokens WHERE tenant = ?1 AND id = ?2 AND (?3 IS NULL OR user = ?3)"


def keep_session(db: sqlite3.Connection, session: BrowserSession) -> None:
    """Insert, and make room."""
    times = (session.created_at, session.used_at, session.expires_at)
    db.execute(_KEEP_SESSION, (session.digest, session.tenant, session.user, *times, session.agent))
    taken_away(db, db.execute(_MAKE_ROOM, (session.user, MOST_BROWSER_SESSIONS)).rowcount)


def session(db: sqlite3.Connection, digest: bytes) -> BrowserSession | None:
    """By the digest of its cookie."""
    row = db.execute(_ONE_SESSION, (digest,)).fetchone()
    return None if row is None else BrowserSession(*row)


def touch_session(db: sqlite3.Connection, digest: bytes, at: float) -> None:
    """Move the last use on."""
    db.execute(_TOUCH_SESSION, (at, digest))


def drop_session(db: sqlite3.Connection, digest: bytes) -> None:
    """Delete."""
    taken_away(db, db.execute(_DROP_SESSION, (digest,)).rowcount)


def sessions(db: sqlite3.Connection, user: str) -> list[BrowserSession]:
    """The last used first."""
    return [BrowserSession(*row) for row in db.execute(_SESSIONS, (user,))]


def add_personal(db: sqlite3.Connection, token: PersonalToken) -> bool:
    """Insert, if there is room."""
    who = (token.id, token.digest, token.tenant, token.user, token.name, token.prefix)
    row = (*who, pack(token.scopes), token.created_at, token.expires_at, token.used_at, MOST_PERSONAL_TOKENS)
    return db.execute(_ADD_PERSONAL, row).rowcount == 1


def personal(db: sqlite3.Connection, digest: bytes) -> PersonalToken | None:
    """By digest."""
    row = db.execute(_ONE_PERSONAL, (digest,)).fetchone()
    return None if row is None else _token(row)


def personal_of(db: sqlite3.Connection, tenant: str, user: str | None) -> list[PersonalToken]:
    """The newest first."""
    return [_token(row) for row in db.execute(_PERSONAL_OF, (tenant, user))]


def touch_personal(db: sqlite3.Connection, used: Iterable[tuple[bytes, float]]) -> None:
    """Move the last uses on."""
    db.executemany(_TOUCH_PERSONAL, ((at, digest) for digest, at in used))


def revoke_personal(db: sqlite3.Connection, tenant: str, token: str, user: str | None) -> bool:
    """Delete, if it is theirs."""
    return taken_away(db, db.execute(_REVOKE_PERSONAL, (tenant, token, user)).rowcount)


def _token(row: tuple[str, bytes, str, str, str, str, str, float, float | None, float | None]) -> PersonalToken:
    return PersonalToken(*row[:6], unpack(row[6]), *row[7:])
