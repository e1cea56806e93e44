import json
import tracemalloc

import pytest

from mcp_hub.inbound.flight import Timing
from mcp_hub.inbound.sessions import State
from mcp_hub.wire.eras import Era
from unit.inbound.asgi import begin
from unit.inbound.hub import MODERN, Hub, message

pytestmark = pytest.mark.promise("A4")


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.mark.promise("A4", "A5")
@pytest.mark.parametrize("revision", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
async def test_initialize_opens_a_session_of_the_revision_that_was_offered(hub, revision):
    response = await hub.initialize(revision)
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    session = response.headers["mcp-session-id"]
    assert all(0x21 <= ord(letter) <= 0x7E for letter in session)
    assert response.json["result"] == {
        "protocolVersion": revision,
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "hub", "version": "1"},
        "instructions": "Be kind.",
    }


@pytest.mark.parametrize("revision", ["2026-07-28", "2020-01-01", ""])
async def test_a_revision_without_a_handshake_is_answered_with_the_newest_that_has_one(hub, revision):
    assert (await hub.initialize(revision)).json["result"]["protocolVersion"] == "2025-11-25"


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"protocolVersion": 7},
        {"protocolVersion": "2025-11-25", "capabilities": []},
        {"protocolVersion": "x", "clientInfo": 1},
    ],
)
async def test_initialize_with_wrong_parameters_opens_nothing(hub, params):
    response = await hub.send(body=message("initialize", params))
    assert response.json["error"]["code"] == -32602
    assert len(hub.sessions) == 0


@pytest.mark.promise("A4", "A5")
async def test_a_request_in_a_session_reaches_the_road_with_what_the_client_said_when_it_opened(hub):
    session = await hub.open("2025-06-18")
    assert (await hub.legacy(session, "notifications/initialized", number=None)).status == 202
    response = await hub.legacy(session, "tools/call", {"name": "echo", "_meta": {"progressToken": 5}}, number=7)
    assert response.json == {"jsonrpc": "2.0", "id": 7, "result": {"content": []}}
    (ask,) = hub.road.asks
    assert (ask.session, ask.client.era, ask.client.revision) == (session, Era.LEGACY, "2025-06-18")
    assert json.loads(bytes(ask.client.capabilities)) == {"roots": {}}
    assert bytes(ask.meta["progressToken"]) == b"5"


async def test_a_request_that_races_initialized_is_served(hub):
    session = await hub.open()
    assert (await hub.legacy(session, "tools/list")).status == 200


async def test_ping_is_answered_without_the_road(hub):
    session = await hub.open()
    assert (await hub.legacy(session, "ping", number="p")).json == {"jsonrpc": "2.0", "id": "p", "result": {}}
    assert hub.road.asks == []


async def test_a_log_level_is_checked_and_handed_on(hub):
    session = await hub.open()
    assert (await hub.legacy(session, "logging/setLevel", {"level": "warning"})).json["result"] == {}
    for wrong in ({}, {"level": "loud"}, {"level": 3}):
        response = await hub.legacy(session, "logging/setLevel", wrong)
        assert (response.status, response.json["error"]["code"]) == (200, -32602)
    assert hub.road.levels == [(session, "warning")]


async def test_errors_of_a_request_are_http_successes_in_this_era(hub):
    session = await hub.open()
    response = await hub.legacy(session, "unknown/method", number=9)
    assert response.status == 200
    assert (response.json["id"], response.json["error"]["code"]) == (9, -32601)
    assert (await hub.legacy(session, "test/error")).status == 200


async def test_a_request_without_a_session_is_told_to_begin_with_initialize(hub):
    response = await hub.send(body=message("tools/list", number=3))
    assert response.status == 400
    assert response.json["id"] == 3
    assert "initialize" in response.json["error"]["message"]


@pytest.mark.promise("T19")
async def test_an_unknown_session_does_not_exist_by_any_method(hub):
    for method, body in (("POST", message("tools/list")), ("GET", b""), ("DELETE", b"")):
        assert (await hub.send(method, body, mcp_session_id="guess")).status == 404
    assert (await hub.initialize(mcp_session_id="guess")).status == 404


