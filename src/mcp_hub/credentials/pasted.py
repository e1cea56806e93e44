"""Keys that people paste on the connections page, one for each of them and upstream.

Rule: a key goes in and never comes out, but into requests to that upstream: of a long one its last four characters are
shown, of a short one nothing. It is kept in memory until the connection changes, in whatever process.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, NoReturn, Protocol, final

from mcp_hub.config.model import OwnHeader
from mcp_hub.credentials.credential import Credential
from mcp_hub.credentials.given import own_header
from mcp_hub.credentials.needed import Place, moved, not_connected, reconnect_needed
from mcp_hub.credentials.sealed_keys import open_key, seal_key
from mcp_hub.credentials.values import wrong_with
from mcp_hub.credentials.watchers import Watchers
from mcp_hub.errors import CallerError, RefusedCredential, StoreFailed
from mcp_hub.principal import Principal
from mcp_hub.secret import Secret
from mcp_hub.store.connections import PastedKey, Whose
from mcp_hub.vault.vault import Vault

NOTED_EVERY: Final = 30.0
"""Seconds after which it is stored which keys were used."""
_SHOWN: Final = 4
_LEAST_SHOWN: Final = 12
_NOTHING: Final = MappingProxyType[str, Secret]({})


class KeyKeeper(Protocol):
    """The part of `ConnectionStore` that keeps pasted keys."""

    async def put_key(self, key: PastedKey) -> None:
        """See `ConnectionStore`."""
        ...

    async def key(self, whose: Whose) -> PastedKey | None:
        """See `ConnectionStore`."""
        ...

    async def touch_keys(self, used: Mapping[str, float]) -> None:
        """See `ConnectionStore`."""
        ...


class UnusableKey(CallerError):
    """What was pasted cannot be sent as a key. Nothing was changed."""


def hint_of(key: str) -> str:
    """What may be shown of a key."""
    return key[-_SHOWN:] if len(key) >= _LEAST_SHOWN else ""


@final
class PastedKeys:
    """The pasted keys of everybody. Belongs to one event loop; `run` has to run for it."""

    def __init__(
        self, store: KeyKeeper, vault: Vault, watchers: Watchers, now: Callable[[], float] = time.time
    ) -> None:
        self.watchers = watchers
        self._store = store
        self._vault = vault
        self._now = now
        self._used: dict[str, float] = {}

    async def paste(self, whose: Whose, key: Secret, place: str = "") -> None:
        """Keep this key, in the place of the one before. Spaces and line ends around it are not part of it. `place`
        stands for the address that it is for (`Place.stands_for`).

        Raises:
            UnusableKey: no header can carry it; the sentence does not repeat it.
            StoreFailed: the store fails.
        """
        text = key.open().strip()
        wrong = wrong_with(text)
        if wrong:
            raise UnusableKey(f"This is no key that can be sent: it {wrong}. Nothing was changed. Paste it again.")
        empty = PastedKey(secrets.token_urlsafe(12), whose, b"", hint_of(text), self._now(), None, place)
        await self._store.put_key(seal_key(self._vault, empty, Secret(text)))

    async def opened(self, whose: Whose) -> tuple[PastedKey, Secret] | None:
        """What somebody pasted, and the key itself.

        Raises:
            HubFault: the store fails, or the key cannot be opened.
        """
        stored = await self._store.key(whose)
        return None if stored is None else (stored, await open_key(self._vault, stored))

    def note_use(self, key: str) -> None:
        """A key was sent just now."""
        self._used[key] = self._now()

    async def run(self) -> NoReturn:
        """Store what was used, until cancelled."""
        while True:
            await asyncio.sleep(NOTED_EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Store which keys were used; what the store does not take now waits."""
        used, self._used = self._used, {}
        try:
            if used:
                await self._store.touch_keys(used)
        except StoreFailed:
            self._used = used | self._used


@final
class PastedAccess:
    """The `Access` of one caller to one upstream that is configured with `header` (`source` is `pasted`)."""

    def __init__(
        self,
        keys: PastedKeys,
        caller: Principal,
        place: Place,
        header: OwnHeader,
        also: Mapping[str, Secret] = _NOTHING,
    ) -> None:
        self._keys = keys
        self._caller = caller
        self._place = place
        self._header = header
        self._also = also
        self._whose = Whose(*caller.key, place.upstream)
        self._id = ""
        self._credential: Credential | None = None
        self._changes = 0
        keys.watchers.add_while_alive(self._whose, self._changed)

    def ready(self) -> Credential | None:
        """See `Access`."""
        if self._credential is not None:
            self._keys.note_use(self._id)
        return self._credential

    async def credential(self) -> Credential:
        """See `Access`."""
        current = self.ready() or await self._loaded()
        if current is None:
            raise not_connected(self._place, self._caller)
        return current

    async def refused(self, credential: Credential, refusal: RefusedCredential) -> Credential:
        """See `Access`: another one only if another key was pasted meanwhile."""
        current = await self.credential()
        if current is not credential:
            return current
        raise reconnect_needed(self._place, self._caller, self._said(refusal)) from refusal

    def watch(self, changed: Callable[[], object]) -> Callable[[], None]:
        """See `Access`."""
        return self._keys.watchers.add(self._whose, changed)

    def _changed(self) -> None:
        self._changes += 1
        self._credential = None

    async def _loaded(self) -> Credential | None:
        changes = self._changes
        opened = await self._keys.opened(self._whose)
        if opened is None:
            return None
        key, secret = opened
        if key.place != self._place.stands_for:
            raise reconnect_needed(self._place, self._caller, moved(self._place))
        credential = own_header(self._header, secret.open(), self._also)
        self._keys.note_use(key.id)
        if changes == self._changes:  # otherwise it may be the one before already
            self._id, self._credential = key.id, credential
        return credential

    def _said(self, refusal: RefusedCredential) -> str:
        if refusal.status == HTTPStatus.UNAUTHORIZED:
            return f"{self._place.title} does not accept the key that you pasted for it."
        return f"{self._place.title} does not allow this with the key that you pasted for it."
