"""The embedded store: one SQLite file, one thread that owns its connection.

Rule: only that thread touches the connection, and a method returns after the commit, so what was acknowledged is on
disk. `synchronous=FULL` in WAL mode: not even a power cut takes it back. Writes are rare and come in batches.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, TypeVar, final

from sqlite_utils.db import Database

from mcp_hub.errors import StoreFailed
from mcp_hub.store import migrations, sqlite_keys, sqlite_sessions
from mcp_hub.store.base import MOST_CALLS, CallRecord, Remembered, SessionUse, StoredSession
from mcp_hub.store.faults import FAULTS, Damaged, translate
from mcp_hub.store.keys import Changed, Rewrapped, StoredKey

T = TypeVar("T")

_MEMORY: Final = ":memory:"
_BUSY_SECONDS: Final = 10.0

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
_LAST_SEQ: Final = "SELECT coalesce(max(seq), 0) FROM calls WHERE tenant = ?"
_APPEND: Final = """
    INSERT INTO calls (seq, at, tenant, issuer, subject, client, upstream, method, name, outcome, milliseconds)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_PRUNE: Final = "DELETE FROM calls WHERE tenant = ? AND seq <= ?"
_CALLS: Final = (
    "SELECT at, tenant, issuer, subject, client, upstream, method, name, outcome, milliseconds FROM calls"
    " WHERE tenant = ? ORDER BY seq DESC LIMIT ?"
)


@final
class SqliteStore:
    """`Store` on a SQLite file. Made by `open`; owns one thread and one connection until `aclose`."""

    def __init__(self, path: str, thread: ThreadPoolExecutor, db: sqlite3.Connection, most_calls: int) -> None:
        # The name only: what goes wrong later may be told to a caller.
        self._file = Path(path).name
        self._thread = thread
        self._db: sqlite3.Connection | None = db
        self._most_calls = most_calls

    @classmethod
    def open(cls, path: str | Path, *, most_calls: int = MOST_CALLS) -> "SqliteStore":
        """Open the file, making it (0600) and its directory (0700) if missing, and bring it to this version.

        Blocks: call it before anything is served. `:memory:` keeps everything in this object.

        Raises:
            StoreFailed: not readable or writable, damaged, of a newer version, or not a store of ours. The sentence
                names the file and what to do. The file is left as it is.
        """
        thread = ThreadPoolExecutor(1, thread_name_prefix="mcp-hub-store")
        try:
            db = thread.submit(_open, str(path)).result()
        except FAULTS as fault:
            thread.shutdown()
            raise translate(str(path), fault) from fault
        return cls(str(path), thread, db, most_calls)

    async def remembered(self, tenant: str) -> list[Remembered]:
        rows = await self._run(lambda db: db.execute(_REMEMBERED, (tenant,)).fetchall())
        return [Remembered(*row) for row in rows]

    async def remember(self, item: Remembered) -> None:
        row = (item.tenant, item.upstream, item.visibility, item.url, item.era, item.catalog, item.saved_at)
        await self._run(lambda db: _write(db, _REMEMBER, row))

    async def forget(self, tenant: str, upstream: str) -> None:
        await self._run(lambda db: _write(db, _FORGET, (tenant, upstream)))

    async def append_calls(self, records: Sequence[CallRecord]) -> None:
        taken = tuple(records)
        await self._run(lambda db: _append(db, taken, self._most_calls))

    async def calls(self, tenant: str, *, limit: int) -> list[CallRecord]:
        rows = await self._run(lambda db: db.execute(_CALLS, (tenant, max(limit, 0))).fetchall())
        return [CallRecord(*row) for row in rows]

    async def setting(self, key: str) -> bytes | None:
        return await self._run(lambda db: sqlite_keys.setting(db, key))

    async def settings(self) -> list[tuple[str, bytes]]:
        return await self._run(sqlite_keys.settings)

    async def keep_setting_if_absent(self, key: str, value: bytes) -> bytes:
        return await self._in_transaction(lambda db: sqlite_keys.keep_setting(db, key, value))

    async def replace_setting(self, key: str, old: bytes, new: bytes) -> bool:
        return await self._in_transaction(lambda db: sqlite_keys.replace_setting(db, key, old, new))

    async def keys(self) -> list[StoredKey]:
        return await self._run(sqlite_keys.all_of)

    async def begin_keys(self, first: StoredKey, settings: Sequence[Changed]) -> bool:
        begun = await self._in_transaction(lambda db: sqlite_keys.begin(db, first, settings))
        if begun:
            await self._run(_forget_what_was)
        return begun

    async def add_key(self, key: StoredKey, current: StoredKey) -> bool:
        return await self._in_transaction(lambda db: sqlite_keys.add(db, key, current))

    async def promote_key(self, kid: bytes) -> bool:
        return await self._in_transaction(lambda db: sqlite_keys.promote(db, kid))

    async def retire_keys(self, current: bytes) -> None:
        await self._in_transaction(lambda db: sqlite_keys.retire(db, current))

    async def rewrap_keys(self, changes: Sequence[Rewrapped]) -> bool:
        return await self._in_transaction(lambda db: sqlite_keys.rewrap(db, changes))

    async def session_uses(self) -> list[SessionUse]:
        return await self._run(sqlite_sessions.uses)

    async def session(self, session: bytes) -> StoredSession | None:
        return await self._run(lambda db: sqlite_sessions.one(db, session))

    async def keep_sessions(self, sessions: Sequence[StoredSession]) -> None:
        await self._run(partial(_all_of, work=sqlite_sessions.keep, what=tuple(sessions)))

    async def touch_sessions(self, used: Sequence[tuple[bytes, float]]) -> None:
        await self._run(partial(_all_of, work=sqlite_sessions.touch, what=tuple(used)))

    async def drop_sessions(self, sessions: Sequence[bytes]) -> None:
        await self._run(partial(_all_of, work=sqlite_sessions.drop, what=tuple(sessions)))

    async def aclose(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            # Behind everything that was submitted before: the thread works in order.
            await asyncio.get_running_loop().run_in_executor(self._thread, db.close)
            self._thread.shutdown(wait=False)

    async def _in_transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._run(partial(_whole, work=work))

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._db is None:
            raise StoreFailed(f"The store {self._file} is closed, because the hub is stopping.")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._db)
        except FAULTS as fault:
            raise translate(self._file, fault) from fault


