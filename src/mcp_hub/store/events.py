"""What happened to access: the audit of signing in, consenting, issuing, refreshing and revoking. Append only."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

MOST_EVENTS: Final = 100_000
"""How many events a tenant keeps; the oldest make room."""


class Event(NamedTuple):
    """One event. `actor` is who did it as `issuer` and `subject` say, empty where nobody was known; `client` is the
    OAuth client, `subject_of` what it was done to (an id, never a secret), `address` the network address it came from.
    """

    at: float
    tenant: str
    issuer: str
    subject: str
    client: str
    kind: str
    subject_of: str
    outcome: str
    address: str


class EventStore(Protocol):
    """The part of a store that keeps events. Every method raises `StoreFailed` and nothing else."""

    async def append_events(self, events: Sequence[Event]) -> None:
        """Add events, all or none, and drop the oldest of each tenant above `MOST_EVENTS`."""
        ...

    async def events(self, tenant: str, *, limit: int) -> list[Event]:
        """At most `limit` events of a tenant, the last appended first."""
        ...
