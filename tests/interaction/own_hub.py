"""A hub put together by hand, for what the command cannot be told: callers of several names, shorter limits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from interaction.whole_hub import Client
from mcp_hub.gateway.parking import Parking
from mcp_hub.inbound.door import ByHeaders
from mcp_hub.inbound.endpoint import Endpoint
from mcp_hub.inbound.sessions import MemorySessions
from mcp_hub.principal import LOCAL, Principal
from rig.parts import ALICE, BOB
from unit.gateway.conftest import hub_over

CALLERS = {b"alice": ALICE, b"bob": BOB}


def identify(headers: Any) -> Principal:
    """Who the header `X-Caller` says."""
    return CALLERS.get(dict(headers).get(b"x-caller", b""), LOCAL)


@dataclass(frozen=True, slots=True)
class Place:
    """An upstream that runs elsewhere, where a fake of the tests' own is expected."""

    url: str
    name: str = "up"
    port: int = 1
    """Any but 0, which says that it has not been started."""


@asynccontextmanager
async def own_hub(url: str, *, parking: Parking | None = None) -> AsyncIterator[Client]:
    """A client of a hub in front of `up`, in this process; requests go to its endpoint without a socket."""
    place: Any = Place(url)
    async with hub_over(place, parking=parking) as hub:
        sessions = MemorySessions(hub.road.end_session)
        endpoint = Endpoint(
            hub.road, sessions, hub.fleets.notices_of, door=ByHeaders(identify), allowed_hosts={"hub.test"}
        )
        browser = httpx2.AsyncClient(transport=httpx2.ASGITransport(endpoint), timeout=30)
        async with Client("http://hub.test/mcp", browser) as client:
            yield client
