"""How a response is written: as JSON or as a stream, in what pieces, and to clients that do not read or hang up."""

import asyncio
import json

import pytest

from mcp_hub.inbound.flight import Timing
from mcp_hub.wire.jsonrpc import notification
from unit.inbound.hub import Hub

pytestmark = pytest.mark.promise("A4")

WAIT = {"name": "e", "arguments": {"wait": True}}
AT_ONCE = Timing(late=0, keep_alive=0.001)


@pytest.mark.promise("A4")
async def test_notifications_before_the_answer_make_it_a_stream():
    hub = Hub()
    response = await hub.modern("tools/call", {"name": "e", "arguments": {"progress": 3}}, number=4)
    assert response.status == 200
    assert response.headers == {
        "content-type": "text/event-stream", "cache-control": "no-cache", "x-accel-buffering": "no",
    }  # fmt: skip
    *progress, answer = response.events
    assert [each["params"]["progress"] for each in progress] == [0, 1, 2]
    assert answer == {"jsonrpc": "2.0", "id": 4, "result": {"content": []}}


async def test_a_client_that_takes_no_stream_gets_the_answer_alone():
    hub = Hub(timing=AT_ONCE)
    session = await hub.open()
    params = {"arguments": {"progress": 3, "wait": True}}
    call = hub.begin_legacy(session, "tools/call", params, accept="application/json")
    await hub.road.entered.wait()
    for _ in range(10):
        await hub.legacy(session, "ping")
    hub.road.release.set()
    response = await call.response()
    assert response.headers["content-type"] == "application/json"
    assert response.json["result"] == {"content": []}


@pytest.mark.promise("A4")
async def test_an_answer_that_takes_long_becomes_a_stream_that_is_kept_alive():
    hub = Hub(timing=AT_ONCE)
    for begin in (hub.begin_modern, hub.begin_legacy):
        hub.road.release.clear()
        first = [] if begin == hub.begin_modern else [await hub.open()]
        call = begin(*first, "tools/call", WAIT)
        await call.until(b": keep-alive\n\n", times=3)
        hub.road.release.set()
        assert (await call.response()).events == [{"jsonrpc": "2.0", "id": 1, "result": {"content": []}}]


async def test_an_error_after_the_stream_began_is_its_last_event():
    hub = Hub(timing=AT_ONCE)
    call = hub.begin_modern("tools/call", WAIT)
    await call.until(b": keep-alive\n\n")
    hub.road.result = b'{"content":[{"type":"text","text":"done"}]}'
    hub.road.release.set()
    assert (await call.response()).events[-1]["result"]["content"] == [{"type": "text", "text": "done"}]


async def test_the_session_id_is_never_lost_to_a_stream():
    hub = Hub(timing=AT_ONCE)
    described = asyncio.Event()

    async def slowly(caller, revision):
        await described.wait()
        return hub.road.description

    hub.road.describe = slowly
    opening = asyncio.ensure_future(hub.initialize())
    for _ in range(20):
        await hub.modern("tools/list")
    described.set()
    assert "mcp-session-id" in (await opening).headers


@pytest.mark.promise("T64")
@pytest.mark.parametrize("text", ["a\n\ndata: {}\n\n", "a\r\nevent: x\r\n", "a\u2028b"])
async def test_line_breaks_in_a_result_stay_in_one_event(text):
    hub = Hub()
    pretty = json.dumps({"content": [{"type": "text", "text": text}]}, indent=1).replace("\n", "\r\n")
    hub.road.result = pretty.encode()
    response = await hub.modern("tools/call", {"name": "e", "arguments": {"progress": 1}})
    assert [event.get("method", "answer") for event in response.events] == ["notifications/progress", "answer"]
    assert response.events[-1]["result"]["content"][0]["text"] == text


@pytest.mark.promise("T64")
async def test_a_session_id_or_error_can_hold_no_line_break_of_a_header():
    hub = Hub()
    response = await hub.send(mcp_session_id="x\r\nset-cookie: a=b", body=b'{"jsonrpc":"2.0","id":1,"method":"ping"}')
    assert response.status == 404
    assert set(response.headers) == {"content-type", "content-length"}


@pytest.mark.promise("T23", "S8")
@pytest.mark.parametrize("progress", [0, 1])
async def test_a_large_result_goes_out_in_bounded_pieces_and_whole(progress):
    hub = Hub()
    hub.road.result = b'{"content":["%s"]}' % (b"x" * 3_000_000)
    call = hub.begin_modern("tools/call", {"name": "e", "arguments": {"progress": progress}})
    response = await call.response()
    assert max(map(len, call.chunks)) <= 128 * 1024
    answer = response.events[-1] if progress else response.json
    assert answer["result"] == json.loads(hub.road.result)


async def test_a_small_result_goes_out_in_one_piece():
    hub = Hub()
    call = hub.begin_modern("tools/list")
    await call.response()
    assert len(call.chunks) == 1


@pytest.mark.promise("A5")
async def test_hanging_up_cancels_a_modern_request():
    hub = Hub(timing=Timing(late=0))
    call = hub.begin_modern("tools/call", WAIT)
    await hub.road.entered.wait()
    call.hung_up.set()
    await call.over()
    assert hub.road.cancelled.is_set()
    assert not call.started.is_set()


async def test_a_client_that_stops_reading_is_dropped_from_a_stream():
    hub = Hub(timing=Timing(late=0, keep_alive=0.001, write=0.01))
    call = hub.begin_modern("tools/call", WAIT)
    await call.until(b": keep-alive\n\n")
    call.taking.clear()
    await call.over()
    assert hub.road.cancelled.is_set()
    assert not call.complete


@pytest.mark.promise("T23")
@pytest.mark.parametrize("size", [10, 1_000_000])
async def test_a_client_that_reads_no_answer_is_dropped(size):
    hub = Hub(timing=Timing(late=0, write=0.01))
    hub.road.result = b'{"x":"%s"}' % (b"x" * size)
    call = hub.begin_modern("tools/call", {"name": "e"})
    call.taking.clear()
    await call.over()
    assert not call.complete


async def test_notifications_wait_for_a_slow_client_rather_than_pile_up():
    hub = Hub()
    call = hub.begin_modern("tools/call", {"name": "e", "arguments": {"progress": 1000}})
    call.taking.clear()
    await hub.road.entered.wait()
    for _ in range(10):
        await hub.modern("tools/list")
    assert call.chunks == []
    call.taking.set()
    assert len((await call.response()).events) == 1001


async def test_a_notification_after_the_answer_goes_nowhere():
    hub = Hub()
    response = await hub.modern("tools/call", {"name": "e", "arguments": {"progress": 1}})
    await hub.road.asks[0].emit(notification("late"))
    assert len(response.events) == 2


async def test_a_body_that_does_not_arrive_in_time_is_given_up():
    hub = Hub(timing=Timing(late=0, read=0.01))
    response = await hub.begin(parts=[b"{"], ends=False).response()
    assert response.status == 408
    assert response.headers["connection"] == "close"


async def test_cancellation_from_above_passes_through():
    hub = Hub()
    call = hub.begin_modern("tools/call", WAIT)
    await hub.road.entered.wait()
    assert call.task is not None
    call.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.task
    assert hub.road.cancelled.is_set()
