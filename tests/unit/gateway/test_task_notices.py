"""States of tasks reach those who made them and listen, and nobody else."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from mcp_hub.errors import BadRequest, MissingCapability
from mcp_hub.gateway import task_notices
from mcp_hub.gateway.listener import Over
from mcp_hub.gateway.task_notices import LARGEST, MOST
from rig.fake_upstream import Answer, sse
from rig.parts import ALICE, BOB, LIMITS, MODERN_CLIENT
from rig.task_upstream import LINK, TASKS, TaskUpstream
from unit.gateway.test_tasks import MODERN, begun

pytestmark = pytest.mark.promise("A5", "B22")
STATUS = "notifications/tasks"


def state(task="task-0", status="working", **more):
    return {"jsonrpc": "2.0", "method": STATUS, "params": {"taskId": task, "status": status, **more}}


def tell(fake, *messages):
    for stream in fake.streams:
        if any("taskIds" in each.message["params"]["notifications"] for each in fake.asked("subscriptions/listen")):
            stream.put_nowait(sse(*messages))


@asynccontextmanager
async def following(hub, *shown, caller=ALICE, client=MODERN):
    """A listener for these tasks, and those of them that it will be told of."""
    listener = hub.notices.open(caller.key, frozenset())
    try:
        async with asyncio.timeout(5), hub.notices.follow(listener, caller, client, shown) as told:
            yield listener, told
    finally:
        listener.close()


async def heard(listener):
    async with asyncio.timeout(5):
        return [(method, {key: bytes(raw) for key, raw in params.items()}) for method, params in await listener.heard()]


def listened(fake):
    return [
        each.message["params"]
        for each in fake.asked("subscriptions/listen")
        if "taskIds" in each.message["params"]["notifications"]
    ]


async def test_a_client_hears_of_its_task_under_the_id_it_knows(over):
    async with over(TaskUpstream()) as hub:
        fake = hub.fakes["up"]
        shown = await begun(hub, MODERN)
        async with following(hub, shown) as (listener, told):
            assert told == {shown}
            meta = {"io.modelcontextprotocol/subscriptionId": 7}
            tell(fake, state("task-9"), state(status="completed", result={"content": [LINK]}, _meta=meta))
            notices = await heard(listener)
        asked = listened(fake)
    assert [method for method, _ in notices] == [STATUS]
    params = notices[0][1]
    assert params.keys() == {"taskId", "status", "result"}
    assert params["taskId"] == f'"{shown}"'.encode()
    assert b'"up+file:///made"' in params["result"]
    assert asked[0]["notifications"] == {"taskIds": ["task-0"]}
    assert TASKS in asked[0]["_meta"]["io.modelcontextprotocol/clientCapabilities"]["extensions"]


async def test_tasks_of_several_upstreams_are_followed_at_each(over):
    async with over(TaskUpstream(), TaskUpstream(name="other")) as hub:
        shown = [await begun(hub, MODERN), await begun(hub, MODERN, tool="other__echo")]
        async with following(hub, *shown) as (listener, told):
            assert told == set(shown)
            tell(hub.fakes["other"], state())
            assert (await heard(listener))[0][1]["taskId"] == f'"{shown[1]}"'.encode()


async def test_whoever_leaves_is_not_told_any_more_upstream_either(over):
    async with over(TaskUpstream()) as hub:
        shown = await begun(hub, MODERN)
        async with following(hub, shown):
            pass
        async with asyncio.timeout(5), hub.fakes["up"]._heard:
            await hub.fakes["up"]._heard.wait_for(lambda: not hub.fakes["up"].streams)


@pytest.mark.promise("T16", "T21")
async def test_another_principals_task_is_not_followed_and_its_upstream_not_asked(over):
    async with over(TaskUpstream()) as hub:
        shown = await begun(hub, MODERN)
        for named in (shown, "task-0", "", "é"):
            async with following(hub, named, caller=BOB) as (_, told):
                assert told == frozenset()
        assert not listened(hub.fakes["up"])


async def test_a_client_has_to_declare_the_extension_and_name_no_more_than_it_may(over):
    async with over(TaskUpstream()) as hub:
        with pytest.raises(MissingCapability):
            async with following(hub, "x", client=MODERN_CLIENT):
                pass
        with pytest.raises(BadRequest, match="at once"):
            async with following(hub, *map(str, range(MOST + 1))):
                pass
        async with following(hub, client=MODERN_CLIENT) as (_, told):
            assert told == frozenset()


async def test_what_an_upstream_does_not_grant_is_not_promised(over):
    async def refuses(request):
        if "taskIds" in request.message["params"]["notifications"]:
            return Answer(b"{}", 404)
        return None

    async def grants_others(request):
        if "taskIds" not in request.message["params"]["notifications"]:
            return None
        told = {"notifications": {"taskIds": ["other", 5]}}
        first = sse({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": told})
        return fake._open_stream(first, request)

    for handler in (refuses, grants_others):
        fake = TaskUpstream()
        fake.handlers["subscriptions/listen"] = handler
        async with over(fake) as hub:
            shown = await begun(hub, MODERN)
            async with following(hub, shown) as (_, told):
                assert told == frozenset()


async def test_an_upstream_that_does_not_answer_in_time_costs_no_more_than_that(over):
    never = asyncio.Event()

    async def hangs(request):
        if "taskIds" in request.message["params"]["notifications"]:
            await never.wait()

    fake = TaskUpstream()
    fake.handlers["subscriptions/listen"] = hangs
    async with over(fake, deadline=0.1) as hub:
        shown = await begun(hub, MODERN)
        async with following(hub, shown) as (_, told):
            assert told == frozenset()
        never.set()


async def test_a_stream_that_breaks_off_ends_the_clients(over):
    async with over(TaskUpstream()) as hub:
        shown = await begun(hub, MODERN)
        async with following(hub, shown) as (listener, told):
            assert told == {shown}
            hub.fakes["up"].cut_streams()
            assert await heard(listener) == []
            assert listener.over is Over.CUT


@pytest.mark.promise("T23")
async def test_a_state_that_is_too_large_to_wait_ends_the_clients_stream(over):
    limits = replace(LIMITS, event=LARGEST * 2)
    async with over(TaskUpstream(), limits=limits) as hub:
        shown = await begun(hub, MODERN)
        async with following(hub, shown) as (listener, _):
            tell(hub.fakes["up"], state(result={"text": "x" * LARGEST}))
            assert await heard(listener) == []
            assert listener.over is Over.CUT


@pytest.mark.promise("T23")
async def test_there_are_only_so_many_streams_to_one_upstream_and_of_one_principal(over, monkeypatch):
    monkeypatch.setattr(task_notices, "PER_PRINCIPAL", 2)
    monkeypatch.setattr(task_notices, "PER_UPSTREAM", 3)
    async with over(TaskUpstream()) as hub, AsyncExitStack() as stack:
        mine, his = await begun(hub, MODERN), await begun(hub, MODERN, BOB)
        promised = [
            (await stack.enter_async_context(following(hub, task, caller=caller)))[1]
            for caller, task in ((ALICE, mine), (ALICE, mine), (ALICE, mine), (BOB, his), (BOB, his))
        ]
        assert [bool(each) for each in promised] == [True, True, False, True, False]
    assert len(listened(hub.fakes["up"])) == 3
