"""The call log and the events in SQLite: numbered per tenant, the oldest make room.

Rule: pure but for the connection it is given; whoever calls owns the transaction.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from mcp_hub.store.base import CallRecord
from mcp_hub.store.events import Event


@dataclass(frozen=True, slots=True)
class _Log:
    """The statements of one table, whose rows are `(tenant, seq, at, tenant, ...)` without the first two."""

    last: str
    append: str
    prune: str
    newest: str


_CALLS: Final = _Log(
    last="SELECT coalesce(max(seq), 0) FROM calls WHERE tenant = ?",
    append="""
        INSERT INTO calls (seq, at, tenant, issuer, subject, client, upstream, method, name, outcome, milliseconds)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    """,
    prune="DELETE FROM calls WHERE tenant = ? AND seq <= ?",
    newest="""
        SELECT at, tenant, issuer, subject, client, upstream, method, name, outcome, milliseconds FROM calls
        WHERE tenant = ? ORDER BY seq DESC LIMIT ?
    """,
)
_CALLS_OF: Final = """
    SELECT at, tenant, issuer, subject, client, upstream, method, name, outcome, milliseconds FROM calls
    WHERE tenant = ? AND issuer = ? AND subject = ? ORDER BY seq DESC LIMIT ?
"""
_EVENTS: Final = _Log(
    last="SELECT coalesce(max(seq), 0) FROM events WHERE tenant = ?",
    append="""
        INSERT INTO events (seq, at, tenant, issuer, subject, client, kind, subject_of, outcome, address)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    """,
    prune="DELETE FROM events WHERE tenant = ? AND seq <= ?",
    newest="""
        SELECT at, tenant, issuer, subject, client, kind, subject_of, outcome, address FROM events
        WHERE tenant = ? ORDER BY seq DESC LIMIT ?
    """,
)


def append_calls(db: sqlite3.Connection, records: Sequence[CallRecord], most: int) -> None:
    """Add records, and drop each tenant's oldest above `most`."""
    _append(db, _CALLS, records, most)


def calls(db: sqlite3.Connection, tenant: str, limit: int) -> list[CallRecord]:
    """The last appended first."""
    return [CallRecord(*row) for row in db.execute(_CALLS.newest, (tenant, max(limit, 0)))]


def calls_of(db: sqlite3.Connection, whose: tuple[str, str, str], limit: int) -> list[CallRecord]:
    """The last appended first; `whose` is (tenant, issuer, subject)."""
    return [CallRecord(*row) for row in db.execute(_CALLS_OF, (*whose, max(limit, 0)))]


def append_events(db: sqlite3.Connection, events: Sequence[Event], most: int) -> None:
    """Add events, and drop each tenant's oldest above `most`."""
    _append(db, _EVENTS, events, most)


def events(db: sqlite3.Connection, tenant: str, limit: int) -> list[Event]:
    """The last appended first."""
    return [Event(*row) for row in db.execute(_EVENTS.newest, (tenant, max(limit, 0)))]


def _append(db: sqlite3.Connection, log: _Log, records: Sequence[CallRecord] | Sequence[Event], most: int) -> None:
    for tenant in {record.tenant for record in records}:
        mine = [record for record in records if record.tenant == tenant]
        last = int(db.execute(log.last, (tenant,)).fetchone()[0])
        # Into columns and back into rows with a number before each: no step of the interpreter per record.
        db.executemany(log.append, zip(count(last + 1), *zip(*mine, strict=True), strict=False))
        db.execute(log.prune, (tenant, last + len(mine) - most))
