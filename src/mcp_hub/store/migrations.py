"""The tables, one migration after the other.

Rule: a migration that was released is never edited; every table names a tenant (empty: the hub as a whole).
"""

from typing import Final

from sqlite_utils.db import Database
from sqlite_utils.migrations import Migrations

from mcp_hub.store import tables_connections, tables_people

MIGRATIONS: Final = Migrations("mcp_hub")
_FIRST: Final = "0001-catalogs-calls-settings"
_SECOND: Final = "0002-sessions"
_THIRD: Final = "0003-keys"
_FOURTH: Final = "0004-people"
_FIFTH: Final = "0005-connections"
_KNOWN: Final = frozenset({_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH})


class ForeignFile(Exception):
    """Tables, but none of ours."""


class NewerSchema(Exception):
    """Migrations that this version has never heard of."""


@MIGRATIONS(name=_FIRST)
def first(db: Database) -> None:
    """Remembered upstreams, the call log, settings."""
    db.conn.execute(
        """
        CREATE TABLE remembered (
            tenant TEXT NOT NULL, upstream TEXT NOT NULL, visibility TEXT NOT NULL,
            url TEXT NOT NULL, era TEXT, catalog BLOB, saved_at REAL NOT NULL,
            PRIMARY KEY (tenant, upstream, visibility)
        )
        """
    )
    # `seq` counts per tenant, so that "the newest N" is a range of the key and pruning never counts rows.
    db.conn.execute(
        """
        CREATE TABLE calls (
            tenant TEXT NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL,
            issuer TEXT NOT NULL, subject TEXT NOT NULL, client TEXT NOT NULL, upstream TEXT NOT NULL,
            method TEXT NOT NULL, name TEXT NOT NULL, outcome TEXT NOT NULL, milliseconds REAL NOT NULL,
            PRIMARY KEY (tenant, seq)
        ) WITHOUT ROWID
        """
    )
    db.conn.execute(
        """
        CREATE TABLE settings (
            tenant TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
            PRIMARY KEY (tenant, key)
        ) WITHOUT ROWID
        """
    )


@MIGRATIONS(name=_SECOND)
def second(db: Database) -> None:
    """Sessions of clients."""
    # No WITHOUT ROWID: what a client says of itself may be long, and such rows do not belong into a key's tree.
    db.conn.execute(
        """
        CREATE TABLE sessions (
            id BLOB NOT NULL PRIMARY KEY, tenant TEXT NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL,
            revision TEXT NOT NULL, capabilities BLOB NOT NULL, info BLOB, log_level TEXT, resources BLOB NOT NULL,
            created_at REAL NOT NULL, used_at REAL NOT NULL
        )
        """
    )


@MIGRATIONS(name=_THIRD)
def third(db: Database) -> None:
    """Data keys, wrapped by the master key."""
    db.conn.execute(
        """
        CREATE TABLE keys (
            tenant TEXT NOT NULL, kid BLOB NOT NULL, wrapped BLOB NOT NULL, created_at REAL NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('next', 'current', 'old', 'retired')),
            PRIMARY KEY (tenant, kid)
        ) WITHOUT ROWID
        """
    )
    # Whoever comes second with a next or a current key is told so by the index, whichever process it is.
    for state in ("next", "current"):
        db.conn.execute(f"CREATE UNIQUE INDEX one_{state}_key ON keys (tenant) WHERE state = '{state}'")


@MIGRATIONS(name=_FOURTH)
def fourth(db: Database) -> None:
    """Accounts and their browser sessions and tokens; clients, codes and families; events."""
    for statement in tables_people.STATEMENTS:
        db.conn.execute(statement)


@MIGRATIONS(name=_FIFTH)
def fifth(db: Database) -> None:
    """Registrations, grants and pasted keys, whose of them changed, and whether an address is somebody's own."""
    for statement in tables_connections.STATEMENTS:
        db.conn.execute(statement)


def apply(db: Database) -> None:
    """Bring the file to this version; of two processes that start at once, one waits for the other.

    Raises:
        NewerSchema: the file knows migrations that this version does not.
        ForeignFile: the file belongs to another program.
    """
    # One write lock around look and leap: `Migrations.apply` alone would let two processes see the same one pending.
    db.conn.execute("BEGIN IMMEDIATE")
    try:
        _refuse_what_is_not_ours(db)
        MIGRATIONS.apply(db)
        db.commit()
    finally:
        db.rollback()


def _refuse_what_is_not_ours(db: Database) -> None:
    applied = {migration.name for migration in MIGRATIONS.applied(db)}
    if not applied and db.table_names():
        raise ForeignFile
    if not applied <= _KNOWN:
        raise NewerSchema
