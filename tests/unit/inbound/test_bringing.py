"""What callers bring for upstreams is taken from the configured headers, and from nowhere else."""

import pytest

from mcp_hub.errors import Unauthenticated
from mcp_hub.inbound.bringing import takeable, with_bringing
from mcp_hub.inbound.door import ByHeaders, Open
from mcp_hub.principal import LOCAL
from mcp_hub.secret import Secret
from unit.inbound.asgi import begin
from unit.inbound.hub import BASE, Hub, identify, message

pytestmark = pytest.mark.promise("B14")

KEY = "x-docs-key"


@pytest.fixture
def hub():
    return Hub(door=with_bringing(ByHeaders(identify), [KEY, "x-other-key"]))


def brought(hub):
    return [ask.caller.brought for ask in hub.road.asks]


async def test_a_configured_header_is_the_callers_own_in_both_eras_and_for_one_request(hub):
    await hub.modern("tools/list", x_docs_key="adas-key", x_caller="alice")
    await hub.modern("tools/list", x_caller="alice")
    session = await hub.open()
    await hub.legacy(session, "tools/list", x_docs_key="other-key")
    await hub.legacy(session, "tools/list")
    assert brought(hub) == [((KEY, Secret("adas-key")),), (), ((KEY, Secret("other-key")),), ()]
    assert hub.road.asks[0].caller.subject == "alice"


@pytest.mark.promise("T12")
async def test_no_other_header_is_looked_at(hub):
    more = {"x_evil": "1", "cookie": "a=b", "x_forwarded_for": "10.0.0.1", "x_docs_key_2": "x", "authorization": "x"}
    await hub.modern("tools/list", **more)
    assert brought(hub) == [()]


async def test_several_stand_in_the_order_of_their_names_without_blanks_around_them(hub):
    await hub.modern("tools/list", x_other_key="\t b c ", x_docs_key=" a")
    assert brought(hub) == [((KEY, Secret("a")), ("x-other-key", Secret("b c")))]


async def test_an_empty_header_is_none(hub):
    await hub.modern("tools/list", x_docs_key="  ")
    assert brought(hub) == [()]


@pytest.mark.promise("T11")
@pytest.mark.parametrize(
    ("value", "words"),
    [
        *((f"adas{odd}key", "no header can carry") for odd in "\r\n\0\x01\x1f\x7f\xe4"),
        ("adas-key\r\nX-Evil: 1", "no header can carry"),
        ("adas" * 2049, "longer than 8192 bytes"),
    ],
)
async def test_a_value_that_cannot_be_handed_on_ends_the_request_and_is_not_repeated(hub, value, words):
    response = await hub.modern("tools/list", x_docs_key=value)
    assert response.status == 400
    assert KEY in response.json["error"]["message"]
    assert words in response.json["error"]["message"]
    assert b"adas" not in response.body
    assert hub.road.asks == []


@pytest.mark.promise("T13")
@pytest.mark.parametrize("value", ["{}", "Bearer {}", "x{}y"])
async def test_the_token_that_lets_a_caller_in_is_handed_on_in_no_header(hub, value):
    token = "mcphub_pat_planted-token"
    response = await hub.modern("tools/list", authorization=f"Bearer {token}", x_docs_key=value.format(token))
    assert response.status == 400
    assert "which never leaves it" in response.json["error"]["message"]
    assert token.encode() not in response.body
    assert hub.road.asks == []


@pytest.mark.promise("T12")
@pytest.mark.parametrize("values", [("one", "two"), ("one", "one"), ("", "two"), ("one", "")])
async def test_two_values_of_one_header_end_the_request(hub, values):
    lines = [*((name.lower(), value) for name, value in BASE.items()), *((KEY, value) for value in values)]
    response = await begin(hub.endpoint, "POST", lines, [message("tools/list")]).response()
    assert response.status == 400
    assert "more than once" in response.json["error"]["message"]
    assert hub.road.asks == []


async def test_who_is_not_let_in_learns_nothing_of_what_they_brought():
    def nobody(headers):
        raise Unauthenticated("Sign in first.")

    hub = Hub(door=with_bringing(ByHeaders(nobody), [KEY]))
    response = await hub.modern("tools/list", x_docs_key="a\0b")
    assert response.status == 401


def test_a_hub_that_is_brought_nothing_keeps_its_door():
    door = Open(LOCAL)
    assert with_bringing(door, []) is door
    assert with_bringing(door, ["authorization", "cookie"]) is door


def test_nobody_is_known_by_one_header_alone():
    assert with_bringing(Open(LOCAL), [KEY]).known(b"Bearer x") is None


@pytest.mark.promise("T12", "T13")
@pytest.mark.parametrize(
    "name",
    [
        "authorization", "proxy-authorization", "cookie", "set-cookie", "host", "origin", "content-length",
        "content-type", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect",
        "mcp-session-id", "mcp-method", "mcp-protocol-version", "mcp-param-x", "forwarded", "x-forwarded-for",
        "x-forwarded-host", "via", "x-real-ip", "sec-fetch-site", "accept", "accept-encoding", "last-event-id",
    ],
)  # fmt: skip
def test_what_says_who_calls_or_how_a_message_is_read_is_never_taken_even_if_it_is_configured(name):
    assert takeable([name, KEY]) == {KEY}
