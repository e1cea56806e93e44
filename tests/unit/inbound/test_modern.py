import base64
import json

import pytest

from mcp_hub.principal import LOCAL
from mcp_hub.wire.eras import Era
from unit.inbound.asgi import begin
from unit.inbound.hub import META, MODERN, Hub, message

pytestmark = pytest.mark.promise("A4")

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
INFO = "io.modelcontextprotocol/clientInfo"


def without(key):
    return {name: value for name, value in META.items() if name != key}


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.mark.promise("A4", "A5")
async def test_a_modern_request_reaches_the_road_as_it_was_sent(hub):
    meta = {**META, INFO: {"name": "c", "version": "1"}, "other": [1]}
    params = {"name": "echo", "arguments": {"text": "hi"}, "unknownField": {"x": 1}}
    response = await hub.modern("tools/call", params, number="a-1", meta=meta, mcp_param_region="eu", x_caller=None)
    assert response.status == 200
    assert response.json == {"jsonrpc": "2.0", "id": "a-1", "result": {"content": []}}
    assert response.headers["content-type"] == "application/json"
    assert "mcp-session-id" not in response.headers
    (ask,) = hub.road.asks
    assert (ask.caller, ask.method, ask.session) == (LOCAL, "tools/call", None)
    assert (ask.client.era, ask.client.revision) == (Era.MODERN, MODERN)
    assert json.loads(bytes(ask.client.capabilities)) == {"sampling": {}}
    assert ask.client.info is not None
    assert json.loads(bytes(ask.client.info)) == {"name": "c", "version": "1"}
    assert {key: json.loads(bytes(raw)) for key, raw in ask.params.items()} == {**params, "_meta": meta}
    assert {key: json.loads(bytes(raw)) for key, raw in ask.meta.items()} == meta
    assert ask.param_headers == {"mcp-param-region": "eu"}


@pytest.mark.promise("A4", "A5")
async def test_discover_is_made_from_the_hubs_description(hub):
    response = await hub.modern("server/discover")
    assert response.json["result"] == {
        "resultType": "complete",
        "supportedVersions": [MODERN],
        "capabilities": {"tools": {}},
        "instructions": "Be kind.",
        "ttlMs": 5000,
        "cacheScope": "private",
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "hub", "version": "1"}},
    }


@pytest.mark.parametrize(
    "meta",
    [None, [], "text", {}, without(VERSION), without(CAPABILITIES), {**META, CAPABILITIES: []}, {**META, INFO: "me"}],
)
async def test_missing_or_misshapen_metadata_is_the_first_rung(hub, meta):
    response = await hub.modern("server/discover", meta=meta, number=101)
    assert response.status == 400
    assert (response.json["id"], response.json["error"]["code"]) == (101, -32602)


async def test_who_the_client_is_need_not_be_said(hub):
    assert (await hub.modern("server/discover", meta=without(INFO))).status == 200


@pytest.mark.promise("T25")
@pytest.mark.parametrize(
    "headers",
    [
        {"mcp_protocol_version": None},
        {"mcp_protocol_version": "2025-11-25"},
        {"mcp_protocol_version": "2099-01-01"},
        {"mcp_protocol_version": f"{MODERN}, {MODERN}"},
        {"mcp_method": None},
        {"mcp_method": "prompts/get"},
        {"mcp_method": "TOOLS/CALL"},
        {"mcp_name": None},
        {"mcp_name": "other"},
        {"mcp_name": "Echo"},
        {"mcp_name": "=?base64?ZWNobw?="},
        {"mcp_name": "=?base64?!!!?="},
        {"mcp_name": "ech\xf6"},
    ],
)
async def test_a_header_that_disagrees_with_the_body_is_a_mismatch(hub, headers):
    response = await hub.modern("tools/call", {"name": "echo"}, number="x", **headers)
    assert response.status == 400
    assert (response.json["id"], response.json["error"]["code"]) == ("x", -32020)
    assert hub.road.asks == []


@pytest.mark.promise("T25")
@pytest.mark.parametrize(
    "line", [("mcp-name", "echo"), ("mcp-method", "tools/call"), ("MCP-Protocol-Version", MODERN), ("mcp-param-a", "1")]
)
async def test_a_routing_header_that_stands_twice_is_a_mismatch_even_if_both_agree(hub, line):
    body = message("tools/call", {"name": "echo", "_meta": META})
    lines = [
        ("host", "localhost"), ("content-type", "application/json"), ("accept", "*/*"), ("mcp-name", "echo"),
        ("mcp-method", "tools/call"), ("mcp-protocol-version", MODERN), ("mcp-param-a", "1"), line,
    ]  # fmt: skip
    response = await begin(hub.endpoint, "POST", lines, [body]).response()
    assert response.status == 400
    assert response.json["error"]["code"] == -32020


