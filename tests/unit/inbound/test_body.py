import pytest

from mcp_hub.inbound.body import Accepts, accepts, is_json
from unit.inbound.hub import META, Hub, message

pytestmark = pytest.mark.promise("A4")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, (True, True)),
        (b"application/json, text/event-stream", (True, True)),
        (b"*/*", (True, True)),
        (b"application/*", (True, False)),
        (b"text/*;q=0.5", (False, True)),
        (b"Application/JSON;charset=utf-8", (True, False)),
        (b"text/html", (False, False)),
        (b"", (False, False)),
        (b"text/html, " * 100 + b"*/*", (True, True)),
    ],
)
def test_accept_is_read_with_its_wildcards(header, expected):
    assert accepts(header) == Accepts(*expected)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"application/json", True),
        (b"Application/JSON; charset=utf-8", True),
        (b"text/plain", False),
        (b"application/jsonp", False),
        (None, False),
    ],
)
def test_only_json_is_json(header, expected):
    assert is_json(header) is expected


async def test_a_client_that_takes_no_json_is_told_so():
    response = await Hub().modern("tools/list", accept="text/event-stream")
    assert response.status == 406


@pytest.mark.promise("T22")
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_a_body_that_a_form_could_send_is_refused(content_type):
    hub = Hub()
    assert (await hub.modern("tools/list", content_type=content_type)).status == 415
    assert hub.road.asks == []


@pytest.mark.promise("T23", "T25")
async def test_a_body_declared_too_long_is_not_even_read():
    hub = Hub(max_request=100)
    exchange = hub.begin(parts=[b"x"], ends=False, content_length="101")
    response = await exchange.response()
    assert response.status == 413
    assert response.json["error"]["code"] == -32600
    assert response.headers["connection"] == "close"
    assert exchange.incoming == [b"x"]


@pytest.mark.promise("T23", "T25")
@pytest.mark.parametrize("declared", [None, "5", "9" * 5000, "nonsense", "-1"])
async def test_a_body_is_cut_off_while_it_streams(declared):
    hub = Hub(max_request=100)
    exchange = hub.begin(parts=[b"x" * 60] * 1000, content_length=declared)
    response = await exchange.response()
    assert response.status == 413
    assert len(exchange.incoming) >= 998, "the rest is left with the server"


async def test_a_body_of_exactly_the_limit_is_read_in_any_number_of_parts():
    body = message("tools/list", {"_meta": META})
    hub = Hub(max_request=len(body))
    for size in (1, 7, len(body)):
        parts = [body[start : start + size] for start in range(0, len(body), size)]
        exchange = hub.begin(parts=parts, mcp_protocol_version="2026-07-28", mcp_method="tools/list")
        assert (await exchange.response()).status == 200


async def test_one_byte_over_the_limit_is_too_much_also_in_one_piece():
    body = message("tools/list", {"_meta": META})
    assert (await Hub(max_request=len(body) - 1).send(body=body)).status == 413


async def test_a_client_that_hangs_up_while_it_sends_gets_nothing():
    hub = Hub()
    exchange = hub.begin(parts=[b'{"jsonrpc"'], ends=False)
    exchange.hung_up.set()
    await exchange.over()
    assert not exchange.started.is_set()
    assert hub.road.asks == []
