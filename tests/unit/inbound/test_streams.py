"""Streams that break off, as clients meet them: continued by `Last-Event-ID`, by nobody else and on nothing else."""

import asyncio
import json

import pytest

from mcp_hub.inbound.exchange import Exchange
from mcp_hub.inbound.flight import Timing
from mcp_hub.inbound.sessions import Event
from mcp_hub.wire.jsonrpc import Reply
from unit.inbound.asgi import Exchange as Wire
from unit.inbound.hub import Hub

pytestmark = pytest.mark.promise("A4")

WAIT = {"name": "e", "arguments": {"wait": True, "progress": 1}}
SOON = Timing(late=0)
TOOLS = "notifications/tools/list_changed"


def ids(wire: Wire) -> list[str]:
    lines = b"".join(wire.chunks).decode().splitlines()
    return [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]


def messages(wire: Wire) -> list[dict]:
    lines = b"".join(wire.chunks).decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


def resume(hub: Hub, session: str, last: str, **more) -> Wire:
    return hub.begin("GET", mcp_session_id=session, last_event_id=last, **more)


async def broken_off(hub: Hub, revision="2025-11-25", **more) -> tuple[str, Wire]:
    """A session and a call in it, whose stream has begun and whose client has hung up."""
    session = await hub.open(revision, **more)
    call = hub.begin_legacy(session, "tools/call", WAIT, number=7, **more)
    await call.until(b"notifications/progress")
    call.hung_up.set()
    for _ in range(20):
        await hub.legacy(session, "ping", **more)  # time enough for the hang-up to be noticed
    return session, call


@pytest.mark.parametrize("revision", ["2025-06-18", "2025-11-25"])
async def test_the_answer_to_a_call_whose_stream_broke_off_is_fetched_by_get(revision):
    hub = Hub(timing=SOON)
    session, call = await broken_off(hub, revision)
    again = resume(hub, session, ids(call)[-1])
    await again.started.wait()
    hub.road.release.set()
    response = await again.response()
    assert response.headers["content-type"] == "text/event-stream"
    assert response.events == [{"jsonrpc": "2.0", "id": 7, "result": {"content": []}}]
    await call.over()


async def test_an_answer_that_came_while_nobody_was_there_waits_for_its_client():
    hub = Hub(timing=SOON)
    session, call = await broken_off(hub)
    hub.road.release.set()
    await call.over()
    whole = await resume(hub, session, ids(call)[0]).response()
    assert [each.get("method", "answer") for each in whole.events] == ["notifications/progress", "answer"]
    rest = await resume(hub, session, ids(call)[-1]).response()
    assert [each.get("method", "answer") for each in rest.events] == ["answer"]


async def test_a_stream_begins_with_a_place_to_resume_from_for_clients_that_know_such_events():
    hub = Hub()
    answers = {}
    for revision in ("2025-06-18", "2025-11-25"):
        session = await hub.open(revision)
        call = hub.begin_legacy(session, "tools/call", {"name": "e", "arguments": {"progress": 1}})
        answers[revision] = (await call.response()).body.decode()
        assert len(ids(call)) == (3 if revision == "2025-11-25" else 2)
    assert answers["2025-11-25"].splitlines()[1:3] == ["retry: 3000", "data: "]
    assert "retry" not in answers["2025-06-18"]
    assert "data: \n\n" not in answers["2025-06-18"]


async def test_an_answer_that_comes_alone_costs_no_stream():
    hub = Hub()
    session = await hub.open()
    response = await hub.legacy(session, "tools/call", {"name": "e"})
    assert response.headers["content-type"] == "application/json"
    assert list(hub.sessions._all[session].shelf) == []


async def test_modern_streams_cannot_be_resumed_and_carry_no_ids():
    response = await Hub().modern("tools/call", {"name": "e", "arguments": {"progress": 1}})
    assert b"id: " not in response.body


async def test_a_call_that_takes_long_can_soon_be_resumed_although_it_says_nothing():
    hub = Hub(timing=Timing(late=0, early=0.01))
    how = {"name": "e", "arguments": {"wait": True}}
    old = hub.begin_legacy(await hub.open("2025-06-18"), "tools/call", how)
    session = await hub.open()
    call = hub.begin_legacy(session, "tools/call", how)
    await call.until(b"retry")
    assert not old.started.is_set(), "it would gain nothing"
    call.hung_up.set()
    hub.road.release.set()
    await asyncio.gather(call.over(), old.over())
    assert len((await resume(hub, session, ids(call)[-1]).response()).events) == 1


@pytest.mark.promise("T20", "T16")
async def test_an_event_id_of_another_session_gives_nothing():
    hub = Hub(timing=SOON)
    session, call = await broken_off(hub, x_caller="alice")
    hub.road.result = b'{"content":["secret"]}'
    hub.road.release.set()
    await call.over()
    own, same_owner = await hub.open(x_caller="bob"), await hub.open(x_caller="alice")
    for last in ids(call):
        assert (await resume(hub, session, last, x_caller="bob").response()).status == 404
        for other, caller in ((own, "bob"), (same_owner, "alice")):
            response = await resume(hub, other, last, x_caller=caller).response()
            assert b"secret" not in response.body
            assert [each["error"]["code"] for each in response.events] == [-32603]
    assert len((await resume(hub, session, ids(call)[-1], x_caller="alice").response()).events) == 1