@pytest.mark.parametrize(
    ("method", "params", "header"),
    [
        ("tools/call", {"name": "echo"}, "  echo\t"),
        ("tools/call", {"name": "größe"}, None),
        ("prompts/get", {"name": "=?base64?x?="}, None),
        ("resources/read", {"uri": "file:///a b"}, "file:///a b"),
    ],
)
async def test_a_name_agrees_once_blanks_and_encoding_are_taken_off(hub, method, params, header):
    name = params.get("name") or params["uri"]
    encoded = header or f"=?base64?{base64.b64encode(name.encode()).decode()}?="
    assert (await hub.modern(method, params, mcp_name=encoded)).status == 200


async def test_a_header_name_may_be_in_any_case_and_a_needless_one_is_not_read(hub):
    response = await hub.modern("tools/list", mcp_method=None, mcp_name="whatever", MCP_METHOD="tools/list")
    assert response.status == 200


@pytest.mark.promise("T25")
@pytest.mark.parametrize("body_name", [7, None, ["echo"]])
async def test_a_header_cannot_name_what_the_body_does_not(hub, body_name):
    params = {} if body_name is None else {"name": body_name}
    response = await hub.modern("tools/call", params, mcp_name="=?base64?x?=")
    assert response.json["error"]["code"] == -32020


@pytest.mark.promise("A5")
async def test_a_revision_that_is_not_served_is_answered_with_those_that_are(hub):
    meta = {**META, VERSION: "v999.0.0"}
    response = await hub.modern("server/discover", meta=meta, number=301, mcp_protocol_version="v999.0.0")
    assert response.status == 400
    error = response.json["error"]
    assert (response.json["id"], error["code"]) == (301, -32022)
    assert error["data"] == {"supported": [MODERN], "requested": "v999.0.0"}


async def test_a_client_that_disagrees_with_itself_hears_of_that_before_its_revision(hub):
    response = await hub.modern("server/discover", meta={**META, VERSION: "v999.0.0"})
    assert response.json["error"]["code"] == -32020


async def test_a_revision_that_is_no_string_never_matches_its_header(hub):
    response = await hub.modern("server/discover", meta={**META, VERSION: 7}, mcp_protocol_version="7")
    assert response.status == 400
    assert response.json["error"]["code"] == -32020


@pytest.mark.promise("A5")
@pytest.mark.parametrize(
    "method",
    ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "unknown/method", ""],
)
async def test_a_method_this_revision_does_not_have_is_not_found(hub, method):
    response = await hub.modern(method, number=500)
    assert response.status == 404
    assert (response.json["id"], response.json["error"]["code"]) == (500, -32601)


async def test_a_notification_is_taken_and_dropped(hub):
    response = await hub.modern("notifications/cancelled", {"requestId": 1}, number=None)
    assert (response.status, response.body) == (202, b"")
    assert (await hub.send(body=message("x", number=None), mcp_protocol_version=MODERN)).status == 202
    assert hub.road.asks == []


@pytest.mark.parametrize("version", ["2099-01-01", "\xff"])
async def test_a_notification_of_a_revision_that_is_not_served_is_refused(hub, version):
    response = await hub.send(body=message("x", number=None), mcp_protocol_version=version)
    assert response.status == 400
    assert response.json["error"]["code"] == -32022


@pytest.mark.promise("T25")
@pytest.mark.parametrize(
    "body",
    [
        b"[" + message("ping", {"_meta": META}) + b"]",
        b'{"jsonrpc":"2.0","id":1,"result":{}}',
        b'{"jsonrpc":"1.0"}',
        b"7",
    ],
)
async def test_what_is_no_single_request_or_notification_is_invalid(hub, body):
    response = await hub.send(body=body, mcp_protocol_version=MODERN)
    assert response.status == 400
    assert response.json["error"]["code"] == -32600


@pytest.mark.promise("T25")
@pytest.mark.parametrize("body", [b"", b"{", b'{"a":NaN}', b"\xff", b'{"x":' + b"[" * 100_000])
async def test_what_is_no_json_is_a_parse_error(hub, body):
    response = await hub.send(body=body, mcp_protocol_version=MODERN)
    assert response.status == 400
    assert response.json["error"]["code"] == -32700
    assert response.json["id"] is None


async def test_a_session_id_beside_modern_metadata_is_ignored_and_none_is_made(hub):
    response = await hub.modern("tools/list", mcp_session_id="anything")
    assert response.status == 200
    assert "mcp-session-id" not in response.headers
    assert hub.road.asks[0].session is None


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_get_and_delete_are_not_of_this_era(hub, method):
    response = await hub.send(method)
    assert response.status == 405
    assert response.headers["allow"] == "POST"
    session = await hub.open()
    response = await hub.send(method, mcp_session_id=session, mcp_protocol_version=MODERN)
    assert response.status == 405
    assert len(hub.sessions) == 1


async def test_an_upstreams_error_keeps_its_code_and_gets_the_status_that_goes_with_it(hub):
    response = await hub.modern("test/error")
    assert response.status == 400
    assert response.json["error"]["data"] == {"requiredCapabilities": {}}
    assert (await hub.modern("test/nonsense")).status == 200
