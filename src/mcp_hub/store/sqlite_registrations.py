"""The hub's registrations at authorization servers in SQLite: the statements, and rows to values and back.

Rule: pure but for the connection it is given; whoever calls owns the transaction.
"""

import sqlite3
from typing import Final

from mcp_hub.store.connections import KEPT_FOR, RETIRED_FOR, Registration, Source

_SELECT: Final = """
    SELECT id, tenant, upstream, issuer, client_id, auth_method, redirect_uri, source, secret, previous_secret,
        management, secret_expires_at, created_at, retired_at
    FROM registrations
"""
_ADD: Final = """
    INSERT INTO registrations (id, tenant, upstream, issuer, client_id, auth_method, redirect_uri, source, secret,
        previous_secret, management, secret_expires_at, created_at, retired_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ONE: Final = _SELECT + "WHERE id = ?"
_IN_USE: Final = _SELECT + "WHERE tenant = ? AND upstream = ? AND issuer = ? AND retired_at IS NULL"
_OF: Final = _SELECT + "WHERE tenant = ? AND upstream = ? ORDER BY created_at DESC, rowid DESC"
_ALL: Final = _SELECT + "WHERE id > ? ORDER BY id LIMIT ?"
_RETIRE: Final = "UPDATE registrations SET retired_at = ? WHERE id = ? AND retired_at IS NULL"
# IS: a secret may be missing, and then has to be missing still.
_REPLACE: Final = "UPDATE registrations SET secret = ?, previous_secret = ? WHERE id = ? AND secret IS ?"
_ERASE: Final = """
    UPDATE registrations SET secret = NULL, previous_secret = NULL, management = NULL
    WHERE retired_at <= ?
        AND (secret IS NOT NULL OR previous_secret IS NOT NULL OR management IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM grants WHERE registration = registrations.id)
"""
_DELETE: Final = """
    DELETE FROM registrations
    WHERE retired_at <= ? AND NOT EXISTS (SELECT 1 FROM grants WHERE registration = registrations.id)
"""


def add(db: sqlite3.Connection, new: Registration, instead_of: str | None) -> Registration:
    """Insert in the place of the one that was seen, or hand back the one that was first."""
    row = db.execute(_IN_USE, (new.tenant, new.upstream, new.issuer)).fetchone()
    if row is not None and row[0] != instead_of:
        return _registration(row)
    if row is not None:
        retire(db, row[0], new.created_at)
    db.execute(_ADD, _row(new))
    return new


def one(db: sqlite3.Connection, known: str) -> Registration | None:
    """By id."""
    row = db.execute(_ONE, (known,)).fetchone()
    return None if row is None else _registration(row)


def of_upstream(db: sqlite3.Connection, tenant: str, upstream: str) -> list[Registration]:
    """The newest first."""
    return [_registration(row) for row in db.execute(_OF, (tenant, upstream))]


def all_of(db: sqlite3.Connection, after: str, limit: int) -> list[Registration]:
    """By id."""
    return [_registration(row) for row in db.execute(_ALL, (after, limit))]


def put_secret(
    db: sqlite3.Connection, known: str, was: bytes | None, secret: bytes | None, previous: bytes | None
) -> bool:
    """Replace both, if the first is what it was."""
    return db.execute(_REPLACE, (secret, previous, known, was)).rowcount == 1


def retire(db: sqlite3.Connection, known: str, at: float) -> None:
    """Out of use from now on."""
    db.execute(_RETIRE, (at, known))


def sweep(db: sqlite3.Connection, at: float) -> None:
    """Erase the secrets of retired ones that no grant needs, and later those themselves."""
    db.execute(_ERASE, (at - RETIRED_FOR,))
    db.execute(_DELETE, (at - KEPT_FOR,))


def _row(new: Registration) -> tuple[object, ...]:
    known_as = (new.id, new.tenant, new.upstream, new.issuer, new.client_id, new.auth_method, new.redirect_uri)
    secrets = (new.secret, new.previous_secret, new.management)
    return (*known_as, new.source.value, *secrets, new.secret_expires_at, new.created_at, new.retired_at)


def _registration(
    row: tuple[
        str, str, str, str, str, str, str, str, bytes | None, bytes | None, bytes | None, float | None, float,
        float | None,
    ],
) -> Registration:  # fmt: skip
    return Registration(*row[:7], Source(row[7]), *row[8:])
