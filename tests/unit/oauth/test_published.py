"""Documents at well-known places: what is there, what is not, and what cannot be said."""

import pytest

from mcp_hub.egress.fetch import Document, FetchFailed
from mcp_hub.oauth.published import MOST_HOPS, SHORTEST, NotNow, kept_for, published

pytestmark = pytest.mark.promise("B15")

URL = "https://a.example/doc"


class Pages:
    """A `Fetch` over pages in memory."""

    def __init__(self, **pages):
        self.pages = pages
        self.asked = []

    async def get(self, url, *, headers=None, most=0, seconds=0):
        self.asked.append(url)
        page = self.pages.get(url, Document(404, {}, b""))
        if isinstance(page, Exception):
            raise page
        return page


def page(body=b"{}", status=200, **headers):
    return Document(status, {name.replace("_", "-"): each for name, each in headers.items()}, body)


async def test_an_object_is_what_is_there():
    found = await published(Pages(**{URL: page(b'{"a":1}', cache_control="max-age=100")}), URL)
    assert (found.document, found.seconds) == ({"a": 1}, 100.0)


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"null", b"<html>", b'{"a":', b'{"a":"\xff"}'])
async def test_anything_else_is_not(body):
    assert (await published(Pages(**{URL: page(body)}), URL)).document is None


@pytest.mark.parametrize("status", [201, 204, 400, 401, 403, 404, 410])
async def test_another_status_is_not_either(status):
    found = await published(Pages(**{URL: page(status=status)}), URL)
    assert (found.document, found.detail) == (None, f"status {status}")


@pytest.mark.parametrize("answer", [page(status=429), page(status=500), page(status=599), FetchFailed("10.0.0.1: no")])
@pytest.mark.promise("T10")
async def test_a_server_that_fails_says_nothing_and_neither_does_the_hub(answer):
    with pytest.raises(NotNow) as failed:
        await published(Pages(**{URL: answer}), URL)
    assert "10.0.0.1" not in str(failed.value)


@pytest.mark.promise("T8")
@pytest.mark.parametrize(
    "location",
    [
        "https://b.example/doc",
        "http://a.example/doc",
        "https://a.example:8443/doc",
        "//b.example/doc",
        "javascript:alert(1)",
        "https://user@a.example/doc",
        "https://[",
        "",
    ],
)
async def test_a_redirect_elsewhere_is_not_followed(location):
    pages = Pages(**{URL: page(status=302, location=location)})
    assert (await published(pages, URL)).document is None
    assert pages.asked == [URL]


async def test_a_redirect_without_a_place_is_not_followed():
    assert (await published(Pages(**{URL: page(status=302)}), URL)).document is None


async def test_a_circle_is_left():
    pages = Pages(**{URL: page(status=308, location="/doc")})
    assert (await published(pages, URL)).document is None
    assert len(pages.asked) == MOST_HOPS + 1


@pytest.mark.parametrize("url", ["", "x", "ftp://a.example", "https://user:pw@a.example/", "https://a example/", "//a"])
async def test_what_is_no_address_is_not_asked(url):
    pages = Pages()
    assert (await published(pages, url)).document is None
    assert pages.asked == []


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("", 1000.0),
        ("public", 1000.0),
        ("no-store", SHORTEST),
        ("no-cache, max-age=500", SHORTEST),
        ("max-age=1", SHORTEST),
        ("max-age=500", 500.0),
        ("s-maxage=1, max-age=700", 700.0),
        ("max-age=99999", 1000.0),
        ("max-age=x", 1000.0),
    ],
)
async def test_it_is_kept_as_its_server_says_within_bounds(said, seconds):
    found = await published(Pages(**{URL: page(cache_control=said)}), URL)
    assert kept_for(found, 1000.0) == seconds
