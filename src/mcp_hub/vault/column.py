"""One column of a table, sealed. Rule: what was sealed for one row opens for no other."""

from typing import final

from mcp_hub.vault.sealing import Binding
from mcp_hub.vault.vault import Vault


@final
class SealedColumn:
    """Seals the values of one column that belong to nobody yet, such as those of a login under way."""

    def __init__(self, vault: Vault, table: str, column: str) -> None:
        self._vault = vault
        self._table = table
        self._column = column

    def seal(self, value: bytes, row: str) -> bytes:
        """The value, sealed for this row."""
        return self._vault.seal(value, Binding(self._table, row, self._column))

    async def open(self, sealed: bytes, row: str) -> bytes:
        """What was sealed for this row.

        Raises:
            Unsealable: it was sealed for another one, or by somebody else.
            StoreFailed: the key it was sealed with cannot be looked up.
        """
        return await self._vault.open(sealed, Binding(self._table, row, self._column))
