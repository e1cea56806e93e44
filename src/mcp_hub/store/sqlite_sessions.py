"""Stored sessions in SQLite: the statements, and rows to values and back.

Rule: pure but for the connection it is given; whoever calls owns the transaction.
"""

import json
import sqlite3
from collections.abc import Iterable
from typing import Final

from mcp_hub.store.base import SessionUse, StoredSession

_USES: Final = "SELECT id, tenant, issuer, subject, used_at FROM sessions ORDER BY used_at, id"
_ONE: Final = """
    SELECT id, tenant, issuer, subject, revision, capabilities, info, log_level, resources, created_at, used_at
    FROM sessions WHERE id = ?
"""
_KEEP: Final = """
    INSERT OR REPLACE INTO sessions
        (id, tenant, issuer, subject, revision, capabilities, info, log_level, resources, created_at, used_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_TOUCH: Final = "UPDATE sessions SET used_at = ? WHERE id = ?"
_DROP: Final = "DELETE FROM sessions WHERE id = ?"


def uses(db: sqlite3.Connection) -> list[SessionUse]:
    """All of them, the longest unused first."""
    return [SessionUse(each[0], each[1:4], each[4]) for each in db.execute(_USES)]


def one(db: sqlite3.Connection, session: bytes) -> StoredSession | None:
    """The session of this digest."""
    row = db.execute(_ONE, (session,)).fetchone()
    if row is None:
        return None
    revision, capabilities, info, level, resources, created_at, used_at = row[4:]
    said = (revision, capabilities, info, level)
    return StoredSession(row[0], row[1:4], *said, tuple(json.loads(resources)), created_at, used_at)


def keep(db: sqlite3.Connection, sessions: Iterable[StoredSession]) -> None:
    """Insert or replace."""
    db.executemany(_KEEP, map(_row, sessions))


def touch(db: sqlite3.Connection, used: Iterable[tuple[bytes, float]]) -> None:
    """Change when they were used last."""
    db.executemany(_TOUCH, ((at, session) for session, at in used))


def drop(db: sqlite3.Connection, sessions: Iterable[bytes]) -> None:
    """Delete."""
    db.executemany(_DROP, ((session,) for session in sessions))


def _row(each: StoredSession) -> tuple[object, ...]:
    said = (each.revision, each.capabilities, each.info, each.log_level)
    resources = json.dumps(each.resources).encode()
    return (each.id, *each.owner, *said, resources, each.created_at, each.used_at)
