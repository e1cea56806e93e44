"""The SQLite store: the conformance suite, and what only a file can suffer."""

import asyncio
import os
import random
import sqlite3
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path

import pytest
from tests.store_events_suite import FEW_EVENTS
from tests.store_suite import FEW, FIRST, KNOWN, StoreSuite, call

from mcp_hub.errors import StoreFailed
from mcp_hub.store.base import MOST_CALLS, Store
from mcp_hub.store.keys import Changed
from mcp_hub.store.sqlite import SqliteStore

pytestmark = pytest.mark.promise("D34")

PEOPLE_TABLES = (
    "users", "access", "browser_sessions", "personal_tokens", "clients", "codes", "families", "access_tokens",
    "refresh_tokens", "pending", "used_once", "events", "grants", "registrations", "pasted_keys", "connection_changes",
)  # fmt: skip

WRITER = Path(__file__).with_name("writer.py")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "hub.db"


class TestInAFile(StoreSuite):
    @pytest.fixture
    async def store(self, file: Path) -> AsyncIterator[Store]:
        store = SqliteStore.open(file, most_calls=FEW, most_events=FEW_EVENTS)
        yield store
        await store.aclose()

    @pytest.fixture
    async def beside(self, store: Store, file: Path) -> AsyncIterator[Store]:
        beside = SqliteStore.open(file, most_calls=FEW, most_events=FEW_EVENTS)
        yield beside
        await beside.aclose()


class TestInMemory(StoreSuite):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        store = SqliteStore.open(":memory:", most_calls=FEW, most_events=FEW_EVENTS)
        yield store
        await store.aclose()

    @pytest.fixture
    def beside(self, store: Store) -> Store:
        return store  # nobody else can see what is in a process's memory


async def test_everything_is_there_after_a_restart(file):
    store = SqliteStore.open(file)
    await store.remember(KNOWN)
    await store.append_calls([call(1)])
    await store.keep_setting_if_absent("key", b"value")
    await store.aclose()
    again = SqliteStore.open(file)
    assert await again.remembered("default") == [KNOWN]
    assert await again.calls("default", limit=10) == [call(1)]
    assert await again.setting("key") == b"value"
    await again.aclose()


@pytest.mark.promise("D32")
async def test_a_hundred_thousand_calls_are_kept_and_the_next_drops_the_oldest(file):
    store = SqliteStore.open(file)
    await store.append_calls([call(at) for at in range(MOST_CALLS)])
    await store.append_calls([call(MOST_CALLS)])
    kept = await store.calls("default", limit=2 * MOST_CALLS)
    assert (len(kept), kept[0].at, kept[-1].at) == (100_000, 100_000.0, 1.0)
    await store.aclose()


@pytest.mark.promise("T62")
async def test_file_and_directory_are_for_the_owner_alone(file):
    before = os.umask(0)
    try:
        store = SqliteStore.open(file)
    finally:
        os.umask(before)
    await store.remember(KNOWN)
    made = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (file.parent, *file.parent.iterdir())}
    await store.aclose()
    assert made == {"data": 0o700, "hub.db": 0o600, "hub.db-wal": 0o600, "hub.db-shm": 0o600}


async def test_a_directory_that_was_there_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o755)
    await SqliteStore.open(tmp_path / "hub.db").aclose()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.promise("D33")
