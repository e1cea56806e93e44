"""The door: from the token that a request brings to the principal who calls.

Rule: whoever is not known is nobody. Each request is judged by its own token: what was found out about a token counts
for at most `LONGEST` seconds and ends at once when access is taken away from anybody; whatever goes wrong while it is
judged lets nobody in. A token is good for the endpoint it was given for and for no other.

| a request brings                                      | it is answered                            |
|-------------------------------------------------------|-------------------------------------------|
| no token, or credentials of another kind              | 401, and where to get one                 |
| two headers, no readable token, a token in its address | 400 `invalid_request`                    |
| a token that is unknown, expired, revoked, for another endpoint, or of somebody disabled | 401 `invalid_token` |
| a token that does not allow to use the hub            | 403 `insufficient_scope`                  |
| a token that cannot be judged now                     | 503                                       |
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final, NamedTuple, NoReturn, final

from mcp_hub.errors import BadCredentials, Forbidden, HubError, StoreFailed, Unauthenticated
from mcp_hub.identity.bearer import AUTHORIZATION, SCHEME, Headers, Misused, read_bearer
from mcp_hub.identity.judge import ANYWHERE, Judge, Outside, TokenStore, Undecided, Worth
from mcp_hub.identity.protected import INSUFFICIENT_SCOPE, INVALID_REQUEST, INVALID_TOKEN, Protected
from mcp_hub.identity.scopes import USE, reach
from mcp_hub.identity.signatures import TokenRefused
from mcp_hub.identity.tokens import Kind, digest
from mcp_hub.identity.watched import Watched, opened_with
from mcp_hub.principal import Principal

LONGEST: Final = 30.0
"""Seconds for which a token is not looked up again."""
REFUSED_FOR: Final = 5.0
"""Seconds for which a token that was refused is not looked up again."""
POLL: Final = 0.5
"""Seconds between two looks whether another process took access away."""
NOTED_EVERY: Final = 30.0
"""Seconds after which it is stored what was used."""
MOST_KEPT: Final = 20_000
MOST_REFUSED: Final = 4096

_SCHEME_LENGTH: Final = len(SCHEME)
_SIGN_IN: Final = "Sign in first: this hub serves nobody it does not know."
_NOT_VALID: Final = (
    "This token is not valid here: it has expired, was revoked, is for another server, or its owner may not sign in. "
    "Get a new one by signing in again."
)
_TOO_LITTLE: Final = "This token does not allow to use the hub. Get one with the scope {scope}."
_UNDECIDED: Final = (
    "The hub cannot check now who is calling. Try again in a moment; if it lasts, its operator finds the cause in its "
    "log."
)

_log: Final = logging.getLogger(__name__)


class _Known(NamedTuple):
    """What was found out of a token, and until when that is believed."""

    until: float
    audience: str
    principal: Principal
    worth: Worth


@final
class TokenDoor:
    """Knows callers by their tokens. Belongs to one event loop.

    The first of `protected` is the endpoint that `known` is for. `outside` judges what is no token of the hub's own;
    unless the hub `issues` access tokens, those of its own that are left from before are not taken.

    `run` has to run for it; whoever takes access away in this process calls `forget`.
    """

    def __init__(
        self,
        store: TokenStore,
        protected: Iterable[Protected],
        *,
        issues: bool = True,
        outside: Outside | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._protected = {each.resource: each for each in protected}
        self._main = next(iter(self._protected))
        self._judge = Judge(store, now, issues=issues, outside=outside)
        self._now = now
        self._kept: dict[bytes, _Known] = {}
        self._refused: dict[tuple[bytes, str], float] = {}
        self._used: dict[bytes, float] = {}
        self._seen: dict[str, float] = {}
        self._epoch = 0
        self._generation: int | None = None
        self._watched = Watched(self._may_stay)

    def known(self, headers: Headers) -> Principal | None:
        """Who calls the first endpoint, if that is known without asking anybody."""
        given = None
        for name, value in headers:
            if name == AUTHORIZATION:
                if given is not None:
                    return None
                given = value
        if given is None or given[:_SCHEME_LENGTH] != SCHEME:
            return None
        found = self._kept.get(sha256(given[_SCHEME_LENGTH:]).digest())
        if found is None or found.until <= self._now() or (found.audience and found.audience != self._main):
            return None
        return found.principal

    async def identify(self, headers: Headers, query: bytes, resource: str) -> Principal:
        """Who calls this endpoint.

        Raises:
            Unauthenticated, BadCredentials, Forbidden: as the table says, with the challenge.
            Undecided: nobody can tell now.
        """
        place = self._protected[resource]
        try:
            token = read_bearer(headers, query)
        except Misused as error:
            raise BadCredentials(str(error), place.challenge(INVALID_REQUEST)) from error
        if token is None:
            raise Unauthenticated(_SIGN_IN, place.challenge())
        key, now = digest(token), self._now()
        found = self._kept.get(key)
        if found is not None and found.until > now and found.audience in (ANYWHERE, resource):
            return found.principal
        if self._refused.get((key, resource), 0.0) > now:
            raise Unauthenticated(_NOT_VALID, place.challenge(INVALID_TOKEN))
        return await self._judged(token, key, place)

    def watch(self, headers: Headers, resource: str, end: Callable[[], object]) -> Callable[[], None]:
        """Call `end` when whoever opened a stream with these headers may not use this endpoint any more.

        Returns what ends the watch, for when the stream is over.
        """
        leave = self._watched.add(headers, resource, end)
        if self.known(headers) is None:
            # What it was opened with was forgotten while the rest of its request arrived: nobody would ask again.
            self._watched.check(opened_with(headers).__eq__)
        return leave

    def forget(self) -> None:
        """Access was taken away: every token of the hub's own is looked up again before it counts."""
        self._epoch += 1
        self._kept = {key: each for key, each in self._kept.items() if each.worth.is_outside}
        self._refused.clear()
        self._watched.check()

    async def run(self) -> None:
        """Notice what other processes take away, and note what was used, until this is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_again())
            group.create_task(self._flush_again())  # which may take long, and must not keep the other waiting

    async def look(self) -> None:
        """Forget what is known, if access was taken away since the last look, or if that cannot be found out."""
        if not self._kept and not self._watched:
            return
        try:
            generation = await self._store.access_generation()
        except StoreFailed:
            self._generation = None
            self.forget()
            return
        if generation != self._generation:
            self._generation = generation
            self.forget()

    def look_at_streams(self) -> None:
        """Judge the tokens again that end by themselves and have a stream open, which ends with its token."""
        self._watched.check(_ends_alone)

    async def flush(self) -> None:
        """Store when tokens were used and their owners seen; what the store does not take now waits."""
        used, seen = self._used, self._seen
        self._used, self._seen = {}, {}
        try:
            if used:
                await self._store.touch_personal_tokens(list(used.items()))
            for user, at in seen.items():
                await self._store.see_user(user, at)
        except StoreFailed:
            self._used, self._seen = used | self._used, seen | self._seen

    async def aclose(self) -> None:
        """Store what waits, and end what is under way."""
        await self._watched.aclose()
        await self.flush()

    # Inside

    async def _look_again(self) -> NoReturn:
        while True:
            await asyncio.sleep(POLL)
            await self.look()

    async def _flush_again(self) -> NoReturn:
        while True:
            await asyncio.sleep(NOTED_EVERY)
            self.look_at_streams()
            await self.flush()

    async def _judged(self, token: str, key: bytes, place: Protected) -> Principal:
        epoch = self._epoch
        try:
            worth = await self._judge.worth(token, key, place.resource)
        except TokenRefused as error:
            self._remember_refused(key, place.resource)
            _log.info("a token was refused: %s", error)
            raise Unauthenticated(_NOT_VALID, place.challenge(INVALID_TOKEN)) from error
        except Undecided:
            still = self._still_known(key, place.resource)
            if still is None:
                raise
            worth = still
        except StoreFailed as error:
            _log.error("a token could not be judged: %s", error.public)
            raise Undecided(_UNDECIDED) from error
        except Exception as error:
            # Nothing that goes wrong in here may end as anything but a refusal, and it is not the caller's to explain.
            _log.exception("a token could not be judged")
            raise Undecided(_UNDECIDED) from error
        if USE not in reach(worth.principal.scopes):
            raise Forbidden(_TOO_LITTLE.format(scope=" ".join(place.scopes)), place.challenge(INSUFFICIENT_SCOPE))
        self._note(key, worth)
        if epoch == self._epoch:
            self._keep(key, worth)
        return worth.principal

    def _still_known(self, key: bytes, resource: str) -> Worth | None:
        """Whom an issuer that is away now has vouched for, until that ends."""
        found = self._kept.get(key)
        worth = None if found is None else found.worth
        if worth is None or not worth.is_outside or worth.audience != resource or worth.expires_at <= self._now():
            return None
        return worth

    def _note(self, key: bytes, worth: Worth) -> None:
        now = self._now()
        if worth.user:
            self._seen[worth.user] = now
        if worth.audience == ANYWHERE:
            self._used[key] = now

    def _keep(self, key: bytes, worth: Worth) -> None:
        self._kept.pop(key, None)
        while len(self._kept) >= MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        until = min(self._now() + LONGEST, worth.expires_at)
        self._kept[key] = _Known(until, worth.audience, worth.principal, worth)

    def _remember_refused(self, key: bytes, resource: str) -> None:
        found = self._kept.get(key)
        if found is not None and found.audience in (ANYWHERE, resource):
            del self._kept[key]
        self._refused.pop((key, resource), None)
        while len(self._refused) >= MOST_REFUSED:
            del self._refused[next(iter(self._refused))]
        self._refused[key, resource] = self._now() + REFUSED_FOR

    async def _may_stay(self, headers: Headers, resource: str) -> bool:
        try:
            await self.identify(headers, b"", resource)
        except Undecided:
            return True  # its requests are refused meanwhile; a stream is not cut because the store is slow
        except HubError as error:
            return not isinstance(error, Unauthenticated | Forbidden)
        return True


def _ends_alone(value: bytes) -> bool:
    """Whether the end of this token is all that ends its owner's access: behind an access token of the hub's own there
    is a family that lasts longer, and the hub is told when it ends.
    """
    return not value[_SCHEME_LENGTH:].startswith(Kind.ACCESS.encode())
