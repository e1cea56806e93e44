"""Accounts in SQLite: the statements, and rows to values and back.

Rule: pure but for the connection it is given; whoever calls owns the transaction.
"""

import sqlite3
from dataclasses import replace
from typing import Final

from mcp_hub.store import sqlite_catalogs, sqlite_connections, sqlite_pasted
from mcp_hub.store.people import User
from mcp_hub.store.sqlite_access import taken_away
from mcp_hub.store.sqlite_words import pack, unpack

_SELECT: Final = """
    SELECT id, tenant, issuer, subject, email, name, roles, member_of, password, disabled, created_at, seen_at,
        email_verified
    FROM users
"""
_ADD: Final = """
    INSERT INTO users (id, tenant, issuer, subject, email, name, roles, member_of, password, disabled, created_at,
        seen_at, email_verified, email_key)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
# OR IGNORE: a row that would be like another one is left as it is, and counts as not changed.
_UPDATE: Final = """
    UPDATE OR IGNORE users SET issuer = ?, subject = ?, email = ?, name = ?, roles = ?, member_of = ?, password = ?,
        disabled = ?, created_at = ?, email_verified = ?, email_key = ?
    WHERE id = ? AND tenant = ?
"""
_SEE: Final = "UPDATE users SET seen_at = max(coalesce(seen_at, ?1), ?1) WHERE id = ?2"
_REMOVE: Final = "DELETE FROM users WHERE id = ? RETURNING tenant, issuer, subject"
_ONE: Final = _SELECT + "WHERE id = ?"
_KNOWN_AS: Final = _SELECT + "WHERE tenant = ? AND issuer = ? AND subject = ?"
_BY_EMAIL: Final = _SELECT + "WHERE tenant = ? AND email_key = ? AND issuer = ? AND email <> '' LIMIT 2"
_ALL: Final = _SELECT + "WHERE tenant = ? ORDER BY email_key, id"
_ADMINS: Final = """
    SELECT count(*) FROM users, json_each(users.roles) AS role
    WHERE users.tenant = ? AND NOT users.disabled AND role.value = 'admin'
"""
_END_FAMILIES: Final = "DELETE FROM families WHERE user = ?"
_END_BROWSER_SESSIONS: Final = "DELETE FROM browser_sessions WHERE user = ?"
_END_CODES: Final = "DELETE FROM codes WHERE user = ?"


def add(db: sqlite3.Connection, user: User) -> bool:
    """Insert, unless one like it is there."""
    return db.execute(_ADD, _row(user)).rowcount == 1


def update(db: sqlite3.Connection, user: User, was: User | None) -> bool:
    """Replace, if it is there and, where that is asked for, still as it was."""
    if was is not None and not _is_still(db, was):
        return False
    row = _row(user)
    changed = db.execute(_UPDATE, (*row[2:11], *row[12:], user.id, user.tenant)).rowcount
    return taken_away(db, changed)


def see(db: sqlite3.Connection, user: str, at: float) -> None:
    """Move the last sight on."""
    db.execute(_SEE, (at, user))


def remove(db: sqlite3.Connection, user: str) -> None:
    """Delete, with all that it owns."""
    row = db.execute(_REMOVE, (user,)).fetchone()
    if row is not None:
        taken_away(db, 1)
        sqlite_connections.drop_all_of(db, *row)
        sqlite_pasted.drop_all_of(db, *row)
        sqlite_catalogs.forget_all_of(db, row)


def one(db: sqlite3.Connection, user: str) -> User | None:
    """By id."""
    row = db.execute(_ONE, (user,)).fetchone()
    return None if row is None else _user(row)


def known_as(db: sqlite3.Connection, tenant: str, issuer: str, subject: str) -> User | None:
    """By the issuer's name for them."""
    row = db.execute(_KNOWN_AS, (tenant, issuer, subject)).fetchone()
    return None if row is None else _user(row)


def by_email(db: sqlite3.Connection, tenant: str, issuer: str, email: str) -> User | None:
    """By address, if it is one account's alone."""
    rows = db.execute(_BY_EMAIL, (tenant, _key(email), issuer)).fetchall()
    return _user(rows[0]) if len(rows) == 1 else None


def all_of(db: sqlite3.Connection, tenant: str) -> list[User]:
    """By address."""
    return [_user(row) for row in db.execute(_ALL, (tenant,))]


def add_first_admin(db: sqlite3.Connection, user: User) -> bool:
    """Insert, if nobody is admin yet."""
    return db.execute(_ADMINS, (user.tenant,)).fetchone()[0] == 0 and add(db, user)


def sign_out(db: sqlite3.Connection, user: str) -> None:
    """Delete what was let in without a personal token."""
    ended = (_END_FAMILIES, _END_BROWSER_SESSIONS, _END_CODES)
    taken_away(db, sum(db.execute(statement, (user,)).rowcount for statement in ended))


def _is_still(db: sqlite3.Connection, was: User) -> bool:
    now = one(db, was.id)
    return now is not None and replace(now, seen_at=was.seen_at) == was


def _key(email: str) -> str:
    return email.casefold()


def _row(user: User) -> tuple[object, ...]:
    who = (user.id, user.tenant, user.issuer, user.subject, user.email, user.name)
    may = (pack(user.roles), pack(user.groups), user.password, user.disabled)
    return (*who, *may, user.created_at, user.seen_at, user.email_verified, _key(user.email))


def _user(row: tuple[str, str, str, str, str, str, str, str, str | None, int, float, float | None, int]) -> User:
    return User(*row[:6], unpack(row[6]), unpack(row[7]), row[8], bool(row[9]), *row[10:12], bool(row[12]))
