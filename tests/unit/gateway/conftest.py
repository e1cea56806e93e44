"""The rooms along the road, put together by hand for each test."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from mcp_hub.catalog.parts import Exposure
from mcp_hub.credentials.access import Access
from mcp_hub.gateway.asking import Asking
from mcp_hub.gateway.fleet import Ears, Fleet, Pattern
from mcp_hub.gateway.fleets import Fleets
from mcp_hub.gateway.keys import KEY_BYTES
from mcp_hub.gateway.listing import Listing
from mcp_hub.gateway.memory import Memory
from mcp_hub.gateway.notices import Notices
from mcp_hub.gateway.parking import Parking
from mcp_hub.gateway.places import DEFAULT_LIMITS, Limits
from mcp_hub.gateway.road import Road
from mcp_hub.gateway.sealed import Seal
from mcp_hub.gateway.task_ids import KEY_BYTES as TASK_KEY_BYTES
from mcp_hub.gateway.task_ids import TaskIds
from mcp_hub.gateway.task_notices import TaskNotices
from mcp_hub.gateway.tasks import Tasks
from mcp_hub.gateway.view import Views
from mcp_hub.principal import LOCAL, Principal
from mcp_hub.store.base import Remembered
from mcp_hub.upstream.upstream import Upstream
from rig.fake_upstream import FakeUpstream
from rig.parts import LIMITS, Journal, door, exposed, upstream_to

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


class Forgetful:
    """A store that remembers no lists."""

    async def remembered(self, tenant: str, visibility: str | None = None) -> list[Remembered]:
        return []

    async def remember(self, item: Remembered) -> None: ...

    async def forget(self, tenant: str, upstream: str, visibility: str | None = None) -> None: ...


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
    fleets: Fleets

    def of(self, caller: Principal) -> Fleet:
        return self.fleets.of(caller)


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
    own: Iterable[str] = (),
    access: Access | None = None,
    shared: dict[str, Access] | None = None,
    accesses: Callable[[Principal, str], Access] | None = None,
    memory: Memory | None = None,
    life: dict[str, Any] | None = None,
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
        journal, calls, held, by_fake = Journal(), Calls(), credentials or {}, {fake.name: fake for fake in fakes}

        def make(name: str, caller: Principal | None, ears: Ears) -> Upstream:
            whose = held.get(name) if caller is None else None
            return upstream_to(
                by_fake[name],
                http,
                [*ears.listeners, journal],
                limits,
                notices=ears.notices,
                known=ears.known,
                prepare=ears.prepare,
                partition=ears.partition,
                access=(shared or {}).get(name, access)
                if caller is None or accesses is None
                else accesses(caller, name),
                **({"credential": whose} if whose is not None else {}),
                **more,
            )

        pattern = Pattern(exposures, SERVER_INFO, 60_000, deadline, page_size, b"k" * 32, 0.001)
        fleets = Fleets(
            pattern,
            make,
            memory or Memory(Forgetful(), "default", {}),
            own=own,
            known=known,
            limits=listeners,
            **(life or {}),
        )
        ids = TaskIds(bytes(range(TASK_KEY_BYTES)))
        fleets.follow_by(TaskNotices(ids, fleets, deadline=deadline).follow)
        parking = Parking() if parking is None else parking  # an empty one is false
        stack.push_async_callback(fleets.aclose)
        stack.push_async_callback(parking.aclose)
        stack.push_async_callback(fleets.halt)
        asking = Asking(Seal(bytes(KEY_BYTES), wall), parking)
        road = Road(fleets, asking=asking, tasks=Tasks(ids), calls=calls, server_info=SERVER_INFO)
        common = fleets.of(LOCAL) if not own else None
        upstreams = common.upstreams if common is not None else {}
        if run:
            fleets.start()
        if settled and run:
            async with asyncio.timeout(5):
                await asyncio.gather(*(each.settled() for each in upstreams.values()))
        common = common or fleets.of(LOCAL)
        yield Hub(
            by_fake,
            common.upstreams,
            common.views,
            common.listing,
            road,
            calls,
            journal,
            common.notices,
            parking,
            fleets,
        )


@pytest.fixture
def over():
    """Makes the road over some fakes."""
    return hub_over
