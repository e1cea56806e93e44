"""Families and their tokens, and the codes they came from, in SQLite: the statements, and rows to values and back.

Rule: pure but for the connection it is given; whoever calls owns the transaction.
"""

import sqlite3
from typing import Final

from mcp_hub.store.grants import (
    MOST_ACCESS_TOKENS,
    MOST_FAMILIES,
    MOST_SUPERSEDED,
    AccessToken,
    Code,
    Family,
    Issued,
    Once,
    RefreshToken,
)
from mcp_hub.store.sqlite_access import taken_away
from mcp_hub.store.sqlite_words import pack, unpack

_REPLAYS: Final = 86400.0
"""How long a code is kept after it expired, so that somebody who uses it again is noticed."""

_ADD_CODE: Final = """
    INSERT INTO codes (digest, tenant, client, client_name, user, redirect_uri, challenge, resource, scopes, browser,
        created_at, expires_at, family)
    SELECT ?1, tenant, ?3, ?4, id, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13 FROM users WHERE tenant = ?2 AND id = ?5
"""
_OLD_CODES: Final = "DELETE FROM codes WHERE expires_at <= ?"
_CODE: Final = """
    SELECT digest, tenant, client, client_name, user, redirect_uri, challenge, resource, scopes, browser, created_at,
        expires_at, family
    FROM codes WHERE digest = ?
"""
_USE_CODE: Final = "UPDATE codes SET family = ? WHERE digest = ?"
_MAY: Final = "SELECT 1 FROM users WHERE tenant = ? AND id = ? AND NOT disabled"

_FAMILY: Final = """
    SELECT id, tenant, coalesce(user, ''), client, client_name, resource, scopes, created_at, used_at, expires_at
    FROM families
"""
_ADD_FAMILY: Final = """
    INSERT INTO families (id, tenant, user, client, client_name, resource, scopes, created_at, used_at, expires_at)
    VALUES (?, ?, nullif(?, ''), ?, ?, ?, ?, ?, ?, ?)
"""
_ONE_FAMILY: Final = _FAMILY + "WHERE id = ?"
_FAMILIES: Final = _FAMILY + "WHERE tenant = ?1 AND (?2 IS NULL OR user = ?2) ORDER BY used_at DESC, rowid DESC"
_USE_FAMILY: Final = "UPDATE families SET used_at = max(used_at, ?) WHERE id = ?"
_EXTEND_FAMILY: Final = """
    UPDATE families SET used_at = max(used_at, ?), expires_at = max(expires_at, ?) WHERE id = ? AND user IS NULL
"""
_END_FAMILY: Final = "DELETE FROM families WHERE id = ?"
_REVOKE_FAMILY: Final = "DELETE FROM families WHERE tenant = ?1 AND id = ?2 AND (?3 IS NULL OR user = ?3)"

_SPARE_FAMILIES: Final = """
    DELETE FROM families WHERE id IN (
        SELECT id FROM families WHERE user = ? AND client = ? ORDER BY used_at DESC, rowid DESC LIMIT -1 OFFSET ?
    )
"""

_ADD_ACCESS: Final = """
    INSERT INTO access_tokens (digest, tenant, family, scopes, expires_at)
    SELECT ?, tenant, id, ?, ? FROM families WHERE id = ?
"""
_ACCESS: Final = "SELECT digest, family, scopes, expires_at FROM access_tokens WHERE digest = ?"
_REVOKE_ACCESS: Final = "DELETE FROM access_tokens WHERE digest = ?"
_OLD_ACCESS: Final = "DELETE FROM access_tokens WHERE family = ? AND expires_at <= ?"
_SPARE_ACCESS: Final = """
    DELETE FROM access_tokens WHERE digest IN (
        SELECT digest FROM access_tokens WHERE family = ? ORDER BY expires_at DESC, rowid DESC LIMIT -1 OFFSET ?
    )
"""

_ADD_REFRESH: Final = """
    INSERT INTO refresh_tokens (digest, tenant, family, scopes, created_at, expires_at, superseded_at)
    SELECT ?, tenant, id, ?, ?, ?, ? FROM families WHERE id = ?
"""
_REFRESH: Final = """
    SELECT digest, family, scopes, created_at, expires_at, superseded_at FROM refresh_tokens WHERE digest = ?
"""
_SUPERSEDE: Final = "UPDATE refresh_tokens SET superseded_at = ? WHERE digest = ?"
_OLD_REFRESH: Final = "DELETE FROM refresh_tokens WHERE family = ? AND expires_at <= ?"
_SPARE_REFRESH: Final = """
    DELETE FROM refresh_tokens WHERE digest IN (
        SELECT digest FROM refresh_tokens WHERE family = ? AND superseded_at IS NOT NULL
        ORDER BY superseded_at DESC, rowid DESC LIMIT -1 OFFSET ?
    )
"""

_EXPIRED: Final = (
    "DELETE FROM access_tokens WHERE expires_at <= ?1",
    "DELETE FROM refresh_tokens WHERE expires_at <= ?1",
    """
    DELETE FROM families WHERE expires_at <= ?1 OR NOT (
        EXISTS (SELECT 1 FROM access_tokens WHERE family = families.id)
        OR EXISTS (SELECT 1 FROM refresh_tokens WHERE family = families.id AND superseded_at IS NULL)
    )
    """,
)


def add_code(db: sqlite3.Connection, code: Code) -> None:
    """Insert, and delete old ones."""
    db.execute(_OLD_CODES, (code.created_at - _REPLAYS,))
    given = (code.redirect_uri, code.challenge, code.resource, pack(code.scopes), code.browser)
    who = (code.tenant, code.client, code.client_name, code.user)
    db.execute(_ADD_CODE, (code.digest, *who, *given, code.created_at, code.expires_at, code.family))


