"""Requests inside sessions: whose session, how it is opened, lost, reopened and closed, and what crosses in it."""

import asyncio
import json
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import pytest
from msgspec import Raw

from mcp_hub.errors import BrokeProtocol, TimedOut, Unreachable, UpstreamError
from mcp_hub.upstream.answer import NotModern, SessionGone
from mcp_hub.upstream.legacy import IDLE
from rig.fake_upstream import LEGACY, Answer, FakeUpstream, Request, result
from rig.parts import (
    LEGACY_CLIENT,
    LIMITS,
    MODERN_CLIENT,
    NOTHING,
    bearer,
    tool_call,
    wires_to,
)

pytestmark = pytest.mark.promise("A5")
ALICE, BOB = ("principal", "alice"), ("principal", "bob")
FIRST, SECOND = ("session", "1"), ("session", "2")
SESSION = "mcp-session-id"


def call(owner=ALICE, **more):
    return tool_call(owner=owner, client=more.pop("client", LEGACY_CLIENT), **more)


def legacy(**more) -> FakeUpstream:
    return FakeUpstream(eras="legacy", **more)


class Counting:
    """A tool whose answer is how often it was called in this session, and with which credential."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    async def __call__(self, request: Request) -> Answer:
        session = request.headers[SESSION]
        self.calls[session] += 1
        told = {"count": self.calls[session], "bearer": request.headers.get("authorization")}
        return result(request, {"content": [], "structuredContent": told})


def told(reply):
    return json.loads(bytes(reply.result or b""))["structuredContent"]


# Whose session it is


@pytest.mark.promise("T16", "T17", "B22")
async def test_fifty_interleaved_calls_of_two_principals_and_two_sessions_share_no_state():
    owners = [ALICE, BOB, FIRST, SECOND]
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = Counting()
        calls = [(owner, wires.legacy.send(call(owner), bearer("-".join(owner)))) for owner in owners * 50]
        replies = await asyncio.gather(*(sending for _, sending in calls))
    assert len(fake.asked("initialize")) == len(owners)
    for owner in owners:
        own = [told(reply) for (each, _), reply in zip(calls, replies, strict=True) if each == owner]
        assert sorted(each["count"] for each in own) == list(range(1, 51))
        assert {each["bearer"] for each in own} == {f"Bearer {'-'.join(owner)}"}


async def test_many_calls_at_once_open_one_session():
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        await asyncio.gather(*(wires.legacy.send(call(), NOTHING) for _ in range(20)))
    assert len(fake.asked("initialize")) == len(fake.asked("notifications/initialized")) == 1
    assert {each.headers[SESSION] for each in fake.asked("tools/call")} == {"session-0"}


@pytest.mark.promise("T18")
async def test_a_request_carries_the_credential_of_its_own_call_not_the_one_the_session_was_opened_with():
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        await wires.legacy.send(call(), bearer("old"))
        await wires.legacy.send(call(), bearer("new"))
        await wires.legacy.end(ALICE)
    assert [each.headers["authorization"] for each in fake.asked("tools/call")] == ["Bearer old", "Bearer new"]
    assert fake.seen[-1].headers["authorization"] == "Bearer new"


@pytest.mark.promise("T12", "T13", "B14")
async def test_the_header_set_in_a_session_is_exactly_this():
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        await wires.legacy.send(call(client=MODERN_CLIENT, param_headers={"Mcp-Param-X": "1"}), NOTHING)
    always = {"host", "accept-encoding", "content-type", "accept", "content-length"}
    assert set(fake.asked("initialize")[0].headers) == always
    assert set(fake.asked("tools/call")[0].headers) == always | {"mcp-protocol-version", SESSION}
    assert fake.asked("tools/call")[0].headers["mcp-protocol-version"] == LEGACY


async def test_a_session_is_opened_in_the_revision_of_its_client():
    old = replace(LEGACY_CLIENT, revision="2025-03-26", info=None)
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        await wires.legacy.send(call(client=old), NOTHING)
        await wires.legacy.send(call(BOB, client=MODERN_CLIENT), NOTHING)
    first, second = (each.message["params"] for each in fake.asked("initialize"))
    assert (first["protocolVersion"], second["protocolVersion"]) == ("2025-03-26", LEGACY)
    assert first["clientInfo"]["name"] == "mcp_hub"
    assert second["clientInfo"]["name"] == "test client"
    assert [each.headers["mcp-protocol-version"] for each in fake.asked("tools/call")] == ["2025-03-26", LEGACY]


async def test_a_server_that_gives_no_session_id_is_spoken_to_without_one():
    async def handler(request: Request) -> Answer:
        return result(request, {"protocolVersion": LEGACY, "capabilities": {}})

    async def called(request: Request) -> Answer:
        return result(request, {"content": []})

    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers |= {"initialize": handler, "tools/call": called}
        await wires.legacy.send(call(), NOTHING)
        await wires.legacy.end(ALICE)
    assert SESSION not in fake.asked("tools/call")[0].headers
    assert not [each for each in fake.seen if each.verb == "DELETE"]


@pytest.mark.promise("T11")
@pytest.mark.parametrize("odd", ['a b;c="d",e', "{}<>'|~", "x" * 5000, "é\xff"])
async def test_a_session_id_of_odd_characters_is_repeated_as_it_came(odd):
    async def handler(request: Request) -> Answer:
        opened = json.dumps(
            {"jsonrpc": "2.0", "id": request.message["id"], "result": {"protocolVersion": LEGACY, "capabilities": {}}}
        ).encode()
        top = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(opened)}\r\nmcp-session-id: "
        return Answer(raw=top.encode() + odd.encode("latin-1") + b"\r\n\r\n" + opened)

    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.sessions[odd] = {}
        fake.handlers["initialize"] = handler
        await wires.legacy.send(call(), NOTHING)
    assert fake.asked("tools/call")[0].headers[SESSION] == odd


async def test_a_session_id_that_no_header_can_carry_is_the_upstreams_fault():
    async def handler(request: Request) -> Answer:
        opened = {"protocolVersion": LEGACY, "capabilities": {}}
        return result(request, opened, headers={SESSION: "a\x01b"})

    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers["initialize"] = handler
        with pytest.raises(BrokeProtocol):
            await wires.legacy.send(call(), NOTHING)
    assert not fake.asked("tools/call")


async def test_no_byte_of_a_session_id_ends_a_header_line():
    async with legacy() as fake, wires_to(fake) as wires:
        for odd in (b"a\r\nX-Evil: 1", b"a\x00", b"\x7f"):
            with pytest.raises(BrokeProtocol, match="up gave a session id that no header can carry"):
                wires.legacy._lines(LEGACY, odd)


# Sessions that end


GONE_BODIES = {
    "nothing": b"",
    "null id": b'{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}',
    "an id of its own": b'{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Session not found"}}',
    "the request's id": b'{"jsonrpc":"2.0","id":4,"error":{"code":-32001,"message":"Session not found"}}',
}


@pytest.mark.parametrize("body", GONE_BODIES)
async def test_a_session_the_upstream_forgot_is_opened_anew_and_the_call_repeated_once(body):
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.gone = GONE_BODIES[body]
        await wires.legacy.send(call(), NOTHING)
        fake.sessions.pop("session-0")
        fake.sessions["another"] = {}
        assert (await wires.legacy.send(call(), NOTHING)).result is not None
        assert (await wires.legacy.send(call(), NOTHING)).result is not None
    assert len(fake.asked("initialize")) == 2
    assert len(fake.asked("tools/call")) == 4


async def test_a_session_that_is_gone_a_second_time_is_an_error_and_nothing_is_sent_a_third_time():
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        await wires.legacy.send(call(), NOTHING)

        async def gone(request: Request) -> Answer:
            return Answer(b"", 404)

        fake.handlers["tools/call"] = gone
        with pytest.raises(SessionGone, match="does not know its own session"):
            await wires.legacy.send(call(), NOTHING)
        assert len(fake.asked("tools/call")) == 3
        del fake.handlers["tools/call"]
        assert (await wires.legacy.send(call(), NOTHING)).result is not None


async def test_two_calls_that_find_the_session_gone_share_the_new_one():
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        await wires.legacy.send(call(), NOTHING)
        fake.sessions.clear()
        fake.sessions["another"] = {}
        await asyncio.gather(*(wires.legacy.send(call(), NOTHING) for _ in range(10)))
    assert len(fake.asked("initialize")) == 2


OTHER_400 = (b"", b'{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"Invalid arguments"}}', b"Bad Request")
GONE_400 = (
    b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: Server not initialized"}}',
    b"Bad Request: No valid session ID provided",
    b"Invalid or missing session ID",
)


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
@pytest.mark.parametrize(("said", "opened"), [*((said, 1) for said in OTHER_400), *((said, 2) for said in GONE_400)])
async def test_a_400_ends_a_session_only_if_it_says_that_there_is_none(said, opened, kind):
    async def refusing(request: Request) -> Answer:
        return Answer(said, 400, kind)

    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = refusing
        with suppress(NotModern):
            await wires.legacy.send(call(), NOTHING)
        del fake.handlers["tools/call"]
        assert (await wires.legacy.send(call(), NOTHING)).result is not None
    assert len(fake.asked("tools/call")) == 2
    assert len(fake.asked("initialize")) == opened


@pytest.mark.parametrize("number", ["own", None])
async def test_a_400_never_repeats_the_call_but_the_next_one_begins_a_new_session(number):
    # So does the reference server of TypeScript answer a session that it lost in a restart.
    async def suspect(request: Request) -> Answer:
        told = request.message["id"] if number else None
        problem = {"code": -32000, "message": "Bad Request: No valid session ID provided"}
        return Answer(json.dumps({"jsonrpc": "2.0", "id": told, "error": problem}).encode(), 400)

    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        await wires.legacy.send(call(), NOTHING)
        fake.handlers["tools/call"] = suspect
        assert b"No valid session" in bytes((await wires.legacy.send(call(), NOTHING)).error or b"")
        assert len(fake.asked("tools/call")) == 2
        del fake.handlers["tools/call"]
        assert (await wires.legacy.send(call(), NOTHING)).result is not None
    assert len(fake.asked("initialize")) == 2


async def test_a_400_without_a_word_is_refused_and_not_repeated():
    async def suspect(request: Request) -> Answer:
        return Answer(b"", 400)

    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = suspect
        with pytest.raises(NotModern):
            await wires.legacy.send(call(), NOTHING)
    assert len(fake.asked("tools/call")) == 1


FAILURES = {
    "closed before reading": lambda r: Answer(raw=b"", hangs_up=True),
    "closed in the answer": lambda r: Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", hangs_up=True),
    "500": lambda r: Answer(b"", 500),
    "503": lambda r: Answer(b"", 503),
    "401": lambda r: Answer(b"", 401),
    "405": lambda r: Answer(b"", 405),
    "302": lambda r: Answer(b"", 302, headers={"location": "/mcp"}),
    "wrong id": lambda r: Answer(b'{"jsonrpc":"2.0","id":0,"result":{}}'),
    "broken": lambda r: Answer(b"{"),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_no_other_failure_has_a_tool_call_sent_twice(failure):
    async def handler(request: Request) -> Answer:
        return FAILURES[failure](request)

    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = handler
        with pytest.raises(UpstreamError):
            await wires.legacy.send(call(), NOTHING)
        assert len(fake.asked("tools/call")) == 1
        del fake.handlers["tools/call"]
        assert (await wires.legacy.send(call(), NOTHING)).result is not None


async def test_a_call_that_times_out_or_is_given_up_is_sent_once():
    async def never(request: Request) -> Answer:
        await request.until_hung_up()
        return Answer(raw=b"", hangs_up=True)

    async with legacy() as fake, wires_to(fake, replace(LIMITS, first_byte=0.5)) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = never
        with pytest.raises(TimedOut):
            await wires.legacy.send(call(), NOTHING)
        leaving = asyncio.ensure_future(wires.legacy.send(call(), NOTHING))
        await fake.until("tools/call", 2)
        leaving.cancel()
        await asyncio.wait([leaving])
        del fake.handlers["tools/call"]
        assert (await wires.legacy.send(call(), NOTHING)).result is not None
    assert len(fake.asked("tools/call")) == 3
    assert len(fake.asked("initialize")) == 1


async def test_a_session_that_cannot_be_opened_is_tried_anew_by_the_next_call():
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):

        async def broken(request: Request) -> Answer:
            return Answer(b"", 500)

        fake.handlers["initialize"] = broken
        outcomes = await asyncio.gather(*(wires.legacy.send(call(), NOTHING) for _ in range(3)), return_exceptions=True)
        assert [type(each) for each in outcomes] == [Unreachable] * 3
        assert len(fake.asked("initialize")) == 1
        del fake.handlers["initialize"]
        assert (await wires.legacy.send(call(), NOTHING)).result is not None


def deleted(fake: FakeUpstream) -> list[str]:
    return [each.headers[SESSION] for each in fake.seen if each.verb == "DELETE"]


async def test_ended_sessions_are_ended_at_the_upstream_too():
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        for owner in (ALICE, BOB, FIRST):
            await wires.legacy.send(call(owner), NOTHING)
        await wires.legacy.end(BOB)
        await wires.legacy.end(BOB)
        await wires.legacy.end(("principal", "nobody"))
        assert deleted(fake) == ["session-1"]
        await wires.legacy.aclose()
        assert sorted(deleted(fake)) == ["session-0", "session-1", "session-2"]
    assert not fake.sessions


async def test_a_session_that_cannot_be_ended_is_forgotten_all_the_same():
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        await wires.legacy.send(call(), NOTHING)
        await fake.stop()
        await wires.legacy.end(ALICE)
        assert not wires.legacy._sessions


async def test_sessions_that_nobody_used_are_closed_except_the_spared_and_the_busy_ones():
    now, release = [1000.0], asyncio.Event()

    async def slow(request: Request) -> Answer:
        await release.wait()
        return result(request, {"content": []})

    async with legacy() as fake, wires_to(fake, clock=lambda: now[0]) as wires, asyncio.timeout(5):
        for owner in (ALICE, BOB, FIRST):
            await wires.legacy.send(call(owner), NOTHING)
        fake.handlers["tools/call"] = slow
        busy = asyncio.ensure_future(wires.legacy.send(call(SECOND), NOTHING))
        await fake.until("tools/call", 4)
        now[0] += IDLE
        await wires.legacy.end_idle(spared=FIRST)
        assert deleted(fake) == []
        await wires.legacy.session(BOB, LEGACY_CLIENT, NOTHING)
        now[0] += 1
        await wires.legacy.end_idle(spared=FIRST)
        assert deleted(fake) == ["session-0"], "not the busy one, however long its call takes"
        release.set()
        await busy
        await wires.legacy.end_idle(spared=FIRST)
        assert deleted(fake) == ["session-0"], "its idleness begins with the end of its call"


async def test_a_session_in_which_a_task_may_run_is_not_closed_for_want_of_use():
    now = [1000.0]

    async def makes_a_task(request: Request) -> Answer:
        return result(request, {"task": {"taskId": "t", "status": "working", "ttl": 2_000_000}})

    async with legacy() as fake, wires_to(fake, clock=lambda: now[0], most=2) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = makes_a_task
        params = {"name": Raw(b'"echo"'), "task": Raw(b"{}")}
        await wires.legacy.send(call(FIRST, params=params), NOTHING)
        now[0] += 1999
        await wires.legacy.send(call(BOB), NOTHING)
        await wires.legacy.send(call(SECOND), NOTHING)
        assert deleted(fake) == ["session-1"], "not the one of the task, though it is the longest unused"
        await wires.legacy.end_idle(spared=BOB)
        assert deleted(fake) == ["session-1"]
        now[0] += IDLE + 2
        await wires.legacy.end_idle(spared=SECOND)
        assert sorted(deleted(fake)) == ["session-0", "session-1"]


@pytest.mark.promise("T23")
async def test_the_session_longest_unused_makes_room_and_is_ended_but_none_in_use_is():
    now, release = [0.0], asyncio.Event()

    async def slow(request: Request) -> Answer:
        await release.wait()
        return result(request, {"content": []})

    async with legacy() as fake, wires_to(fake, clock=lambda: now[0], most=2) as wires, asyncio.timeout(5):
        for owner in (ALICE, BOB, ALICE, FIRST):
            now[0] += 1
            await wires.legacy.send(call(owner), NOTHING)
        assert deleted(fake) == ["session-1"]
        fake.handlers["tools/call"] = slow
        busy = [asyncio.ensure_future(wires.legacy.send(call(owner), NOTHING)) for owner in (ALICE, FIRST, SECOND)]
        await fake.until("tools/call", 7)
        assert deleted(fake) == ["session-1"]
        release.set()
        await asyncio.gather(*busy)
