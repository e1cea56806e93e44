"""Upstreams that are local commands: what crosses the pipes of a process, and what becomes of processes."""

import asyncio
import json
import os
import time
from contextlib import suppress
from dataclasses import replace

import pytest
from msgspec import Raw

from mcp_hub.credentials.access import Fixed
from mcp_hub.credentials.state import State
from mcp_hub.errors import TimedOut, Unreachable
from mcp_hub.upstream.carrier import CATALOG_OWNER, Ear
from mcp_hub.upstream.fetch import Fetch
from mcp_hub.upstream.probe import probe
from mcp_hub.upstream.process import Command
from mcp_hub.upstream.stdio import Processes
from mcp_hub.upstream.upstream import Upstream
from mcp_hub.wire.eras import META_LOG_LEVEL, Client, Era
from mcp_hub.wire.jsonrpc import Reply
from rig.commands import children, command, descriptors, gone, is_alive, processes_of
from rig.fake_upstream import FakeUpstream
from rig.parts import (
    INFO,
    LEGACY_CLIENT,
    LIMITS,
    MODERN_CLIENT,
    NOTHING,
    Journal,
    Stream,
    bearing,
    fields_of,
    modern_meta,
    running,
    settings_for,
    tool_call,
)

pytestmark = pytest.mark.promise("A3")


ERAS = [Era.LEGACY, Era.MODERN]
CLIENTS = {Era.LEGACY: LEGACY_CLIENT, Era.MODERN: MODERN_CLIENT}


def a_call(tool: str, era: Era, owner: str = "alice", **more):
    arguments = more.pop("arguments", {})
    return tool_call(
        tool,
        client=more.pop("client", CLIENTS[era]),
        owner=("principal", owner),
        params=fields_of({"name": tool, "arguments": arguments}),
        **more,
    )


def said(reply: Reply) -> str:
    return json.loads(bytes(reply.result or b""))["content"][0]["text"]


async def told(processes: Processes, tool: str, era: Era = Era.LEGACY, owner: str = "alice", **more) -> str:
    async with asyncio.timeout(10):
        return said(await processes.send(era, a_call(tool, era, owner, **more), NOTHING))


@pytest.mark.parametrize("era", ERAS)
async def test_a_command_is_probed_and_listed_in_its_era(era):
    async with processes_of(era.value) as processes, asyncio.timeout(10):
        opening = await probe("up", bearing(processes), INFO, pinned=None)
        part = await Fetch("up", bearing(processes), INFO, 5.0).part(opening)
        assert opening.era is era
        assert any(item["name"] == "echo" for items in part.items.values() for item in items)


@pytest.mark.parametrize("way", ["mute", "brittle", "greets"])
async def test_an_old_server_is_found_out_whatever_it_does_with_what_it_does_not_know(way):
    async with processes_of("legacy", way, discovery=0.5) as processes, asyncio.timeout(10):
        opening = await probe("up", bearing(processes), INFO, pinned=None)
        assert opening.era is Era.LEGACY
        assert len(processes) == 1


@pytest.mark.parametrize("era", ERAS)
async def test_calls_are_served_at_once_and_each_gets_its_own_answer(era):
    async with processes_of(era.value) as processes:
        calls = [told(processes, "echo", era, arguments={"n": n}) for n in range(50)]
        assert [json.loads(each) for each in await asyncio.gather(*calls)] == [{"n": n} for n in range(50)]
        assert len(processes) == 1


async def test_owners_share_no_process():
    async with processes_of("legacy") as processes:
        pids = {json.loads(await told(processes, "where", owner=owner))["pid"] for owner in ("alice", "bob")}
        assert len(pids) == len(processes) == 2


@pytest.mark.promise("T63")
async def test_a_child_gets_nothing_of_the_environment_but_where_it_is_and_what_is_configured(monkeypatch):
    for key in ("MCP_HUB_KEY", "MCP_HUB_DATA", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "PYTHONPATH"):
        monkeypatch.setenv(key, "canary")
    monkeypatch.setenv("LC_TIME", "C")
    async with processes_of("legacy", env={"OWN": "given"}) as processes:
        found = json.loads(await told(processes, "environment"))
    assert "canary" not in json.dumps(found)
    assert (found["OWN"], found["PATH"], found["LC_TIME"]) == ("given", os.environ["PATH"], "C")


