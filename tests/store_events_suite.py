"""What every store promises of events; part of `tests/store_suite.py`."""

import asyncio

import pytest

from mcp_hub.store.base import Store
from mcp_hub.store.events import Event

FEW_EVENTS = 15
"""`most_events` of the store under test."""


def event(at: int, tenant: str = "default") -> Event:
    return Event(float(at), tenant, "local", "me", "client", "sign-in", "f-1", f"ok {at} \u00e4", "127.0.0.1")


class EventSuite:
    """The audit."""

    @pytest.mark.promise("T65")
    async def test_events_come_back_newest_first_and_no_more_than_asked_for(self, store: Store):
        assert await store.events("default", limit=10) == []
        await store.append_events([])
        await store.append_events([event(1), event(2)])
        await store.append_events([event(3)])
        assert await store.events("default", limit=10) == [event(3), event(2), event(1)]
        assert await store.events("default", limit=2) == [event(3), event(2)]
        assert await store.events("default", limit=0) == []

    @pytest.mark.promise("T65", "C25")
    async def test_the_oldest_events_of_a_tenant_make_room_and_nobody_elses(self, store: Store):
        await store.append_events([event(0, "other"), *(event(at) for at in range(FEW_EVENTS))])
        await store.append_events([event(1, "other"), *(event(at) for at in range(FEW_EVENTS, FEW_EVENTS + 5))])
        assert await store.events("default", limit=100) == [event(at) for at in reversed(range(5, FEW_EVENTS + 5))]
        assert await store.events("other", limit=100) == [event(1, "other"), event(0, "other")]

    @pytest.mark.promise("T65")
    async def test_events_that_are_appended_at_once_are_all_there(self, store: Store, beside: Store):
        await asyncio.gather(*((store, beside)[at % 2].append_events([event(at)]) for at in range(FEW_EVENTS)))
        assert {each.at for each in await store.events("default", limit=100)} == set(map(float, range(FEW_EVENTS)))