@pytest.mark.promise("T19", "B22")
async def test_somebody_elses_session_does_not_exist_either(hub):
    session = await hub.open(x_caller="alice")
    for method, body in (("POST", message("tools/list")), ("GET", b""), ("DELETE", b"")):
        response = await hub.send(method, body, mcp_session_id=session, x_caller="bob")
        unknown = await hub.send(method, body, mcp_session_id="guess", x_caller="bob")
        assert (response.status, response.body) == (404, unknown.body), "not to be told from one that never was"
    assert hub.road.asks == []
    assert (await hub.legacy(session, "tools/list", x_caller="alice")).status == 200


@pytest.mark.promise("T19")
async def test_nobody_can_cancel_what_another_session_asked(hub):
    victim = await hub.open(x_caller="alice")
    other = await hub.open(x_caller="bob")
    call = hub.begin_legacy(
        victim, "tools/call", {"name": "e", "arguments": {"wait": True}}, number=5, x_caller="alice"
    )
    await hub.road.entered.wait()
    assert (
        await hub.legacy(other, "notifications/cancelled", {"requestId": 5}, number=None, x_caller="bob")
    ).status == 202
    hub.road.release.set()
    assert (await call.response()).json["result"] == {"content": []}


async def test_a_session_is_initialized_once(hub):
    session = await hub.open()
    response = await hub.initialize(mcp_session_id=session)
    assert response.status == 400
    assert len(hub.sessions) == 1


@pytest.mark.promise("T25")
@pytest.mark.parametrize("name", ["mcp-session-id", "mcp-protocol-version"])
async def test_a_session_named_twice_is_refused_even_if_both_agree(hub, name):
    session = await hub.open()
    lines = [
        ("host", "localhost"), ("content-type", "application/json"), ("mcp-session-id", session),
        ("mcp-protocol-version", "2025-11-25"),
    ]  # fmt: skip
    again = [line for line in lines if line[0] == name]
    response = await begin(hub.endpoint, "POST", lines + again, [message("tools/list")]).response()
    assert response.status == 400
    assert hub.road.asks == []


@pytest.mark.parametrize("version", [None, "2025-11-25", "2025-03-26"])
async def test_any_handshake_revision_in_the_header_is_taken_for_the_sessions_own(hub, version):
    session = await hub.open("2025-06-18")
    assert (await hub.legacy(session, "tools/list", mcp_protocol_version=version)).status == 200
    assert hub.road.asks[-1].client.revision == "2025-06-18"


@pytest.mark.parametrize("version", ["2019-01-01", "nonsense", "", MODERN])
async def test_a_header_with_no_handshake_revision_is_refused_in_a_session(hub, version):
    session = await hub.open()
    assert (await hub.legacy(session, "tools/list", mcp_protocol_version=version)).status == 400


async def test_answers_and_unknown_notifications_of_a_client_are_taken_and_dropped(hub):
    session = await hub.open()
    answer = b'{"jsonrpc":"2.0","id":1,"result":{}}'
    assert (await hub.send(body=answer, mcp_session_id=session)).status == 202
    assert (await hub.legacy(session, "notifications/anything", number=None)).status == 202
    assert (await hub.legacy(session, "notifications/cancelled", {"requestId": {}}, number=None)).status == 202
    assert hub.road.asks == []


async def test_initialized_makes_a_session_live(hub):
    session = await hub.open()
    await hub.legacy(session, "notifications/initialized", number=None)
    assert hub.sessions._all[session].state is State.LIVE


@pytest.mark.promise("A5")
@pytest.mark.parametrize(
    ("accept", "status"), [("application/json, text/event-stream", 200), ("application/json", 204)]
)
async def test_a_cancelled_request_is_stopped_and_gets_no_response(hub, accept, status):
    session = await hub.open()
    how = {"name": "e", "arguments": {"wait": True}}
    call = hub.begin_legacy(session, "tools/call", how, number="5", accept=accept)
    await hub.road.entered.wait()
    await hub.legacy(session, "notifications/cancelled", {"requestId": 5}, number=None)
    assert not hub.road.cancelled.is_set(), "5 is not the same id as '5'"
    await hub.legacy(session, "notifications/cancelled", {"requestId": "5"}, number=None)
    response = await call.response()
    assert response.status == status
    assert b"jsonrpc" not in response.body
    assert hub.road.cancelled.is_set()
    assert hub.sessions._all[session].running == {}


