"""The access generation in SQLite.

Rule: whoever deletes something that lets somebody in, or changes an account, calls `taken_away` in the same
transaction.
"""

import sqlite3
from typing import Final

_GENERATION: Final = "SELECT generation FROM access WHERE tenant = ''"
_RAISE: Final = "UPDATE access SET generation = generation + 1 WHERE tenant = ''"


def generation(db: sqlite3.Connection) -> int:
    """The number as it stands."""
    return int(db.execute(_GENERATION).fetchone()[0])


def taken_away(db: sqlite3.Connection, rows: int) -> bool:
    """Raise the number if `rows` is not zero; whether it was."""
    if rows > 0:
        db.execute(_RAISE)
    return rows > 0
