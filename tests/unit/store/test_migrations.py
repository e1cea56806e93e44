"""Migrations: each runs once, all of them know a tenant."""

import pytest
from sqlite_utils.db import Database

from mcp_hub.store import migrations

pytestmark = pytest.mark.promise("D34")


def test_every_table_names_a_tenant():
    db = Database(memory=True)
    migrations.apply(db)
    tables = [table for table in db.table_names() if not table.startswith("_")]
    assert {"calls", "remembered", "sessions", "settings", "keys", "users", "families", "grants", "events"} <= set(
        tables
    )
    for table in tables:
        assert "tenant" in db[table].columns_dict


def test_applying_again_changes_nothing():
    db = Database(memory=True)
    migrations.apply(db)
    schema = db.schema
    migrations.apply(db)
    assert db.schema == schema
    assert migrations.MIGRATIONS.pending(db) == []