def code(db: sqlite3.Connection, digest: bytes) -> Code | None:
    """By digest."""
    row = db.execute(_CODE, (digest,)).fetchone()
    return None if row is None else _code(row)


def redeem(db: sqlite3.Connection, digest: bytes, new: Family, tokens: Issued, at: float) -> Once:
    """A code for a family; who comes second takes the family away again."""
    known = code(db, digest)
    if known is None:
        return Once.GONE
    if known.family is not None:
        taken_away(db, db.execute(_END_FAMILY, (known.family,)).rowcount)
        return Once.LOST
    theirs = (known.tenant, known.user, known.client) == (new.tenant, new.user, new.client)
    if not theirs or known.expires_at <= at or not _may(db, new):
        return Once.GONE
    db.execute(_USE_CODE, (new.id, digest))
    _add_family(db, new)
    _add_tokens(db, tokens)
    taken_away(db, db.execute(_SPARE_FAMILIES, (new.user, new.client, MOST_FAMILIES)).rowcount)
    return Once.WON


def family(db: sqlite3.Connection, known: str) -> Family | None:
    """By id."""
    row = db.execute(_ONE_FAMILY, (known,)).fetchone()
    return None if row is None else _family(row)


def families(db: sqlite3.Connection, tenant: str, user: str | None) -> list[Family]:
    """The last used first."""
    return [_family(row) for row in db.execute(_FAMILIES, (tenant, user))]


def access_token(db: sqlite3.Connection, digest: bytes) -> tuple[AccessToken, Family] | None:
    """By digest, with its family."""
    row = db.execute(_ACCESS, (digest,)).fetchone()
    if row is None:
        return None
    of = family(db, row[1])
    return None if of is None else (AccessToken(row[0], row[1], unpack(row[2]), row[3]), of)


def refresh_token(db: sqlite3.Connection, digest: bytes) -> tuple[RefreshToken, Family] | None:
    """By digest, with its family."""
    row = db.execute(_REFRESH, (digest,)).fetchone()
    if row is None:
        return None
    of = family(db, row[1])
    return None if of is None else (RefreshToken(row[0], row[1], unpack(row[2]), *row[3:]), of)


def rotate(db: sqlite3.Connection, old: bytes, tokens: Issued, at: float) -> Once:
    """A refresh token for its successors."""
    known = refresh_token(db, old)
    if known is None:
        return Once.GONE
    token, of = known
    if token.superseded_at is not None:
        return Once.LOST
    if token.expires_at <= at or of.expires_at <= at or not _may(db, of):
        return Once.GONE
    db.execute(_SUPERSEDE, (at, old))
    db.execute(_USE_FAMILY, (at, of.id))
    _add_tokens(db, tokens)
    _tidy(db, of.id, at)
    return Once.WON


def give(db: sqlite3.Connection, to: Family, token: AccessToken, at: float) -> None:
    """An access token to a client that acts for itself."""
    if family(db, to.id) is None:
        _add_family(db, to)
    db.execute(_EXTEND_FAMILY, (at, to.expires_at, to.id))
    _add_tokens(db, Issued(token, None))
    _tidy(db, to.id, at)


def revoke_access_token(db: sqlite3.Connection, digest: bytes) -> None:
    """Delete."""
    taken_away(db, db.execute(_REVOKE_ACCESS, (digest,)).rowcount)


def revoke_family(db: sqlite3.Connection, tenant: str, known: str, user: str | None) -> bool:
    """Delete, if it is theirs."""
    return taken_away(db, db.execute(_REVOKE_FAMILY, (tenant, known, user)).rowcount)


def sweep(db: sqlite3.Connection, at: float) -> None:
    """Delete what has expired."""
    db.execute(_OLD_CODES, (at - _REPLAYS,))
    for statement in _EXPIRED:
        db.execute(statement, (at,))


def _may(db: sqlite3.Connection, of: Family) -> bool:
    return not of.user or db.execute(_MAY, (of.tenant, of.user)).fetchone() is not None


def _add_family(db: sqlite3.Connection, new: Family) -> None:
    who = (new.id, new.tenant, new.user, new.client, new.client_name, new.resource, pack(new.scopes))
    db.execute(_ADD_FAMILY, (*who, new.created_at, new.used_at, new.expires_at))


def _add_tokens(db: sqlite3.Connection, tokens: Issued) -> None:
    access, refresh = tokens.access, tokens.refresh
    db.execute(_ADD_ACCESS, (access.digest, pack(access.scopes), access.expires_at, access.family))
    if refresh is not None:
        times = (refresh.created_at, refresh.expires_at, refresh.superseded_at)
        db.execute(_ADD_REFRESH, (refresh.digest, pack(refresh.scopes), *times, refresh.family))


def _tidy(db: sqlite3.Connection, of: str, at: float) -> None:
    db.execute(_OLD_ACCESS, (of, at))
    db.execute(_OLD_REFRESH, (of, at))
    db.execute(_SPARE_REFRESH, (of, MOST_SUPERSEDED))
    taken_away(db, db.execute(_SPARE_ACCESS, (of, MOST_ACCESS_TOKENS)).rowcount)


def _code(
    row: tuple[bytes, str, str, str, str, str, str, str, str, bytes, float, float, str | None],
) -> Code:
    return Code(*row[:8], unpack(row[8]), *row[9:])


def _family(row: tuple[str, str, str, str, str, str, str, float, float, float]) -> Family:
    return Family(*row[:6], unpack(row[6]), *row[7:])