async def test_what_was_told_on_one_stream_is_told_on_no_other():
    hub = Hub(timing=SOON)
    session = await hub.open()
    calls = [hub.begin_legacy(session, "tools/call", WAIT, number=number) for number in (1, 2)]
    for call in calls:
        await call.until(b"notifications/progress")
        call.hung_up.set()
    hub.road.release.set()
    for call in calls:
        await call.over()
    for number, call in enumerate(calls, 1):
        response = await resume(hub, session, ids(call)[0]).response()
        assert [each.get("id") for each in response.events] == [None, number]
    assert len({each for call in calls for each in ids(call)}) == sum(len(ids(call)) for call in calls)


@pytest.mark.parametrize("last", ["1", "nonsense", "c.abcdefgh.1.W10", "x" * 5000])
async def test_an_event_id_that_is_none_is_refused_and_no_session_ends(last):
    hub = Hub()
    session = await hub.open()
    assert (await resume(hub, session, last).response()).status == 400
    assert (await hub.legacy(session, "ping")).status == 200


async def test_where_nothing_follows_there_is_no_stream():
    hub = Hub()
    session = await hub.open()
    call = hub.begin_legacy(session, "tools/call", {"name": "e", "arguments": {"progress": 1}})
    await call.response()
    assert (await resume(hub, session, ids(call)[-1]).response()).status == 405
    assert (await resume(hub, session, "c.abcdefgh.4").response()).status == 405


async def test_an_answer_that_is_lost_is_said_to_be_lost_as_the_answer():
    hub, session = Hub(), None
    session = await hub.open()
    call = hub.begin_legacy(session, "tools/call", {"name": "e", "arguments": {"progress": 1}}, number="a-7")
    await call.response()
    hub.sessions._all[session].shelf.clear()
    again = resume(hub, session, ids(call)[0])
    ((answer),) = (await again.response()).events
    assert answer["id"] == "a-7"
    assert "may have had effects" in answer["error"]["message"]
    assert (await resume(hub, session, ids(again)[-1]).response()).status == 405, "clients that come again stop here"


async def test_a_call_goes_on_while_its_client_is_away_for_the_grace_and_no_longer():
    hub = Hub(timing=Timing(late=0, grace=0.05))
    session, call = await broken_off(hub)
    async with asyncio.timeout(5):
        await hub.road.cancelled.wait()
    await call.over()
    (answer,) = (await resume(hub, session, ids(call)[-1]).response()).events
    assert (answer["id"], "away for too long" in answer["error"]["message"]) == (7, True)


async def test_a_client_that_comes_and_goes_has_the_whole_grace_each_time():
    hub = Hub(timing=SOON)
    session, call = await broken_off(hub)
    for _ in range(3):
        again = resume(hub, session, ids(call)[-1])
        await again.until(b"retry")
        again.hung_up.set()
        await again.over()
        assert not hub.road.cancelled.is_set()
    hub.road.release.set()
    await call.over()
    assert len((await resume(hub, session, ids(call)[-1]).response()).events) == 1


@pytest.mark.promise("T20")
async def test_two_that_resume_the_same_stream_do_not_both_get_it():
    hub = Hub(timing=SOON)
    session, call = await broken_off(hub)
    first = resume(hub, session, ids(call)[-1])
    await first.until(b"retry")
    second = resume(hub, session, ids(call)[-1])
    assert (await first.response()).events == []
    hub.road.release.set()
    assert len((await second.response()).events) == 1


async def test_a_call_that_was_resumed_is_cancelled_as_any_other():
    hub = Hub(timing=SOON)
    session, call = await broken_off(hub)
    again = resume(hub, session, ids(call)[-1])
    await again.until(b"retry")
    await hub.legacy(session, "notifications/cancelled", {"requestId": 7}, number=None)
    assert (await again.response()).events == []
    assert hub.road.cancelled.is_set()
    assert (await resume(hub, session, ids(again)[-1]).response()).status == 405


async def test_the_end_of_a_session_ends_streams_that_were_resumed():
    hub = Hub(timing=SOON)
    session, call = await broken_off(hub)
    again = resume(hub, session, ids(call)[-1])
    await again.until(b"retry")
    await hub.sessions.end(hub.sessions._all[session], Event.DELETED)
    (answer,) = (await again.response()).events
    assert "session has ended" in answer["error"]["message"]


async def test_a_pause_of_the_upstream_is_one_of_the_client():
    hub = Hub()
    paused = asyncio.Event()

    async def pausing(ask):
        hub.road.asks.append(ask)
        await ask.pause(250)
        paused.set()
        await hub.road.release.wait()
        return Reply(result=b'{"content":[]}')

    hub.road._called = pausing
    session = await hub.open()
    call = hub.begin_legacy(session, "tools/call", {"name": "e"}, number=3)
    await paused.wait()
    assert call.complete, "the connection is closed, and the call goes on"
    assert b"retry: 250\n" in b"".join(call.chunks)
    again = resume(hub, session, ids(call)[-1])
    await again.until(b"retry")
    hub.road.release.set()
    assert [each["id"] for each in (await again.response()).events] == [3]
    await call.over()


