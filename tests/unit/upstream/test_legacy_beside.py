"""What an upstream asks and says on the stream beside the calls of a session: whose it is, and what it costs."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from msgspec import Raw

from mcp_hub.errors import TimedOut
from mcp_hub.upstream import beside, under_way
from mcp_hub.upstream.questions import MOST_QUESTIONS
from mcp_hub.wire.eras import META_LOG_LEVEL, Client, Era
from mcp_hub.wire.jsonrpc import Json, Reply
from rig.fake_upstream import LEGACY, MODERN, Answer, FakeUpstream, Request, result, sse
from rig.parts import LEGACY_CLIENT, LIMITS, NOTHING, Stream, fields_of, modern_meta, tool_call, wires_to

pytestmark = pytest.mark.promise("A5")
ALICE, BOB, CAROL = ("session", "alice"), ("session", "bob"), ("session", "carol")
SESSION = "mcp-session-id"
SAID = Raw(b'{"elicitation":{}}')
ASKABLE = Client(Era.LEGACY, LEGACY, SAID)
MODERN_ASKABLE = Client(Era.MODERN, MODERN, SAID)


class Person:
    """A client that answers with its own name, as soon as it may."""

    def __init__(self, name: str = "alice") -> None:
        self.name = name
        self.asked: list[str] = []
        self.is_asked = asyncio.Event()
        self.withdrawn = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.hears = Stream()

    async def answer(self, method: str, params: Raw) -> Reply:
        self.asked.append(method)
        self.is_asked.set()
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.withdrawn.set()
            raise
        return Reply(result=json.dumps({"by": self.name}).encode())


class Beside(FakeUpstream):
    """Its tool ends when `done` says so. `say` puts messages on a session's stream beside its calls.

    `opens` is what a GET is answered with, if it is not a stream.
    """

    def __init__(self) -> None:
        super().__init__(eras="legacy")
        self.before = self._take
        self.handlers["tools/call"] = self._work
        self.done = asyncio.Event()
        self.opens: Answer | None = None
        self.begins_with = b": open\n\n"
        self.queues: dict[str, asyncio.Queue[bytes]] = {}
        self.answers: list[tuple[str, Json]] = []
        self.opened: list[str] = []
        self._news = asyncio.Event()

    def say(self, *messages: Json, session: str = "session-0") -> None:
        self.queues[session].put_nowait(sse(*({"jsonrpc": "2.0", **each} for each in messages)))

    def ask(self, number: object = "q", session: str = "session-0") -> None:
        self.say({"id": number, "method": "elicitation/create", "params": {}}, session=session)

    async def reach(self, reached) -> None:
        """Return when `reached()` holds, looking whenever something comes."""
        while not reached():
            self._news.clear()
            await self._news.wait()

    async def _take(self, request: Request) -> Answer | None:
        session = request.headers.get(SESSION, "")
        self._news.set()
        if request.verb == "GET":
            self.opened.append(session)
            return self.opens or Answer(content_type="text/event-stream", chunks=self._chunks(request, session))
        if request.verb == "POST" and "method" not in request.message:
            self.answers.append((session, request.message))
            return Answer(status=202)
        return None

    async def _chunks(self, request: Request, session: str) -> AsyncIterator[bytes]:
        queue = self.queues[session] = asyncio.Queue[bytes]()
        yield self.begins_with
        leaving = asyncio.ensure_future(request.until_hung_up())
        leaving.add_done_callback(lambda _: queue.put_nowait(b""))
        while chunk := await queue.get():
            yield chunk
        if self.queues.get(session) is queue:
            del self.queues[session]
        self._news.set()
        leaving.cancel()
        await asyncio.wait([leaving])

    async def _work(self, request: Request) -> Answer | None:
        if request.headers[SESSION] not in self.sessions:
            return None
        await self.done.wait()
        return result(request, {"content": []})


@asynccontextmanager
async def calls(fake: Beside, limits=LIMITS, **more):
    """A way to begin calls, each waiting at the upstream when it is handed back; none is left behind."""
    begun: list[asyncio.Task[Reply]] = []
    async with fake, wires_to(fake, limits, **more) as wires, asyncio.timeout(10):

        async def begin(person: Person, owner=ALICE, client=ASKABLE, **given) -> "asyncio.Task[Reply]":
            call = tool_call(owner=owner, client=client, emit=person.hears.emit, ask_client=person.answer, **given)
            begun.append(asyncio.ensure_future(wires.legacy.send(call, NOTHING)))
            await fake.until("tools/call", len(begun))
            return begun[-1]

        yield begin, wires.legacy
        fake.done.set()
        await asyncio.gather(*begun, return_exceptions=True)


# Whose question it is


@pytest.mark.parametrize("client", [ASKABLE, MODERN_ASKABLE], ids=["legacy", "modern"])
async def test_the_client_of_the_call_under_way_is_asked_and_its_answer_reaches_the_session(client):
    fake, alice = Beside(), Person()
    async with calls(fake) as (begin, _):
        call = await begin(alice, client=client)
        fake.ask()
        await fake.reach(lambda: fake.answers)
        fake.done.set()
        assert (await call).result is not None
    assert fake.answers == [("session-0", {"jsonrpc": "2.0", "id": "q", "result": {"by": "alice"}})]
    assert fake.opened == ["session-0"]


@pytest.mark.promise("T16", "T26", "B22")
async def test_a_question_beside_one_session_never_reaches_the_client_of_another():
    fake, alice, bob = Beside(), Person("alice"), Person("bob")
    async with calls(fake) as (begin, _):
        await begin(alice)
        await begin(bob, BOB)
        secret = {"method": "notifications/message", "params": {"level": "info", "data": "of alice"}}
        for number in range(5):
            fake.say(secret)
            fake.ask(number)
        await fake.reach(lambda: len(fake.answers) == 5)
    assert (len(alice.asked), bob.asked) == (5, [])
    assert (len(alice.hears.heard), bob.hears.heard) == (5, [])
    assert {session for session, _ in fake.answers} == {"session-0"}
    assert {each["result"]["by"] for _, each in fake.answers} == {"alice"}


@pytest.mark.promise("T26")
async def test_a_question_that_may_be_of_another_client_is_answered_and_nobody_is_asked():
    fake, one, other = Beside(), Person("one"), Person("other")
    async with calls(fake) as (begin, _):
        await begin(one, client=MODERN_ASKABLE)
        await begin(other, client=MODERN_ASKABLE)
        fake.ask()
        await fake.reach(lambda: fake.answers)
    assert one.asked == other.asked == []
    assert fake.answers[0][1]["error"]["code"] == -32601


async def test_one_client_is_asked_on_any_of_its_calls_and_none_of_them_runs_out_of_time():
    fake, alice = Beside(), Person()
    alice.may_answer.clear()
    async with calls(fake, replace(LIMITS, first_byte=0.3)) as (begin, _):
        first, second = await begin(alice), await begin(alice)
        fake.ask()
        late = await begin(alice)
        await asyncio.wait([first, second, late], timeout=0.6)
        assert not first.done()
        assert not second.done()
        assert not late.done()
        alice.may_answer.set()
        await fake.reach(lambda: fake.answers)
        fake.done.set()
        assert [(await each).result is not None for each in (first, second, late)] == [True] * 3
    assert len(alice.asked) == 1


async def test_without_an_answer_after_the_question_a_call_runs_out_of_time_and_is_cancelled_there():
    fake, alice = Beside(), Person()
    async with calls(fake, replace(LIMITS, first_byte=0.2)) as (begin, _):
        call = await begin(alice)
        fake.ask()
        await fake.reach(lambda: fake.answers)
        with pytest.raises(TimedOut, match=r"did not answer in time\. The call may have had effects\."):
            await call
        await fake.until("notifications/cancelled", 1)


async def test_a_question_is_withdrawn_by_the_upstream():
    fake, alice = Beside(), Person()
    alice.may_answer.clear()
    async with calls(fake) as (begin, _):
        call = await begin(alice)
        fake.ask()
        await alice.is_asked.wait()
        fake.say({"method": "notifications/cancelled", "params": {"requestId": "q"}})
        await alice.withdrawn.wait()
        fake.done.set()
        assert (await call).result is not None
    assert fake.answers == []


async def test_a_question_ends_with_its_call():
    fake, alice = Beside(), Person()
    alice.may_answer.clear()
    async with calls(fake) as (begin, _):
        call = await begin(alice)
        fake.ask()
        await alice.is_asked.wait()
        call.cancel()
        await alice.withdrawn.wait()
    assert fake.answers == []


# What else comes


async def test_progress_logs_pings_and_notices_come_beside_a_call_as_on_its_own_stream():
    fake, alice, notices = Beside(), Person(), []
    log = {"method": "notifications/message", "params": {"level": "info", "data": 2**70}}
    async with calls(fake, heard=notices.append) as (begin, _):
        await begin(alice, meta=fields_of({"progressToken": "mine"}))
        number = fake.asked("tools/call")[0].message["id"]
        fake.say(
            {"method": "notifications/progress", "params": {"progressToken": number, "progress": 1}},
            {"method": "notifications/progress", "params": {"progressToken": number + 1, "progress": 2}},
            {"method": "notifications/tools/list_changed"},
            {"id": number, "result": {"content": ["no answer comes here"]}},
            log,
            {"id": "p", "method": "ping"},
        )
        await fake.reach(lambda: fake.answers)
    assert [each["params"] for each in alice.hears.heard] == [
        {"progressToken": "mine", "progress": 1},
        log["params"],
    ]
    assert [each.method for each in notices] == ["notifications/tools/list_changed"]
    assert fake.answers == [("session-0", {"jsonrpc": "2.0", "id": "p", "result": {}})]


async def test_a_modern_client_hears_the_log_it_asked_for():
    fake, alice = Beside(), Person()
    async with calls(fake) as (begin, _):
        await begin(alice, client=MODERN_ASKABLE, meta=modern_meta(**{META_LOG_LEVEL: "warning"}))
        for level in ("info", "error"):
            fake.say({"method": "notifications/message", "params": {"level": level, "data": level}})
        fake.say({"id": "p", "method": "ping"})
        await fake.reach(lambda: fake.answers)
    assert [each["params"]["level"] for each in alice.hears.heard] == ["error"]


# Attacks, and what it costs


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


@pytest.mark.promise("A4")
async def test_a_stream_that_drips_or_never_begins_holds_up_a_call_once_at_most(monkeypatch):
    monkeypatch.setattr(beside, "PATIENCE", 0.1)
    fake, alice, bob = Beside(), Person(), Person("bob")
    fake.opens = Answer(chunks=_silence(), content_type="text/event-stream")

    async def silent(request: Request) -> Answer | None:
        if request.verb == "GET":
            await request.until_hung_up()
        return await fake._take(request)

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


@pytest.mark.promise("S4")
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
