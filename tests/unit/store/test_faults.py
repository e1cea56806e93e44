"""Every fault of a store becomes one sentence that names the file and the next step."""

import sqlite3

import pytest

from mcp_hub.store.faults import Damaged, translate
from mcp_hub.store.migrations import ForeignFile, NewerSchema

pytestmark = pytest.mark.promise("D34")


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("the engine's words")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Damaged("row 3"), "restore a backup"),
        (sqlite_error(sqlite3.SQLITE_NOTADB), "restore a backup"),
        (sqlite_error(sqlite3.SQLITE_CORRUPT_VTAB), "restore a backup"),
        (sqlite_error(sqlite3.SQLITE_READONLY_DIRECTORY), "may write it and its directory"),
        (sqlite_error(sqlite3.SQLITE_BUSY), "another process"),
        (sqlite_error(sqlite3.SQLITE_FULL), "Make room"),
        (sqlite_error(sqlite3.SQLITE_IOERR_WRITE), "Check the disk"),
        (sqlite3.ProgrammingError("the engine's words"), "could not be used: the engine's words"),
        (PermissionError(13, "Permission denied"), "cannot be opened: Permission denied"),
        (NewerSchema(), "newer mcp_hub"),
        (ForeignFile(), "a file of its own"),
        (OverflowError("too large"), "cannot hold this value"),
    ],
)
def test_a_fault_is_told_in_words(fault, words):
    sentence = translate("hub.db", fault).public
    assert sentence.startswith("The store hub.db ")
    assert words in sentence
    assert "delete" not in sentence