async def test_a_client_that_knows_no_pauses_is_not_paused():
    hub = Hub()

    async def pausing(ask):
        await ask.pause(250)
        return Reply(result=b'{"content":[]}')

    hub.road._called = pausing
    session = await hub.open("2025-06-18")
    response = await hub.legacy(session, "tools/call", {"name": "e"})
    assert response.json["result"] == {"content": []}


async def test_a_question_to_a_client_that_hung_up_before_anything_was_said_waits_for_nobody():
    hub = Hub(timing=SOON)
    asking, asked = asyncio.Event(), asyncio.Event()

    async def question(ask):
        hub.road.entered.set()
        await asking.wait()
        reply = await ask.ask_client("roots/list", b"{}")
        assert "hung up" in bytes(reply.error).decode()
        asked.set()
        return Reply(result=b'{"content":[]}')

    hub.road._called = question
    session = await hub.open()
    call = hub.begin_legacy(session, "tools/call", {"name": "e"})
    await hub.road.entered.wait()
    call.hung_up.set()
    for _ in range(20):
        await hub.legacy(session, "ping")
    asking.set()
    async with asyncio.timeout(5):
        await asked.wait()
    await call.over()
    assert call.chunks == []


async def test_a_question_that_its_client_missed_is_asked_again_when_it_comes_back():
    hub = Hub(timing=SOON)
    ready = asyncio.Event()

    async def question(ask):
        await ask.emit(b'{"jsonrpc":"2.0","method":"notifications/progress","params":{}}')
        await ready.wait()
        reply = await ask.ask_client("roots/list", b"{}")
        return Reply(result=bytes(reply.result))

    hub.road._called = question
    session = await hub.open()
    call = hub.begin_legacy(session, "tools/call", {"name": "e"}, number=1)
    await call.until(b"progress")
    call.hung_up.set()
    ready.set()
    again = resume(hub, session, ids(call)[-1])
    await again.until(b"roots/list")
    number = messages(again)[-1]["id"]
    answer = {"jsonrpc": "2.0", "id": number, "result": {"roots": []}}
    assert (await hub.send(body=json.dumps(answer).encode(), mcp_session_id=session)).status == 202
    assert (await again.response()).events[-1]["result"] == {"roots": []}
    await call.over()


# Streams of notices


async def listening(hub: Hub, session: str, last: str | None = None, **more) -> Wire:
    stream = hub.begin("GET", mcp_session_id=session, last_event_id=last, **more)
    await stream.until(b"retry")
    return stream


async def told(hub: Hub, stream: Wire, times: int = 1) -> None:
    hub.notices._tell_all("tools")
    await stream.until(TOOLS.encode(), times)


@pytest.mark.promise("A7")
async def test_notices_that_were_written_to_a_dead_connection_come_again_on_the_next():
    hub = Hub(timing=SOON)
    session = await hub.open()
    first = await listening(hub, session)
    seen = ids(first)[-1]
    await told(hub, first)
    second = await listening(hub, session, seen)
    assert [each["method"] for each in messages(second)] == [TOOLS]
    await first.over()
    await told(hub, second, 2)
    assert len(messages(first)) == 1
    third = await listening(hub, session, ids(second)[-1])
    assert messages(third) == []
    third.hung_up.set()
    await asyncio.gather(second.over(), third.over())


async def test_a_stream_of_notices_from_before_the_restart_is_begun_anew():
    hub = Hub(timing=SOON)
    session = await hub.open()
    stream = await listening(hub, session, "n.abcdefgh.9")
    await told(hub, stream)
    stream.hung_up.set()
    await stream.over()


@pytest.mark.promise("T20")
async def test_coming_back_takes_no_second_place_among_the_streams():
    hub = Hub(timing=SOON)
    session = await hub.open()
    streams = [await listening(hub, session) for _ in range(4)]
    for _ in range(10):
        streams.append(await listening(hub, session, ids(streams[3])[0]))
    assert (await hub.send("GET", mcp_session_id=session)).status == 409
    for stream in streams:
        stream.hung_up.set()
    await asyncio.gather(*(stream.over() for stream in streams))


@pytest.mark.promise("T23")
async def test_a_thousand_streams_leave_a_session_as_small_as_it_was():
    hub = Hub()
    session = await hub.open()
    for number in range(1000):
        params = {"name": "e", "arguments": {"progress": 3}}
        assert (await hub.legacy(session, "tools/call", params, number=number)).status == 200
    shelf = hub.sessions._all[session].shelf
    assert len(list(shelf)) == shelf.replay.limits.streams
    assert shelf.budget.total < 100_000


def test_an_exchange_is_a_connection_of_a_stream():
    assert all(hasattr(Exchange, each) for each in ("push", "close", "give_way"))
