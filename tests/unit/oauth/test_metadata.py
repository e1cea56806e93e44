import asyncio

import pytest

from mcp_hub.egress.fetch import FetchFailed
from mcp_hub.oauth.metadata import (
    APART,
    FRESH,
    LONGEST,
    RETRY,
    Discovery,
    IssuerUnavailable,
    metadata_urls,
    openid_urls,
    safe_url,
)
from rig.signing import Shelf

pytestmark = pytest.mark.promise("C23", "C24")

ISSUER = "https://idp.example/t1"
OAUTH, INSERTED, APPENDED = metadata_urls(ISSUER)


class World:
    """The discovery of one issuer, at a time that the test sets."""

    def __init__(self, issuer=ISSUER):
        self.time = 1000.0
        self.shelf = Shelf()
        self.discovery = Discovery(self.shelf, lambda: self.time, issuer, metadata_urls(issuer))


def test_an_issuer_with_a_path_has_three_places_and_one_without_has_two():
    assert metadata_urls("https://a.example/t1") == [
        "https://a.example/.well-known/oauth-authorization-server/t1",
        "https://a.example/.well-known/openid-configuration/t1",
        "https://a.example/t1/.well-known/openid-configuration",
    ]
    for root in ("https://a.example", "https://a.example/"):
        assert metadata_urls(root) == [
            "https://a.example/.well-known/oauth-authorization-server",
            "https://a.example/.well-known/openid-configuration",
        ]
    assert openid_urls("https://a.example/t1/") == ["https://a.example/t1/.well-known/openid-configuration"]


@pytest.mark.parametrize("place", [OAUTH, INSERTED, APPENDED])
async def test_metadata_are_found_wherever_they_are(place):
    world = World()
    world.shelf.put(place, {"issuer": ISSUER, "jwks_uri": "https://idp.example/k"})
    for _ in range(3):
        assert (await world.discovery.metadata())["jwks_uri"] == "https://idp.example/k"
    assert world.shelf.asked == [OAUTH, INSERTED, APPENDED][: [OAUTH, INSERTED, APPENDED].index(place) + 1]


async def test_a_page_in_place_of_metadata_is_passed_over():
    world = World()
    world.shelf.put(OAUTH, b"<html>not found</html>")
    world.shelf.put(INSERTED, {"issuer": ISSUER})
    assert await world.discovery.metadata() == {"issuer": ISSUER}


@pytest.mark.promise("T44")
@pytest.mark.parametrize(
    "said",
    [f"{ISSUER}/", "https://IDP.example/t1", "https://idp.example:443/t1", "https://evil.example", None, [ISSUER], ""],
)
async def test_metadata_of_an_issuer_that_is_not_the_identical_text_are_refused(said):
    world = World()
    world.shelf.put(OAUTH, {"issuer": said})
    world.shelf.put(APPENDED, {"issuer": ISSUER})
    with pytest.raises(IssuerUnavailable, match="another issuer"):
        await world.discovery.metadata()
    assert world.shelf.asked == [OAUTH], "and nothing else of that server's is believed"


@pytest.mark.promise("T57")
@pytest.mark.parametrize(
    ("document", "status"),
    [
        (FetchFailed("idp.example did not answer"), 200),
        (b"<html>", 200),
        ([], 200),
        (b"[" * 60_000, 200),
        ({"issuer": ISSUER}, 302),
        ({"issuer": ISSUER}, 500),
        ({"issuer": ISSUER}, 429),
        ({"issuer": ISSUER}, 404),
    ],
)
async def test_an_issuer_that_is_down_or_odd_has_no_metadata_and_is_not_asked_all_the_time(document, status):
    world = World()
    world.shelf.put(OAUTH, document, status)
    for _ in range(10):
        with pytest.raises(IssuerUnavailable):
            await world.discovery.metadata()
    assert world.shelf.asked.count(OAUTH) == 1
    world.shelf.put(OAUTH, {"issuer": ISSUER})
    world.time += RETRY
    assert await world.discovery.metadata() == {"issuer": ISSUER}


async def test_a_server_that_fails_is_not_asked_at_its_other_places():
    world = World()
    world.shelf.put(OAUTH, {}, 503)
    with pytest.raises(IssuerUnavailable, match="503"):
        await world.discovery.metadata()
    assert world.shelf.asked == [OAUTH]


async def test_metadata_are_used_for_a_day_while_the_issuer_is_away():
    world = World()
    world.shelf.put(OAUTH, {"issuer": ISSUER})
    await world.discovery.metadata()
    world.shelf.put(OAUTH, FetchFailed("down"))
    world.time += FRESH
    assert await world.discovery.metadata() == {"issuer": ISSUER}
    world.time += APART - 1
    await world.discovery.metadata()
    assert len(world.shelf.asked) == 2
    world.time += LONGEST
    with pytest.raises(IssuerUnavailable, match="down"):
        await world.discovery.metadata()


async def test_many_at_once_ask_once_and_a_caller_that_leaves_takes_nothing_away():
    world, asked, release = World(), asyncio.Event(), asyncio.Event()

    async def slow():
        asked.set()
        await release.wait()
        return {"issuer": ISSUER}

    world.shelf.put(OAUTH, slow)
    async with asyncio.timeout(5):
        first = asyncio.ensure_future(world.discovery.metadata())
        await asked.wait()
        others = [asyncio.ensure_future(world.discovery.metadata()) for _ in range(10)]
        await asyncio.sleep(0)
        first.cancel()
        release.set()
        assert await asyncio.gather(*others) == [{"issuer": ISSUER}] * 10
    assert len(world.shelf.asked) == 1


async def test_what_is_under_way_ends_with_the_hub():
    world, asked = World(), asyncio.Event()

    async def never():
        asked.set()
        await asyncio.Event().wait()

    world.shelf.put(OAUTH, never)
    waiting = asyncio.ensure_future(world.discovery.metadata())
    async with asyncio.timeout(5):
        await asked.wait()
        await world.discovery.aclose()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await world.discovery.aclose()


@pytest.mark.promise("T42", "T2")
@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example/a", "javascript:alert(1)", "a:$(cmd)", "//idp.example/a", "https://u:p@idp.example/",
        "https://idp.example/#f", "https://", "https://idp.example\r\nX: 1/", "file:///etc/passwd", 5, {},
        "https://idp.example/" + "a" * 3000, "https://idp.ex\u00e4mple/",
    ],
)  # fmt: skip
def test_an_address_that_is_less_protected_than_its_issuer_is_not_used(url):
    with pytest.raises(IssuerUnavailable, match="token_endpoint"):
        safe_url({"token_endpoint": url}, "token_endpoint", ISSUER)


def test_addresses_may_be_on_another_host_and_plain_where_the_issuer_is():
    assert safe_url({"a": "https://keys.example/a?b"}, "a", ISSUER) == "https://keys.example/a?b"
    assert safe_url({"a": "http://127.0.0.1:1/a"}, "a", "http://127.0.0.1:1") == "http://127.0.0.1:1/a"
    assert safe_url({}, "a", ISSUER) is None
