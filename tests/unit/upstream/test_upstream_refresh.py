"""How an upstream keeps its lists fresh, its sessions few, and how it ends."""

import asyncio
import json
from dataclasses import replace

import pytest

from mcp_hub.catalog.parts import Kind
from mcp_hub.credentials.state import State
from mcp_hub.errors import BrokeProtocol, UpstreamError
from rig.fake_upstream import Answer, FakeUpstream, Request, error, tool
from rig.parts import LIMITS, Journal, door, running, tool_call, upstream_to

pytestmark = pytest.mark.promise("A8", "D33", "A7")
ERAS = pytest.mark.parametrize("eras", ["modern", "legacy"])


@pytest.fixture
async def http():
    http = door()
    yield http
    await http.aclose()


class Clock:
    """The time, moved by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def ready(upstream, journal: Journal) -> None:
    await journal.until(lambda: upstream.state is State.READY)


async def never(request: Request) -> Answer:
    await request.until_hung_up()
    return Answer(raw=b"", hangs_up=True)


def answering(status: int):
    async def handler(request: Request) -> Answer:
        return Answer(b"", status)

    return handler


def tools(upstream) -> list[str]:
    return [each["name"] for each in upstream.known.part.of(Kind.TOOL)]


# Refreshing


async def gated(fake: FakeUpstream, method: str = "tools/list") -> asyncio.Event:
    """Lists from now on wait for the gate."""
    gate = asyncio.Event()

    async def wait(request: Request) -> Answer | None:
        await gate.wait()

    fake.handlers[method] = wait
    return gate


async def test_many_who_ask_for_a_refresh_make_one(http):
    async with FakeUpstream() as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http)
        async with running(upstream):
            await upstream.settled()
            for _ in range(20):
                upstream.refresh_soon()
            await asyncio.gather(*(upstream.refreshed() for _ in range(20)))
    assert len(fake.asked("tools/list")) == 2


async def test_a_refresh_asked_for_during_another_is_one_more_and_is_waited_for(http):
    async with FakeUpstream(tools=["old"]) as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http)
        async with running(upstream):
            await upstream.settled()
            gate = await gated(fake)
            upstream.refresh_soon()
            await fake.until("tools/list", 2)
            # The fetch under way may have read the list before this change.
            del fake.handlers["tools/list"]
            second = await gated(fake, "server/discover")
            upstream.refresh_soon()
            waiting = asyncio.ensure_future(upstream.refreshed())
            gate.set()
            await fake.until("server/discover", 3)
            assert not waiting.done()
            fake.tools = [tool("new")]
            second.set()
            await waiting
            assert tools(upstream) == ["new"]
    assert len(fake.asked("tools/list")) == 3


async def test_an_old_list_is_served_while_it_is_fetched_anew_in_the_background(http):
    clock, journal = Clock(), Journal()
    async with FakeUpstream(tools=["old"]) as fake, asyncio.timeout(5):
        fake.hints = {"ttlMs": 5000}
        upstream = upstream_to(fake, http, [journal], clock=clock)
        async with running(upstream):
            await ready(upstream, journal)
            clock.now += 4.9
            upstream.refresh_if_stale()
            assert not upstream._asked
            fake.tools = [tool("new")]
            clock.now += 0.2
            upstream.refresh_if_stale()
            assert tools(upstream) == ["old"]
            await journal.until(lambda: tools(upstream) == ["new"])


@pytest.mark.parametrize(("hints", "life"), [({}, 60.0), ({"ttlMs": 0}, 1.0), ({"ttlMs": 120_000}, 120.0)])
async def test_a_list_lives_as_long_as_its_upstream_says_or_else_the_configuration(hints, life, http):
    clock, journal = Clock(), Journal()
    async with FakeUpstream() as fake, asyncio.timeout(5):
        fake.hints = hints
        upstream = upstream_to(fake, http, [journal], clock=clock)
        async with running(upstream):
            await ready(upstream, journal)
            clock.now += life
            upstream.refresh_if_stale()
            assert not upstream._asked
            clock.now += 0.001
            upstream.refresh_if_stale()
            assert upstream._asked


async def test_somebody_who_lists_does_not_hurry_an_upstream_that_is_down(http):
    clock, journal = Clock(), Journal()
    async with FakeUpstream() as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, [journal], clock=clock)
        async with running(upstream):
            await ready(upstream, journal)
            fake.before = answering(500)
            upstream.refresh_soon()
            await upstream.refreshed()
            clock.now += 0.1
            tried = len(fake.seen)
            for _ in range(50):
                upstream.known = replace(upstream.known, fetched=0.0)
                upstream.refresh_if_stale()
            assert not upstream._asked
    assert len(fake.seen) == tried


@pytest.mark.parametrize("status", [400, 404, 405])
async def test_a_list_that_is_refused_for_good_is_not_asked_for_without_end(status, http):
    clock = Clock()
    async with FakeUpstream() as fake, asyncio.timeout(5):
        fake.handlers["prompts/list"] = answering(status)
        upstream = upstream_to(fake, http, clock=clock)
        async with running(upstream):
            await upstream.settled()
            assert not upstream._asked
            assert upstream.known.health.failures == 1
            assert upstream.known.health.retry_at > clock.now
            assert f"HTTP {status}" in upstream.reason
    assert len(fake.asked("prompts/list")) == 1


async def test_a_failed_refresh_keeps_the_last_good_list_and_says_so(http):
    async with FakeUpstream() as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http)
        async with running(upstream):
            await upstream.settled()

            async def broken(request: Request) -> Answer:
                return error(request, -32603, "SECRET")

            fake.handlers["prompts/list"] = broken
            upstream.refresh_soon()
            await upstream.refreshed()
            assert (tools(upstream), upstream.is_stale, upstream.state) == (["echo"], True, State.UNREACHABLE)
            assert "SECRET" not in upstream.reason


async def test_a_list_that_became_empty_is_believed_but_not_silently(http, caplog):
    async with FakeUpstream() as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http)
        async with running(upstream):
            await upstream.settled()
            fake.tools = []
            upstream.refresh_soon()
            await upstream.refreshed()
            assert tools(upstream) == []
    assert "fake: offers nothing any more; before, it did" in [record.getMessage() for record in caplog.records]


@ERAS
async def test_a_refresh_that_finds_nothing_new_says_so(eras, http):
    journal = Journal()
    async with FakeUpstream(eras=eras) as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, [journal])
        async with running(upstream):
            await ready(upstream, journal)
            upstream.refresh_soon()
            await upstream.refreshed()
    assert [new for _, _, new in journal.told].count(True) == 1
    assert len(fake.asked("initialize")) == (1 if eras == "legacy" else 0)


@ERAS
async def test_an_announced_change_is_fetched_at_once(eras, http):
    journal = Journal()
    async with FakeUpstream(eras=eras, tools=["old"]) as fake, asyncio.timeout(5):
        fake.capabilities = {"tools": {"listChanged": True}}
        upstream = upstream_to(fake, http, [journal])
        async with running(upstream):
            await ready(upstream, journal)
            await fake.until_listening()
            for name in ("new", "newer"):
                fake.tools = [tool(name)]
                fake.announce("notifications/tools/list_changed")
                await journal.until(lambda name=name: tools(upstream) == [name])
            assert len(fake.streams) == 1


async def test_a_server_that_announces_a_change_in_every_new_session_is_not_asked_without_end(http):
    journal = Journal()
    async with FakeUpstream(eras="legacy") as fake, asyncio.timeout(5):
        fake.capabilities = {"tools": {"listChanged": True}}
        upstream = upstream_to(fake, http, [journal])

        async def greet(request: Request) -> Answer | None:
            if request.verb != "GET":
                return None
            answer = fake._open_stream(b": open\n\n", request)
            fake.announce("notifications/tools/list_changed")
            return answer

        fake.before = greet
        async with running(upstream):
            await fake.until("tools/list", 2)
            upstream.refresh_soon()
            await upstream.refreshed()
            upstream.refresh_soon()
            await upstream.refreshed()
    assert len(fake.asked("tools/list")) <= 4
    assert len(fake.asked("initialize")) == 1


async def test_an_upstream_that_was_lost_is_opened_and_listened_to_anew(http):
    journal = Journal()
    async with FakeUpstream(eras="legacy") as fake, asyncio.timeout(5):
        fake.capabilities = {"tools": {"listChanged": True}}
        upstream = upstream_to(fake, http, [journal])
        async with running(upstream):
            await ready(upstream, journal)
            await fake.until_listening()
            fake.before = answering(500)
            upstream.refresh_soon()
            await upstream.refreshed()
            fake.before, fake.instructions = None, "new process"
            fake.sessions.clear()
            fake.sessions["another"] = {}
            fake.streams.clear()
            await ready(upstream, journal)
            assert upstream.known.part.instructions == "new process"
            await fake.until_listening()
    assert len(fake.asked("initialize")) == 2


# Sessions and the end


async def test_sessions_nobody_uses_are_closed_while_it_runs(http):
    clock, journal = Clock(), Journal()
    async with FakeUpstream(eras="legacy") as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, [journal], clock=clock, sweep=0.01)
        async with running(upstream):
            await ready(upstream, journal)
            await upstream.send(tool_call())
            clock.now += 301
            await fake.until("DELETE")
            assert [each.headers["mcp-session-id"] for each in fake.seen if each.verb == "DELETE"] == ["session-1"]


async def test_the_session_of_an_owner_who_is_gone_is_ended(http):
    async with FakeUpstream(eras="legacy") as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http)
        async with running(upstream):
            await upstream.settled()
            await upstream.send(tool_call(owner=("session", "x")))
            await upstream.end_sessions(("session", "x"))
            assert set(fake.sessions) == {"session-0"}


@ERAS
async def test_closing_ends_every_session_and_every_task(eras, http):
    before = asyncio.all_tasks()
    async with FakeUpstream(eras=eras) as fake, asyncio.timeout(5):
        fake.capabilities = {"tools": {"listChanged": True}}
        upstream = upstream_to(fake, http)
        async with running(upstream):
            await upstream.settled()
            await upstream.send(tool_call())
            await fake.until_listening()
        assert not fake.sessions
        mine = {task for task in asyncio.all_tasks() - before if "FakeUpstream" not in repr(task)}
        assert not mine


async def test_closing_in_the_middle_of_the_first_contact_is_quiet(http):
    async with FakeUpstream() as fake, asyncio.timeout(5):
        fake.before = never
        upstream = upstream_to(fake, http)
        async with running(upstream):
            await fake.until("server/discover")
        assert upstream._settled.is_set()


async def test_what_a_tool_answers_in_the_wrong_form_is_its_own_trouble(http):
    async with FakeUpstream() as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, limits=replace(LIMITS, result=500))
        async with running(upstream):
            await upstream.settled()

            async def huge(request: Request) -> Answer:
                return Answer(b" " * 1000)

            fake.handlers["tools/call"] = huge
            with pytest.raises(BrokeProtocol):
                await upstream.send(tool_call())
            del fake.handlers["tools/call"]
            said = json.loads(bytes((await upstream.send(tool_call())).result or b""))
            assert json.loads(said["content"][0]["text"])["tool"] == "echo"


@pytest.mark.parametrize(("eras", "status"), [("modern", 400), ("modern", 404), ("legacy", 400), ("legacy", 405)])
async def test_calls_that_are_refused_do_not_have_the_lists_fetched_each_time(eras, status, http):
    journal = Journal()
    async with FakeUpstream(eras=eras) as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, [journal])
        async with running(upstream):
            await ready(upstream, journal)
            fake.handlers["tools/call"] = answering(status)
            for _ in range(20):
                with pytest.raises(UpstreamError):
                    await upstream.send(tool_call())
                await upstream.refreshed()
            assert len(fake.asked("tools/call")) == 20
            assert len(fake.asked("tools/list")) == 2, "at the first contact, and at the first doubt"
