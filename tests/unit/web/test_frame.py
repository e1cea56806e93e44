"""How pages are shown: escaped, under a strict policy, with nothing from elsewhere."""

from html.parser import HTMLParser

import httpx2
import pytest
from starlette.applications import Starlette

from mcp_hub.web.frame import HOME, Frame, Notice, Onward, day, when
from mcp_hub.web.visitors import Shown

pytestmark = pytest.mark.promise("E37")
MARKUP = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>"


class Elements(HTMLParser):
    """The elements of a page with what they load or send to."""

    def __init__(self, text: str):
        super().__init__()
        self.names: list[str] = []
        self.addresses: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action")]


def policy(response) -> dict[str, str]:
    parts = (each.strip().partition(" ") for each in response.headers["content-security-policy"].split(";"))
    return {name: value for name, _, value in parts}


@pytest.mark.promise("T39")
def test_every_page_has_the_headers_that_keep_it_from_strangers():
    frame = Frame("9.9")
    for page in (frame.error("T", "S", "N", status=418), frame.page("error.html", **values())):
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "same-origin"
        assert "content-encoding" not in page.headers
        assert policy(page) == {
            "default-src": "'none'",
            "style-src": "'self'",
            "img-src": "'self'",
            "form-action": "'self'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }


def values(**more):
    return {"title": "T", "sentence": "S", "next_step": "N", "code": "", "onward": HOME, **more}


@pytest.mark.promise("T40", "T30")
def test_whatever_a_value_holds_it_becomes_text():
    shown = Shown(MARKUP, False, MARKUP)
    page = Frame("9.9").page(
        "error.html", **values(title=MARKUP, sentence=MARKUP, code=MARKUP, notice=Notice(MARKUP), visitor=shown)
    )
    found = Elements(page.body.decode())
    assert found.names.count("img") == 1
    assert "script" not in found.names
    assert not {each for each in found.attributes if each.startswith("on")}


def test_a_page_has_no_scripts_and_loads_nothing_from_elsewhere():
    page = Frame("9.9").page("error.html", **values(visitor=Shown("ada", True, "t")))
    found = Elements(page.body.decode())
    assert not {"script", "iframe", "object", "style"} & set(found.names)
    assert "style" not in found.attributes
    assert all(each.startswith(("/", "#")) and not each.startswith("//") for each in found.addresses)


def test_an_error_says_what_happened_and_what_to_do():
    onward = Onward("Try again", "/login")
    page = Frame("9.9").error("Not here", "This page does not exist.", "Go back.", status=404, code="K7", onward=onward)
    assert page.status_code == 404
    text = page.body.decode()
    for part in (
        "<title>Not here - mcp_hub</title>",
        "This page does not exist.",
        "Go back.",
        "<code>K7</code>",
        'href="/login">Try',
    ):
        assert part in text


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://claude.ai/api/callback?x=1", "https://claude.ai"),
        ("http://127.0.0.1:33418/callback", "http://127.0.0.1:33418"),
        ("http://localhost/cb", "http://localhost"),
        ("http://[::1]:5000/cb", "http:"),
        ("https://user@evil/cb", "https:"),
        ("HTTPS://Claude.AI/x", "https://claude.ai"),
        ("com.example.app:/cb", "com.example.app:"),
        ("https://a;script-src *", "https:"),
        ("https://a *", "https:"),
    ],
)
def test_a_form_may_lead_on_to_the_place_it_names_and_to_no_other(url, source):
    page = Frame("9.9").page("error.html", form_targets=[url], **values())
    assert policy(page)["form-action"] == f"'self' {source}"
    assert len(policy(page)) == 6


@pytest.mark.parametrize("url", ["/relative", "", "//evil.example", "no url"])
def test_a_target_that_is_no_url_is_a_mistake_of_ours(url):
    with pytest.raises(ValueError, match="absolute URL"):
        Frame("9.9").page("error.html", form_targets=[url], **values())


async def test_the_style_sheet_is_kept_by_browsers_and_has_another_address_when_it_changes():
    frame = Frame("9.9")
    addresses = Elements(frame.page("error.html", **values()).body.decode()).addresses
    app = Starlette(routes=frame.routes())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hub") as client:
        for path in {each for each in addresses if each.startswith("/static/")}:
            answer = await client.get(path)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert b"http" not in answer.content.replace(b"http://www.w3.org/2000/svg", b"")
        assert (await client.get("/static/hub.css")).status_code == 404
        assert (await client.get("/static/..%2f..%2fsite.py")).status_code == 404


def test_times_are_for_people_and_for_programs():
    assert when(1795388580.0) == '<time datetime="2026-11-22T23:03:00Z">22 Nov 2026, 23:03 UTC</time>'
    assert day(1795388580.0) == '<time datetime="2026-11-22T23:03:00Z">22 Nov 2026</time>'
