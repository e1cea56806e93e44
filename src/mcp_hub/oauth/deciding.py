"""What was found out about upstreams of which the operator says nothing: whether their users sign in.

Rule: only what is certain is remembered, for all processes, and no longer than the upstream has the same URL.
"""

import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Final, Protocol, final

APART: Final = 30.0
"""Seconds for which an upstream of which nothing was found out is not asked again."""
_SIGNS_IN: Final = b"oauth"


class Settings(Protocol):
    """Where it is remembered."""

    async def kept(self, key: str, otherwise: bytes) -> bytes:
        """What is stored under this key; `otherwise` from now on, if nothing is."""
        ...


class Stored(Protocol):
    """Whether there is a setting."""

    async def setting(self, key: str) -> bytes | None:
        """What is stored, as it is; `None` if nothing is."""
        ...


@final
class Deciding:
    """What is known of the undecided upstreams, `urls` by name. `recall` first. `now` gives seconds."""

    def __init__(
        self, settings: Settings, stored: Stored, urls: Mapping[str, str], now: Callable[[], float] = time.time
    ) -> None:
        self._now = now
        self._nothing: dict[str, float] = {}
        self._settings = settings
        self._stored = stored
        self._keys = {name: _key(name, url) for name, url in urls.items()}
        self._known: set[str] = set()

    async def recall(self) -> None:
        """Learn what was remembered.

        Raises:
            HubFault: the store or the vault fails.
        """
        for name, key in self._keys.items():
            # What the hub did not seal itself does not open, and decides nothing.
            if await self._stored.setting(key) is not None and await self._settings.kept(key, _SIGNS_IN) == _SIGNS_IN:
                self._known.add(name)

    def signs_in(self, upstream: str) -> bool:
        """Whether its users are known to sign in."""
        return upstream in self._known

    def is_due(self, upstream: str) -> bool:
        """Whether it may be asked: not if nothing was found out a moment ago."""
        return self._now() >= self._nothing.get(upstream, 0.0)

    def nothing(self, upstream: str) -> None:
        """It was asked, and nothing was found out."""
        self._nothing[upstream] = self._now() + APART

    def believe(self, upstream: str) -> None:
        """Its users sign in, as it seems: it refuses, and says nothing of where. So it is until this process ends."""
        self._known.add(upstream)

    async def remember(self, upstream: str) -> None:
        """Its users sign in.

        Raises:
            HubFault: the store or the vault fails.
        """
        await self._settings.kept(self._keys[upstream], _SIGNS_IN)
        self._known.add(upstream)


def _key(name: str, url: str) -> str:
    return f"signs-in/{name}/{sha256(url.encode('utf-8', 'surrogatepass')).hexdigest()}"
