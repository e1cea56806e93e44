"""The vault: seals what must not be read from the store, and opens it again.

Rule: it opens with the master key the store was begun with, or not at all, and it never replaces, deletes or passes
over anything to open. Sealing and opening ask nobody; only a value whose key is not known yet is looked up in the
store, since another process may have made that key a moment ago.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final, Self, final

from mcp_hub.errors import Unsealable, VaultLocked
from mcp_hub.store.keys import Changed, KeyState, KeyStore, Rewrapped, StoredKey
from mcp_hub.vault.master import Masters
from mcp_hub.vault.sealing import Binding, DataKey, kid_of, new_key, unsealable
from mcp_hub.vault.wrapping import Master, Wrapping, WrongMaster, master_id

CANARY: Final = "vault-canary"
_CANARY: Final = b"mcp_hub"


def setting_binding(key: str) -> Binding:
    """What a sealed setting of the hub's own is bound to."""
    return Binding("settings", key, "value")


@final
class Vault:
    """An open vault. Made by `unlock`; `master` is what it was opened with."""

    def __init__(self, store: KeyStore, master: Master, keys: Sequence[StoredKey]) -> None:
        """
        Raises:
            WrongMaster: this master key does not open these keys.
            VaultLocked: none of them is the current one.
        """
        self.master = master
        self._store = store
        self._wrapping = Wrapping(master)
        self._keys: dict[bytes, DataKey] = {}
        self._current = self._learn(keys)

    @classmethod
    async def unlock(cls, store: KeyStore, masters: Masters, now: Callable[[], float] = time.time) -> Self:
        """Open the vault of a store; a store without one gets its first key, and its settings are sealed with it.

        `now` gives unix seconds.

        Raises:
            VaultLocked: there is no master key, or not the right one; the sentence says which. Nothing was changed.
            StoreFailed: the store fails.
        """
        keys = await store.keys() or await _begun(store, masters, now)
        vault = cls._opened(store, masters, keys)
        await _check(vault, await store.setting(CANARY))
        return vault

    @classmethod
    def _opened(cls, store: KeyStore, masters: Masters, keys: Sequence[StoredKey]) -> Self:
        wanted = master_id(keys[0].wrapped)
        tried: list[Master] = []
        for master in masters.held(wanted):
            try:
                return cls(store, master, keys)
            except WrongMaster:
                tried.append(master)
        raise _locked(wanted, tried)

    @property
    def kid(self) -> bytes:
        """What names the key that everything new is sealed with."""
        return self._current.kid

    def seal(self, value: bytes | str, binding: Binding) -> bytes:
        """The value, sealed for one place; text as UTF-8."""
        return self._current.seal(value.encode() if isinstance(value, str) else value, binding)

    async def open(self, sealed: bytes, binding: Binding) -> bytes:
        """What was sealed for this place. Asks the store only where it was sealed with a key that is not known here.

        Raises:
            Unsealable: it was not sealed for this place, or was changed.
            StoreFailed: the store had to be asked, and failed.
            VaultLocked: the store was given another master key since.
        """
        kid = kid_of(sealed, binding)
        if kid not in self._keys:
            await self.refresh()
        key = self._keys.get(kid)
        if key is None:
            raise unsealable(binding)
        return key.open(sealed, binding)

    async def refresh(self) -> None:
        """Learn which keys other processes have made, and which is the current one.

        Raises:
            VaultLocked: the store was given another master key since this process started.
            StoreFailed: the store fails.
        """
        try:
            self._current = self._learn(await self._store.keys())
        except WrongMaster as error:
            raise VaultLocked(
                "The store was given another master key since this process started. What is sealed with older keys"
                " still opens. Start it anew with the new master key."
            ) from error

    async def begin_rotation(self, at: float) -> bytes:
        """Have a key that is `next`, a new one unless there is one already, and make it the current one. Its id.

        Of many at once, all get the same one.

        Raises:
            VaultLocked: the store was given another master key since.
            StoreFailed: the store fails.
        """
        while True:
            keys = await self._store.keys()
            waiting = next((each for each in keys if each.state is KeyState.NEXT), None)
            if waiting is not None:
                await self._store.promote_key(waiting.kid)
                await self.refresh()
                return waiting.kid
            current = next(each for each in keys if each.state is KeyState.CURRENT)
            if not self._wrapping.fits(current.wrapped):
                raise VaultLocked("The store was given another master key a moment ago. Try again with that one.")
            key = new_key()
            await self._store.add_key(StoredKey(key.kid, self._wrapping.wrap(key), at, KeyState.NEXT), current)

    async def change_master(self, master: Master) -> None:
        """Wrap all data keys by another master key; what is sealed stays as it is, and so does this open vault.

        Raises:
            VaultLocked: the store was given yet another one meanwhile.
            StoreFailed: the store fails.
        """
        wrapping = Wrapping(master)
        while True:
            keys = await self._store.keys()
            try:
                self._learn(keys)
            except WrongMaster as error:
                raise VaultLocked(
                    "The store was given another master key a moment ago. Try again with that one."
                ) from error
            changes = [Rewrapped(each.kid, each.wrapped, wrapping.wrap(self._keys[each.kid])) for each in keys]
            if await self._store.rewrap_keys(changes):
                return

    def _learn(self, keys: Sequence[StoredKey]) -> DataKey:
        for each in keys:
            if each.kid not in self._keys:
                self._keys[each.kid] = self._wrapping.unwrap(each.kid, each.wrapped)
        current = next((each.kid for each in keys if each.state is KeyState.CURRENT), None)
        if current is None:
            raise VaultLocked(f"The keys in the store are not complete. {_RESTORE}")
        return self._keys[current]


