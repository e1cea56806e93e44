"""The rooms along the road, put together by hand for each test."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from mcp_hub.catalog.parts import Exposure
from mcp_hub.gateway.asking import Asking
from mcp_hub.gateway.keys import KEY_BYTES
from mcp_hub.gateway.listing import Listing
from mcp_hub.gateway.notices import DEFAULT_LIMITS, Limits, Notices
from mcp_hub.gateway.parking import Parking
from mcp_hub.gateway.road import Road
from mcp_hub.gateway.sealed import Seal
from mcp_hub.gateway.task_ids import KEY_BYTES as TASK_KEY_BYTES
from mcp_hub.gateway.task_ids import TaskIds
from mcp_hub.gateway.task_notices import TaskNotices
from mcp_hub.gateway.tasks import Tasks
from mcp_hub.gateway.view import Views
from mcp_hub.upstream.upstream import Upstream
from rig.fake_upstream import FakeUpstream
from rig.parts import LIMITS, Journal, door, exposed, running, upstream_to

SERVER_INFO = {"name": "mcp_hub", "version": "1"}


@dataclass
class Calls:
    """A call log that keeps what it was told."""

    records: list[dict[str, Any]] = field(default_factory=list)

    def record(self, caller: Any, **more: Any) -> None:
        self.records.append({"caller": caller, **more})

    @property
    def outcomes(self) -> list[str]:
        return [each["outcome"] for each in self.records]


@dataclass
class Hub:
    """A road over fakes, with all its parts within reach."""

    fakes: dict[str, FakeUpstream]
    upstreams: dict[str, Upstream]
    views: Views
    listing: Listing
    road: Road
    calls: Calls
    journal: Journal
    notices: Notices
    parking: Parking


@asynccontextmanager
async def hub_over(
    *fakes: FakeUpstream,
    exposures: dict[str, Exposure] | None = None,
    credentials: dict[str, Any] | None = None,
    deadline: float = 4.0,
    page_size: int = 0,
    settled: bool = True,
    run: bool = True,
    known: dict[str, Any] | None = None,
    limits: Any = LIMITS,
    listeners: Limits = DEFAULT_LIMITS,
    wall: Callable[[], float] = time.time,
    parking: Parking | None = None,
    **more: Any,
) -> AsyncIterator[Hub]:
    """The road over these fakes, which are started unless they have been already; the upstreams run."""
    async with AsyncExitStack() as stack:
        for fake in fakes:
            if not fake.port:
                await stack.enter_async_context(fake)
        http = door()
        stack.push_async_callback(http.aclose)
        exposures = exposures or exposed(*fakes)
        views, journal, calls = Views(exposures, SERVER_INFO, 60_000), Journal(), Calls()
        notices = Notices(views, limits=listeners, delay=0.001)
        held = credentials or {}
        upstreams = {
            fake.name: upstream_to(
                fake,
                http,
                [views, journal, notices],
                limits,
                notices=notices,
                known=(known or {}).get(fake.name),
                prepare=views.prepare,
                **({"credential": held[fake.name]} if fake.name in held else {}),
                **more,
            )
            for fake in fakes
        }
        views.watch(upstreams)
        listing = Listing(upstreams, exposures, views, deadline=deadline, page_size=page_size, cursor_key=b"k" * 32)
        namespaces = {name: each.namespace for name, each in exposures.items()}
        ids = TaskIds(bytes(range(TASK_KEY_BYTES)))
        followed = TaskNotices(ids, upstreams, namespaces, listing.view, deadline=deadline)
        notices.watch(upstreams, namespaces, listing.resource, followed.follow)
        parking = Parking() if parking is None else parking  # an empty one is false
        stack.push_async_callback(parking.aclose)
        asking = Asking(Seal(bytes(KEY_BYTES), wall), parking)
        tasks = Tasks(ids)
        road = Road(upstreams, listing, asking=asking, tasks=tasks, calls=calls, server_info=SERVER_INFO)
        if run:
            await stack.enter_async_context(running(*upstreams.values()))
        if settled and run:
            async with asyncio.timeout(5):
                await asyncio.gather(*(each.settled() for each in upstreams.values()))
        by_name = {fake.name: fake for fake in fakes}
        yield Hub(by_name, upstreams, views, listing, road, calls, journal, notices, parking)


@pytest.fixture
def over():
    """Makes the road over some fakes."""
    return hub_over
