"""Remembered upstreams in SQLite.

Rule: pure but for the connection it is given; whoever calls owns the transaction.
"""

import sqlite3
from typing import Final

from mcp_hub.store.base import Remembered, visible_to

_REMEMBERED: Final = (
    "SELECT tenant, upstream, visibility, url, era, catalog, saved_at FROM remembered"
    " WHERE tenant = ?1 AND (?2 IS NULL OR visibility = ?2) ORDER BY upstream, visibility"
)
# In SET, a bare column is the stored row's and `excluded` is the one that came.
_REMEMBER: Final = """
    INSERT INTO remembered (tenant, upstream, visibility, url, era, catalog, saved_at) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (tenant, upstream, visibility) DO UPDATE SET
        url = excluded.url, era = excluded.era,
        saved_at = CASE WHEN excluded.catalog IS NULL AND catalog IS NOT NULL AND url = excluded.url
                   THEN saved_at ELSE excluded.saved_at END,
        catalog = CASE WHEN excluded.catalog IS NULL AND url = excluded.url THEN catalog ELSE excluded.catalog END
"""
_FORGET: Final = "DELETE FROM remembered WHERE tenant = ?1 AND upstream = ?2 AND (?3 IS NULL OR visibility = ?3)"
_FORGET_ALL_OF: Final = "DELETE FROM remembered WHERE tenant = ? AND visibility = ?"


def remembered(db: sqlite3.Connection, tenant: str, visibility: str | None) -> list[Remembered]:
    """Ordered by upstream and visibility."""
    return [Remembered(*row) for row in db.execute(_REMEMBERED, (tenant, visibility))]


def remember(db: sqlite3.Connection, item: Remembered) -> None:
    """Insert or replace; an item without a catalog keeps the stored one of the same url."""
    row = (item.tenant, item.upstream, item.visibility, item.url, item.era, item.catalog, item.saved_at)
    db.execute(_REMEMBER, row)


def forget(db: sqlite3.Connection, tenant: str, upstream: str, visibility: str | None) -> None:
    """Delete every visibility, or one."""
    db.execute(_FORGET, (tenant, upstream, visibility))


def forget_all_of(db: sqlite3.Connection, key: tuple[str, str, str]) -> None:
    """Delete all that only one principal may see."""
    db.execute(_FORGET_ALL_OF, (key[0], visible_to(key)))
