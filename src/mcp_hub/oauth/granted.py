"""One principal's grant at one upstream, as the way to the upstream asks for it.

Rule: a request costs a look-up and a comparison. What is due is renewed beside the requests while the old token lasts,
and only when it does not they wait; whoever waits may go away, what is under way goes on. What was found out counts
until somebody's connection changed, in whatever process. Source: MCP 2026-07-28 basic/authorization "Step-Up
Authorization Flow".
"""

import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, Protocol, final

from mcp_hub.credentials.credential import Credential
from mcp_hub.credentials.needed import Place, moved, not_connected, reconnect_needed
from mcp_hub.credentials.watchers import Watchers
from mcp_hub.errors import HubError, RefusedCredential
from mcp_hub.oauth.lasting import Replaced, times
from mcp_hub.oauth.needed import allow_more, away, for_admin
from mcp_hub.oauth.refreshing import NotRenewed
from mcp_hub.oauth.scope_words import MOST
from mcp_hub.oauth.stepping_up import SteppingUp
from mcp_hub.principal import Principal
from mcp_hub.secret import Secret
from mcp_hub.store.connections import Grant, GrantState, Whose

LONGEST_PAUSE: Final = 120.0
"""Seconds at most between two attempts to renew."""
_MOST_SECOND: Final = 64
_UNAUTHORIZED: Final = 401
_REFUSED: Final = "It refuses the access that it was given, although that was just renewed."
_NO_RENEWAL: Final = "It refuses the access that it was given, which cannot be renewed."

_log: Final = logging.getLogger(__name__)

Work = Callable[[], Awaitable[None]]
NO_HEADERS: Final = MappingProxyType[str, Secret]({})


