import pytest

from mcp_hub.inbound.guard import Guard
from mcp_hub.inbound.head import read_head
from mcp_hub.inbound.outcome import Refused
from unit.inbound.hub import Hub

pytestmark = pytest.mark.promise("A4")


def status(guard: Guard, *headers: tuple[bytes, bytes]) -> int:
    try:
        guard.check(read_head(headers))
    except Refused as refused:
        return refused.failure.status or 0
    return 200


@pytest.fixture
def guard() -> Guard:
    return Guard({"localhost", "127.0.0.1", "[::1]", "hub.example.com", "lan:8080"}, {"https://app.example.org"})


@pytest.mark.promise("T22")
@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:1", "127.0.0.1:65535", "[::1]:8080", "[::1]", "hub.example.com", "lan:8080"]
)
def test_a_request_to_an_allowed_name_passes(guard, host):
    assert status(guard, (b"host", host.encode())) == 200
    assert status(guard, (b"host", host.encode())) == 200, "also when it is remembered"


@pytest.mark.promise("T22")
@pytest.mark.parametrize(
    "host",
    [
        "evil.example.com", "localhost.evil.example", "localhost@evil.example", "localhost:80@evil.example", "",
        "evil.example#localhost", "hub.example.com:8443", "lan", "localhost:123456", "localhost:", "127.0.0.1.", "::1",
        "localhost, evil.example", " localhost", "localhost\x00", "l\u043ecalhost",
    ],
)  # fmt: skip
def test_a_name_that_was_rebound_to_this_hub_is_misdirected(guard, host):
    assert status(guard, (b"host", host.encode())) == 421


@pytest.mark.promise("T22")
def test_a_request_names_its_host_exactly_once(guard):
    assert status(guard) == 421
    assert status(guard, (b"host", b"localhost")) == 200
    assert status(guard, (b"host", b"localhost"), (b"host", b"localhost")) == 421


@pytest.mark.promise("T22")
@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://localhost:5173", 200),
        ("https://hub.example.com", 200),
        ("HTTPS://App.Example.Org", 200),
        ("https://evil.example.com", 403),
        ("null", 403),
        ("", 403),
        ("localhost", 403),
        ("file://localhost", 403),
        ("http://localhost.evil.example", 403),
        ("http://user@localhost", 403),
        ("http://localhost/", 403),
        ("https://app.example.org:8443", 403),
    ],
)
def test_only_pages_of_allowed_origins_get_through(guard, origin, expected):
    assert status(guard, (b"host", b"localhost"), (b"origin", origin.encode())) == expected


@pytest.mark.promise("T22")
def test_an_allowed_origin_beside_a_foreign_one_is_refused(guard):
    origins = ((b"origin", b"http://localhost"), (b"origin", b"https://evil.example"))
    assert status(guard, (b"host", b"localhost"), *origins) == 403


@pytest.mark.promise("T22")
def test_loopback_names_are_allowed_only_where_they_are_configured():
    assert status(Guard({"hub.example.com"}, ()), (b"host", b"localhost:8080")) == 421


@pytest.mark.promise("T22")
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "OPTIONS"])
async def test_a_rebinding_page_reaches_nothing_by_any_method(method):
    hub = Hub()
    session = await hub.open()
    for attack in ({"host": "evil.example.com"}, {"origin": "https://evil.example.com"}):
        response = await hub.send(method, b"never parsed", mcp_session_id=session, **attack)
        assert response.status in (403, 421)
        assert response.json["id"] is None
    assert len(hub.sessions) == 1
    assert hub.road.asks == []


async def test_the_names_that_are_remembered_are_bounded(guard):
    for port in range(1, 1000):
        assert status(guard, (b"host", b"localhost:%d" % port)) == 200
    assert len(guard._good) <= 256


@pytest.mark.promise("T22")
def test_what_any_page_may_read_is_still_addressed_to_us(guard):
    guard.check_host(read_head([(b"host", b"localhost"), (b"origin", b"https://evil.example")]))
    with pytest.raises(Refused):
        guard.check_host(read_head([(b"host", b"evil.example")]))
