"""The stream beside the calls of a session: what attacks by it come to, and what it costs."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from mcp_hub.upstream import beside, under_way
from mcp_hub.upstream.questions import MOST_QUESTIONS
from rig.beside import ALICE, BOB, CAROL, Beside, Person, calls
from rig.fake_upstream import Answer, Request
from rig.parts import LEGACY_CLIENT, LIMITS, Stream

pytestmark = pytest.mark.promise("A5")


@pytest.mark.promise("T23", "T26")
async def test_a_flood_of_questions_asks_a_client_no_more_than_it_can_be_bothered_with():
    fake, alice = Beside(), Person()
    alice.may_answer.clear()
    async with calls(fake) as (begin, _):
        await begin(alice)
        for number in range(200):
            fake.ask(number)
        await fake.reach(lambda: len(fake.answers) == 200 - MOST_QUESTIONS)
        assert len(alice.asked) == MOST_QUESTIONS
        alice.may_answer.set()
        await fake.reach(lambda: len(fake.answers) == 200)
    assert sorted(each["id"] for _, each in fake.answers) == list(range(200)), "each is answered, and once"


async def test_the_same_question_twice_is_answered_once():
    fake, alice = Beside(), Person()
    alice.may_answer.clear()
    async with calls(fake) as (begin, _):
        await begin(alice)
        fake.ask()
        fake.ask()
        fake.say({"id": "p", "method": "ping"})
        await fake.reach(lambda: fake.answers)
        alice.may_answer.set()
        await fake.reach(lambda: len(fake.answers) == 2)
    assert (len(alice.asked), [each["id"] for _, each in fake.answers]) == (1, ["p", "q"])


BROKEN = {
    "none": Answer(status=405),
    "unknown": Answer(status=404),
    "no stream": Answer(b"{}"),
    "failing": Answer(b"", 500),
    "refusing": Answer(b"", 401),
    "hanging up": Answer(raw=b"", hangs_up=True),
    "not HTTP": Answer(raw=b"what?\r\n\r\n", hangs_up=True),
    "cut off": Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {", hangs_up=True),
    "too much": Answer(b"data: " + b"x" * (LIMITS.event + 1), content_type="text/event-stream"),
    "nonsense": Answer(b"data: nonsense\n\ndata: []\n\ndata: {}\n\n", content_type="text/event-stream"),
}


@pytest.mark.promise("A4")
@pytest.mark.parametrize("broken", BROKEN)
async def test_a_stream_that_is_none_or_breaks_harms_no_call_and_is_not_opened_for_each(broken):
    fake, alice = Beside(), Person()
    fake.opens = BROKEN[broken]
    fake.done.set()
    async with calls(fake) as (begin, _):
        for _ in range(5):
            assert (await (await begin(alice))).result is not None
    assert len(fake.opened) == (2 if broken == "hanging up" else 1), "a GET that got no answer is repeated, once"


@pytest.mark.parametrize("no", ["none", "unknown", "no stream"])
async def test_an_upstream_that_offers_no_stream_is_asked_for_it_once_in_a_session(no, monkeypatch):
    monkeypatch.setattr(beside, "PAUSES", (0.0,))
    fake, alice, bob = Beside(), Person(), Person("bob")
    fake.opens = BROKEN[no]
    fake.done.set()
    async with calls(fake) as (begin, _):
        for _ in range(5):
            await (await begin(alice))
        await (await begin(bob, BOB))
    assert fake.opened == ["session-0", "session-1"]


@pytest.mark.promise("A4")
async def test_a_stream_that_drips_or_never_begins_holds_up_a_call_once_at_most(monkeypatch):
    monkeypatch.setattr(beside, "PATIENCE", 0.1)
    fake, alice, bob = Beside(), Person(), Person("bob")
    fake.opens = Answer(chunks=_silence(), content_type="text/event-stream")

    async def silent(request: Request) -> Answer | None:
        if request.verb == "GET":
            await request.until_hung_up()
        return await fake.take(request)

    fake.before = silent
    fake.done.set()
    async with calls(fake) as (begin, wire):
        assert (await (await begin(alice))).result is not None
        assert not wire._room.is_prompt
        monkeypatch.setattr(beside, "PATIENCE", 100.0)
        assert (await (await begin(bob, BOB))).result is not None
        assert (await (await begin(alice))).result is not None


async def _silence() -> AsyncIterator[bytes]:
    yield b""


@pytest.mark.promise("A4", "T23")
async def test_others_have_their_turn_while_a_stream_floods_with_what_is_nobodys():
    fake, alice, ear, turns = Beside(), Person(), [], [0]
    flood = b"".join(b'data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n' for _ in range(2000))
    late = b'data: {"jsonrpc":"2.0","id":"p","method":"ping"}\n\n'

    async def other() -> None:
        while len(ear) < 2000:
            turns[0] += 1 if ear else 0
            await asyncio.sleep(0)

    async with calls(fake, heard=ear.append) as (begin, _):
        await begin(alice)
        running = asyncio.ensure_future(other())
        fake.queues["session-0"].put_nowait(flood + late)
        await fake.reach(lambda: fake.answers)
        await running
    assert turns[0] >= 2000 // beside.AT_ONCE - 5


@pytest.mark.promise("A4")
async def test_a_stream_that_was_cut_is_opened_anew_while_a_call_is_under_way(monkeypatch):
    monkeypatch.setattr(beside, "PAUSES", (0.05, 30.0))
    fake, alice = Beside(), Person()
    async with calls(fake) as (begin, _):
        await begin(alice)
        fake.queues["session-0"].put_nowait(b"data: half a mess")
        fake.queues["session-0"].put_nowait(b"")
        await fake.reach(lambda: len(fake.opened) == 2 and "session-0" in fake.queues)
        fake.ask()
        await fake.reach(lambda: fake.answers)
    assert alice.asked == ["elicitation/create"]


@pytest.mark.promise("T26")
async def test_a_client_that_does_not_read_what_it_is_told_holds_up_no_question_for_long(monkeypatch):
    monkeypatch.setattr(under_way, "PATIENCE", 0.05)
    fake, alice, reads = Beside(), Person(), asyncio.Event()
    log = {"method": "notifications/message", "params": {"level": "info", "data": "of the first call"}}

    async def unread(notification: bytes) -> None:
        await reads.wait()
        await Stream.emit(alice.hears, notification)

    alice.hears.emit = unread
    async with calls(fake) as (begin, _):
        call = await begin(alice)
        fake.say(*[log] * 50)
        fake.ask()
        await fake.reach(lambda: fake.answers)
        reads.set()
        fake.done.set()
        assert (await call).result is not None
    assert [each["params"] for each in alice.hears.heard] == [log["params"]], "the rest is left out"


async def test_a_client_that_cannot_be_asked_costs_no_stream():
    fake, alice = Beside(), Person()
    fake.done.set()
    async with calls(fake) as (begin, _):
        await (await begin(alice, client=LEGACY_CLIENT))
    assert fake.opened == []


async def test_a_stream_is_kept_for_the_next_call_and_closed_when_there_is_none(monkeypatch):
    fake, alice = Beside(), Person()
    fake.done.set()
    async with calls(fake) as (begin, wire):
        await (await begin(alice))
        await (await begin(alice))
        assert fake.opened == ["session-0"]
        monkeypatch.setattr(beside, "KEPT", 0.01)
        await (await begin(alice))
        await fake.reach(lambda: not fake.queues)
        assert len(wire._room) == 0
        fake.done.clear()
        await begin(alice)
        fake.ask()
        await fake.reach(lambda: fake.answers)
    assert fake.opened == ["session-0"] * 2


async def test_a_stream_is_closed_with_its_session():
    fake, alice, bob = Beside(), Person(), Person("bob")
    fake.done.set()
    async with calls(fake) as (begin, wire):
        await (await begin(alice))
        await (await begin(bob, BOB))
        await wire.end(ALICE)
        await fake.reach(lambda: list(fake.queues) == ["session-1"])
        fake.sessions.clear()
        fake.sessions |= {"another": {}, "and another": {}}
        await (await begin(bob, BOB))
        await fake.reach(lambda: "session-1" not in fake.queues)
        assert len(wire._room) == 1, "that of the session that was opened anew"


@pytest.mark.promise("T23")
async def test_streams_are_bounded_and_one_that_serves_no_call_makes_room():
    fake, people = Beside(), {owner: Person(owner[1]) for owner in (ALICE, BOB, CAROL)}
    async with calls(fake) as (begin, wire):
        wire._room = beside.Room(most=1)
        first = await begin(people[ALICE], ALICE)
        await begin(people[BOB], BOB)
        assert fake.opened == ["session-0"], "that of a call under way is not taken from it"
        fake.done.set()
        await first
        await begin(people[CAROL], CAROL)
        assert fake.opened == ["session-0", "session-2"]
        assert len(wire._room) == 1
        await fake.reach(lambda: list(fake.queues) == ["session-2"])