async def _begun(store: KeyStore, masters: Masters, now: Callable[[], float]) -> list[StoredKey]:
    """The keys of a store that had none: one that is made here, or that another process has made meanwhile."""
    settings = await store.settings()
    if any(key == CANARY for key, _ in settings):
        raise VaultLocked(f"The store holds sealed values, and the keys they were sealed with are gone. {_RESTORE}")
    wrapping, first = Wrapping(masters.made()), new_key()
    stored = StoredKey(first.kid, wrapping.wrap(first), now(), KeyState.CURRENT)
    canary = Changed(CANARY, None, first.seal(_CANARY, setting_binding(CANARY)))
    while True:
        sealed = [Changed(key, value, first.seal(value, setting_binding(key))) for key, value in settings]
        await store.begin_keys(stored, [canary, *sealed])
        if keys := await store.keys():
            return keys
        settings = await store.settings()


async def _check(vault: Vault, canary: bytes | None) -> None:
    """
    Raises:
        VaultLocked: what is sealed in the store is not sealed with its keys.
    """
    try:
        if canary is not None and await vault.open(canary, setting_binding(CANARY)) == _CANARY:
            return
    except Unsealable:
        pass
    raise VaultLocked(f"The keys in the store and what is sealed in it do not belong together. {_RESTORE}")


_RESTORE: Final = "Nothing was changed or deleted. Restore a backup of the store, or move it away to begin a new one."


def _locked(wanted: bytes, tried: Sequence[Master]) -> VaultLocked:
    if tried:
        given = " and ".join(f"{each.source} (key {each.id.hex()})" for each in tried)
        what = f"{given} does not open this store, which takes key {wanted.hex()}."
    else:
        what = f"This store takes the master key {wanted.hex()}, and there is none."
    return VaultLocked(
        f"{what} Nothing was changed or deleted. Give the hub the key it was last started with, in"
        " MCP_HUB_MASTER_KEY_FILE or where it was. If that key is lost, so is what was sealed with it: move the store"
        " away, and the hub begins a new one."
    )
