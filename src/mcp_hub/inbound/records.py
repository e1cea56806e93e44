"""What is kept of sessions, so that a restart, however sudden, ends none of them.

Rule: a session is on disk before its client learns its id, and a call writes nothing: many changes that come together
are one transaction, and when sessions were used last is written once for all of them from time to time. A store that
fails is reported and costs what it would have kept; it stops nobody.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol, final

from msgspec import Raw

from mcp_hub.errors import StoreFailed
from mcp_hub.store.base import SessionUse, Store, StoredSession
from mcp_hub.wire.eras import Client, Era

log: Final = logging.getLogger(__name__)

Owner = tuple[str, str, str]


class Kept(Protocol):
    """What of a session is kept."""

    digest: bytes
    owner: Owner
    client: Client
    level: str | None
    resources: tuple[str, ...]
    created_at: float

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and is kept no longer."""
        ...


@final
class Records:
    """The stored sessions. `now` gives unix seconds."""

    def __init__(self, store: Store, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self.now = now
        self._due: dict[bytes, Kept] = {}
        self._gone: set[bytes] = set()
        self._next: asyncio.Task[None] | None = None
        self._commits: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    async def uses(self) -> list[SessionUse]:
        """All stored sessions, the longest unused first.

        Raises:
            StoreFailed: the store cannot be read.
        """
        return await self._store.session_uses()

    async def read(self, session: bytes) -> StoredSession | None:
        """The stored session of this digest.

        Raises:
            StoreFailed: the store cannot be read.
        """
        return await self._store.session(session)

    async def keep(self, session: Kept) -> None:
        """Write a session as it is; returns when it is on disk, or when the store has failed."""
        self._due[session.digest] = session
        await self._committed()

    async def drop(self, session: bytes) -> None:
        """Delete a session; returns when it is gone from the disk, or when the store has failed."""
        self._gone.add(session)
        await self._committed()

    def drop_soon(self, session: bytes) -> None:
        """Delete a session with the next transaction: for those that a restart would not bring back anyway."""
        self._gone.add(session)

    async def touch(self, used: Iterable[tuple[bytes, float]]) -> None:
        """Write when sessions were used last, and delete those that wait for it."""
        taken = list(used)
        try:
            if taken:
                await self._store.touch_sessions(taken)
        except StoreFailed as error:
            log.warning("when sessions were used could not be stored: %s", error.public)
        if self._gone:
            await self._committed()

    async def settle(self) -> None:
        """Wait until nothing is being written any more."""
        while self._commits:
            await asyncio.wait(self._commits)

    async def _committed(self) -> None:
        if self._next is None:
            self._next = asyncio.ensure_future(self._commit())
            self._commits.add(self._next)
            self._next.add_done_callback(self._commits.discard)
        await asyncio.shield(self._next)

    async def _commit(self) -> None:
        async with self._turn:  # whatever is asked for while one transaction is under way goes into the next
            self._next = None
            due, self._due = self._due, {}
            gone, self._gone = self._gone, set()
            try:
                # What ended while it waited must not come back by being written after it was deleted.
                if records := [_record(each, self.now()) for each in due.values() if not each.is_over]:
                    await self._store.keep_sessions(records)
                if gone:
                    await self._store.drop_sessions(sorted(gone))
            except StoreFailed as error:
                self._gone |= gone
                log.warning("sessions could not be stored, a restart may end them: %s", error.public)


def digest(session_id: str) -> bytes:
    """What stands for a session id in the store. Ids are random, so no salt is needed to hide them."""
    return hashlib.sha256(session_id.encode("utf-8", "surrogateescape")).digest()


def client_of(stored: StoredSession) -> Client:
    """What the client said of itself when it opened the session."""
    info = None if stored.info is None else Raw(stored.info)
    return Client(Era.LEGACY, stored.revision, Raw(stored.capabilities), info)


def _record(session: Kept, now: float) -> StoredSession:
    client = session.client
    return StoredSession(
        id=session.digest,
        owner=session.owner,
        revision=client.revision,
        capabilities=bytes(client.capabilities),
        info=None if client.info is None else bytes(client.info),
        log_level=session.level,
        resources=session.resources,
        created_at=session.created_at,
        used_at=now,
    )
