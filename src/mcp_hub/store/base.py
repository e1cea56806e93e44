"""What the hub keeps across restarts, and the one Protocol every engine serves.

Rule: nothing here is asked for while a call is forwarded; everything belongs to a tenant; nothing is ever deleted to
make a store readable again.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from mcp_hub.store.connections import ConnectionStore
from mcp_hub.store.events import EventStore
from mcp_hub.store.grants import GrantStore
from mcp_hub.store.keys import KeyStore
from mcp_hub.store.people import PeopleStore

MOST_CALLS: Final = 100_000
"""How many call records a tenant keeps; the oldest make room."""
SHARED: Final = "shared"
"""The visibility of what every caller may see."""


def visible_to(key: tuple[str, str, str]) -> str:
    """The visibility of what only the principal with this key (tenant, issuer, subject) may see."""
    return json.dumps(key, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of one upstream: where it was, which era it spoke, and its last good catalog.

    `url` is only ever compared: it may be anything that stands for an address. `visibility` is `SHARED`, or
    `visible_to` the one principal who may see the catalog. `catalog` is encoded by its owner, and `None` until one was
    good. `saved_at` (unix seconds) is when the catalog was saved, or the row if it has none.
    """

    tenant: str
    upstream: str
    visibility: str
    url: str
    era: str | None
    catalog: bytes | None
    saved_at: float


class CallRecord(NamedTuple):
    """One call that a caller made: who, from which client, where, how it ended. Neither arguments nor results.

    A tuple in the order of the columns, since there are thousands of them a second.
    """

    at: float
    tenant: str
    issuer: str
    subject: str
    client: str
    upstream: str
    method: str
    name: str
    outcome: str
    milliseconds: float


@dataclass(frozen=True, slots=True)
class StoredSession:
    """One session of a client, so that the client finds it again after a restart.

    `id` is a digest of the session id, which is itself never stored: whoever reads the store can enter no session.
    `owner` is (tenant, issuer, subject). `capabilities` and `info` are what the client said of itself, encoded;
    `resources` are the URIs it subscribed to. Times are unix seconds.
    """

    id: bytes
    owner: tuple[str, str, str]
    revision: str
    capabilities: bytes
    info: bytes | None
    log_level: str | None
    resources: tuple[str, ...]
    created_at: float
    used_at: float


class SessionUse(NamedTuple):
    """Whose a stored session is, and when it was used last as far as that was written: what is known of all of them."""

    id: bytes
    owner: tuple[str, str, str]
    used_at: float


class Store(PeopleStore, GrantStore, ConnectionStore, EventStore, KeyStore, Protocol):
    """A store, with all its parts. Every method raises `StoreFailed` and nothing else.

    What a method acknowledged by returning survives the end of the process at any moment. A cancelled method may
    still take effect, as a whole. Methods may be awaited concurrently, by several processes too.
    """

    async def remembered(self, tenant: str, visibility: str | None = None) -> list[Remembered]:
        """Everything remembered for a tenant, or under one visibility; ordered by upstream and visibility."""
        ...

    async def remember(self, item: Remembered) -> None:
        """Insert or replace what is known under (tenant, upstream, visibility).

        An item without a catalog keeps the stored catalog and its `saved_at` as long as the url is the same.
        """
        ...

    async def forget(self, tenant: str, upstream: str, visibility: str | None = None) -> None:
        """Drop what is known of an upstream, for every visibility or for one. Nothing known is no error."""
        ...

    async def append_calls(self, records: Sequence[CallRecord]) -> None:
        """Add records, all or none, and drop the oldest of each tenant above `MOST_CALLS`."""
        ...

    async def calls(self, tenant: str, *, limit: int) -> list[CallRecord]:
        """At most `limit` records of a tenant, the last appended first."""
        ...

    async def calls_of(self, tenant: str, issuer: str, subject: str, *, limit: int) -> list[CallRecord]:
        """The same, for the calls of one principal."""
        ...

    async def session_uses(self) -> list[SessionUse]:
        """All stored sessions, those first that were not used for the longest time."""
        ...

    async def session(self, session: bytes) -> StoredSession | None:
        """The stored session of this digest."""
        ...

    async def keep_sessions(self, sessions: Sequence[StoredSession]) -> None:
        """Insert or replace sessions, all or none."""
        ...

    async def touch_sessions(self, used: Sequence[tuple[bytes, float]]) -> None:
        """Note when sessions were used last, all or none; what is not stored any more stays away."""
        ...

    async def drop_sessions(self, sessions: Sequence[bytes]) -> None:
        """Delete sessions, all or none. Nothing stored is no error."""
        ...

    async def aclose(self) -> None:
        """Finish what was begun and let go of the store; once more is no error."""
        ...
