"""The record of what happened to access: who signed in, what was consented to, issued, refreshed and revoked.

Rule: noting an event neither waits nor fails; it never holds a secret, a password or anything longer than a line.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Final, final

import structlog

from mcp_hub.audit.clean import one_line
from mcp_hub.errors import HubError
from mcp_hub.principal import DEFAULT_TENANT, LOCAL_ISSUER, Principal
from mcp_hub.store.events import Event, EventStore
from mcp_hub.store.people import User


class Kind(StrEnum):
    """What happened; `about` says to what."""

    SIGN_IN = "sign_in"
    """Somebody signed in in a browser, or tried to; about: the account, as far as known."""
    SIGN_OUT = "sign_out"
    """A browser session ended, or all of an account; about: the account."""
    SETUP = "setup"
    """The first admin was made with a setup code; about: the account."""
    USER_ADDED = "user_added"
    USER_CHANGED = "user_changed"
    """Other roles; about: the account."""
    USER_DISABLED = "user_disabled"
    USER_ENABLED = "user_enabled"
    USER_REMOVED = "user_removed"
    PERSONAL_TOKEN_CREATED = "personal_token_created"  # noqa: S105 - a kind of event
    """About: the id of the token."""
    PERSONAL_TOKEN_REVOKED = "personal_token_revoked"  # noqa: S105 - a kind of event
    CLIENT_REGISTERED = "client_registered"
    """A client registered itself; about: its id."""
    CONSENT = "consent"
    """Somebody decided about a client; outcome: ok or denied."""
    TOKEN_ISSUED = "token_issued"  # noqa: S105 - a kind of event
    """A code was redeemed; about: the family."""
    TOKEN_REFRESHED = "token_refreshed"  # noqa: S105 - a kind of event
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - a kind of event
    """By the client or by its user; about: the family."""
    REPLAY = "replay"
    """A code or refresh token was used again, and its family ended; about: the family."""
    CLIENT_REFUSED = "client_refused"
    """A client could not prove who it is; about: its id."""
    CONNECTED = "connected"
    """Somebody connected their account at an upstream; about: the upstream."""
    CONNECT_REFUSED = "connect_refused"
    """Somebody came back from an upstream's sign-in, and nothing was stored; about: the upstream."""
    DISCONNECTED = "disconnected"
    """Outcome: how it ended at the other side; about: the upstream."""
    RECONNECT_NEEDED = "reconnect_needed"
    """A connection ended without its user; about: the upstream."""
    KEY_PASTED = "key_pasted"
    """Somebody gave the hub their key for an upstream; about: the upstream."""


OPERATOR: Final = Principal(issuer=LOCAL_ISSUER, subject="command", label="the command line")
"""Who acts where the operator works on the store by command."""
OK: Final = "ok"
"""The outcome of what was done. Any other is a word of ours for why it was not, such as `wrong_password`."""

_LONGEST: Final = 256


@final
class Events:
    """Notes events and stores them in batches; of one event loop.

    At most `most` wait; beyond that the oldest are dropped and counted in `dropped`. What the store does not take is
    offered again every `flush_after` seconds. `aclose` stores what waits.
    """

    def __init__(
        self,
        store: EventStore,
        *,
        now: Callable[[], float] = time.time,
        flush_after: float = 1.0,
        most: int = 10_000,
    ) -> None:
        self._store = store
        self._now = now
        self._flush_after = flush_after
        self._most = most
        self._waiting: deque[Event] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._failing = False
        self.dropped = 0

    def note(
        self,
        kind: Kind,
        outcome: str = OK,
        *,
        actor: User | Principal | None = None,
        client: str = "",
        about: str = "",
        address: str = "",
    ) -> None:
        """Note one event. `about` is an id or an address of mail, `address` the network address it came from.

        Needs a running event loop; never raises, never waits.
        """
        who = (DEFAULT_TENANT, "", "") if actor is None else (actor.tenant, actor.issuer, actor.subject)
        words = (_fit(client), kind.value, _fit(about), _fit(outcome), _fit(address))
        self._waiting.append(Event(self._now(), who[0], _fit(who[1]), _fit(who[2]), *words))
        self._make_room()
        if self._timer is None and self._flushing is None:
            self._timer = asyncio.get_running_loop().call_later(self._flush_after, self._start_flush)

    async def aclose(self) -> None:
        """Store what waits; what the store does not take now is counted as dropped, and logged."""
        if self._flushing is not None:
            await self._flushing
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._store_all()
        if self._waiting:
            _log.error("events not recorded", count=len(self._waiting))
            self.dropped += len(self._waiting)
            self._waiting.clear()

    def _start_flush(self) -> None:
        self._timer = None
        self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        try:
            await self._store_all()
        finally:
            self._flushing = None
            if self._waiting:
                self._timer = asyncio.get_running_loop().call_later(self._flush_after, self._start_flush)

    async def _store_all(self) -> None:
        """Store what waits now. On failure it waits again."""
        taken = list(self._waiting)
        if not taken:
            return
        self._waiting.clear()
        try:
            await self._store.append_events(taken)
        except HubError as failed:
            if not self._failing:
                _log.warning("events wait, the store does not take them", reason=failed.public)
            self._failing = True
            self._waiting.extendleft(reversed(taken))
            self._make_room()
            return
        self._failing = False

    def _make_room(self) -> None:
        while len(self._waiting) > self._most:
            self._waiting.popleft()
            self.dropped += 1


_log: Final = structlog.stdlib.get_logger("mcp_hub.events")


def _fit(text: str) -> str:
    return one_line(text[:_LONGEST])
