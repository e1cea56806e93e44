"""Requests over one line: whose questions they are when several calls of one client share it."""

import asyncio
import json

import pytest
from msgspec import Raw

from mcp_hub.errors import BrokeProtocol, TimedOut, Unreachable
from mcp_hub.upstream.link import Link
from mcp_hub.wire.eras import ASKING, Client, Era
from mcp_hub.wire.jsonrpc import Malformed, Reply
from rig.parts import LIMITS, tool_call

pytestmark = pytest.mark.promise("A3")

ASKABLE = Client(Era.LEGACY, "2025-11-25", Raw(b'{"elicitation":{}}'), None)


class Wire:
    """A `Line` whose other side is the test."""

    name = "up"

    def __init__(self):
        self.incoming: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.written: list[dict] = []
        self.news = asyncio.Event()

    async def line(self):
        return await self.incoming.get()

    async def write(self, message, failed):
        self.write_now(message)

    def write_now(self, message):
        self.written.append(json.loads(message))
        self.news.set()

    async def settle(self):
        pass

    async def end(self):
        self.incoming.put_nowait(None)

    def farewell(self):
        return Unreachable("up", "It has ended.")

    def say(self, **members):
        self.incoming.put_nowait(json.dumps({"jsonrpc": "2.0", **members}).encode())

    async def until(self, count):
        async with asyncio.timeout(5):
            while len(self.written) < count:
                self.news.clear()
                await self.news.wait()


class Person:
    """Answers questions when it is allowed to."""

    def __init__(self):
        self.asked = 0
        self.wakes = asyncio.Event()
        self.allowed = asyncio.Event()

    async def answer(self, method, params):
        self.asked += 1
        self.wakes.set()
        await self.allowed.wait()
        return Reply(result=Raw(b"{}"))


@pytest.fixture
async def wire():
    return Wire()


@pytest.fixture
async def link(wire):
    link = Link(wire, LIMITS, heard=lambda message: None, over=lambda link, asked: None)
    link.may_ask = frozenset(ASKING)
    yield link
    await link.end()


def asking(link, person, wait=5.0):
    call = tool_call(client=ASKABLE, owner=("session", "a"), ask_client=person.answer)
    return asyncio.ensure_future(link.ask("tools/call", lambda _: (call.params, None), call=call, wait=wait))


async def test_a_question_outlives_the_call_it_was_taken_for(wire, link):
    person = Person()
    first, second = asking(link, person), asking(link, person)
    await wire.until(2)
    wire.say(id="q", method="elicitation/create", params={})
    async with asyncio.timeout(5):
        await person.wakes.wait()
    wire.say(id=2, result={})
    await second
    person.allowed.set()
    await wire.until(3)
    assert wire.written[2] == {"jsonrpc": "2.0", "id": "q", "result": {}}
    wire.say(id=1, result={})
    assert (await first).result is not None


async def test_a_question_ends_with_the_last_call_it_can_be_about(wire, link):
    person = Person()
    only = asking(link, person)
    await wire.until(1)
    wire.say(id="q", method="elicitation/create", params={})
    async with asyncio.timeout(5):
        await person.wakes.wait()
    wire.say(id=1, result={})
    await only
    person.allowed.set()
    wire.say(id="p", method="ping")
    await wire.until(2)
    assert [each["id"] for each in wire.written] == [1, "p"]


async def test_a_question_that_was_passed_on_ends_with_the_call_it_came_to(wire, link):
    person = Person()
    first, second = asking(link, person), asking(link, person)
    await wire.until(2)
    wire.say(id="q", method="elicitation/create", params={})
    async with asyncio.timeout(5):
        await person.wakes.wait()
    for number, each in ((2, second), (1, first)):
        wire.say(id=number, result={})
        await each
    person.allowed.set()
    wire.say(id="p", method="ping")
    await wire.until(3)
    assert [each["id"] for each in wire.written] == [1, 2, "p"]


async def test_no_call_of_a_client_runs_out_of_time_while_that_client_is_asked(wire, link):
    person = Person()
    first, second = asking(link, person, wait=0.2), asking(link, person, wait=0.2)
    await wire.until(2)
    wire.say(id="q", method="elicitation/create", params={})
    done, _ = await asyncio.wait([first, second], timeout=0.6)
    assert not done
    person.allowed.set()
    await wire.until(3)
    wire.say(id=1, result={})
    wire.say(id=2, result={})
    assert (await first).result is not None
    assert (await second).result is not None


async def test_a_call_that_nobody_is_asked_about_does_run_out_of_time(wire, link):
    with pytest.raises(TimedOut):
        await asking(link, Person(), wait=0.05)


async def test_a_fault_of_our_own_ends_the_line_instead_of_leaving_its_calls_waiting(wire):
    def stumbles(message):
        raise ZeroDivisionError

    ended = []
    link = Link(wire, LIMITS, heard=stumbles, over=lambda link, asked: ended.append(asked))
    only = asking(link, Person())
    await wire.until(1)
    wire.say(method="notifications/tools/list_changed")
    with pytest.raises(Unreachable, match="It has ended"):
        await only
    assert ended == [True]
    with pytest.raises(ZeroDivisionError):
        await link._reader


async def test_what_cannot_be_passed_on_is_the_other_sides_fault_and_ends_its_call_alone(wire, link):
    async def stumbles(told):
        raise Malformed(-32602, "no JSON")

    call = tool_call(client=ASKABLE, owner=("session", "a"), emit=stumbles)
    only = asyncio.ensure_future(link.ask("tools/call", lambda _: (call.params, None), call=call, wait=5.0))
    await wire.until(1)
    wire.say(method="notifications/tasks/status", params=["taskId"])
    with pytest.raises(BrokeProtocol):
        await only
    assert not link.is_over


async def test_a_question_that_cannot_be_passed_on_is_answered_all_the_same(wire, link):
    async def stumbles(method, params):
        raise Malformed(-32602, "no JSON")

    call = tool_call(client=ASKABLE, owner=("session", "a"), ask_client=stumbles)
    only = asyncio.ensure_future(link.ask("tools/call", lambda _: (call.params, None), call=call, wait=5.0))
    await wire.until(1)
    wire.say(id="q", method="elicitation/create", params={})
    await wire.until(2)
    assert wire.written[1]["error"]["code"] == -32603
    wire.say(id=1, result={})
    assert (await only).result is not None
