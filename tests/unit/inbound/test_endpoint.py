import pytest

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