@dataclass(frozen=True, slots=True)
class Held:
    """A grant that can be used: sent until `until`, renewed from `due` on (unix seconds)."""

    grant: Grant
    token: Secret
    credential: Credential
    due: float
    until: float


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why the last attempt to renew failed, and until when there is no other."""

    why: str
    turn: Literal["server", "admin", "user"]
    until: float
    attempts: int


class Source(Protocol):
    """What all grants have in common. Whatever waits raises `HubFault` where the store or the vault fails."""

    used: dict[str, float]
    """When grants were used last, by id."""
    watchers: Watchers

    async def grant(self, whose: Whose) -> Grant | None:
        """As it is stored."""
        ...

    async def token(self, grant: Grant) -> Secret:
        """Its access token."""
        ...

    async def renewed(self, known: Grant) -> Grant | None:
        """See `Renewing.renewed`."""
        ...

    async def want(self, grant: str, scopes: frozenset[str]) -> None:
        """Note what the upstream asked for."""
        ...

    async def alone(self, whose: Whose, work: Work) -> None:
        """Run this, once for all who ask meanwhile; a caller that is cancelled leaves it running."""
        ...

    def beside(self, whose: Whose, work: Work) -> None:
        """The same without waiting, and without anybody to tell what went wrong."""
        ...


@final
class Granted:
    """The `Access` of one caller to one upstream with their grant; `also` are headers that go there for everybody.
    Belongs to one event loop.
    """

    __slots__ = (
        "__weakref__", "_also", "_caller", "_epoch", "_failure", "_held", "_now", "_place", "_replaced", "_second",
        "_source", "_stepping", "_whose",
    )  # fmt: skip

    def __init__(
        self,
        caller: Principal,
        place: Place,
        source: Source,
        now: Callable[[], float] = time.time,
        *,
        also: Mapping[str, Secret] = NO_HEADERS,
    ) -> None:
        self._caller = caller
        self._place = place
        self._also = also
        self._whose = Whose(*caller.key, place.upstream)
        self._source = source
        self._now = now
        self._stepping = SteppingUp(now)
        self._held: Held | None = None
        self._failure: _Failure | None = None
        self._second: deque[Credential] = deque(maxlen=_MOST_SECOND)
        self._replaced = Replaced()
        self._epoch = 0
        source.watchers.add_while_alive(self._whose, self.forget)

    # What `Access` says

    def ready(self) -> Credential | None:
        """See `Access`."""
        held, now = self._held, self._now()
        if held is None or now >= held.until:
            return None
        if now >= held.due:
            self._renew_beside(held, now)
        self._source.used[held.grant.id] = now
        return held.credential

    async def credential(self) -> Credential:
        """See `Access`."""
        held = await self._usable()
        self._source.used[held.grant.id] = self._now()
        return held.credential

    async def refused(self, credential: Credential, refusal: RefusedCredential) -> Credential:
        """See `Access`. What this gives is for the one request; if that is refused with it as well, whoever sends may
        ask once more, and is told what its user can do."""
        if refusal.status == _UNAUTHORIZED and any(each is credential for each in self._second):
            raise self._reconnect(_REFUSED) from refusal
        held = await self._stored_or(credential)
        if held is None:
            return self._another(await self._usable())
        missing = self._stepping.missing(refusal, held.grant.scopes)
        if missing is not None:
            raise await self._more(held, missing, refusal)
        if refusal.status != _UNAUTHORIZED:
            raise refusal
        return await self._renewed_instead(held, refusal)

    def watch(self, changed: Callable[[], object]) -> Callable[[], None]:
        """See `Access`."""
        return self._source.watchers.add(self._whose, changed)

    # For those who keep it

    def forget(self) -> None:
        """The connection changed: what was found out of it counts no more."""
        self._epoch += 1
        self._held = self._failure = None
        self._replaced.forget()

    @property
    def trouble(self) -> str:
        """Why its last renewal failed, in a public sentence; empty where it did not."""
        return "" if self._failure is None else self._failure.why

    # What is known

    async def _usable(self) -> Held:
        held = self._held or await self._loaded()
        if self._now() < held.until:
            return held
        self._raise_failure()
        await self._source.alone(self._whose, lambda: self._renew(held))
        held = self._held or await self._loaded()
        if self._now() >= held.until:
            self._raise_failure()
            raise away(self._place, "The access that was given had ended already.")
        return held

    async def _loaded(self) -> Held:
        while True:
            epoch = self._epoch
            held = await self._opened(await self._source.grant(self._whose))
            if epoch == self._epoch:
                self._held = held
                return held

    async def _opened(self, grant: Grant | None) -> Held:
        if grant is None:
            raise not_connected(self._place, self._caller)
        if grant.state is not GrantState.READY:
            raise self._reconnect(grant.reason)
        if grant.place != self._place.stands_for:
            raise self._reconnect(moved(self._place))
        token = await self._source.token(grant)
        due, until = times(grant.refreshed_at, grant.expires_at)
        due = until if grant.refresh_token is None else due
        return Held(grant, token, self._bearer(token), due, until)

    def _reconnect(self, why: str) -> HubError:
        return reconnect_needed(self._place, self._caller, why)

    def _bearer(self, token: Secret) -> Credential:
        return Credential({**self._also, "Authorization": Secret(f"Bearer {token.open()}")})

    # After a refusal

    async def _stored_or(self, refused: Credential) -> Held | None:
        """The grant that the refused token is of; `None` if there is another token by now, whoever got it."""
        held = self._held or await self._loaded()
        if held.credential.open() != refused.open():
            return None
        grant = await self._source.grant(self._whose)
        if grant is not None and (grant.id, grant.version) == (held.grant.id, held.grant.version):
            return held
        if self._held is held:
            self._held = None
        return None

    async def _renewed_instead(self, held: Held, refusal: RefusedCredential) -> Credential:
        if held.grant.refresh_token is None:
            raise self._reconnect(_NO_RENEWAL) from refusal
        self._raise_failure()
        if not self._replaced.may_be(self._now(), (held.grant.id, held.grant.version)):
            raise self._reconnect(_REFUSED) from refusal
        await self._source.alone(self._whose, lambda: self._renew(held))
        self._raise_failure()
        return self._another(await self._usable())

    def _another(self, held: Held) -> Credential:
        """The same lines in an object of its own, so that it is known again if it is refused as well."""
        again = self._bearer(held.token)
        self._second.append(again)
        return again

    async def _more(self, held: Held, missing: frozenset[str], refusal: RefusedCredential) -> HubError:
        grant = held.grant
        if not self._stepping.may_ask(grant.id, missing):
            return refusal
        wanted = grant.scopes | grant.wanted | missing
        if len(wanted) > MOST:  # who asks for something else each time is asked about what was missing last
            wanted = grant.scopes | missing
        if wanted != grant.wanted:
            await self._source.want(grant.id, wanted)
            if self._held is held:
                self._held = replace(held, grant=replace(grant, wanted=wanted))
        return allow_more(self._place, self._caller, missing)

    # Renewing

    def _renew_beside(self, held: Held, now: float) -> None:
        if self._failure is None or now >= self._failure.until:
            self._source.beside(self._whose, lambda: self._renew(held))

    async def _renew(self, held: Held) -> None:
        """Renew it and keep what came; why that failed is kept, too.

        Raises:
            ConnectionNeeded: its user has to act.
            HubFault: the store or the vault fails.
        """
        epoch = self._epoch
        try:
            grant = await self._source.renewed(held.grant)
        except NotRenewed as error:
            self._note(error)
            return
        self._failure = None
        try:
            renewed = await self._opened(grant)
        except HubError:
            self._held = None
            raise
        if epoch == self._epoch:  # otherwise it changed meanwhile, and whoever asks loads what there is
            self._held = renewed

    def _note(self, error: NotRenewed) -> None:
        attempts = 1 if self._failure is None else self._failure.attempts + 1
        # By chance, so that many hubs do not come back in the same moment.
        pause = min(LONGEST_PAUSE, 2.0**attempts) * random.uniform(0.5, 1.0)  # noqa: S311
        until = self._now() + max(pause, error.retry_after or 0.0)
        self._failure = _Failure(str(error), error.turn, until, attempts)
        _log.warning("a connection with %s was not renewed: %s", self._place.upstream, error)

    def _raise_failure(self) -> None:
        """
        Raises:
            HubError: the last attempt to renew failed a moment ago, and there is no other yet.
        """
        failure = self._failure
        if failure is not None and self._now() < failure.until:
            raise self._said(failure)

    def _said(self, failure: _Failure) -> HubError:
        match failure.turn:
            case "server":
                return away(self._place, failure.why)
            case "admin":
                return for_admin(self._place, failure.why)
            case "user":
                return self._reconnect(failure.why)
