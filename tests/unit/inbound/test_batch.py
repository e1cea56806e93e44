import json

import pytest

from mcp_hub.inbound.batch import MOST
from unit.inbound.hub import Hub, message

pytestmark = pytest.mark.promise("A4")


@pytest.fixture
async def batching():
    hub = Hub()
    return hub, await hub.open("2025-03-26")


def batch(*messages: bytes) -> bytes:
    return b" [" + b",".join(messages) + b"]"


@pytest.mark.promise("A5")
async def test_each_message_of_a_batch_is_served_and_answered_by_its_id(batching):
    hub, session = batching
    body = batch(
        message("tools/list", number=1), message("ping", number="two"), message("x", number=None),
        message("unknown", number=3), b'{"jsonrpc":"2.0","id":9,"result":{}}', message("initialize", number=4),
    )  # fmt: skip
    response = await hub.send(body=body, mcp_session_id=session)
    assert response.status == 200
    answers = {each["id"]: each.get("error", {}).get("code", "result") for each in response.json}
    assert answers == {1: "result", "two": "result", 3: -32601, 4: -32600}
    assert len(hub.sessions) == 1


@pytest.mark.promise("A5")
async def test_the_messages_of_a_batch_are_served_at_the_same_time(batching):
    hub, session = batching
    waiting = message("tools/call", {"arguments": {"wait": True}}, number="waits")
    exchange = hub.begin(body=batch(waiting, message("tools/list", number="quick")), mcp_session_id=session)
    await hub.road.asked(2)
    hub.road.release.set()
    assert {each["id"] for each in (await exchange.response()).json} == {"waits", "quick"}


async def test_one_cancelled_message_leaves_the_others_of_its_batch(batching):
    hub, session = batching
    waiting = message("tools/call", {"arguments": {"wait": True}}, number="waits")
    exchange = hub.begin(body=batch(waiting, message("ping", number="quick")), mcp_session_id=session)
    await hub.road.entered.wait()
    await hub.legacy(session, "notifications/cancelled", {"requestId": "waits"}, number=None)
    assert [each["id"] for each in (await exchange.response()).json] == ["quick"]
    assert hub.road.cancelled.is_set()


async def test_a_session_that_ends_ends_its_batch(batching):
    hub, session = batching
    waiting = message("tools/call", {"arguments": {"wait": True}})
    exchange = hub.begin(body=batch(waiting), mcp_session_id=session)
    await hub.road.entered.wait()
    await hub.send("DELETE", mcp_session_id=session)
    assert (await exchange.response()).status == 404


async def test_a_batch_that_asks_nothing_is_accepted(batching):
    hub, session = batching
    response = await hub.send(body=batch(message("x", number=None)), mcp_session_id=session)
    assert (response.status, response.body) == (202, b"")


async def test_notifications_before_the_answers_make_a_batch_a_stream(batching):
    hub, session = batching
    call = message("tools/call", {"arguments": {"progress": 2}}, number=1)
    response = await hub.send(body=batch(call, message("ping", number=2)), mcp_session_id=session)
    methods = [event.get("method", event.get("id")) for event in response.events]
    assert methods == ["notifications/progress", "notifications/progress", 1, 2]


@pytest.mark.promise("T25")
@pytest.mark.parametrize(("body", "code"), [(b"[]", -32600), (b"[1", -32700), (b"[" * 50_000, -32700)])
async def test_a_broken_batch_is_refused_whole(batching, body, code):
    hub, session = batching
    response = await hub.send(body=body, mcp_session_id=session)
    assert response.status == 400
    assert response.json["error"]["code"] == code


@pytest.mark.promise("T25")
async def test_a_broken_message_costs_only_its_own_answer(batching):
    hub, session = batching
    body = batch(b"7", b'{"jsonrpc":"2.0","id":5,"method":"tools/list","params":[]}', message("ping", number=6))
    response = await hub.send(body=body, mcp_session_id=session)
    assert [(each["id"], each.get("error", {}).get("code")) for each in response.json] == [
        (None, -32600), (5, -32602), (6, None),
    ]  # fmt: skip


@pytest.mark.promise("T25")
async def test_a_batch_is_bounded(batching):
    hub, session = batching
    ping = [message("ping", number=number) for number in range(MOST + 1)]
    assert (await hub.send(body=batch(*ping), mcp_session_id=session)).status == 400
    assert len((await hub.send(body=batch(*ping[:MOST]), mcp_session_id=session)).json) == MOST


@pytest.mark.promise("A5", "T25")
@pytest.mark.parametrize("revision", ["2024-11-05", "2025-06-18", "2025-11-25"])
async def test_other_revisions_know_no_batches(revision):
    hub = Hub()
    session = await hub.open(revision)
    response = await hub.send(body=batch(message("ping")), mcp_session_id=session)
    assert (response.status, json.loads(response.body)["error"]["code"]) == (400, -32600)
    assert (await hub.send(body=batch(message("ping")))).status == 400, "nor does a client without a session"
