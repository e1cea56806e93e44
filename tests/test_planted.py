"""What tests plant is looked for in every database and log of the whole run; see `conftest`."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rig.planted import PREFIX, found, left_below

pytestmark = pytest.mark.promise("T32")


def test_a_secret_that_has_only_reached_the_write_ahead_log_is_found(tmp_path: Path):
    secret = "planted-secret"
    with closing(sqlite3.connect(tmp_path / "hub.db", isolation_level=None)) as database:
        database.executescript("PRAGMA journal_mode=WAL; CREATE TABLE kept (value TEXT)")
        database.execute("INSERT INTO kept VALUES (?)", (secret,))
        assert left_below(tmp_path) == [str(tmp_path / "hub.db-wal")]
        database.execute("DELETE FROM kept")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert left_below(tmp_path) == []


def test_a_secret_is_found_as_programs_like_to_write_it():
    secret = "planted-a b"
    assert secret.encode().startswith(PREFIX)
    for written in (secret, "cGxhbnRlZC1hIGI", "706c616e7465642d612062", "planted-a%20b", "b a-detnalp"):
        assert found(f"<{written}>", {secret}) == [secret]
    assert found("planted-x", {secret}) == []
