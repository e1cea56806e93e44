"""A hub put together by hand, for what the command cannot be told: callers of several names, shorter limits."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2

from interaction.whole_hub import Client
from mcp_hub.audit.calls import CallLog
from mcp_hub.catalog.parts import Exposure
from mcp_hub.credentials.credential import NOTHING
from mcp_hub.credentials.resolve import Credentials
from mcp_hub.gateway.asking import Asking
from mcp_hub.gateway.keys import KEY_BYTES
from mcp_hub.gateway.listing import Listing
from mcp_hub.gateway.notices import Notices
from mcp_hub.gateway.parking import Parking
from mcp_hub.gateway.road import Road
from mcp_hub.gateway.sealed import Seal
from mcp_hub.gateway.view import Views
from mcp_hub.inbound.endpoint import Endpoint
from mcp_hub.inbound.flight import Timing
from mcp_hub.inbound.sessions import MemorySessions
from mcp_hub.principal import LOCAL, Principal
from mcp_hub.store.base import CallRecord
from mcp_hub.upstream.channel import Channel, Limits
from mcp_hub.upstream.settings import Settings
from mcp_hub.upstream.upstream import Upstream
from mcp_hub.upstream.wires import http_way
from rig.parts import ALICE, BOB, INFO, door, running

CALLERS = {b"alice": ALICE, b"bob": BOB}
INFO_OF_HUB = {"name": "mcp_hub", "version": "1"}


def identify(headers: Any) -> Principal:
    """Who the header `X-Caller` says."""
    return CALLERS.get(dict(headers).get(b"x-caller", b""), LOCAL)


@asynccontextmanager
async def own_hub(url: str, *, parking: Parking | None = None, timing: Timing | None = None) -> AsyncIterator[Client]:
    """A client of a hub in front of `up`, in this process; requests go to its endpoint without a socket."""
    parking = Parking() if parking is None else parking  # an empty one is false
    async with AsyncExitStack() as stack:
        http = door()
        stack.push_async_callback(http.aclose)
        exposures = {"up": Exposure("up", "Up", "up")}
        views = Views(exposures, INFO_OF_HUB, 60_000)
        notices = Notices(views)
        settings = Settings("up", url, None, 60.0, 10.0, NOTHING, INFO)
        channel = Channel("up", url, http, Limits(2**20, 2**20, 30.0, 10.0))
        upstreams = {"up": Upstream(settings, http_way(channel, time.monotonic), (views, notices), notices=notices)}
        views.watch(upstreams)
        calls = CallLog(_nowhere, CallRecord)
        stack.push_async_callback(calls.aclose)
        listing = Listing(upstreams, exposures, views, deadline=10.0, page_size=0, cursor_key=b"k" * 32)
        notices.watch(upstreams, {"up": "up"}, listing.resource)
        await stack.enter_async_context(running(*upstreams.values()))
        stack.push_async_callback(parking.aclose)
        asking = Asking(Seal(bytes(KEY_BYTES)), parking)
        road = Road(upstreams, listing, Credentials({}), asking=asking, calls=calls, server_info=INFO_OF_HUB)
        sessions = MemorySessions(road.end_session)
        endpoint = Endpoint(
            road, sessions, notices, identify=identify, allowed_hosts={"hub.test"}, timing=timing or Timing()
        )
        browser = httpx2.AsyncClient(transport=httpx2.ASGITransport(endpoint), timeout=30)
        async with Client("http://hub.test/mcp", browser) as client:
            yield client


async def _nowhere(records: Any) -> None:
    await asyncio.sleep(0)
