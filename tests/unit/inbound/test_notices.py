"""Streams of notices as clients meet them: acknowledged first, their own only, and ended in the way each end has."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from mcp_hub.errors import BadRequest
from mcp_hub.gateway.listener import MOST_WAITING
from mcp_hub.gateway.places import Limits
from mcp_hub.inbound.flight import Timing
from mcp_hub.inbound.notices import LARGEST, read_filter
from mcp_hub.principal import LOCAL
from rig.parts import fields_of
from unit.inbound.hub import Hub

pytestmark = pytest.mark.promise("A5")
LISTEN = "subscriptions/listen"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
TOOLS = "notifications/tools/list_changed"
ID = "io.modelcontextprotocol/subscriptionId"
ALL = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}


@pytest.fixture
def hub():
    return Hub()


def listening(hub, number=1, notifications=None, **headers):
    asked = ALL if notifications is None else notifications
    return hub.begin_modern(LISTEN, {"notifications": asked}, number=number, **headers)


def messages(stream):
    lines = b"".join(stream.chunks).decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


def tell(hub, kind="tools"):
    hub.notices._tell_all(kind)


@pytest.mark.parametrize("number", [0, 7, "seven", "ü"])
async def test_the_acknowledgement_comes_first_and_every_notice_carries_the_requests_id(hub, number):
    stream = listening(hub, number, {"toolsListChanged": True, "resourceSubscriptions": ["x:1"], "future": True})
    await stream.until(b"acknowledged")
    tell(hub)
    tell(hub, "prompts")
    await stream.until(b"list_changed")
    first, second = messages(stream)
    assert first == {
        "jsonrpc": "2.0",
        "method": ACKNOWLEDGED,
        "params": {"_meta": {ID: number}, "notifications": {"toolsListChanged": True}},
    }
    assert second == {"jsonrpc": "2.0", "method": TOOLS, "params": {"_meta": {ID: number}}}
    assert type(second["params"]["_meta"][ID]) is type(number)
    stream.hung_up.set()
    await stream.over()
    assert hub.notices._places.taken == 0


async def test_several_streams_of_one_client_each_have_their_own_id(hub):
    streams = [listening(hub, number) for number in (1, 2)]
    for stream in streams:
        await stream.until(b"acknowledged")
    tell(hub)
    for number, stream in enumerate(streams, 1):
        await stream.until(b"list_changed")
        assert {each["params"]["_meta"][ID] for each in messages(stream)} == {number}


@pytest.mark.promise("D33")
async def test_a_hub_that_stops_says_so_with_the_result(hub):
    stream = listening(hub, "a")
    await stream.until(b"acknowledged")
    hub.notices.stop()
    last = (await stream.response()).events[-1]
    assert last == {"jsonrpc": "2.0", "id": "a", "result": {"resultType": "complete", "_meta": {ID: "a"}}}
    assert (await listening(hub).response()).status == 403


@pytest.mark.promise("T23")
async def test_a_client_that_does_not_keep_up_loses_its_stream_without_a_result(hub):
    stream = listening(hub)
    await stream.until(b"acknowledged")
    (listener,) = hub.notices._listeners
    for number in range(MOST_WAITING + 1):
        listener.tell(str(number), (TOOLS, {}))
    response = await stream.response()
    assert [each.get("method") for each in response.events] == [ACKNOWLEDGED]
    assert hub.notices._places.taken == 0


@pytest.mark.promise("T23")
async def test_a_client_that_reads_nothing_is_dropped():
    hub = Hub(timing=Timing(late=0, write=0.01))
    stream = listening(hub)
    await stream.until(b"acknowledged")
    stream.taking.clear()
    tell(hub)
    async with asyncio.timeout(5):
        await asyncio.wait([stream.task])
    assert hub.notices._places.taken == 0


async def test_an_idle_stream_is_kept_alive():
    hub = Hub(timing=Timing(late=0, keep_alive=0.001))
    stream = listening(hub)
    await stream.until(b": keep-alive\n\n", times=3)
    assert dict(stream.headers)[b"x-accel-buffering"] == b"no"
    stream.hung_up.set()
    await stream.over()


@pytest.mark.promise("S9")
async def test_one_stream_too_many_is_refused_and_the_others_stay(hub):
    hub.notices._places.limits = Limits(per_principal=2)
    streams = [listening(hub, x_caller="alice") for _ in range(2)]
    for stream in streams:
        await stream.until(b"acknowledged")
    refused = await listening(hub, x_caller="alice").response()
    assert refused.status == 403
    assert "2 streams of notices open" in refused.json["error"]["message"]
    other = listening(hub, x_caller="bob")
    await other.until(b"acknowledged")
    tell(hub)
    for stream in (*streams, other):
        await stream.until(b"list_changed")


@pytest.mark.parametrize(
    "notifications",
    [[], "x", 1, {"resourceSubscriptions": "x:1"}, {"resourceSubscriptions": [1]}, {"resourceSubscriptions": None}],
)
async def test_a_filter_that_is_none_is_an_invalid_parameter(hub, notifications):
    response = await listening(hub, notifications=notifications).response()
    assert (response.status, response.json["error"]["code"]) == (400, -32602)
    assert hub.notices._places.taken == 0


def test_a_filter_is_what_it_says_and_no_more():
    asked = {"toolsListChanged": True, "promptsListChanged": "yes", "resourceSubscriptions": ["x:1", "x:2", "x:1"]}
    wanted = read_filter(fields_of({"notifications": asked}))
    assert (wanted.kinds, wanted.uris) == (frozenset({"tools"}), ("x:1", "x:2"))
    for given in ({}, {"notifications": None}):
        with pytest.raises(BadRequest):
            read_filter(fields_of(given))


@pytest.mark.promise("S9")
async def test_a_request_that_would_be_kept_for_long_may_not_be_large(hub):
    response = await listening(hub, notifications={"padding": "x" * LARGEST}).response()
    assert (response.status, response.json["error"]["code"]) == (400, -32602)
    assert "name fewer resources" in response.json["error"]["message"]


async def test_a_client_that_takes_no_stream_is_told(hub):
    assert (await listening(hub, accept="application/json").response()).status == 406


@pytest.mark.promise("A5")
async def test_tasks_are_followed_while_the_stream_lasts_and_acknowledged_as_far_as_they_are(hub):
    followed, left = [], asyncio.Event()

    @asynccontextmanager
    async def follow(listener, caller, client, tasks):
        followed.append((caller, json.loads(bytes(client.capabilities)), tasks))
        listener.tell("t1", ("notifications/tasks", fields_of({"taskId": "t1"})))
        yield frozenset({"t1"})
        left.set()

    hub.notices.watch({}, {}, hub.notices._find, follow)
    stream = listening(hub, 1, {"taskIds": ["t1", "t2", "t1"]})
    await stream.until(b'"notifications/tasks"')
    first, second = messages(stream)
    assert first["params"]["notifications"] == {"taskIds": ["t1"]}
    assert second["params"] == {"_meta": {ID: 1}, "taskId": "t1"}
    assert followed == [(LOCAL, {"sampling": {}}, ("t1", "t2"))]
    hub.notices.stop()
    await stream.over()
    assert left.is_set()


@pytest.mark.parametrize("ids", ["t", [5], {"t": 1}])
async def test_ids_of_tasks_are_a_list_of_strings(hub, ids):
    response = await listening(hub, 1, {"taskIds": ids}).response()
    assert response.json["error"]["code"] == -32602


# Legacy sessions


async def streaming(hub, session, **headers):
    stream = hub.begin("GET", mcp_session_id=session, **headers)
    await stream.until(b": keep-alive")
    return stream


async def test_a_session_hears_of_changes_on_its_stream(hub):
    stream = await streaming(hub, await hub.open())
    tell(hub)
    await stream.until(TOOLS.encode())
    assert messages(stream) == [{"jsonrpc": "2.0", "method": TOOLS}]


async def test_of_several_streams_one_brings_each_notice_and_the_next_takes_over(hub):
    session = await hub.open()
    first, second = [await streaming(hub, session) for _ in range(2)]
    tell(hub)
    await first.until(TOOLS.encode())
    first.hung_up.set()
    await first.over()
    tell(hub, "prompts")
    await second.until(b"prompts/list_changed")
    assert len(messages(first)) == len(messages(second)) == 1


async def test_what_comes_between_two_streams_is_heard_on_the_next(hub):
    session = await hub.open()
    first = await streaming(hub, session)
    first.hung_up.set()
    await first.over()
    tell(hub)
    second = await streaming(hub, session)
    await second.until(TOOLS.encode())


@pytest.mark.promise("T23")
async def test_a_session_that_was_too_slow_begins_anew_with_its_next_stream(hub):
    session = await hub.open()
    stream = await streaming(hub, session)
    listener = hub.sessions._all[session].listener
    for number in range(MOST_WAITING + 1):
        listener.tell(str(number), (TOOLS, {}))
    assert (await stream.response()).status == 200
    again = await streaming(hub, session)
    tell(hub)
    await again.until(TOOLS.encode())


@pytest.mark.promise("T20", "B22")
async def test_a_session_that_ends_leaves_no_listener(hub):
    session = await hub.open(x_caller="alice")
    stream = await streaming(hub, session, x_caller="alice")
    assert (await hub.send("DELETE", mcp_session_id=session, x_caller="bob")).status == 404
    assert hub.notices._places.taken == 1
    assert (await hub.send("DELETE", mcp_session_id=session, x_caller="alice")).status == 204
    assert (await stream.response()).status == 200
    assert hub.notices._places.taken == 0


@pytest.mark.parametrize("method", ["resources/subscribe", "resources/unsubscribe"])
async def test_a_subscription_needs_a_uri(hub, method):
    response = await hub.legacy(await hub.open(), method)
    assert response.json["error"]["code"] == -32602


async def test_what_nobody_tells_of_cannot_be_subscribed_to_but_always_be_given_up(hub):
    session = await hub.open()
    refused = await hub.legacy(session, "resources/subscribe", {"uri": "x:1"})
    assert refused.json["error"]["code"] == -32601
    assert "Read it again" in refused.json["error"]["message"]
    assert (await hub.legacy(session, "resources/unsubscribe", {"uri": "x:1"})).json["result"] == {}


async def test_the_modern_era_has_no_such_methods(hub):
    for method in ("resources/subscribe", "resources/unsubscribe"):
        assert (await hub.modern(method, {"uri": "x:1"})).status == 404