async def test_a_command_runs_in_its_directory(tmp_path):
    async with processes_of("legacy", cwd=str(tmp_path)) as processes:
        assert json.loads(await told(processes, "where"))["cwd"] == str(tmp_path)


@pytest.mark.parametrize("era", ERAS)
async def test_progress_reaches_its_call_under_its_own_token_and_nobody_else(era):
    async with processes_of(era.value) as processes:
        stream = Stream()
        meta = {**(modern_meta() if era is Era.MODERN else {}), "progressToken": Raw(b'"mine"')}
        assert await told(processes, "progress", era, meta=meta, emit=stream.emit) == "progressed"
        assert [each["params"] for each in stream.heard] == [{"progressToken": "mine", "progress": n} for n in range(3)]


async def test_log_messages_reach_the_one_call_under_way_and_no_other():
    async with processes_of("legacy") as processes:
        alone, first, second = Stream(), Stream(), Stream()
        usual = {"client": MODERN_CLIENT, "meta": modern_meta(**{META_LOG_LEVEL: "debug"})}
        await told(processes, "log", emit=alone.emit, **usual)
        assert [each["method"] for each in alone.heard] == ["notifications/message"]
        waiting = asyncio.ensure_future(told(processes, "wait", emit=first.emit, **usual))
        await told(processes, "echo")
        await told(processes, "log", emit=second.emit, **usual)
        waiting.cancel()
        assert (first.heard, second.heard) == ([], []), "one user's clients may be several"


async def test_log_messages_reach_the_one_client_that_has_made_all_calls_under_way():
    async with processes_of("legacy") as processes:
        first, second = Stream(), Stream()
        waiting = asyncio.ensure_future(told(processes, "wait", emit=first.emit))
        await told(processes, "echo")
        await told(processes, "log", emit=second.emit)
        waiting.cancel()
        assert [each["method"] for each in first.heard + second.heard] == ["notifications/message"]


async def test_a_question_reaches_the_client_of_the_call_and_its_answer_the_process():
    async def answer(method, params):
        assert method == "elicitation/create"
        return Reply(result=Raw(b'{"action":"accept"}'))

    client = Client(Era.LEGACY, "2025-11-25", Raw(b'{"elicitation":{}}'), INFO)
    async with processes_of("legacy") as processes:
        found = await told(processes, "ask", client=client, ask_client=answer)
        assert json.loads(found) == {"action": "accept"}


async def test_a_question_nobody_can_be_asked_is_answered_with_an_error():
    async with processes_of("legacy") as processes:
        assert json.loads(await told(processes, "ask"))["code"] == -32601


async def test_the_time_a_person_takes_for_an_answer_does_not_count():
    async def answer(method, params):
        await asyncio.sleep(0.6)
        return Reply(result=Raw(b'{"action":"accept"}'))

    client = Client(Era.LEGACY, "2025-11-25", Raw(b'{"elicitation":{}}'), INFO)
    async with processes_of("legacy", limits=replace(LIMITS, first_byte=0.3)) as processes:
        assert "accept" in await told(processes, "ask", client=client, ask_client=answer)


@pytest.mark.parametrize("era", ERAS)
async def test_giving_up_tells_the_process_which_goes_on_serving(era):
    async with processes_of(era.value, limits=replace(LIMITS, first_byte=1.0)) as processes:
        await told(processes, "echo", era)
        with pytest.raises(TimedOut):
            await told(processes, "wait", era)
        waiting = asyncio.ensure_future(told(processes, "wait", era))
        await told(processes, "echo", era)
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        heard = json.loads(await told(processes, "where", era))["heard"]
        assert heard.count("notifications/cancelled") == 2


@pytest.mark.parametrize("era", ERAS)
async def test_a_crash_fails_what_was_under_way_and_the_next_call_has_a_new_process(era, caplog):
    async with processes_of(era.value) as processes:
        before = json.loads(await told(processes, "where", era))["pid"]
        with pytest.raises(Unreachable, match="exit code 3"):
            await told(processes, "crash", era)
        assert json.loads(await told(processes, "where", era))["pid"] != before
    assert "the last words" in caplog.text


