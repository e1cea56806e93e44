import asyncio

import pytest

from unit.inbound.asgi import Response
from unit.inbound.hub import META, MODERN, Hub, message

pytestmark = pytest.mark.promise("A4")

LEGACY = "2025-11-25"


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.mark.promise("A4", "A5")
@pytest.mark.parametrize("meta", [None, META])
@pytest.mark.parametrize("version", [None, LEGACY, MODERN, "2099-01-01"])
@pytest.mark.parametrize("session", [False, True])
@pytest.mark.parametrize("method", ["initialize", "tools/list"])
async def test_the_era_is_told_by_the_table(hub, meta, version, session, method):
    known = await hub.open() if session else None
    params = {"_meta": meta} if meta else {"protocolVersion": LEGACY, "capabilities": {}}
    response = await hub.send(
        body=message(method, params), mcp_protocol_version=version, mcp_method=method, mcp_session_id=known
    )
    code = response.json.get("error", {}).get("code")
    if meta:
        served = (404, -32601) if method == "initialize" else (200, None)
        expected = served if version == MODERN else (400, -32020)
    elif version not in (None, LEGACY):
        expected = (400, -32602)
    elif method == "initialize":
        expected = (400, -32600) if session else (200, None)
    else:
        expected = (200, None) if session else (400, -32600)
    assert (response.status, code) == expected


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "HEAD", "post"])
async def test_other_methods_are_told_which_there_are(hub, method):
    response = await hub.send(method)
    assert response.status == 405
    assert response.headers["allow"] == "GET, POST, DELETE"


async def test_a_websocket_is_closed(hub):
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(event):
        sent.append(event)

    await hub.endpoint({"type": "websocket", "headers": []}, receive, send)
    await hub.endpoint({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.promise("A4")
async def test_both_eras_are_served_at_the_same_time_on_one_path(hub):
    session = await hub.open()
    wait = {"name": "e", "arguments": {"wait": True}}
    calls = [hub.begin_modern("tools/call", wait), hub.begin_legacy(session, "tools/call", wait)]
    await hub.road.asked(2)
    hub.road.release.set()
    assert [(await call.response()).json["result"] for call in calls] == [{"content": []}] * 2


@pytest.mark.promise("D33")
@pytest.mark.parametrize("progress", [0, 1])
@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_request_that_the_server_ends_is_answered_before(hub, era, progress):
    params = {"name": "t", "arguments": {"wait": True, "progress": progress}}
    if era == "modern":
        call = hub.begin_modern("tools/call", params, number="mine")
    else:
        call = hub.begin_legacy(await hub.open(), "tools/call", params, number="mine")
    async with asyncio.timeout(5):
        await hub.road.entered.wait()
        await call.until(b"progress", progress)
        call.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.task
    told = answer_of(call)[-1]
    assert call.complete
    assert call.status == (200 if progress else 503)
    assert told["id"] == "mine"
    assert "may have had effects" in told["error"]["message"]
    assert hub.road.cancelled.is_set()


@pytest.mark.promise("D33")
async def test_a_client_that_reads_nothing_does_not_keep_the_server_from_ending(hub):
    call = hub.begin_modern("tools/call", {"name": "t", "arguments": {"wait": True}})
    async with asyncio.timeout(5):
        await hub.road.entered.wait()
        call.taking.clear()
        call.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.task


def answer_of(call) -> list[dict]:
    written = Response(call.status, {k.decode(): v.decode() for k, v in call.headers}, b"".join(call.chunks))
    return written.events if call.is_stream else [written.json]