@pytest.mark.parametrize("seed", range(6))
def test_what_was_acknowledged_survives_a_kill_at_any_moment(file, seed):
    last = random.Random(seed).randrange(1, 40)
    with subprocess.Popen([sys.executable, WRITER, file, "w"], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = list(islice(writer.stdout, last))
        writer.kill()
        # What it said before the kill reached it was acknowledged too.
        said += writer.stdout
    acknowledged = {int(line.split()[1]) for line in said if line.startswith("kept")}
    assert acknowledged == set(range(len(acknowledged))), "an acknowledgement that is not counted is not checked"
    calls, known = asyncio.run(_read(file, "w"))
    batches = Counter(int(record.at) for record in calls)
    urls = {int(item.saved_at) for item in known}
    # The round that was under way may be there as well, but no batch of it in part.
    under_way = acknowledged | {len(acknowledged)}
    assert acknowledged <= set(batches) <= under_way
    assert acknowledged <= urls <= under_way
    assert set(batches.values()) <= {3}


async def _read(file, tenant):
    store = SqliteStore.open(file)
    try:
        return await store.calls(tenant, limit=10_000), await store.remembered(tenant)
    finally:
        await store.aclose()


def test_processes_that_start_at_once_share_a_file(file):
    names = ["one", "two", "three", "four"]
    writers = [
        subprocess.Popen([sys.executable, WRITER, file, name, "5"], stdout=subprocess.PIPE, text=True) for name in names
    ]
    said = [writer.communicate(timeout=60)[0].splitlines() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0, 0]
    assert len({lines[0] for lines in said}) == 1, "all agree on the first writer's key"
    for name in names:
        calls, known = asyncio.run(_read(file, name))
        assert (len(calls), len(known)) == (15, 5)


async def test_two_stores_on_one_file_number_one_log(file):
    one, two = SqliteStore.open(file, most_calls=FEW), SqliteStore.open(file, most_calls=FEW)
    await asyncio.gather(*((one, two)[at % 2].append_calls([call(at)]) for at in range(2 * FEW)))
    assert len(await one.calls("default", limit=100)) == FEW
    assert await one.calls("default", limit=100) == await two.calls("default", limit=100)
    await one.aclose()
    await two.aclose()


@pytest.mark.parametrize(
    "garbage", [b"not a database at all, but long enough to be read as one" * 40, b"SQLite format 3"]
)
def test_a_file_that_is_no_database_is_named_and_left_alone(file, garbage):
    file.parent.mkdir()
    file.write_bytes(garbage)
    with pytest.raises(StoreFailed) as failed:
        SqliteStore.open(file)
    assert str(file) in failed.value.public
    assert "damaged" in failed.value.public
    assert "restore a backup" in failed.value.public
    assert file.read_bytes() == garbage


async def test_damage_in_the_middle_is_found_on_opening(file):
    store = SqliteStore.open(file)
    await store.append_calls([call(at) for at in range(2000)])
    await store.aclose()
    whole = bytearray(file.read_bytes())
    whole[5 * 4096 : 9 * 4096] = b"\xff" * (4 * 4096)
    file.write_bytes(whole)
    with pytest.raises(StoreFailed, match="damaged"):
        SqliteStore.open(file)
    assert file.read_bytes() == whole


async def test_a_file_of_an_older_version_is_brought_to_this_one_and_keeps_what_it_has(file):
    store = SqliteStore.open(file)
    await store.remember(KNOWN)
    await store.aclose()
    with sqlite3.connect(file) as db:
        for name in ("sessions", "keys", *PEOPLE_TABLES):
            db.execute(f"DROP TABLE {name}")
        db.execute("DELETE FROM _sqlite_migrations WHERE name > '0002'")
    db.close()
    again = SqliteStore.open(file)
    assert await again.remembered("default") == [KNOWN]
    assert await again.session_uses() == []
    assert await again.users("default") == []
    assert await again.keys() == []
    await again.aclose()


@pytest.mark.promise("T32")
async def test_what_was_replaced_or_deleted_is_nowhere_in_the_files(file):
    canaries = [b"planted-setting", b"planted-later"]
    store = SqliteStore.open(file)
    await store.keep_setting_if_absent("a", canaries[0])
    files = [file, file.with_name("hub.db-wal")]
    assert await store.begin_keys(FIRST, [Changed("a", canaries[0], b"sealed")])
    await store.keep_setting_if_absent("b", canaries[1])
    held = b"".join(each.read_bytes() for each in files)
    assert canaries[0] not in held, "neither in the file nor in the log beside it"
    assert canaries[1] in held, "these are the right files"
    await store.replace_setting("b", canaries[1], b"other")
    await store.aclose()
    assert canaries[1] not in file.read_bytes()


async def test_a_file_of_a_newer_version_is_left_alone(file):
    await SqliteStore.open(file).aclose()
    with sqlite3.connect(file) as db:
        db.execute("UPDATE _sqlite_migrations SET name = '9999-from-the-future' WHERE name LIKE '0002-%'")
    db.close()
    with pytest.raises(StoreFailed, match="newer mcp_hub") as failed:
        SqliteStore.open(file)
    assert str(file) in failed.value.public


async def test_a_database_of_another_program_is_left_alone(file):
    file.parent.mkdir()
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    db.close()
    with pytest.raises(StoreFailed, match="another program"):
        SqliteStore.open(file)
    with sqlite3.connect(file) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]
    db.close()


def test_a_path_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(StoreFailed, match="Is a directory") as failed:
        SqliteStore.open(tmp_path)
    assert str(tmp_path) in failed.value.public


async def test_a_failed_write_leaves_nothing_behind_and_the_store_usable(file):
    store = SqliteStore.open(file)
    unwritable = call(2)._replace(name="\ud800")
    with pytest.raises(StoreFailed, match=r"hub\.db cannot hold this value"):
        await store.append_calls([call(1), unwritable])
    assert await store.calls("default", limit=10) == []
    await store.append_calls([call(3)])
    assert await store.calls("default", limit=10) == [call(3)]
    await store.aclose()


async def test_a_cancelled_write_takes_effect_as_a_whole_or_not_at_all(file):
    store = SqliteStore.open(file)
    writing = asyncio.ensure_future(store.append_calls([call(at) for at in range(5000)]))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert len(await store.calls("default", limit=10_000)) in (0, 5000)
    await store.aclose()


async def test_a_closed_store_says_so(file):
    store = SqliteStore.open(file)
    await store.aclose()
    with pytest.raises(StoreFailed, match="closed"):
        await store.remembered("default")


async def test_closing_finishes_what_was_begun(file):
    store = SqliteStore.open(file)
    begun = asyncio.ensure_future(store.append_calls([call(at) for at in range(1000)]))
    await asyncio.sleep(0)
    await store.aclose()
    await begun
    calls, _ = await _read(file, "default")
    assert len(calls) == 1000
