"""One SQLite file and the one thread that owns its connection.

Rule: only that thread touches the connection, and a method returns after the commit, so what was acknowledged is on
disk. `synchronous=FULL` in WAL mode: not even a power cut takes it back. Writes are rare and come in batches.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar, final

from sqlite_utils.db import Database

from mcp_hub.errors import StoreFailed
from mcp_hub.store import migrations
from mcp_hub.store.faults import FAULTS, Damaged, translate

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[Concatenate[sqlite3.Connection, P], T]

Look = Callable[[sqlite3.Connection], int]
Tell = Callable[[], object]
News = Callable[[sqlite3.Connection, int], Tell]
"""Given what was seen before: whom to tell, and of what."""

_MEMORY: Final = ":memory:"
_BUSY_SECONDS: Final = 10.0


@final
class SqliteFile:
    """A connection that is used in turns. Made by `open`; owns its thread until `aclose`."""

    def __init__(self, path: str, thread: ThreadPoolExecutor, db: sqlite3.Connection) -> None:
        # The name only: what goes wrong later may be told to a caller.
        self._name = Path(path).name
        self._thread = thread
        self._db: sqlite3.Connection | None = db
        self._watched: tuple[tuple[Look, News], ...] = ()

    @classmethod
    def open(cls, path: str) -> "SqliteFile":
        """See `SqliteStore.open`."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="mcp-hub-store")
        try:
            db = thread.submit(_open, path).result()
        except FAULTS as fault:
            thread.shutdown()
            raise translate(path, fault) from fault
        return cls(path, thread, db)

    async def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` makes of the connection.

        Raises:
            StoreFailed: it could not be done.
        """
        if self._db is None:
            raise StoreFailed(f"The store {self._name} is closed, because the hub is stopping.")
        turn = partial(work, self._db, *args, **kwargs)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, turn)
        except FAULTS as fault:
            raise translate(self._name, fault) from fault

    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same, as one transaction: all that `work` changes, or nothing."""
        watched, loop = self._watched, asyncio.get_running_loop()

        def whole(db: sqlite3.Connection) -> T:
            before = [look(db) for look, _ in watched]
            with _transaction(db):
                result = work(db, *args, **kwargs)
            for (look, news), seen in zip(watched, before, strict=True):
                if look(db) != seen:
                    loop.call_soon_threadsafe(news(db, seen))
            return result

        return await self.read(whole)

    def watch(self, look: Look, news: News) -> None:
        """Whenever a write has changed what `look` sees, call what `news` gives, before whoever wrote goes on.

        There is one for each `look`.
        """
        self._watched = (*(each for each in self._watched if each[0] is not look), (look, news))

    async def forget_what_was(self) -> None:
        """Take what is committed out of the log beside the file, which still holds pages as they were before.

        Somebody who reads just now keeps them there until they are done.
        """
        await self.read(_truncate_log)

    async def aclose(self) -> None:
        """Finish what was begun and close; once more is no error."""
        db, self._db = self._db, None
        if db is not None:
            # Behind everything that was submitted before: the thread works in order.
            await asyncio.get_running_loop().run_in_executor(self._thread, db.close)
            self._thread.shutdown(wait=False)


def _open(path: str) -> sqlite3.Connection:
    if path != _MEMORY:
        _make_private(Path(path))
    db = sqlite3.connect(path, timeout=_BUSY_SECONDS)
    try:
        look_for_damage(db)
        tables = Database(db, execute_plugins=False)
        tables.enable_wal()
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA foreign_keys=ON")
        db.execute("PRAGMA secure_delete=ON")  # before anything is written: what was deleted is overwritten, too
        migrations.apply(tables)
    except BaseException:
        db.close()
        raise
    return db


def _truncate_log(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _make_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite would make it with the umask; its -wal and -shm take over the mode they find on the file.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def look_for_damage(db: sqlite3.Connection) -> None:
    """
    Raises:
        Damaged: what is in there is not whole.
    """
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
