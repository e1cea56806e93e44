"""One upstream over its life: found, lost, found again, slow, refusing, changing its mind, and closed."""

import asyncio
from dataclasses import replace

import pytest

from mcp_hub.catalog.parts import Kind, Part
from mcp_hub.credentials.state import State
from mcp_hub.errors import Busy, RefusedCredential, TimedOut, Unreachable
from mcp_hub.upstream.answer import NotModern
from mcp_hub.upstream.known import Known
from mcp_hub.wire.eras import Era
from rig.fake_upstream import Answer, FakeUpstream, Request, tool
from rig.parts import LIMITS, Journal, bearer, door, running, tool_call, upstream_to

pytestmark = pytest.mark.promise("A8", "D33", "A7")
ERAS = pytest.mark.parametrize("eras", ["modern", "legacy"])
STORED = Known(era=Era.MODERN, part=Part(items={Kind.TOOL: (tool("stored"),)}))


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


# First contact


@ERAS
async def test_it_introduces_itself_lists_and_is_ready(eras, http):
    journal = Journal()
    async with FakeUpstream(eras=eras, tools=["a", "b"]) as fake:
        upstream = upstream_to(fake, http, [journal])
        assert upstream.state is State.UNREACHABLE
        assert upstream.reason == "The first contact with fake is still under way."
        async with running(upstream), asyncio.timeout(5):
            await upstream.settled()
            assert (upstream.state, upstream.reason, upstream.is_stale) == (State.READY, "", False)
            assert tools(upstream) == ["a", "b"]
            assert upstream.known.era is upstream.known.opening.era is Era(eras)
            assert upstream.known.milliseconds > 0
    assert [new_part for _, _, new_part in journal.told] == [True]


async def test_it_starts_down_and_connects_by_itself_when_the_server_appears(http):
    journal = Journal()
    fake = FakeUpstream()
    async with fake:
        pass
    upstream = upstream_to(fake, http, [journal])
    async with running(upstream), asyncio.timeout(5):
        await upstream.settled()
        assert upstream.state is State.UNREACHABLE
        assert upstream.reason.startswith("fake could not be reached: No connection")
        assert upstream.known.part is None
        async with fake:
            await ready(upstream, journal)
            assert tools(upstream) == ["echo"]


async def test_a_call_before_the_first_contact_waits_for_it_and_no_longer_than_it_takes(http):
    async with FakeUpstream() as fake:
        upstream = upstream_to(fake, http)
        async with asyncio.timeout(5):
            early = asyncio.ensure_future(upstream.send(tool_call()))
            async with running(upstream):
                assert (await early).result is not None
    fake = FakeUpstream()
    async with fake:
        pass
    upstream = upstream_to(fake, http)
    async with running(upstream), asyncio.timeout(5):
        with pytest.raises(Unreachable, match="fake could not be reached"):
            await upstream.send(tool_call())


@pytest.mark.promise("T24")
async def test_a_call_does_not_wait_for_ever_for_a_first_contact(http):
    async with FakeUpstream() as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, listing=0.02)
        with pytest.raises(Unreachable, match="The first contact with fake is still under way"):
            await upstream.send(tool_call())
    assert not fake.seen


@pytest.mark.promise("T24")
@pytest.mark.parametrize(
    ("method", "sentence"), [("server/discover", "did not introduce itself"), ("tools/list", "did not list")]
)
async def test_an_upstream_that_hangs_is_unreachable_after_the_deadline(method, sentence, http):
    async with FakeUpstream() as fake, asyncio.timeout(5):
        fake.handlers[method] = never
        upstream = upstream_to(fake, http, listing=0.1)
        async with running(upstream):
            await upstream.settled()
            assert upstream.state is State.UNREACHABLE
            assert sentence in upstream.reason
            assert "within 0.1 s" in upstream.reason