async def test_a_command_that_keeps_ending_is_started_ever_later():
    now = [0.0]
    async with processes_of("legacy", clock=lambda: now[0]) as processes:
        for _ in range(4):
            with pytest.raises(Unreachable, match="exit code 3"):
                await told(processes, "crash")
        with pytest.raises(Unreachable, match=r"ended 4 times .* in 1 s"):
            await told(processes, "echo")
        now[0] = 1.1
        assert await told(processes, "echo") == "{}"


async def test_line_breaks_in_a_callers_json_end_no_message():
    pretty = Raw(b'{\n  "n":\r\n{"jsonrpc":"2.0","id":1,\n"method":"x"}\n}')
    call = tool_call("echo", client=LEGACY_CLIENT, params={"name": Raw(b'"echo"'), "arguments": pretty})
    async with processes_of("legacy") as processes, asyncio.timeout(5):
        found = json.loads(said(await processes.send(Era.LEGACY, call, NOTHING)))
        assert found == {"n": {"jsonrpc": "2.0", "id": 1, "method": "x"}}


async def test_junk_on_standard_output_is_left_out():
    async with processes_of("legacy", "greets") as processes:
        assert await told(processes, "babble") == "babbled"
        assert await told(processes, "echo") == "{}"


async def test_an_endless_line_ends_only_the_process_that_writes_it():
    async with processes_of("legacy") as processes:
        bob = json.loads(await told(processes, "where", owner="bob"))["pid"]
        with pytest.raises(Unreachable):
            await told(processes, "flood", arguments={"bytes": LIMITS.result + LIMITS.event + 10})
        assert json.loads(await told(processes, "where", owner="bob"))["pid"] == bob


async def test_a_command_that_is_not_there_is_unreachable_and_says_why(tmp_path):
    for given, why in [
        (Command(command("x").arguments[:1], cwd=str(tmp_path / "none")), "No such file"),
        (Command((type(command("x").arguments[0])("no-such-program-here"),)), "no command 'no-such-program-here'"),
    ]:
        with pytest.raises(Unreachable, match=why):
            await Processes("up", given, LIMITS).start()


async def test_the_whole_group_ends_and_a_stubborn_process_is_ended():
    async with processes_of("legacy", "stubborn", "family") as processes:
        leader = json.loads(await told(processes, "where"))["pid"]
        members = [int(each) for each in os.listdir("/proc") if each.isdigit() and _group(int(each)) == leader]
        assert len(members) == 2
    await gone(*members)


def _group(pid: int) -> int:
    with suppress(OSError):
        return os.getpgid(pid)
    return 0


async def test_idle_processes_end_but_not_the_catalogs():
    now = [0.0]
    async with processes_of("legacy", clock=lambda: now[0]) as processes:
        await processes.start()
        await told(processes, "echo")
        now[0] = 301.0
        await processes.end_idle(CATALOG_OWNER)
        assert len(processes) == 1


@pytest.mark.parametrize("era", ERAS)
async def test_a_process_in_which_a_task_may_run_is_not_idle(era):
    now = [0.0]
    async with processes_of(era.value, clock=lambda: now[0]) as processes:
        made = await processes.send(era, a_call("task", era, "alice"), NOTHING)
        assert b'"taskId"' in bytes(made.result)
        now[0] = 1999.0
        await processes.end_idle(CATALOG_OWNER)
        assert len(processes) == 1
        now[0] = 2400.0
        await processes.end_idle(CATALOG_OWNER)
        assert len(processes) == 0


class Made:
    """An upstream that is a local command, what was learnt of it, and the updates it told of."""

    def __init__(self, era: Era, *ways: str) -> None:
        self.journal = Journal()
        self.updates: asyncio.Queue[object] = asyncio.Queue()
        settings = settings_for(FakeUpstream(name="up"), url="stdio:up")
        self.upstream = Upstream(settings, Fixed(), self._way(era, *ways), (self.journal,), notices=self)

    def _way(self, era: Era, *ways: str):
        def way(ear: Ear) -> Processes:
            self.processes = Processes("up", command(era.value, *ways), LIMITS, ear)
            return self.processes

        return way

    def announced(self, name, kinds) -> None:
        pass

    def updated(self, name, params) -> None:
        self.updates.put_nowait(json.loads(bytes(params))["uri"])

    def lists(self, tool: str) -> bool:
        return f"'{tool}'" in str(self.upstream.known.part)


