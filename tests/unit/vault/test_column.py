"""A value of a column opens for its own row of that column alone."""

import pytest

from mcp_hub.errors import Unsealable
from mcp_hub.vault.column import SealedColumn

pytestmark = pytest.mark.promise("T32")


async def test_what_was_sealed_for_one_row_opens_for_that_row_of_that_column_alone(vault):
    column = SealedColumn(vault, "pending", "payload")
    sealed = column.seal(b"verifier", "1")
    assert b"verifier" not in sealed
    assert await column.open(sealed, "1") == b"verifier"
    for table, name, row in (("pending", "payload", "2"), ("pending", "kind", "1"), ("codes", "payload", "1")):
        with pytest.raises(Unsealable):
            await SealedColumn(vault, table, name).open(sealed, row)
