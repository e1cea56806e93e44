"""Grants in SQLite: the statements, and rows to values and back.

Rule: pure but for the connection it is given; whoever calls owns the transaction.
"""

import sqlite3
from collections.abc import Mapping
from typing import Final

from mcp_hub.store import sqlite_catalogs
from mcp_hub.store.base import visible_to
from mcp_hub.store.connections import Grant, GrantState, Renewed, Whose
from mcp_hub.store.sqlite_changes import changed
from mcp_hub.store.sqlite_words import pack, unpack

_SELECT: Final = """
    SELECT id, tenant, issuer, subject, upstream, registration, authorization_server, token_endpoint,
        revocation_endpoint, resource, scopes, wanted, access_token, refresh_token, expires_at, state, reason, account,
        version, created_at, refreshed_at, used_at, marked_at, place
    FROM grants
"""
_ADD: Final = """
    INSERT INTO grants (id, tenant, issuer, subject, upstream, registration, authorization_server, token_endpoint,
        revocation_endpoint, resource, scopes, wanted, access_token, refresh_token, expires_at, state, reason, account,
        version, created_at, refreshed_at, used_at, marked_at, place)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ONE: Final = _SELECT + "WHERE tenant = ? AND issuer = ? AND subject = ? AND upstream = ?"
_OF: Final = (
    _SELECT
    + """
    WHERE tenant = ?1 AND (?2 = '' OR issuer = ?2) AND (?3 = '' OR subject = ?3) AND (?4 = '' OR upstream = ?4)
    ORDER BY upstream, issuer, subject
"""
)
_ALL: Final = _SELECT + "WHERE id > ? ORDER BY id LIMIT ?"
_DROP: Final = "DELETE FROM grants WHERE tenant = ? AND issuer = ? AND subject = ? AND upstream = ?"
_DROP_ALL_OF: Final = (
    "DELETE FROM grants WHERE tenant = ? AND issuer = ? AND subject = ? RETURNING tenant, issuer, subject, upstream"
)
_LEASE: Final = """
    UPDATE grants SET lease_owner = ?1, lease_until = ?2
    WHERE id = ?3 AND version = ?4 AND state = 'ready'
        AND (lease_owner IS NULL OR lease_owner = ?1 OR lease_until <= ?5)
"""
_RELEASE: Final = "UPDATE grants SET lease_owner = NULL, lease_until = NULL WHERE id = ? AND lease_owner = ?"
_MARKED: Final = """
    SELECT tenant, issuer, subject, upstream FROM grants WHERE id = ? AND version = ? AND state = 'reconnect_needed'
"""
_RENEW: Final = """
    UPDATE grants SET access_token = ?, refresh_token = ?, expires_at = ?, scopes = ?, refreshed_at = ?,
        version = version + 1, state = 'ready', reason = '', marked_at = NULL, lease_owner = NULL, lease_until = NULL
    WHERE id = ? AND version = ?
"""
_MARK: Final = """
    UPDATE grants SET state = 'reconnect_needed', reason = ?, marked_at = ?, lease_owner = NULL, lease_until = NULL
    WHERE id = ? AND version = ? RETURNING tenant, issuer, subject, upstream
"""
_WANT: Final = "UPDATE grants SET wanted = ? WHERE id = ?"
_TOUCH: Final = "UPDATE grants SET used_at = max(coalesce(used_at, ?1), ?1) WHERE id = ?2"


def put(db: sqlite3.Connection, grant: Grant) -> Grant | None:
    """Insert, in the place of the one before."""
    before = one(db, grant.whose)
    db.execute(_DROP, grant.whose)
    db.execute(_ADD, _row(grant))
    changed(db, [grant.whose])
    return before


def one(db: sqlite3.Connection, whose: Whose) -> Grant | None:
    """By whose it is."""
    row = db.execute(_ONE, whose).fetchone()
    return None if row is None else _grant(row)


def of(db: sqlite3.Connection, tenant: str, issuer: str, subject: str, upstream: str) -> list[Grant]:
    """By upstream and principal."""
    return [_grant(row) for row in db.execute(_OF, (tenant, issuer, subject, upstream))]


def all_of(db: sqlite3.Connection, after: str, limit: int) -> list[Grant]:
    """By id."""
    return [_grant(row) for row in db.execute(_ALL, (after, limit))]


def lease(db: sqlite3.Connection, grant: str, version: int, owner: str, *, at: float, until: float) -> bool:
    """For one owner alone, if nobody has it."""
    return db.execute(_LEASE, (owner, until, grant, version, at)).rowcount == 1


def renew(db: sqlite3.Connection, grant: str, version: int, renewed: Renewed) -> bool:
    """The next version, if this one still is the last."""
    marked = db.execute(_MARKED, (grant, version)).fetchone()
    tokens = (renewed.access_token, renewed.refresh_token, renewed.expires_at, pack(renewed.scopes), renewed.at)
    if db.execute(_RENEW, (*tokens, grant, version)).rowcount == 0:
        return False
    if marked is not None:
        changed(db, [Whose(*marked)])
    return True


def release(db: sqlite3.Connection, grant: str, owner: str) -> None:
    """End the lease of this owner."""
    db.execute(_RELEASE, (grant, owner))


def mark(db: sqlite3.Connection, grant: str, version: int, reason: str, at: float) -> bool:
    """Its user has to act, if this still is the last version."""
    row = db.execute(_MARK, (reason, at, grant, version)).fetchone()
    if row is not None:
        changed(db, [Whose(*row)])
    return row is not None


def want(db: sqlite3.Connection, grant: str, wanted: frozenset[str]) -> None:
    """Note scopes."""
    db.execute(_WANT, (pack(wanted), grant))


def touch(db: sqlite3.Connection, used: Mapping[str, float]) -> None:
    """Move the last use on."""
    db.executemany(_TOUCH, [(at, grant) for grant, at in used.items()])


def drop(db: sqlite3.Connection, whose: Whose) -> Grant | None:
    """Delete, with what is remembered of their catalog."""
    before = one(db, whose)
    if before is not None:
        db.execute(_DROP, whose)
        sqlite_catalogs.forget(db, whose.tenant, whose.upstream, visible_to(whose[:3]))
        changed(db, [whose])
    return before


def drop_all_of(db: sqlite3.Connection, tenant: str, issuer: str, subject: str) -> None:
    """Delete all of a principal."""
    changed(db, [Whose(*row) for row in db.execute(_DROP_ALL_OF, (tenant, issuer, subject)).fetchall()])


def _row(grant: Grant) -> tuple[object, ...]:
    there = (grant.registration, grant.authorization_server, grant.token_endpoint, grant.revocation_endpoint)
    allowed = (grant.resource, pack(grant.scopes), pack(grant.wanted))
    tokens = (grant.access_token, grant.refresh_token, grant.expires_at)
    state = (grant.state.value, grant.reason, grant.account, grant.version)
    times = (grant.created_at, grant.refreshed_at, grant.used_at, grant.marked_at)
    return (grant.id, *grant.whose, *there, *allowed, *tokens, *state, *times, grant.place)


def _grant(
    row: tuple[
        str, str, str, str, str, str, str, str, str | None, str | None, str, str, bytes, bytes | None, float | None,
        str, str, str, int, float, float, float | None, float | None, str,
    ],
) -> Grant:  # fmt: skip
    scopes, wanted = unpack(row[10]), unpack(row[11])
    return Grant(row[0], Whose(*row[1:5]), *row[5:10], scopes, wanted, *row[12:15], GrantState(row[15]), *row[16:])
