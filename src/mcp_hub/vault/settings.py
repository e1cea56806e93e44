"""The hub's own settings, sealed: what it makes for itself once and every replica shares.

Rule: a setting is sealed before it is stored. A plain one that stands there later was not written by a hub, and is
refused.
"""

from collections.abc import Sequence
from typing import final

from mcp_hub.store.keys import KeyStore
from mcp_hub.vault.resealing import Row
from mcp_hub.vault.vault import Vault, setting_binding


@final
class SealedSettings:
    """The settings of a store, through its open vault. A `Resealable`."""

    def __init__(self, store: KeyStore, vault: Vault) -> None:
        self._store = store
        self._vault = vault

    async def kept(self, key: str, otherwise: bytes) -> bytes:
        """What is stored under this key; `otherwise` from now on, if nothing is. Of many writers, the first wins.

        Raises:
            Unsealable: what is stored was not put there by the hub.
            StoreFailed: the store fails.
        """
        stored = await self._store.setting(key)
        if stored is None:
            sealed = self._vault.seal(otherwise, setting_binding(key))
            stored = await self._store.keep_setting_if_absent(key, sealed)
        return await self._vault.open(stored, setting_binding(key))

    async def sealed_rows(self, after: str, limit: int) -> Sequence[Row]:
        """All settings are sealed."""
        rows = [Row(key, setting_binding(key), value) for key, value in await self._store.settings() if key > after]
        return rows[:limit]

    async def replace_sealed(self, row: Row, sealed: bytes) -> bool:
        """Unless it has changed meanwhile."""
        return await self._store.replace_setting(row.key, row.sealed, sealed)
