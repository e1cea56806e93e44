"""The keys of those who sign tokens, by the address where they publish them.

Rule: keys are fetched through the guarded door, by one task at a time, and not twice within a minute because of a token
that none of them signed: whoever sends tokens does not decide how often the hub asks. A set that was fetched replaces
the one before, so that a key that was withdrawn is of no use; one that cannot be fetched is used a while longer.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from mcp_hub.egress.fetch import Fetch, FetchFailed
from mcp_hub.identity.signatures import Claims, Expected, Keys, UnknownKey, heading, read_keys, verified
from mcp_hub.wire.jsonrpc import Malformed, value

FRESH: Final = 600.0
"""Seconds after which a set is fetched again before it is used."""
LONGEST: Final = 3600.0
"""Seconds for which a set is used that cannot be fetched again."""
APART: Final = 60.0
"""Seconds between two fetches because of a key that is not known."""
RETRY: Final = 5.0
"""Seconds between two attempts while there is nothing that could be used."""
MOST_SETS: Final = 64
_OK: Final = 200
_NEVER: Final = float("-inf")


class KeysUnavailable(Exception):
    """There are no keys to check a token with, and its sender is not to blame. The text is safe to show."""


@dataclass(slots=True)
class _Set:
    """What is known of one address. `tried_at` is when it was asked last, whatever came of it; `missed_at`, when it was
    asked last because of a key that is not known."""

    keys: Keys | None = None
    fetched_at: float = _NEVER
    tried_at: float = _NEVER
    missed_at: float = _NEVER
    reason: str = ""
    under_way: "asyncio.Task[None] | None" = None


@final
class KeySets:
    """JWK Sets by URL, at most `most`: the least recently used makes room.

    Whoever takes URLs from strangers has an instance of its own for them, so that they cannot push out an issuer's.
    """

    def __init__(self, fetch: Fetch, now: Callable[[], float], *, most: int = MOST_SETS) -> None:
        self._fetch = fetch
        self._now = now
        self._most = most
        self._sets: OrderedDict[str, _Set] = OrderedDict()

    async def verify(self, token: str, jwks_url: str, expected: Expected) -> Claims:
        """What a token says, if a key of this address signed it and it says what is expected.

        A caller that is cancelled leaves the fetch to those who wait for it too.

        Raises:
            TokenRefused: it does not.
            KeysUnavailable: nobody can tell now.
        """
        head = heading(token)
        known = self._set(jwks_url)
        tried_at = known.tried_at
        keys = await self._usable(jwks_url, known)
        try:
            return verified(token, head, keys.fit(head), expected, self._now())
        except UnknownKey:
            if known.tried_at != tried_at:
                raise  # the set was fetched for this very token
            if known.under_way is None and self._now() - known.missed_at < APART:
                raise
        known.missed_at = self._now()
        await self._refresh(jwks_url, known)
        return verified(token, head, (known.keys or keys).fit(head), expected, self._now())

    async def aclose(self) -> None:
        """End the fetches that are under way."""
        tasks = [each.under_way for each in self._sets.values() if each.under_way is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _usable(self, url: str, known: _Set) -> Keys:
        age, waited = self._now() - known.fetched_at, self._now() - known.tried_at
        if age >= FRESH and waited >= (APART if age < LONGEST else RETRY):
            await self._refresh(url, known)
        elif age >= LONGEST and known.under_way is not None:
            await asyncio.shield(known.under_way)
        if known.keys is None or self._now() - known.fetched_at >= LONGEST:
            raise KeysUnavailable(known.reason or "the keys of the issuer could not be fetched")
        return known.keys

    async def _refresh(self, url: str, known: _Set) -> None:
        if known.under_way is None:
            known.tried_at = self._now()
            known.under_way = asyncio.ensure_future(self._load(url, known))
            known.under_way.add_done_callback(lambda task: _landed(known, task))
        await asyncio.shield(known.under_way)

    async def _load(self, url: str, known: _Set) -> None:
        try:
            answer = await self._fetch.get(url)
            if answer.status != _OK:
                known.reason = f"the keys of the issuer were answered with status {answer.status}"
                return
            known.keys = read_keys(value(answer.body))
        except FetchFailed as error:
            known.reason = f"the keys of the issuer could not be fetched: {error}"
        except (Malformed, ValueError):
            known.reason = "what the issuer publishes as its keys is no JWK Set"
        else:
            known.fetched_at = self._now()

    def _set(self, url: str) -> _Set:
        known = self._sets.get(url)
        if known is None:
            while len(self._sets) >= self._most:
                self._sets.popitem(last=False)
            known = self._sets[url] = _Set()
        self._sets.move_to_end(url)
        return known


def _landed(known: _Set, task: "asyncio.Task[None]") -> None:
    known.under_way = None
    if not task.cancelled():
        task.exception()  # whoever still waits gets it; nobody waiting is no reason to complain
