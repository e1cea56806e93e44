"""Answers whose stream ends early: the rest is fetched from where it broke off, and the tool never runs again."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from mcp_hub.errors import BrokeProtocol, TimedOut, Unreachable
from mcp_hub.upstream import resume
from rig.fake_upstream import Answer, FakeUpstream, Request
from rig.parts import LEGACY_CLIENT, LIMITS, NOTHING, Stream, tool_call, wires_to

pytestmark = pytest.mark.promise("A5")

PROGRESS = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}
SOON = b"retry: 50\n"


def call(**more):
    return tool_call(owner=("principal", "alice"), client=LEGACY_CLIENT, **more)


def event(number: int, message: object = None, more: bytes = b"") -> bytes:
    data = b"" if message is None else json.dumps(message).encode()
    return b"id: %d\n%bdata: %b\n\n" % (number, more, data)


class Polled(FakeUpstream):
    """Answers a call with these connections, one after the other: chunks, then the end. `{}` becomes the answer."""

    def __init__(self, *connections: list[bytes | None], cut: bool = False) -> None:
        super().__init__(eras="legacy")
        self.left = list(connections)
        self.cut = cut
        self.number: object = None
        self.handlers["tools/call"] = self.call
        self.before = self.get

    async def call(self, request: Request) -> Answer:
        self.number = request.message["id"]
        return self.next()

    async def get(self, request: Request) -> Answer | None:
        return self.next() if request.verb == "GET" else None

    def next(self) -> Answer:
        chunks = self.left.pop(0) if self.left else None
        if chunks is None:
            return Answer(status=405)
        done = json.dumps({"jsonrpc": "2.0", "id": self.number, "result": {"content": []}}).encode()
        bodies = [event(99, json.loads(done)) if each is None else each for each in chunks]
        if self.cut and self.left:
            head = b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            return Answer(raw=head + b"".join(b"%x\r\n%b\r\n" % (len(e), e) for e in bodies), hangs_up=True)

        async def given() -> AsyncIterator[bytes]:
            for each in bodies:
                yield each

        return Answer(content_type="text/event-stream", chunks=given())

    @property
    def places(self) -> list[str | None]:
        return [each.headers.get("last-event-id") for each in self.seen if each.verb == "GET"]


@pytest.mark.parametrize("cut", [False, True])
async def test_the_rest_of_an_answer_comes_from_where_it_ended_and_the_tool_runs_once(cut):
    heard = Stream()
    connections = ([event(1, None, SOON), event(2, PROGRESS)], [event(3, PROGRESS, SOON)], [None])
    async with Polled(*connections, cut=cut) as fake, wires_to(fake) as wires, asyncio.timeout(10):
        reply = await wires.legacy.send(call(emit=heard.emit), NOTHING)
    assert reply.result is not None
    assert len(heard.heard) == 2
    assert fake.places == ["2", "3"]
    assert len(fake.asked("tools/call")) == 1
    session = fake.asked("tools/call")[0].headers["mcp-session-id"]
    assert {each.headers["mcp-session-id"] for each in fake.seen if each.verb == "GET"} == {session}


async def test_its_caller_is_told_of_a_pause_that_the_upstream_asked_for_and_of_no_other():
    paused: list[int | None] = []

    async def pause(retry: int | None) -> None:
        paused.append(retry)

    for connections, cut, told in (
        (([event(1, None, SOON)], [None]), False, [50]),
        (([event(1)], [None]), False, []),
        (([event(1, None, SOON)], [None]), True, []),
    ):
        paused.clear()
        async with Polled(*connections, cut=cut) as fake, wires_to(fake) as wires, asyncio.timeout(10):
            assert (await wires.legacy.send(call(pause=pause), NOTHING)).result is not None
        assert paused == told


ENDS = [event(1, None, SOON)]
ODD = [b"id: \xc3\xa9\x01\nretry: 1\ndata: \n\n"]


@pytest.mark.parametrize("connections", [(ENDS,), (ENDS, [event(2, None, SOON)]), (ODD,)])
async def test_what_cannot_be_resumed_is_said_honestly_and_not_sent_again(connections):
    async with Polled(*connections) as fake, wires_to(fake) as wires, asyncio.timeout(10):
        with pytest.raises(Unreachable, match=r"gives no more of it\. The call may have had effects"):
            await wires.legacy.send(call(), NOTHING)
    assert len(fake.asked("tools/call")) == 1


async def test_a_stream_without_ids_is_not_asked_for_again():
    async with Polled([b": hello\n\n"]) as fake, wires_to(fake) as wires, asyncio.timeout(10):
        with pytest.raises(Unreachable, match=r"before it was complete\. The call may"):
            await wires.legacy.send(call(), NOTHING)
    assert fake.places == []


@pytest.mark.promise("T24")
async def test_an_upstream_that_has_itself_polled_for_ever_is_given_up_in_time():
    polls = [[event(number, None, b"retry: 0\n")] for number in range(1000)]
    async with Polled(*polls) as fake, wires_to(fake, replace(LIMITS, first_byte=0.3)) as wires, asyncio.timeout(10):
        with pytest.raises(TimedOut, match="may have had effects"):
            await wires.legacy.send(call(), NOTHING)
    assert 1 < len(fake.places) < 10, "and not without a pause"


async def test_a_pause_longer_than_the_call_may_take_is_not_waited_for():
    polls = ([event(1, None, b"retry: 3600000\n")], [None])
    async with Polled(*polls) as fake, wires_to(fake, replace(LIMITS, first_byte=0.1)) as wires, asyncio.timeout(5):
        with pytest.raises(TimedOut):
            await wires.legacy.send(call(), NOTHING)
    assert fake.places == []


@pytest.mark.promise("T26")
async def test_another_answer_on_a_resumed_stream_is_nobodys():
    other = event(2, {"jsonrpc": "2.0", "id": 987, "result": {}})
    async with Polled([event(1, None, SOON)], [other]) as fake, wires_to(fake) as wires, asyncio.timeout(10):
        with pytest.raises(BrokeProtocol):
            await wires.legacy.send(call(), NOTHING)


async def test_a_server_that_is_just_starting_again_is_asked_a_few_times(monkeypatch):
    answers: list[Callable[[], Awaitable[Answer | None]]] = []

    async def failing() -> Answer:
        return Answer(status=503)

    async def passing() -> None:
        return None

    async with Polled([event(1, None, SOON)], [None]) as fake, wires_to(fake) as wires, asyncio.timeout(10):
        answers += [failing] * (resume.ATTEMPTS - 1) + [passing]
        usual = fake.before
        assert usual is not None

        async def sometimes(request: Request) -> Answer | None:
            if request.verb != "GET":
                return None
            return await answers.pop(0)() or await usual(request)

        fake.before = sometimes
        assert (await wires.legacy.send(call(), NOTHING)).result is not None


async def test_a_server_that_is_gone_for_good_is_not_waited_for_any_longer():
    async with Polled([event(1, None, SOON)]) as fake, wires_to(fake) as wires, asyncio.timeout(10):
        calling = asyncio.ensure_future(wires.legacy.send(call(), NOTHING))
        await fake.until("tools/call")

        async def hanging_up(request: Request) -> Answer | None:
            return Answer(raw=b"", hangs_up=True) if request.verb == "GET" else None

        fake.before = hanging_up
        with pytest.raises(Unreachable, match="gives no more of it"):
            await calling
    assert len(fake.places) >= resume.ATTEMPTS


async def test_a_caller_that_gives_up_meanwhile_cancels_the_call():
    async with Polled([event(1, None, b"retry: 60000\n")]) as fake, wires_to(fake) as wires, asyncio.timeout(10):
        waiting = asyncio.ensure_future(wires.legacy.send(call(), NOTHING))
        await fake.until("tools/call")
        await asyncio.sleep(0.1)
        waiting.cancel()
        await fake.until("notifications/cancelled")
