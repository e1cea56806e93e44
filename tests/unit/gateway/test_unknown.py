"""Methods the hub does not know go on where it is clear to whom, and nowhere else."""

import asyncio
import json

import pytest

from mcp_hub.errors import UnknownMethod
from mcp_hub.gateway.unknown import LONGEST
from mcp_hub.principal import LOCAL
from rig.fake_upstream import FakeUpstream, result
from rig.parts import LEGACY_CLIENT, MODERN_CLIENT, ask
from rig.task_upstream import TaskUpstream
from unit.gateway.test_tasks import LEGACY, MODERN, begun

pytestmark = pytest.mark.promise("A5")
CLIENTS = pytest.mark.parametrize(("client", "eras"), [(MODERN_CLIENT, "modern"), (LEGACY_CLIENT, "legacy")])
MIXED = pytest.mark.parametrize(("client", "eras"), [(MODERN_CLIENT, "legacy"), (LEGACY_CLIENT, "modern")])
METHOD = "com.example/measure"
OF_PROTOCOL = [
    *("tools/burn", "prompts/x", "resources/x", "tasks/burn", "notifications/x", "rpc.discover"),
    *("initialize", "ping", "server/discover", "subscriptions/listen", "logging/setLevel", "resources/subscribe"),
    *("sampling/createMessage", "elicitation/create", "roots/list"),
]


def measuring(name="up", **more) -> FakeUpstream:
    """An upstream with a method of its own, whose answer is its name and the params it got."""
    fake = FakeUpstream(name=name, **more)
    fake.prompts = [{"name": "greet"}]
    fake.resources = [{"uri": "file:///r", "name": "r"}]

    async def measure(request):
        params = {key: each for key, each in request.message["params"].items() if key != "_meta"}
        return result(request, {"resultType": "complete", "by": name, "params": params})

    fake.handlers[METHOD] = measure
    return fake


async def asked(hub, method, params=None, **more):
    async with asyncio.timeout(5):
        reply = await hub.road.answer(ask(method, params, **more))
    return json.loads(bytes(reply.result if reply.result is not None else reply.error))


@CLIENTS
async def test_the_only_upstream_is_asked(over, client, eras):
    async with over(measuring(eras=eras)) as hub:
        found = await asked(hub, METHOD, {"x": {"y": 1}, "name": "unlisted"}, client=client)
        assert found == {"resultType": "complete", "by": "up", "params": {"x": {"y": 1}, "name": "unlisted"}}
        assert (await asked(hub, "com.example/other", client=client))["code"] == -32601
        assert [each["name"] for each in hub.calls.records] == ["", ""]


@CLIENTS
@pytest.mark.parametrize(
    ("params", "theirs"),
    [
        ({"name": "b__echo"}, {"name": "echo"}),
        ({"name": "b__greet"}, {"name": "greet"}),
        ({"uri": "b+file:///r", "name": "a__echo"}, {"uri": "file:///r", "name": "a__echo"}),
    ],
)
async def test_what_names_something_goes_to_its_upstream_in_that_ones_words(over, client, eras, params, theirs):
    async with over(measuring("a", eras=eras), measuring("b", eras=eras)) as hub:
        assert await asked(hub, METHOD, params, client=client) == {
            "resultType": "complete",
            "by": "b",
            "params": theirs,
        }


@pytest.mark.parametrize(("client", "eras"), [(MODERN, "modern"), (LEGACY, "legacy")])
async def test_what_names_a_task_goes_to_its_upstream(over, client, eras):
    async with over(TaskUpstream(eras=eras), measuring("b", eras=eras)) as hub:
        hub.fakes["up"].handlers[METHOD] = measuring("up").handlers[METHOD]
        shown = await begun(hub, client, LOCAL)
        found = await asked(hub, METHOD, {"taskId": shown}, client=client)
        assert (found["by"], found["params"]) == ("up", {"taskId": "task-0"})
    async with over(measuring("a", eras=eras), measuring("b", eras=eras)) as hub:
        with pytest.raises(UnknownMethod):
            await asked(hub, METHOD, {"taskId": shown}, client=client)


@CLIENTS
async def test_among_several_the_only_one_with_extensions_of_its_own_is_asked(over, client, eras):
    one, two = measuring("a", eras=eras), measuring("b", eras=eras)
    two.capabilities |= {"extensions": {"com.example/measuring": {}}}
    async with over(one, two) as hub:
        assert (await asked(hub, METHOD, {}, client=client))["by"] == "b"
        told = await hub.road.describe(LOCAL, client.revision)
        assert told.capabilities["extensions"] == {"com.example/measuring": {}}
    one.capabilities |= {"experimental": {"x": {}}}
    await one.stop()
    await two.stop()
    one.port = two.port = 0
    async with over(one, two) as hub:
        with pytest.raises(UnknownMethod, match=r"does not serve 'com\.example/measure'"):
            await asked(hub, METHOD, {}, client=client)
        told = await hub.road.describe(LOCAL, client.revision)
        assert "extensions" not in told.capabilities


@CLIENTS
async def test_among_several_with_nothing_to_tell_them_apart_nobody_is_asked(over, client, eras):
    async with over(measuring("a", eras=eras), measuring("b", eras=eras)) as hub:
        for params in ({}, {"name": "nobodys"}, {"uri": "c+file:///r"}, {"name": 5, "uri": None, "taskId": "x"}):
            with pytest.raises(UnknownMethod):
                await asked(hub, METHOD, params, client=client)
        assert not any(fake.asked(METHOD) for fake in hub.fakes.values())


@MIXED
async def test_between_eras_nobody_is_asked(over, client, eras):
    async with over(measuring(eras=eras)) as hub:
        for params in ({}, {"name": "up__echo"}):
            with pytest.raises(UnknownMethod):
                await asked(hub, METHOD, params, client=client)
        assert not hub.fakes["up"].asked(METHOD)


@CLIENTS
@pytest.mark.promise("T25")
@pytest.mark.parametrize("method", OF_PROTOCOL)
async def test_the_protocols_own_names_are_never_passed_on(over, client, eras, method):
    async with over(measuring(eras=eras)) as hub:
        seen = len(hub.fakes["up"].seen)
        with pytest.raises(UnknownMethod):
            await asked(hub, method, {"uri": "up+file:///r"}, client=client)
        assert len(hub.fakes["up"].seen) == seen


@CLIENTS
async def test_the_refusal_names_no_more_of_a_method_than_can_be_shown(over, client, eras):
    async with over(measuring("a", eras=eras), measuring("b", eras=eras)) as hub:
        with pytest.raises(UnknownMethod) as refused:
            await asked(hub, "x" * 10_000, client=client)
        assert len(refused.value.public) < 200


@CLIENTS
@pytest.mark.promise("T23")
async def test_a_name_longer_than_any_method_has_goes_nowhere_and_is_kept_nowhere(over, client, eras):
    async with over(measuring(eras=eras)) as hub:
        with pytest.raises(UnknownMethod):
            await asked(hub, "x" * (LONGEST + 1), client=client)
        assert hub.calls.records == []
        assert (await asked(hub, "x" * LONGEST, client=client))["code"] == -32601
        assert [len(each["method"]) for each in hub.calls.records] == [LONGEST]