@pytest.mark.parametrize("era", ERAS)
async def test_an_upstream_hears_of_changes_and_recovers_from_a_crash_by_itself(era):
    made = Made(era)
    async with running(made.upstream):
        await made.journal.until(lambda: made.upstream.known.part is not None)
        async with asyncio.timeout(5):
            assert await made.upstream.subscribe(["x:1"]) == {"x:1"}
            await made.processes.send(era, tool_call("update", client=CLIENTS[era], owner=CATALOG_OWNER), NOTHING)
            assert await made.updates.get() == "x:1"
        await made.processes.send(era, tool_call("change", client=CLIENTS[era], owner=CATALOG_OWNER), NOTHING)
        await made.journal.until(lambda: made.lists("new"))
        with pytest.raises(Unreachable):
            await made.processes.send(era, tool_call("crash", client=CLIENTS[era], owner=CATALOG_OWNER), NOTHING)
        # The new process is subscribed to and listened to like the one before; what may have been missed is told.
        async with asyncio.timeout(10):
            assert await made.updates.get() == "x:1"
        await made.journal.until(lambda: not made.lists("new"))
        assert said(await made.upstream.send(a_call("echo", era))) == "{}"


@pytest.mark.promise("A8")
@pytest.mark.parametrize("era", ERAS)
async def test_whoever_keeps_crashing_his_own_process_does_not_make_the_upstream_unreachable_for_others(era):
    made = Made(era)
    async with running(made.upstream):
        await made.journal.until(lambda: made.upstream.known.part is not None)
        for why in (*["exit code 3"] * 4, *["ended 4 times"] * 4):
            with pytest.raises(Unreachable, match=why):
                await made.upstream.send(a_call("crash", era))
        assert made.upstream.state is State.READY
        assert said(await made.upstream.send(a_call("echo", era, "bob"))) == "{}"


async def test_a_process_that_tells_of_no_changes_is_used_all_the_same():
    made = Made(Era.MODERN, "deaf")
    async with running(made.upstream):
        await made.journal.until(lambda: made.upstream.known.part is not None)
        async with asyncio.timeout(5):
            assert await made.upstream.subscribe(["x:1"]) == frozenset()
            assert said(await made.upstream.send(a_call("echo", Era.MODERN))) == "{}"


async def test_a_change_that_a_callers_own_process_announces_has_the_lists_fetched_again():
    made = Made(Era.LEGACY)
    async with running(made.upstream):
        await made.journal.until(lambda: made.upstream.known.fetched is not None)
        first = made.upstream.known.fetched
        await made.upstream.send(a_call("change", Era.LEGACY))
        await made.journal.until(lambda: made.upstream.known.fetched != first)


@pytest.mark.promise("T63")
async def test_a_hundred_commands_started_crashed_restarted_and_stopped_leave_nothing():
    before, open_before = set(children()), descriptors()
    all_of_them = [Processes(f"up{n}", command("legacy"), LIMITS) for n in range(100)]
    started = time.monotonic()
    crowd = asyncio.Semaphore(10)

    async def live(processes: Processes) -> None:
        async with crowd, asyncio.timeout(60):
            await told(processes, "echo")
            with pytest.raises(Unreachable):
                await told(processes, "crash")
            await told(processes, "echo")

    await asyncio.gather(*map(live, all_of_them))
    assert len(set(children()) - before) == 100
    await asyncio.gather(*(each.aclose() for each in all_of_them))
    assert set(children()) == before
    assert descriptors() == open_before
    assert time.monotonic() - started < 120


@pytest.mark.promise("D33")
async def test_no_process_is_left_that_was_being_ended_when_everything_ended():
    async with processes_of("legacy", "stubborn") as processes:
        pid = json.loads(await told(processes, "where"))["pid"]
        ending = asyncio.ensure_future(processes.end(("principal", "alice")))
        await asyncio.sleep(0)
        assert len(processes) == 0
        ending.cancel()  # as whoever waited for it may be
        await processes.aclose()
        assert not is_alive(pid)