async def test_what_is_wrong_with_single_definitions_is_logged(http, caplog):
    async with FakeUpstream() as fake:
        fake.tools = [tool("good"), {"name": "bad"}]
        upstream = upstream_to(fake, http)
        async with running(upstream), asyncio.timeout(5):
            await upstream.settled()
            assert tools(upstream) == ["good"]
    assert any('"bad" is left out' in record.getMessage() for record in caplog.records)


# After a restart


async def test_a_stored_list_is_there_at_once_and_says_that_it_is_stale(http):
    fake = FakeUpstream()
    async with fake:
        pass
    upstream = upstream_to(fake, http, known=STORED)
    async with asyncio.timeout(5):
        await upstream.settled()
        assert (upstream.is_stale, upstream.state, tools(upstream)) == (True, State.UNREACHABLE, ["stored"])
        async with running(upstream):
            await upstream._settled.wait()
            assert (upstream.is_stale, tools(upstream)) == (True, ["stored"])


async def test_a_remembered_era_is_used_before_anything_is_found_out(http):
    async with FakeUpstream() as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, known=STORED)
        assert (await upstream.send(tool_call())).result is not None
    assert [each.method for each in fake.seen] == ["tools/call"]


@pytest.mark.promise("A3", "A5")
async def test_a_wrong_memory_of_the_era_costs_one_call_which_is_not_repeated(http):
    journal = Journal()
    async with FakeUpstream(eras="legacy") as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, [journal], known=STORED)
        with pytest.raises(NotModern):
            await upstream.send(tool_call())
        assert len(fake.asked("tools/call")) == 1
        async with running(upstream):
            await ready(upstream, journal)
            assert upstream.known.era is Era.LEGACY
            assert (await upstream.send(tool_call())).result is not None
    assert len(fake.asked("tools/call")) == 2


@pytest.mark.promise("A3", "A5")
async def test_an_upstream_that_changes_its_era_while_it_runs_is_found_out_again(http):
    journal = Journal()
    async with FakeUpstream() as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, [journal])
        async with running(upstream):
            await ready(upstream, journal)
            fake.eras = "legacy"
            with pytest.raises(NotModern):
                await upstream.send(tool_call())
            await journal.until(lambda: upstream.known.era is Era.LEGACY)
            assert (await upstream.send(tool_call())).result is not None
    assert len(fake.asked("tools/call")) == 2


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_what_proves_nothing_about_the_era_leaves_the_memory_alone(status, http):
    async with FakeUpstream(eras="legacy") as fake, asyncio.timeout(5):
        fake.before = answering(status)
        upstream = upstream_to(fake, http, known=STORED)
        async with running(upstream):
            await upstream._settled.wait()
            assert upstream.known.era is Era.MODERN
            assert tools(upstream) == ["stored"]


# The circuit


@pytest.mark.promise("T24", "S11")
async def test_after_three_failures_calls_fail_at_once_and_say_when_it_is_tried_again(http):
    clock = Clock()
    async with FakeUpstream() as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, known=STORED, clock=clock)
        fake.handlers["tools/call"] = answering(500)
        for _ in range(3):
            with pytest.raises(Unreachable, match=r"fake failed \(HTTP 500\)"):
                await upstream.send(tool_call())
        with pytest.raises(Unreachable, match=r"HTTP 500.* The hub tries again in [234] s\.$"):
            await upstream.send(tool_call())
        assert len(fake.asked("tools/call")) == 3
        assert upstream.state is State.UNREACHABLE
        del fake.handlers["tools/call"]
        clock.now += 5
        assert (await upstream.send(tool_call())).result is not None
        assert (upstream.state, upstream.reason) == (State.READY, "")


async def test_many_calls_that_fail_together_do_not_shut_the_upstream_out_for_a_minute(http):
    clock = Clock()
    async with FakeUpstream() as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, known=STORED, clock=clock)
        fake.handlers["tools/call"] = answering(500)
        calls = [upstream.send(tool_call()) for _ in range(20)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(each) for each in outcomes} == {Unreachable}
    assert upstream.known.health.retry_at <= clock.now + 4


