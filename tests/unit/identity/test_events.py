"""The record of events: noted at once, stored in batches, bounded, and stored before the hub goes."""

import asyncio
from collections.abc import Sequence

import pytest

from mcp_hub.errors import StoreFailed
from mcp_hub.identity.events import OPERATOR, Events, Kind
from mcp_hub.principal import Principal
from mcp_hub.store.events import Event

pytestmark = pytest.mark.promise("D32", "T65")


class Shelf:
    """A store of events that tells what arrived, and fails as long as it is told to."""

    def __init__(self) -> None:
        self.kept: list[Event] = []
        self.failing = False
        self.tries = 0
        self.changed = asyncio.Condition()

    async def append_events(self, events: Sequence[Event]) -> None:
        async with self.changed:
            self.tries += 1
            self.changed.notify_all()
            if self.failing:
                raise StoreFailed("The store hub.db is on a disk that is full. Make room, then try again.")
            self.kept += events

    async def events(self, tenant: str, *, limit: int) -> list[Event]:
        return [event for event in reversed(self.kept) if event.tenant == tenant][:limit]

    async def until_tried(self, times: int) -> None:
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(lambda: self.tries >= times)


async def test_an_event_says_who_did_what_to_what_from_where_and_how_it_ended():
    shelf = Shelf()
    events = Events(shelf, now=lambda: 7.5)
    ada = Principal("https://id.example.com", "ada", "acme")
    events.note(Kind.CONSENT, "denied", actor=ada, client="cli", about="f1", address="192.0.2.7")
    events.note(Kind.SIGN_IN, "wrong_password", about="eve@example.com")
    events.note(Kind.USER_ADDED, actor=OPERATOR, about="u1")
    await events.aclose()
    assert shelf.kept == [
        Event(7.5, "acme", "https://id.example.com", "ada", "cli", "consent", "f1", "denied", "192.0.2.7"),
        Event(7.5, "default", "", "", "", "sign_in", "eve@example.com", "wrong_password", ""),
        Event(7.5, "default", "local", "command", "", "user_added", "u1", "ok", ""),
    ]


async def test_events_leave_by_themselves_after_a_moment():
    shelf = Shelf()
    events = Events(shelf, flush_after=0)
    events.note(Kind.SIGN_IN)
    events.note(Kind.SIGN_OUT)
    await shelf.until_tried(1)
    assert [event.kind for event in shelf.kept] == ["sign_in", "sign_out"]
    await events.aclose()


async def test_what_the_store_does_not_take_is_offered_again_in_order():
    shelf = Shelf()
    shelf.failing = True
    events = Events(shelf, flush_after=0)
    events.note(Kind.SIGN_IN)
    await shelf.until_tried(1)
    events.note(Kind.SIGN_OUT)
    await shelf.until_tried(2)
    shelf.failing = False
    await shelf.until_tried(3)
    await events.aclose()
    assert [event.kind for event in shelf.kept] == ["sign_in", "sign_out"]


async def test_a_store_that_takes_nothing_costs_the_oldest_events_and_never_an_error():
    shelf = Shelf()
    shelf.failing = True
    events = Events(shelf, flush_after=0, most=3)
    for number in range(5):
        events.note(Kind.SIGN_IN, about=str(number))
    assert events.dropped == 2
    await events.aclose()
    assert events.dropped == 5
    assert shelf.kept == []


async def test_texts_of_strangers_become_one_short_line():
    shelf = Shelf()
    events = Events(shelf)
    events.note(Kind.SIGN_IN, about="a\nb\x1b[31m" + "x" * 1000)
    await events.aclose()
    [kept] = shelf.kept
    assert kept.subject_of.startswith("a\ufffdb\ufffd[31m")
    assert len(kept.subject_of) == 256
