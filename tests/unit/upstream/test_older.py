"""Upstreams of the transport of 2024-11-05: sessions, questions, ends, and what a bad one can do."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from mcp_hub.errors import BrokeProtocol, Busy, RefusedCredential, TimedOut, Unreachable
from mcp_hub.upstream import event_line
from mcp_hub.upstream.call import Call
from mcp_hub.upstream.carrier import Lost
from mcp_hub.upstream.channel import Limits
from mcp_hub.upstream.event_line import NotThisTransport
from mcp_hub.upstream.older import MOST_APART, Streams
from mcp_hub.wire.eras import Client, Era
from mcp_hub.wire.jsonrpc import Raw, Reply
from rig.fake_upstream import Answer, tool
from rig.old_server import OldServer
from rig.parts import LEGACY_CLIENT, LIMITS, Stream, bearer, channel_to, fields_of, tool_call

pytestmark = pytest.mark.promise("A3")

ALICE, BOB = ("session", "alice"), ("session", "bob")
ASKABLE = Client(Era.LEGACY, "2025-11-25", Raw(b'{"elicitation":{},"roots":{}}'), None)
KEY = bearer("key")


class Ear:
    """Hears what is announced by the way."""

    def __init__(self):
        self.heard = []
        self.news = asyncio.Event()

    def overheard(self, message):
        self.heard.append(message.method)
        self.news.set()

    def lost(self, error):
        raise AssertionError(error)


@asynccontextmanager
async def streams_to(server, limits: Limits = LIMITS, **more):
    async with channel_to(server, limits) as channel:
        streams = Streams(channel, **more)
        try:
            yield streams
        finally:
            async with asyncio.timeout(5):
                await streams.aclose()


@pytest.fixture
async def server():
    async with OldServer(tools=["echo"]) as server:
        yield server


def call(owner=ALICE, **more) -> Call:
    return tool_call(owner=owner, **{"client": LEGACY_CLIENT, **more})


def said(reply: Reply) -> dict:
    assert reply.result is not None, reply.error
    return json.loads(json.loads(bytes(reply.result))["content"][0]["text"])


async def until(server, method, times=1):
    await server.until(method, times)


# Sessions


async def test_a_session_opens_with_the_first_call_and_serves_the_next_ones(server):
    async with streams_to(server) as streams:
        for _ in range(3):
            assert said(await streams.send(call(), KEY))["tool"] == "echo"
        methods = [each.method or each.verb for each in server.seen]
        assert methods == ["GET", "initialize", "notifications/initialized", *["tools/call"] * 3]
        assert {each.headers["authorization"] for each in server.seen} == {"Bearer key"}
        assert len(streams) == 1
    await server.until_left()


@pytest.mark.promise("B22", "T17")
async def test_each_owner_has_a_stream_of_its_own(server):
    async with streams_to(server) as streams:
        await asyncio.gather(*(streams.send(call(owner), KEY) for owner in (ALICE, BOB) * 3))
        assert len(server.opened) == 2
        await streams.end(ALICE)
        assert len(streams) == 1
        await streams.send(call(BOB), KEY)
        assert len(server.opened) == 2


async def test_idle_sessions_end_but_not_those_in_use_or_spared(server):
    now = [0.0]
    server.silent = {"prompts/get"}
    async with streams_to(server, clock=lambda: now[0]) as streams:
        await streams.send(call(ALICE), KEY)
        await streams.send(call(("spared",)), KEY)
        busy = asyncio.ensure_future(streams.send(call(BOB, method="prompts/get"), KEY))
        await until(server, "prompts/get")
        now[0] = 1000.0
        await streams.end_idle(("spared",))
        assert len(streams) == 2
        busy.cancel()


async def test_a_session_in_which_a_task_may_run_is_not_idle(server):
    now = [0.0]

    async def makes_a_task(request):
        made = {"task": {"taskId": "t", "status": "working", "ttl": 2_000_000}}
        server.say(0, {"id": request.message["id"], "result": made})
        return Answer(b"Accepted", 202, content_type="text/plain")

    server.handlers["tools/call"] = makes_a_task
    async with streams_to(server, clock=lambda: now[0]) as streams:
        params = {"name": Raw(b'"echo"'), "task": Raw(b"{}")}
        await streams.send(call(ALICE, params=params), KEY)
        now[0] = 1999.0
        await streams.end_idle(("spared",))
        assert len(streams) == 1
        now[0] = 2301.0
        await streams.end_idle(("spared",))
        assert len(streams) == 0


@pytest.mark.promise("T23")
async def test_sessions_are_bounded_and_an_idle_one_makes_room(server):
    server.silent = {"prompts/get"}
    async with streams_to(server, most=2) as streams:
        for owner in (ALICE, BOB, ("session", "carol")):
            await streams.send(call(owner), KEY)
        assert len(streams) == 2
        waiting = [
            asyncio.ensure_future(streams.send(call(owner, method="prompts/get"), KEY))
            for owner in (BOB, ("session", "carol"))
        ]
        await until(server, "prompts/get", 2)
        with pytest.raises(Busy, match="all in use"):
            await streams.send(call(("session", "dave")), KEY)
        for each in waiting:
            each.cancel()


# Around a call


async def test_progress_logs_and_questions_cross_on_the_stream(server):
    server.silent = {"tools/call"}
    heard = Stream()

    async def answer(method, params):
        return Reply(result=Raw(b'{"roots":[]}'))

    async with streams_to(server) as streams:
        asked = call(emit=heard.emit, client=ASKABLE, ask_client=answer, meta=fields_of({"progressToken": "mine"}))
        calling = asyncio.ensure_future(streams.send(asked, KEY))
        await until(server, "tools/call")
        (request,) = server.asked("tools/call")
        number = request.message["id"]
        assert request.message["params"]["_meta"]["progressToken"] == number
        server.say(0, {"method": "notifications/progress", "params": {"progressToken": number, "progress": 1}})
        server.say(0, {"method": "notifications/message", "params": {"level": "info", "data": "x"}})
        server.say(0, {"id": "q", "method": "roots/list"})
        server.say(0, {"id": "p", "method": "ping"})
        async with asyncio.timeout(5), server._heard:
            await server._heard.wait_for(lambda: len(server.told) == 2)
        assert sorted(server.told, key=lambda each: each["id"]) == [
            {"jsonrpc": "2.0", "id": "p", "result": {}},
            {"jsonrpc": "2.0", "id": "q", "result": {"roots": []}},
        ]
        server.say(0, {"id": number, "result": {"content": []}})
        assert (await calling).result is not None
        assert [each["method"] for each in heard.heard] == ["notifications/progress", "notifications/message"]
        assert heard.heard[0]["params"]["progressToken"] == "mine"


async def test_calls_of_a_modern_client_that_can_be_asked_have_a_stream_each_while_they_run(server):
    server.silent = {"tools/call"}
    persons = ["ada", "bob"]

    async def send(streams, person):
        async def answer(method, params):
            return Reply(result=Raw(json.dumps({"me": person}).encode()))

        client = Client(Era.MODERN, "2026-07-28", Raw(b'{"elicitation":{}}'), None)
        return await streams.send(call(client=client, ask_client=answer), KEY)

    async with streams_to(server) as streams:
        calls = [asyncio.ensure_future(send(streams, each)) for each in persons]
        await until(server, "tools/call", 2)
        assert len(server.opened) == 2
        for number in (0, 1):
            server.say(number, {"id": f"q{number}", "method": "elicitation/create", "params": {}})
        async with asyncio.timeout(5), server._heard:
            await server._heard.wait_for(lambda: len(server.told) == 2)
        assert {each["result"]["me"] for each in server.told} == set(persons)
        for each in server.asked("tools/call"):
            number = int(each.path.partition("=")[2])
            server.say(number, {"id": each.message["id"], "result": {"content": []}})
        await asyncio.gather(*calls)
        server.silent = set()
        await send(streams, "carol")
        assert len(server.opened) == 2


async def test_the_log_level_is_set_once_before_the_call(server):
    async with streams_to(server) as streams:
        for _ in range(2):
            await streams.send(call(log_level="error"), KEY)
        assert [each.message["params"] for each in server.asked("logging/setLevel")] == [{"level": "error"}]


async def test_cancelling_tells_that_one_upstream_which_call(server):
    server.silent = {"tools/call"}
    async with streams_to(server) as streams:
        calling = asyncio.ensure_future(streams.send(call(), KEY))
        await until(server, "tools/call")
        calling.cancel()
        await until(server, "notifications/cancelled")
        (told,) = server.asked("notifications/cancelled")
        assert told.message["params"]["requestId"] == server.asked("tools/call")[0].message["id"]


@pytest.mark.promise("A7")
async def test_what_is_announced_is_heard_in_the_catalogs_session_or_by_the_way(server):
    ear = Ear()
    changed = {"method": "notifications/tools/list_changed"}
    async with streams_to(server, ear=ear) as streams:
        await streams.send(call(), KEY)
        server.say(0, {"method": "notifications/resources/updated", "params": {"uri": "x"}})
        server.say(0, changed)
        async with asyncio.timeout(5):
            await ear.news.wait()
        assert ear.heard == ["notifications/tools/list_changed"]
        async with streams.overhear(LEGACY_CLIENT, KEY) as overheard:
            server.say(1, changed)
            async with asyncio.timeout(5):
                (first,) = await anext(overheard.told)
            assert first.method == "notifications/tools/list_changed"
            server.cut(1)
            async with asyncio.timeout(5):
                assert [each async for each in overheard.told] == []


# Ends


async def test_a_stream_that_breaks_fails_what_was_under_way_and_nothing_is_repeated(server):
    server.silent = {"tools/call"}
    async with streams_to(server) as streams:
        calling = asyncio.ensure_future(streams.send(call(), KEY))
        await until(server, "tools/call")
        server.cut(0)
        with pytest.raises(Unreachable, match="may have had effects"):
            await calling
        assert len(server.asked("tools/call")) == 1
        server.silent = set()
        assert said(await streams.send(call(), KEY))["tool"] == "echo"
        assert len(server.opened) == 2


async def test_a_session_the_upstream_has_forgotten_is_opened_anew_since_the_call_did_not_run(server):
    async with streams_to(server) as streams:
        await streams.send(call(), KEY)
        gone = [True]

        async def forget(request):
            return Answer(status=404) if gone and gone.pop() else None

        server.handlers["tools/call"] = forget
        assert said(await streams.send(call(), KEY))["tool"] == "echo"
        assert len(server.asked("tools/call")) == 3
        assert len(server.opened) == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, RefusedCredential), (403, RefusedCredential), (429, Busy), (500, Unreachable), (307, BrokeProtocol)],
)
async def test_a_message_that_is_not_taken_fails_the_call_at_once(server, status, kind):
    async def refuse(request):
        return Answer(status=status)

    async with streams_to(server) as streams:
        await streams.send(call(), KEY)
        server.handlers["tools/call"] = refuse
        with pytest.raises(kind):
            await streams.send(call(), KEY)
        assert len(server.asked("tools/call")) == 2


async def test_an_answer_on_the_stream_counts_though_the_post_is_not_answered(server):
    release = asyncio.Event()

    async def slow(request):
        server.say(0, {"id": request.message["id"], "result": {"content": []}})
        await release.wait()
        return Answer(status=202)

    server.handlers["tools/call"] = slow
    async with streams_to(server) as streams:
        assert (await streams.send(call(), KEY)).result is not None
        release.set()


async def test_no_call_overtakes_the_word_that_the_session_is_open(server):
    release = asyncio.Event()

    async def slow(request):
        await release.wait()

    server.handlers["notifications/initialized"] = slow
    async with streams_to(server) as streams:
        calling = asyncio.ensure_future(streams.send(call(), KEY))
        await until(server, "notifications/initialized")
        await streams.opened(BOB, LEGACY_CLIENT, KEY)  # which takes longer than the call would have
        assert server.asked("tools/call") == []
        release.set()
        assert (await calling).result is not None


async def test_a_server_that_answers_posts_last_can_still_be_answered(server):
    done = asyncio.Event()

    async def held(request):
        number = request.message["id"]
        server.say(0, {"id": f"q{number}", "method": "roots/list"})
        await done.wait()
        server.say(0, {"id": number, "result": {"content": []}})
        return Answer(status=202)

    async def answer(method, params):
        return Reply(result=Raw(b'{"roots":[]}'))

    async with streams_to(server) as streams:
        await streams.send(call(), KEY)
        server.handlers["tools/call"] = held
        calls = [asyncio.ensure_future(streams.send(call(client=ASKABLE, ask_client=answer), KEY)) for _ in range(5)]
        async with asyncio.timeout(5), server._heard:
            await server._heard.wait_for(lambda: len(server.told) == 5)
        done.set()
        assert all(each.result is not None for each in await asyncio.gather(*calls))


async def test_a_call_that_is_never_answered_times_out(server):
    server.silent = {"tools/call"}
    async with streams_to(server) as streams:
        with pytest.raises(TimedOut, match="may have had effects"):
            await streams.send(call(wait=0.05), KEY)


# Bad ones


@pytest.mark.promise("T8", "T13")
@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/messages?session={}",
        "//evil.example/messages",
        "http://127.0.0.1:1/messages",
        "http://me:secret@127.0.0.1/messages",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://[::1/messages",
        "/messages\\x" + "a" * 9000,
    ],
)
async def test_messages_and_credentials_go_to_no_other_origin(server, address):
    server.address = address
    async with streams_to(server) as streams:
        with pytest.raises(BrokeProtocol, match="nothing was sent there"):
            await streams.send(call(), KEY)
        assert [each.verb for each in server.seen] == ["GET"]
        assert len(streams) == 0
    await server.until_left()


@pytest.mark.promise("T8")
async def test_an_address_named_later_changes_nothing(server):
    async with streams_to(server) as streams:
        await streams.send(call(), KEY)
        server.say(0, b"https://evil.example/", b"endpoint")
        server.say(0, b"/elsewhere", b"endpoint")
        await streams.send(call(), KEY)
        assert {each.path.partition("?")[0] for each in server.seen} == {"/mcp", "/messages"}


async def test_only_message_events_are_messages(server):
    server.silent = {"tools/call"}
    async with streams_to(server) as streams:
        calling = asyncio.ensure_future(streams.send(call(), KEY))
        await until(server, "tools/call")
        number = server.asked("tools/call")[0].message["id"]
        server.say(0, {"id": number, "result": {"content": ["other"]}}, b"other")
        server.say(0, {"id": number, "result": {"content": ["message"]}})
        assert json.loads(bytes((await calling).result))["content"] == ["message"]


@pytest.mark.parametrize("first", [b"event: message\ndata: %b\n\n", b"data: %b\n\n"])
async def test_a_stream_that_does_not_begin_with_an_address_is_none_of_this_transport(server, first):
    server.first = first
    async with streams_to(server) as streams:
        with pytest.raises(NotThisTransport):
            await streams.opened(ALICE, LEGACY_CLIENT, KEY)


@pytest.mark.promise("T24")
async def test_a_stream_that_never_names_an_address_is_given_up(server):
    server.first = b": %b\n\n"
    async with streams_to(server, Limits(200_000, 10_000, 4.0, 0.1)) as streams:
        with pytest.raises(TimedOut, match="where to send"):
            await streams.opened(ALICE, LEGACY_CLIENT, KEY)
    await server.until_left()


@pytest.mark.promise("T23")
async def test_an_event_that_is_too_large_ends_the_session_and_says_so(server):
    server.silent = {"tools/call"}
    async with streams_to(server) as streams:
        calling = asyncio.ensure_future(streams.send(call(), KEY))
        await until(server, "tools/call")
        server.say(0, b"x" * (LIMITS.result + 100))
        with pytest.raises(Unreachable, match="more than"):
            await calling


@pytest.mark.promise("T23", "T25")
async def test_a_flood_of_what_belongs_to_nobody_harms_no_call(server):
    async with streams_to(server) as streams:
        await streams.send(call(), KEY)
        for number in range(500):
            server.say(0, {"id": 10_000 + number, "result": {}})
            server.say(0, {"id": f"q{number}", "method": "elicitation/create", "params": {}})
            server.say(0, b"no message")
        assert said(await streams.send(call(), KEY))["tool"] == "echo"


async def test_a_silent_upstream_is_asked_for_a_sign_and_its_answer_is_one(server):
    async with streams_to(server, beat=0.05) as streams:
        await streams.send(call(), KEY)
        await until(server, "ping", 2)
        assert server.asked("ping")[0].message["id"].startswith("hub-")
        assert said(await streams.send(call(), KEY))["tool"] == "echo"
        assert len(server.opened) == 1


async def test_one_that_gives_no_sign_is_taken_for_dead(server, monkeypatch):
    monkeypatch.setattr(event_line, "QUIET", 0.1)
    server.silent = {"ping"}
    async with streams_to(server, Limits(200_000, 10_000, 0.1, 4.0), beat=0.05) as streams:
        await streams.send(call(), KEY)
        await server.until_left()
        assert said(await streams.send(call(), KEY))["tool"] == "echo"
        assert len(server.opened) == 2


@pytest.mark.promise("T23")
async def test_what_is_answered_to_a_flood_of_pings_is_bounded(server, monkeypatch):
    monkeypatch.setattr(event_line, "ORDER", 0.01)
    release = asyncio.Event()

    async def held(request):
        if request.verb == "POST" and not request.method:
            await release.wait()

    server.before = held
    async with streams_to(server) as streams:
        await streams.send(call(), KEY)
        for number in range(500):
            server.say(0, {"id": f"p{number}", "method": "ping"})
        assert said(await streams.send(call(), KEY))["tool"] == "echo"
        (session,) = streams._sessions.values()
        assert len(session.line._posts) <= event_line.MOST_TOLD
        release.set()


async def test_a_large_list_arrives_whole(server):
    server.tools = [tool(f"t{n}", description="x" * 100) for n in range(300)]
    async with streams_to(server) as streams:
        reply = await streams.send(call(method="tools/list", params={}), KEY)
        assert len(json.loads(bytes(reply.result))["tools"]) == 300


@pytest.mark.promise("B22")
async def test_a_call_that_shares_a_session_does_not_leave_it_to_a_call_that_is_asked_apart(server):
    modern = Client(Era.MODERN, "2026-07-28", Raw(b'{"elicitation":{}}'), None)
    started = 0

    async def nobody(method, params):
        raise AssertionError(method)

    async with streams_to(server) as streams:

        async def begin():
            nonlocal started
            started += 1
            begun = asyncio.ensure_future(streams.send(call(client=modern, ask_client=nobody), KEY))
            await until(server, "tools/call", started)
            return begun

        server.silent = {"tools/call"}
        apart = [await begin() for _ in range(MOST_APART)]
        for end in (await begin(), apart[-1]):  # one that shares a session, and one that has its own
            end.cancel()
            await asyncio.wait([end])
        last = await begin()
        paths = [each.path for each in server.seen if each.method == "tools/call"]
        assert (paths[-2], paths[-1]) == (paths[0], paths[MOST_APART - 1])
        for each in (*apart, last):
            each.cancel()
        await asyncio.wait([*apart, last])


@pytest.mark.promise("T23")
async def test_sessions_that_are_opened_at_once_are_bounded_too(server):
    server.silent = {"tools/call"}
    async with streams_to(server, most=2) as streams:
        calls = [asyncio.ensure_future(streams.send(call(("session", name)), KEY)) for name in "abcde"]
        await until(server, "tools/call", 2)
        refused = [await each for each in asyncio.as_completed([_error(each) for each in calls[2:]])]
        assert [type(each) for each in refused] == [Busy] * 3
        assert len(server.opened) == len(streams) == 2
        for each in calls:
            each.cancel()
        await asyncio.wait(calls)


async def _error(sending):
    async with asyncio.timeout(5):
        return await asyncio.wait([sending]) and sending.exception()


@pytest.mark.promise("A8")
async def test_an_answer_that_is_too_large_ends_its_own_session_and_says_nothing_about_others(server):
    server.silent = {"tools/call"}
    async with streams_to(server, replace(LIMITS, result=2000)) as streams:
        calling = asyncio.ensure_future(streams.send(call(), KEY))
        await until(server, "tools/call")
        server.say(0, {"id": 2, "result": {"content": "x" * 3000}})
        with pytest.raises(Lost, match="more than 2000 bytes"):
            async with asyncio.timeout(5):
                await calling