def _open(path: str) -> sqlite3.Connection:
    if path != _MEMORY:
        _make_private(Path(path))
    db = sqlite3.connect(path, timeout=_BUSY_SECONDS)
    try:
        _look_for_damage(db)
        tables = Database(db, execute_plugins=False)
        tables.enable_wal()
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA secure_delete=ON")  # before anything is written: what was deleted is overwritten, too
        migrations.apply(tables)
    except BaseException:
        db.close()
        raise
    return db


def _make_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite would make it with the umask; its -wal and -shm take over the mode they find on the file.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _look_for_damage(db: sqlite3.Connection) -> None:
    verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise Damaged(verdict)


@contextmanager
def _transaction(db: sqlite3.Connection) -> Generator[None]:
    # IMMEDIATE: a transaction that reads first and then writes could otherwise not wait for another process.
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.commit()
    finally:
        db.rollback()  # nothing to undo after a commit


def _whole(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    with _transaction(db):
        return work(db)


def _write(db: sqlite3.Connection, sql: str, row: tuple[object, ...]) -> None:
    with _transaction(db):
        db.execute(sql, row)


def _all_of(
    db: sqlite3.Connection, work: Callable[[sqlite3.Connection, tuple[T, ...]], None], what: tuple[T, ...]
) -> None:
    with _transaction(db):
        work(db, what)


def _append(db: sqlite3.Connection, records: tuple[CallRecord, ...], most: int) -> None:
    with _transaction(db):
        for tenant in {record.tenant for record in records}:
            mine = [record for record in records if record.tenant == tenant]
            last = int(db.execute(_LAST_SEQ, (tenant,)).fetchone()[0])
            # Into columns and back into rows with a number before each: no step of the interpreter per record.
            db.executemany(_APPEND, zip(count(last + 1), *zip(*mine, strict=True), strict=False))
            db.execute(_PRUNE, (tenant, last + len(mine) - most))


def _forget_what_was(db: sqlite3.Connection) -> None:
    # The log beside the file still holds pages as they were. Somebody who reads just now keeps it until they are done.
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
