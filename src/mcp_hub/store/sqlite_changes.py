"""The connection generation in SQLite, and whose connections raised it.

Rule: whoever makes, ends or marks somebody's connection calls `changed` in the same transaction.
"""

import sqlite3
from collections.abc import Iterable
from typing import Final

from mcp_hub.store.connections import MOST_CHANGES, Changes, Whose

_GENERATION: Final = "SELECT coalesce(max(seq), 0) FROM connection_changes"
_OLDEST: Final = "SELECT coalesce(min(seq), 1) FROM connection_changes"
_SINCE: Final = "SELECT DISTINCT tenant, issuer, subject, upstream FROM connection_changes WHERE seq > ?"
_NOTE: Final = "INSERT INTO connection_changes (tenant, issuer, subject, upstream) VALUES (?, ?, ?, ?)"
_OLD: Final = "DELETE FROM connection_changes WHERE seq <= (SELECT max(seq) FROM connection_changes) - ?"


def generation(db: sqlite3.Connection) -> int:
    """The number as it stands."""
    return int(db.execute(_GENERATION).fetchone()[0])


def since(db: sqlite3.Connection, known: int) -> Changes:
    """What raised it after it was `known`."""
    now = generation(db)
    is_known = known <= now and db.execute(_OLDEST).fetchone()[0] <= known + 1
    whose = frozenset(Whose(*row) for row in db.execute(_SINCE, (known,))) if is_known else None
    return Changes(known, now, whose)


def changed(db: sqlite3.Connection, whose: Iterable[Whose]) -> None:
    """Raise the number once for each of these."""
    db.executemany(_NOTE, whose)
    db.execute(_OLD, (MOST_CHANGES,))
