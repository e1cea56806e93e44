"""What misbehaves on the pipes of a process harms nobody but those who asked it."""

import asyncio
import gc
import json
import logging

import pytest
from msgspec import Raw

from mcp_hub.errors import Busy, Unreachable
from mcp_hub.upstream import link, mailbox
from mcp_hub.upstream.carrier import CATALOG_OWNER
from mcp_hub.upstream.starts import Starts
from mcp_hub.upstream.stdio import Processes
from mcp_hub.wire.eras import Era
from mcp_hub.wire.jsonrpc import Reply, parse
from rig.commands import command, gone, processes_of
from rig.parts import LEGACY_CLIENT, LIMITS, MODERN_CLIENT, NOTHING, fields_of, modern_meta, tool_call

pytestmark = pytest.mark.promise("A3")
TOKEN = {"progressToken": Raw(b'"mine"')}


async def told(processes: Processes, tool: str, owner: str = "alice", **more) -> str:
    arguments = more.pop("arguments", {})
    call = tool_call(
        tool,
        client=LEGACY_CLIENT,
        owner=("principal", owner),
        params=fields_of({"name": tool, "arguments": arguments}),
        **more,
    )
    async with asyncio.timeout(15):
        reply: Reply = await processes.send(Era.LEGACY, call, NOTHING)
    return json.loads(bytes(reply.result or b""))["content"][0]["text"]


