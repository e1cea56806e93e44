"""The first page."""

import httpx2
import pytest

from mcp_hub.config.snippets import CLIENTS, TITLES
from mcp_hub.web.frame import Frame
from mcp_hub.web.index import Index, ways
from mcp_hub.web.site import Site
from mcp_hub.web.visitors import Visitors
from unit.web.people import Browsers

pytestmark = pytest.mark.promise("E37", "E40")
BROWSER = {"accept": "text/html"}
URL = "http://127.0.0.1:8080"


def client(pages=None, **more) -> httpx2.AsyncClient:
    frame = Frame("9.9")
    app = Site([Index("9.9", f"{URL}/mcp", pages and (frame, pages))], frame).app()
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=URL, **more)


@pytest.mark.parametrize("headers", [{}, BROWSER])
async def test_a_hub_that_asks_nobody_to_sign_in_answers_in_one_line(headers):
    async with client() as browser:
        answer = await browser.get("/", headers=headers)
    assert answer.text == "mcp_hub 9.9 is running. Point an MCP client at http://127.0.0.1:8080/mcp\n"
    assert answer.headers["content-type"].startswith("text/plain")


async def test_a_browser_is_asked_to_sign_in_and_a_program_gets_the_line():
    async with client(Visitors(Browsers(), base_url=URL, key=b"k" * 32)) as browser:
        asked = await browser.get("/", headers=BROWSER)
        told = await browser.get("/")
    assert (asked.status_code, asked.headers["location"]) == (303, "/login")
    assert told.text.endswith("Point an MCP client at http://127.0.0.1:8080/mcp\n")


async def test_somebody_signed_in_finds_their_endpoint_and_how_clients_get_there():
    browsers = Browsers()
    cookies = {"mcp_hub": browsers.sign_in().open()}
    async with client(Visitors(browsers, base_url=URL, key=b"k" * 32), cookies=cookies) as browser:
        page = await browser.get("/", headers=BROWSER)
    assert page.status_code == 200
    assert f">{URL}/mcp</code>" in page.text
    assert "Signed in as ada@example.com" in page.text
    assert "claude mcp add --transport http hub http://127.0.0.1:8080/mcp" in page.text
    assert "ChatGPT connects from the internet and cannot reach a hub on this computer." in page.text


def test_each_client_has_a_title_and_a_way():
    assert list(CLIENTS) == list(TITLES)
    assert [way.client for way in ways("https://hub.example.com/mcp")] == list(TITLES.values())
    assert all(way.paste for way in ways("https://hub.example.com/mcp"))
