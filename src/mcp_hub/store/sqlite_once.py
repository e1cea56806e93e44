"""Clients that registered themselves, and what waits or may be used once, in SQLite.

Rule: pure but for the connection it is given; whoever calls owns the transaction.
"""

import sqlite3
from typing import Final

from mcp_hub.store.grants import Pending, RegisteredClient

_ADD_CLIENT: Final = """
    INSERT INTO clients (id, tenant, secret, metadata, created_at, used_at, expires_at)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE (SELECT count(*) FROM clients WHERE tenant = ?2) < ?8
    ON CONFLICT DO NOTHING
"""
_OLD_CLIENTS: Final = "DELETE FROM clients WHERE expires_at <= ?"
_CLIENT: Final = """
    SELECT id, tenant, secret, metadata, created_at, used_at, expires_at FROM clients WHERE id = ?
"""
_TOUCH_CLIENT: Final = "UPDATE clients SET used_at = ?, expires_at = ? WHERE id = ?"

_OLD_PENDING: Final = "DELETE FROM pending WHERE expires_at <= ?"
_PUT: Final = """
    INSERT INTO pending (tenant, kind, digest, payload, expires_at) VALUES ('', ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_TOO_MANY_PENDING: Final = """
    DELETE FROM pending WHERE rowid IN (SELECT rowid FROM pending WHERE kind = ? ORDER BY rowid DESC LIMIT -1 OFFSET ?)
"""
_PENDING: Final = """
    SELECT kind, digest, payload, expires_at FROM pending WHERE kind = ? AND digest = ? AND expires_at > ?
"""
_TAKE: Final = """
    DELETE FROM pending WHERE kind = ? AND digest = ? AND expires_at > ? RETURNING kind, digest, payload, expires_at
"""
_OLD_USED: Final = "DELETE FROM used_once WHERE expires_at <= ?"
_USE: Final = "INSERT INTO used_once (tenant, kind, digest, expires_at) VALUES ('', ?, ?, ?) ON CONFLICT DO NOTHING"
_OLD_BROWSER_SESSIONS: Final = "DELETE FROM browser_sessions WHERE expires_at <= ?"

_SWEPT: Final = (_OLD_CLIENTS, _OLD_PENDING, _OLD_USED, _OLD_BROWSER_SESSIONS)


def add_client(db: sqlite3.Connection, new: RegisteredClient, most: int) -> bool:
    """Insert, if there is room."""
    db.execute(_OLD_CLIENTS, (new.created_at,))
    row = (new.id, new.tenant, new.secret, new.metadata, new.created_at, new.used_at, new.expires_at)
    return db.execute(_ADD_CLIENT, (*row, most)).rowcount == 1


def client(db: sqlite3.Connection, known: str) -> RegisteredClient | None:
    """By id."""
    row = db.execute(_CLIENT, (known,)).fetchone()
    return None if row is None else RegisteredClient(*row)


def touch_client(db: sqlite3.Connection, known: str, at: float, expires_at: float) -> None:
    """Move its end."""
    db.execute(_TOUCH_CLIENT, (at, expires_at, known))


def put_pending(db: sqlite3.Connection, item: Pending, at: float, most: int) -> bool:
    """Insert, and make room."""
    db.execute(_OLD_PENDING, (at,))
    added = db.execute(_PUT, (item.kind, item.digest, item.payload, item.expires_at)).rowcount == 1
    db.execute(_TOO_MANY_PENDING, (item.kind, most))
    return added


def pending(db: sqlite3.Connection, kind: str, digest: bytes, at: float) -> Pending | None:
    """Look."""
    row = db.execute(_PENDING, (kind, digest, at)).fetchone()
    return None if row is None else Pending(*row)


def take_pending(db: sqlite3.Connection, kind: str, digest: bytes, at: float) -> Pending | None:
    """Delete what is there."""
    row = db.execute(_TAKE, (kind, digest, at)).fetchone()
    return None if row is None else Pending(*row)


def use_once(db: sqlite3.Connection, kind: str, digest: bytes, at: float, expires_at: float) -> bool:
    """Note it, unless it is noted."""
    db.execute(_OLD_USED, (at,))
    return db.execute(_USE, (kind, digest, expires_at)).rowcount == 1


def sweep(db: sqlite3.Connection, at: float) -> None:
    """Delete what has expired."""
    for statement in _SWEPT:
        db.execute(statement, (at,))