async def test_hanging_up_does_not_cancel_in_this_era():
    hub = Hub(timing=Timing(late=0))
    session = await hub.open()
    call = hub.begin_legacy(session, "tools/call", {"name": "e", "arguments": {"wait": True}})
    await hub.road.entered.wait()
    call.hung_up.set()
    for _ in range(10):
        await hub.legacy(session, "ping")  # time enough for the hang-up to be noticed
    assert not hub.road.cancelled.is_set()
    hub.road.release.set()
    await call.over()
    assert not hub.road.cancelled.is_set()


@pytest.mark.promise("A4")
async def test_delete_ends_a_session_and_all_that_is_under_way_in_it(hub):
    session = await hub.open()
    stream = hub.begin("GET", mcp_session_id=session)
    await stream.started.wait()
    call = hub.begin_legacy(session, "tools/call", {"name": "e", "arguments": {"wait": True}}, number=8)
    await hub.road.entered.wait()
    assert (await hub.send("DELETE", mcp_session_id=session)).status == 204
    assert (await stream.response()).status == 200
    ended = await call.response()
    assert (ended.status, ended.json["id"]) == (404, 8)
    assert hub.road.cancelled.is_set()
    await hub.sessions.settle()
    assert hub.road.ended == [session]
    assert (await hub.legacy(session, "tools/list")).status == 404
    assert (await hub.send("DELETE", mcp_session_id=session)).status == 404


@pytest.mark.promise("A4", "T20")
async def test_a_stream_stays_open_and_is_kept_alive_until_its_client_hangs_up():
    hub = Hub(timing=Timing(late=0, keep_alive=0.001))
    session = await hub.open()
    stream = hub.begin("GET", accept="text/event-stream", content_type=None, mcp_session_id=session)
    await stream.until(b": keep-alive\n\n", times=3)
    headers = dict(stream.headers)
    assert headers[b"content-type"] == b"text/event-stream"
    assert headers[b"cache-control"] == b"no-cache"
    assert headers[b"x-accel-buffering"] == b"no"
    assert hub.sessions._all[session].busy
    stream.hung_up.set()
    await stream.over()
    assert not hub.sessions._all[session].busy


@pytest.mark.promise("T20")
async def test_a_second_stream_neither_replaces_nor_disturbs_the_first():
    hub = Hub(timing=Timing(late=0, keep_alive=0.001))
    session = await hub.open(x_caller="alice")
    streams = [hub.begin("GET", mcp_session_id=session, x_caller="alice") for _ in range(4)]
    for stream in streams:
        await stream.started.wait()
    assert (await hub.send("GET", mcp_session_id=session, x_caller="bob")).status == 404
    assert (await hub.send("GET", mcp_session_id=session, x_caller="alice")).status == 409
    for stream in streams:
        await stream.until(b": keep-alive\n\n", times=len(stream.chunks) + 2)
    for stream in streams:
        stream.hung_up.set()
        await stream.over()


async def test_a_stream_needs_a_client_that_takes_one(hub):
    session = await hub.open()
    assert (await hub.send("GET", mcp_session_id=session, accept="application/json")).status == 406


async def test_misshapen_metadata_is_an_invalid_parameter(hub):
    session = await hub.open()
    response = await hub.legacy(session, "tools/list", {"_meta": 7})
    assert (response.status, response.json["error"]["code"]) == (200, -32602)


@pytest.mark.promise("S9")
async def test_a_session_keeps_nothing_of_the_request_that_opened_it_but_what_its_client_is(hub):
    params = {"protocolVersion": "2025-11-25", "capabilities": {"roots": {}}, "padding": "x" * 1_000_000}
    tracemalloc.start()
    for _ in range(3):
        await hub.send(body=message("initialize", params))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(hub.sessions) == 3
    assert kept < 1_000_000


@pytest.mark.promise("T23")
@pytest.mark.parametrize("member", ["capabilities", "clientInfo"])
async def test_what_a_client_says_of_itself_has_a_measure(hub, member):
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}, member: {"x": "y" * 20_000}}
    response = await hub.send(body=message("initialize", params))
    assert response.json["error"]["code"] == -32602