async def test_a_success_between_failures_begins_the_count_anew(http):
    async with FakeUpstream() as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, known=STORED)
        for _ in range(3):
            fake.handlers["tools/call"] = answering(500)
            for _ in range(2):
                with pytest.raises(Unreachable):
                    await upstream.send(tool_call())
            del fake.handlers["tools/call"]
            await upstream.send(tool_call())
    assert upstream.known.health.is_well


@pytest.mark.parametrize("handler", [never, answering(429), answering(503)], ids=["slow", "429", "503"])
async def test_slow_tools_and_busy_servers_are_not_unreachable(handler, http):
    async with FakeUpstream() as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, limits=replace(LIMITS, first_byte=0.2))
        async with running(upstream):
            await upstream.settled()
            fake.handlers["tools/call"] = handler
            for _ in range(5):
                with pytest.raises((TimedOut, Busy)):
                    await upstream.send(tool_call())
            assert upstream.state is State.READY
            del fake.handlers["tools/call"]
            assert (await upstream.send(tool_call())).result is not None


async def test_slow_calls_do_not_add_to_other_failures(http):
    async with FakeUpstream() as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, known=STORED, limits=replace(LIMITS, first_byte=0.2))
        fake.handlers["tools/call"] = answering(500)
        with pytest.raises(Unreachable):
            await upstream.send(tool_call())
        fake.handlers["tools/call"] = never
        for _ in range(3):
            with pytest.raises(TimedOut):
                await upstream.send(tool_call())
    assert not upstream.known.health.is_open


async def test_a_lost_upstream_keeps_its_list_is_named_and_comes_back_by_itself(http):
    journal = Journal()
    async with FakeUpstream() as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, [journal])
        async with running(upstream):
            await ready(upstream, journal)
            await fake.stop()
            with pytest.raises(Unreachable):
                await upstream.send(tool_call())
            assert (upstream.state, upstream.is_stale, tools(upstream)) == (State.UNREACHABLE, True, ["echo"])
            fake.tools = [tool("after")]
            async with fake:
                await ready(upstream, journal)
                assert (upstream.is_stale, tools(upstream)) == (False, ["after"])


async def test_only_the_first_and_the_opening_failure_are_logged(http, caplog):
    async with FakeUpstream() as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, known=STORED)
        fake.handlers["tools/call"] = answering(500)
        calls = [upstream.send(tool_call()) for _ in range(9)]
        await asyncio.gather(*calls, return_exceptions=True)
    assert [record.getMessage()[:17] for record in caplog.records] == ["fake failed (HTTP"] * 2


# Credentials


async def test_a_refused_credential_needs_a_reconnect_and_is_no_reason_to_stop_sending(http):
    async with FakeUpstream() as fake, asyncio.timeout(5):
        fake.before = answering(401)
        upstream = upstream_to(fake, http, credential=bearer("wrong"))
        async with running(upstream):
            await upstream.settled()
            assert upstream.state is State.RECONNECT_NEEDED
            assert upstream.reason == "fake rejected the credential (HTTP 401). Ask whoever runs this hub."
            upstream.known = replace(upstream.known, era=Era.MODERN)
            with pytest.raises(RefusedCredential):
                await upstream.send(tool_call())
            fake.before = None
            assert (await upstream.send(tool_call())).result is not None
            assert upstream.state is State.READY


async def test_a_credential_that_a_call_finds_refused_is_tried_again_by_the_supervisor(http):
    clock, journal = Clock(), Journal()
    async with FakeUpstream() as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, [journal], clock=clock, sweep=0.01)
        async with running(upstream):
            await ready(upstream, journal)
            fake.handlers["tools/call"] = answering(403)
            with pytest.raises(RefusedCredential):
                await upstream.send(tool_call())
            assert upstream.state is State.RECONNECT_NEEDED
            clock.now += 61
            await ready(upstream, journal)
