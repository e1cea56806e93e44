"""The part of the embedded store that keeps connections.

Rule: as in `sqlite`: nothing is decided here. Each method is one function of a part in the file's turn; one that writes
is one transaction.
"""

import sqlite3
from collections.abc import Callable, Mapping
from functools import partial

from mcp_hub.store import sqlite_changes, sqlite_connections, sqlite_pasted, sqlite_registrations
from mcp_hub.store.connections import Changes, Grant, PastedKey, Registration, Renewed, Sealed, Whose
from mcp_hub.store.sqlite_file import SqliteFile


class SqliteConnectionPart:
    """`ConnectionStore` on a SQLite file that somebody else opens and closes."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    # What changed.

    async def connection_generation(self) -> int:
        return await self._file.read(sqlite_changes.generation)

    async def connection_changes(self, since: int) -> Changes:
        return await self._file.read(sqlite_changes.since, since)

    def on_connections_changed(self, tell: Callable[[Changes], object]) -> None:
        def news(db: sqlite3.Connection, seen: int) -> Callable[[], object]:
            return partial(tell, sqlite_changes.since(db, seen))

        self._file.watch(sqlite_changes.generation, news)

    # Registrations.

    async def add_registration(self, registration: Registration, *, instead_of: str | None) -> Registration:
        return await self._file.write(sqlite_registrations.add, registration, instead_of)

    async def registration(self, registration: str) -> Registration | None:
        return await self._file.read(sqlite_registrations.one, registration)

    async def registrations(self, tenant: str, upstream: str) -> list[Registration]:
        return await self._file.read(sqlite_registrations.of_upstream, tenant, upstream)

    async def put_secret(
        self, registration: str, *, was: bytes | None, secret: bytes | None, previous: bytes | None
    ) -> bool:
        return await self._file.write(sqlite_registrations.put_secret, registration, was, secret, previous)

    async def retire_registration(self, registration: str, at: float) -> None:
        await self._file.write(sqlite_registrations.retire, registration, at)

    # Grants.

    async def put_grant(self, grant: Grant) -> Grant | None:
        return await self._file.write(sqlite_connections.put, grant)

    async def grant(self, whose: Whose) -> Grant | None:
        return await self._file.read(sqlite_connections.one, whose)

    async def grants(self, tenant: str, *, issuer: str = "", subject: str = "", upstream: str = "") -> list[Grant]:
        return await self._file.read(sqlite_connections.of, tenant, issuer, subject, upstream)

    async def lease_grant(self, grant: str, version: int, owner: str, *, at: float, until: float) -> bool:
        return await self._file.write(sqlite_connections.lease, grant, version, owner, at=at, until=until)

    async def renew_grant(self, grant: str, version: int, renewed: Renewed) -> bool:
        return await self._file.write(sqlite_connections.renew, grant, version, renewed)

    async def release_grant(self, grant: str, owner: str) -> None:
        await self._file.write(sqlite_connections.release, grant, owner)

    async def mark_grant(self, grant: str, version: int, reason: str, at: float) -> bool:
        return await self._file.write(sqlite_connections.mark, grant, version, reason, at)

    async def want_scopes(self, grant: str, wanted: frozenset[str]) -> None:
        await self._file.write(sqlite_connections.want, grant, wanted)

    async def touch_grants(self, used: Mapping[str, float]) -> None:
        await self._file.write(sqlite_connections.touch, dict(used))

    async def drop_grant(self, whose: Whose) -> Grant | None:
        return await self._file.write(sqlite_connections.drop, whose)

    # Pasted keys.

    async def put_key(self, key: PastedKey) -> None:
        await self._file.write(sqlite_pasted.put, key)

    async def key(self, whose: Whose) -> PastedKey | None:
        return await self._file.read(sqlite_pasted.one, whose)

    async def keys_of(self, tenant: str, *, issuer: str = "", subject: str = "") -> list[PastedKey]:
        return await self._file.read(sqlite_pasted.of, tenant, issuer, subject)

    async def touch_keys(self, used: Mapping[str, float]) -> None:
        await self._file.write(sqlite_pasted.touch, dict(used))

    async def drop_key(self, whose: Whose) -> bool:
        return await self._file.write(sqlite_pasted.drop, whose)

    # Everything that is sealed.

    async def all_registrations(self, after: str, limit: int) -> list[Registration]:
        return await self._file.read(sqlite_registrations.all_of, after, limit)

    async def all_grants(self, after: str, limit: int) -> list[Grant]:
        return await self._file.read(sqlite_connections.all_of, after, limit)

    async def all_keys(self, after: str, limit: int) -> list[PastedKey]:
        return await self._file.read(sqlite_pasted.all_of, after, limit)

    async def reseal(self, column: Sealed, row: str, *, was: bytes, sealed: bytes) -> bool:
        return await self._file.write(sqlite_pasted.reseal, column, row, was, sealed)
