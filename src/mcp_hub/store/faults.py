"""What goes wrong with a SQLite file, said once in words.

Rule: every sentence names the file and the next step; none of them asks for the file to be deleted.
"""

import sqlite3
from typing import Final

from mcp_hub.errors import StoreFailed
from mcp_hub.store.migrations import ForeignFile, NewerSchema

FAULTS: Final = (sqlite3.Error, OSError, UnicodeError, OverflowError, ForeignFile, NewerSchema)
"""What SQLite, the file system and the binding of values raise."""

_DAMAGED: Final = "is damaged. It was left as it is: move it away and restore a backup, or start without it."
_CLOSED_TO_US: Final = "cannot be opened and written. Check that this user may write it and its directory."
_BY_CODE: Final = {
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_CANTOPEN: _CLOSED_TO_US,
    sqlite3.SQLITE_PERM: _CLOSED_TO_US,
    sqlite3.SQLITE_READONLY: _CLOSED_TO_US,
    sqlite3.SQLITE_BUSY: "is held by another process. Stop that process, or try again.",
    sqlite3.SQLITE_FULL: "is on a disk that is full. Make room, then try again.",
    sqlite3.SQLITE_IOERR: "could not be read or written by the operating system. Check the disk.",
}


class Damaged(sqlite3.DatabaseError):
    """Found by looking, not by stumbling over it."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def translate(file: str, fault: Exception) -> StoreFailed:
    """The `StoreFailed` for one of `FAULTS`; raise it `from` the fault."""
    return StoreFailed(f"The store {file} {_reason(fault)}")


def _reason(fault: Exception) -> str:
    match fault:
        case NewerSchema():
            return "was written by a newer mcp_hub. Start that version, or give this one another store."
        case ForeignFile():
            return "is a SQLite file of another program. Give the hub a file of its own."
        case OSError():
            return f"cannot be opened: {fault.strerror}. Check that this user may write it and its directory."
        case sqlite3.Error():
            # Extended codes carry the primary one in their low byte (sqlite.org/rescode.html).
            code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
            return _BY_CODE.get(code, f"could not be used: {fault}.")
        case _:
            return f"cannot hold this value ({type(fault).__name__})."