class Stuck:
    """A client that reads nothing of what its call is told, until it does."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.reads = asyncio.Event()
        self.heard = 0

    async def emit(self, _data: bytes) -> None:
        self.told.set()
        await self.reads.wait()
        self.heard += 1


async def pid(processes: Processes, owner: str = "alice") -> int:
    return json.loads(await told(processes, "where", owner))["pid"]


async def test_no_request_is_lost_while_many_wait_for_a_process_that_does_not_read():
    async with processes_of("legacy") as processes:
        await told(processes, "echo")
        dozing = asyncio.ensure_future(told(processes, "doze", arguments={"seconds": 0.3}))
        asked = [told(processes, "echo", arguments={"n": n, "x": "x" * 90_000}) for n in range(20)]
        assert [json.loads(each)["n"] for each in await asyncio.gather(*asked)] == list(range(20))
        assert await dozing == "dozed"


@pytest.mark.promise("A5")
async def test_a_client_that_does_not_read_holds_up_only_its_own_call(caplog):
    stuck = Stuck()
    async with processes_of("legacy") as processes:
        lines = {"lines": link.MOST_WAITING * 10}
        slow = asyncio.ensure_future(told(processes, "chatter", meta=TOKEN, emit=stuck.emit, arguments=lines))
        async with asyncio.timeout(15):
            await stuck.told.wait()
        await told(processes, "echo")
        assert not slow.done()
        stuck.reads.set()
        assert await slow == "chattered"
    assert link.MOST_WAITING <= stuck.heard < lines["lines"]
    assert caplog.text.count("more than its client reads") == 1


async def test_a_client_that_reads_gets_everything_however_fast_it_comes():
    stuck = Stuck()
    stuck.reads.set()
    async with processes_of("legacy") as processes:
        await told(processes, "chatter", meta=TOKEN, emit=stuck.emit, arguments={"lines": 3000})
    assert stuck.heard == 3000


async def test_others_are_served_while_one_process_writes_without_end(caplog):
    caplog.set_level(logging.INFO)
    async with processes_of("legacy") as processes:
        roaring = asyncio.ensure_future(told(processes, "roar"))
        for owner in ("bob", "carol"):
            for _ in range(20):
                assert await told(processes, "echo", owner) == "{}"
        roaring.cancel()
        await processes.end(("principal", "alice"))
    assert len([each for each in caplog.records if "roar" in each.message]) < 3000


async def test_an_endless_line_is_said_once_and_not_kept(caplog):
    async with processes_of("legacy") as processes:
        with pytest.raises(Unreachable):
            await told(processes, "flood", arguments={"bytes": (LIMITS.result + LIMITS.event) * 40})
    assert caplog.text.count("longer than the hub accepts") == 1


async def test_a_process_that_closes_its_input_makes_way_for_another():
    async with processes_of("legacy") as processes:
        first = await pid(processes)
        assert await told(processes, "deafen") == "deaf"
        await gone(first)
        assert await pid(processes) != first


async def test_half_an_answer_is_none_and_the_next_call_has_a_new_process():
    async with processes_of("legacy") as processes:
        with pytest.raises(Unreachable, match="exit code 3"):
            await told(processes, "half")
        assert await told(processes, "echo") == "{}"


async def test_an_announcement_over_the_limit_is_left_out(caplog):
    async def announce(times: int, size: int) -> None:
        params = fields_of({"name": "announce", "arguments": {"times": times, "size": size}})
        call = tool_call("announce", client=LEGACY_CLIENT, owner=CATALOG_OWNER, params=params)
        await processes.send(Era.LEGACY, call, NOTHING)

    async with (
        processes_of("legacy") as processes,
        asyncio.timeout(15),
        processes.overhear(LEGACY_CLIENT, NOTHING) as overheard,
    ):
        await announce(2, LIMITS.event)
        await announce(1, 5)
        assert [json.loads(bytes(each.params))["more"] async for each in _first(overheard.told, 1)] == ["xxxxx"]
    assert f"more than {LIMITS.event} bytes" in caplog.text


@pytest.mark.parametrize("era", [Era.LEGACY, Era.MODERN])
async def test_a_process_that_dies_while_it_is_listened_to_ends_the_stream_and_leaves_no_error_behind(era, caplog):
    client = {Era.LEGACY: LEGACY_CLIENT, Era.MODERN: MODERN_CLIENT}[era]
    meta = modern_meta() if era is Era.MODERN else {}
    async with processes_of(era.value) as processes, asyncio.timeout(15):
        listening = processes.listen({"toolsListChanged": True}, client, NOTHING)
        async with listening if era is Era.MODERN else processes.overhear(client, NOTHING) as stream:
            told = stream if era is Era.MODERN else stream.told
            call = tool_call(
                "crash", client=client, owner=CATALOG_OWNER, params=fields_of({"name": "crash"}), meta=meta
            )
            with pytest.raises(Unreachable):
                await processes.send(era, call, NOTHING)
            async for _ in told:
                pass
        await listening.gen.aclose()
    del listening, stream, told
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_two_listen_in_one_process_and_each_hears_its_own():
    async with processes_of("modern") as processes, asyncio.timeout(15):
        tools = processes.listen({"toolsListChanged": True}, MODERN_CLIENT, NOTHING)
        updates = processes.listen({"resourceSubscriptions": ["x:1"]}, MODERN_CLIENT, NOTHING)
        async with tools as of_tools:
            async with updates as of_updates:
                call = tool_call("update", client=MODERN_CLIENT, owner=CATALOG_OWNER, meta=modern_meta())
                await processes.send(Era.MODERN, call, NOTHING)
                heard = [each.method async for each in _first(of_updates, 2)]
                assert heard == ["notifications/subscriptions/acknowledged", "notifications/resources/updated"]
            call = tool_call("change", client=MODERN_CLIENT, owner=CATALOG_OWNER, meta=modern_meta())
            await processes.send(Era.MODERN, call, NOTHING)
            heard = [each.method async for each in _first(of_tools, 2)]
            assert heard == ["notifications/subscriptions/acknowledged", "notifications/tools/list_changed"]


async def _first(told, number):
    found = 0
    async for several in told:
        for message in several:
            yield message
            found += 1
        if found >= number:
            return


@pytest.mark.promise("A8")
async def test_one_who_keeps_crashing_his_process_takes_nobody_elses_away():
    async with processes_of("legacy") as processes:
        for _ in range(4):
            with pytest.raises(Unreachable, match="exit code 3"):
                await told(processes, "crash")
        with pytest.raises(Unreachable, match="ended 4 times"):
            await told(processes, "echo")
        assert await told(processes, "echo", "bob") == "{}"


async def test_no_more_processes_are_started_than_allowed_and_idle_ones_make_room():
    async with processes_of("legacy", most=2) as processes:
        waiting = [asyncio.ensure_future(told(processes, "wait", owner)) for owner in ("alice", "bob")]
        for owner in ("alice", "bob"):
            await told(processes, "echo", owner)
        with pytest.raises(Busy, match="All 2 processes of up are in use"):
            await told(processes, "echo", "carol")
        waiting[0].cancel()
        await asyncio.wait(waiting[:1])
        assert await told(processes, "echo", "carol") == "{}"
        assert len(processes) == 2
        waiting[1].cancel()


async def test_nothing_is_started_once_all_is_closed():
    processes = Processes("up", command("legacy"), LIMITS)
    await processes.aclose()
    with pytest.raises(Unreachable, match="the hub is ending"):
        await told(processes, "echo")
    assert len(processes) == 0


@pytest.mark.promise("A5")
async def test_announcements_that_wait_are_bounded_in_bytes_too():
    box = mailbox.Mailbox("up")
    for n in range(10):
        params = {"n": n, "x": "x" * (mailbox.MOST_BYTES // 4)}
        box.put(parse(json.dumps({"jsonrpc": "2.0", "method": "x", "params": params}).encode()))
    box.close()
    async with asyncio.timeout(5):
        assert [len(each) async for each in box.told()] == [3]


@pytest.mark.promise("T23")
async def test_processes_that_are_started_at_once_are_bounded_too():
    async with processes_of("legacy", most=2, starts=Starts(8)) as processes:
        waiting = [asyncio.ensure_future(told(processes, "wait", owner)) for owner in "abcdef"]
        async with asyncio.timeout(5):
            for refused in asyncio.as_completed(waiting):
                with pytest.raises(Busy, match="All 2 processes of up are in use"):
                    await refused
                if sum(each.done() for each in waiting) == 4:
                    break
        for owner, each in zip("abcdef", waiting, strict=True):
            if not each.done():
                assert await told(processes, "echo", owner) == "{}"
        assert len(processes) == 2
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)
