"""The access of somebody who has none."""

import pytest

from mcp_hub.credentials.credential import NOTHING
from mcp_hub.credentials.missing import Missing
from mcp_hub.errors import ConnectionNeeded, RefusedCredential

pytestmark = pytest.mark.promise("B14", "B20")


async def test_it_says_so_whenever_it_is_asked():
    needed = ConnectionNeeded("up", "Up is not connected for you.", url=None, state="not_connected")
    missing, refusal = Missing(needed), RefusedCredential("up", "Refused.")
    assert missing.ready() is None
    with pytest.raises(ConnectionNeeded) as asked:
        await missing.credential()
    with pytest.raises(RefusedCredential) as refused:
        await missing.refused(NOTHING, refusal)
    assert (asked.value, refused.value) == (needed, refusal)
    missing.watch(lambda: None)()
