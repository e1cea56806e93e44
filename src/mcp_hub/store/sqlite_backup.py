"""A copy of a store, made while hubs use it.

Rule: the copy is whole, of one moment, checked, and for its owner alone; it takes the place of no file. The store
itself is only read.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from mcp_hub.store.faults import FAULTS, Damaged, translate
from mcp_hub.store.migrations import ForeignFile
from mcp_hub.store.sqlite_file import look_for_damage

_OURS: Final = "SELECT count(*) FROM sqlite_master WHERE name = '_sqlite_migrations'"


def back_up(store: Path, copy: Path) -> None:
    """Copy the store of this path into a new file (0600). Blocks, and lets others read and write the store meanwhile.

    Raises:
        FileExistsError: there is something at `copy`. It was left as it is.
        StoreFailed: the store or the copy cannot be read or written; the sentence names which. No copy is left.
    """
    try:
        source = sqlite3.connect(f"{store.absolute().as_uri()}?mode=rw", uri=True)
        with closing(source):
            if not source.execute(_OURS).fetchone()[0]:
                raise ForeignFile
            _copy(source, copy)
    except FAULTS as fault:
        if isinstance(fault, FileExistsError):
            raise
        raise translate(str(store), fault) from fault


def _copy(source: sqlite3.Connection, copy: Path) -> None:
    try:
        # EXCL: neither a file nor a link that somebody has put there is followed or replaced.
        os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise
    except OSError as fault:
        raise translate(str(copy), fault) from fault
    try:
        with closing(sqlite3.connect(copy)) as target:
            source.backup(target)
            look_for_damage(target)
            # One file, not three: whoever moves it must not have to know of the others.
            target.execute("PRAGMA journal_mode=DELETE")
    except BaseException as fault:
        copy.unlink(missing_ok=True)
        if isinstance(fault, sqlite3.Error) and not isinstance(fault, Damaged):
            raise translate(str(copy), fault) from fault
        raise
