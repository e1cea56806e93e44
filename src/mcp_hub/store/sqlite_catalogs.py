"""Remembered upstreams in SQLite.

Rule: pure but for the connection it is given; whoever calls owns the transaction.
"""

import sqlite3
from typing import Final

from mcp_hub.store.base import Remembered

_REMEMBERED: Final = (
    "SELECT tenant, upstream, visibility, url, era, catalog, saved_at FROM remembered WHERE tenant = ?"
    " ORDER BY upstream, visibility"
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
_FORGET: Final = "DELETE FROM remembered WHERE tenant = ? AND upstream = ?"


def remembered(db: sqlite3.Connection, tenant: str) -> list[Remembered]:
    """Ordered by upstream and visibility."""
    return [Remembered(*row) for row in db.execute(_REMEMBERED, (tenant,))]


def remember(db: sqlite3.Connection, item: Remembered) -> None:
    """Insert or replace; an item without a catalog keeps the stored one of the same url."""
    row = (item.tenant, item.upstream, item.visibility, item.url, item.era, item.catalog, item.saved_at)
    db.execute(_REMEMBER, row)


def forget(db: sqlite3.Connection, tenant: str, upstream: str) -> None:
    """Delete every visibility."""
    db.execute(_FORGET, (tenant, upstream))
