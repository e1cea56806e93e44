"""Pasted keys in SQLite, and what all sealed columns of connections have in common.

Rule: pure but for the connection it is given; whoever calls owns the transaction.
"""

import sqlite3
from collections.abc import Mapping
from typing import Final

from mcp_hub.store import sqlite_catalogs
from mcp_hub.store.base import visible_to
from mcp_hub.store.connections import PastedKey, Sealed, Whose
from mcp_hub.store.sqlite_changes import changed

_SELECT: Final = "SELECT id, tenant, issuer, subject, upstream, key, hint, created_at, used_at, place FROM pasted_keys "
_PUT: Final = """
    INSERT OR REPLACE INTO pasted_keys (id, tenant, issuer, subject, upstream, key, hint, created_at, used_at, place)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ONE: Final = _SELECT + "WHERE tenant = ? AND issuer = ? AND subject = ? AND upstream = ?"
_OF: Final = (
    _SELECT
    + """
    WHERE tenant = ?1 AND (?2 = '' OR issuer = ?2) AND (?3 = '' OR subject = ?3) ORDER BY upstream, issuer, subject
"""
)
_ALL: Final = _SELECT + "WHERE id > ? ORDER BY id LIMIT ?"
_TOUCH: Final = "UPDATE pasted_keys SET used_at = max(coalesce(used_at, ?1), ?1) WHERE id = ?2"
_DROP: Final = "DELETE FROM pasted_keys WHERE tenant = ? AND issuer = ? AND subject = ? AND upstream = ?"
_DROP_ALL_OF: Final = (
    "DELETE FROM pasted_keys WHERE tenant = ? AND issuer = ? AND subject = ?"
    " RETURNING tenant, issuer, subject, upstream"
)
_RESEAL: Final = {
    Sealed.SECRET: "UPDATE registrations SET secret = ? WHERE id = ? AND secret = ?",
    Sealed.PREVIOUS_SECRET: "UPDATE registrations SET previous_secret = ? WHERE id = ? AND previous_secret = ?",
    Sealed.MANAGEMENT: "UPDATE registrations SET management = ? WHERE id = ? AND management = ?",
    Sealed.ACCESS_TOKEN: "UPDATE grants SET access_token = ? WHERE id = ? AND access_token = ?",
    Sealed.REFRESH_TOKEN: "UPDATE grants SET refresh_token = ? WHERE id = ? AND refresh_token = ?",
    Sealed.KEY: "UPDATE pasted_keys SET key = ? WHERE id = ? AND key = ?",
}

_Row = tuple[str, str, str, str, str, bytes, str, float, float | None, str]


def put(db: sqlite3.Connection, key: PastedKey) -> None:
    """Insert, in the place of the one before."""
    db.execute(_PUT, (key.id, *key.whose, key.key, key.hint, key.created_at, key.used_at, key.place))
    changed(db, [key.whose])


def one(db: sqlite3.Connection, whose: Whose) -> PastedKey | None:
    """By whose it is."""
    row = db.execute(_ONE, whose).fetchone()
    return None if row is None else _key(row)


def of(db: sqlite3.Connection, tenant: str, issuer: str, subject: str) -> list[PastedKey]:
    """By upstream and principal."""
    return [_key(row) for row in db.execute(_OF, (tenant, issuer, subject))]


def all_of(db: sqlite3.Connection, after: str, limit: int) -> list[PastedKey]:
    """By id."""
    return [_key(row) for row in db.execute(_ALL, (after, limit))]


def touch(db: sqlite3.Connection, used: Mapping[str, float]) -> None:
    """Move the last use on."""
    db.executemany(_TOUCH, [(at, key) for key, at in used.items()])


def drop(db: sqlite3.Connection, whose: Whose) -> bool:
    """Delete, with what is remembered of their catalog."""
    if db.execute(_DROP, whose).rowcount == 0:
        return False
    sqlite_catalogs.forget(db, whose.tenant, whose.upstream, visible_to(whose[:3]))
    changed(db, [whose])
    return True


def drop_all_of(db: sqlite3.Connection, tenant: str, issuer: str, subject: str) -> None:
    """Delete all of a principal."""
    changed(db, [Whose(*row) for row in db.execute(_DROP_ALL_OF, (tenant, issuer, subject)).fetchall()])


def reseal(db: sqlite3.Connection, column: Sealed, row: str, was: bytes, sealed: bytes) -> bool:
    """Replace, if it still is what it was."""
    return db.execute(_RESEAL[column], (sealed, row, was)).rowcount == 1


def _key(row: _Row) -> PastedKey:
    return PastedKey(row[0], Whose(*row[1:5]), *row[5:])
