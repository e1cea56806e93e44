"""Keys and settings in SQLite: the statements, and rows to values and back.

Rule: pure but for the connection it is given; whoever calls owns the transaction.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

from mcp_hub.store.keys import Changed, KeyState, Rewrapped, StoredKey

HUB: Final = ""
"""The tenant of what belongs to the hub as a whole."""

_KEYS: Final = "SELECT kid, wrapped, created_at, state FROM keys WHERE tenant = ? ORDER BY created_at, kid"
_ADD: Final = "INSERT INTO keys (tenant, kid, wrapped, created_at, state) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_MOVE: Final = "UPDATE keys SET state = ? WHERE tenant = ? AND state = ?"
_PROMOTE: Final = "UPDATE keys SET state = ? WHERE tenant = ? AND kid = ?"
_STATE: Final = "SELECT state FROM keys WHERE tenant = ? AND kid = ?"
_REWRAP: Final = "UPDATE keys SET wrapped = ? WHERE tenant = ? AND kid = ?"
_SETTINGS: Final = "SELECT key, value FROM settings WHERE tenant = ? ORDER BY key"
_SETTING: Final = "SELECT value FROM settings WHERE tenant = ? AND key = ?"
_KEEP_SETTING: Final = "INSERT INTO settings (tenant, key, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_SET: Final = "INSERT OR REPLACE INTO settings (tenant, key, value) VALUES (?, ?, ?)"
_REPLACE_SETTING: Final = "UPDATE settings SET value = ? WHERE tenant = ? AND key = ? AND value = ?"


def all_of(db: sqlite3.Connection) -> list[StoredKey]:
    """All keys, the oldest first."""
    return [StoredKey(kid, wrapped, at, KeyState(state)) for kid, wrapped, at, state in db.execute(_KEYS, (HUB,))]


def begin(db: sqlite3.Connection, first: StoredKey, changes: Sequence[Changed]) -> bool:
    """Insert the first key and change settings, if all is as it is said to be."""
    if all_of(db) or dict(settings(db)) != {each.key: each.old for each in changes if each.old is not None}:
        return False
    db.execute(_ADD, (HUB, *first))
    for each in changes:
        db.execute(_SET, (HUB, each.key, each.new))
    return True


def add(db: sqlite3.Connection, key: StoredKey, current: StoredKey) -> bool:
    """Insert a key beside this current one, unless its place is taken."""
    if current not in all_of(db):
        return False
    return db.execute(_ADD, (HUB, *key)).rowcount == 1


def promote(db: sqlite3.Connection, kid: bytes) -> bool:
    """`next` to `current`, and the one before to `old`."""
    if _state(db, kid) != KeyState.NEXT:
        return False
    db.execute(_MOVE, (KeyState.OLD, HUB, KeyState.CURRENT))
    db.execute(_PROMOTE, (KeyState.CURRENT, HUB, kid))
    return True


def retire(db: sqlite3.Connection, current: bytes) -> None:
    """`old` to `retired`."""
    if _state(db, current) == KeyState.CURRENT:
        db.execute(_MOVE, (KeyState.RETIRED, HUB, KeyState.OLD))


def rewrap(db: sqlite3.Connection, changes: Sequence[Rewrapped]) -> bool:
    """Change how keys are wrapped, if they all are as they are said to be."""
    if {(each.kid, each.wrapped) for each in all_of(db)} != {(each.kid, each.old) for each in changes}:
        return False
    db.executemany(_REWRAP, ((each.new, HUB, each.kid) for each in changes))
    return True


def settings(db: sqlite3.Connection) -> list[tuple[str, bytes]]:
    """All settings by key."""
    return db.execute(_SETTINGS, (HUB,)).fetchall()


def setting(db: sqlite3.Connection, key: str) -> bytes | None:
    """One setting."""
    row = db.execute(_SETTING, (HUB, key)).fetchone()
    return None if row is None else row[0]


def keep_setting(db: sqlite3.Connection, key: str, value: bytes) -> bytes:
    """Insert a setting unless it is there; what is there."""
    db.execute(_KEEP_SETTING, (HUB, key, value))
    return db.execute(_SETTING, (HUB, key)).fetchone()[0]


def replace_setting(db: sqlite3.Connection, key: str, old: bytes, new: bytes) -> bool:
    """Change a setting that is still `old`."""
    return db.execute(_REPLACE_SETTING, (new, HUB, key, old)).rowcount == 1


def _state(db: sqlite3.Connection, kid: bytes) -> str | None:
    row = db.execute(_STATE, (HUB, kid)).fetchone()
    return None if row is None else row[0]
