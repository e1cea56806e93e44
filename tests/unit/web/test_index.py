"""What stands at `/`."""

import httpx2
import pytest
from starlette.responses import HTMLResponse

from mcp_hub.web.frame import Frame
from mcp_hub.web.index import Index
from mcp_hub.web.site import Site

pytestmark = pytest.mark.promise("E37", "E40")
BROWSER = {"accept": "text/html"}
URL = "http://127.0.0.1:8080"


def client(endpoint=f"{URL}/mcp", page=None) -> httpx2.AsyncClient:
    app = Site([Index("9.9", endpoint, page)], Frame("9.9")).app()
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost:8080")


async def page(request):
    return HTMLResponse(f"<h1>{request.url.path}</h1>")


@pytest.mark.parametrize("headers", [{}, BROWSER])
async def test_a_hub_without_pages_answers_in_one_line(headers):
    async with client() as browser:
        answer = await browser.get("/", headers=headers)
    assert answer.text == "mcp_hub 9.9 is running. Point an MCP client at http://127.0.0.1:8080/mcp\n"
    assert answer.headers["content-type"].startswith("text/plain")


async def test_programs_get_one_line_where_people_get_a_page():
    async with client(page=page) as browser:
        assert "Point an MCP client" in (await browser.get("/")).text
        assert (await browser.get("/", headers=BROWSER)).text == "<h1>/</h1>"


async def test_a_hub_that_knows_no_address_of_its_own_names_the_one_it_was_asked_at():
    async with client("") as browser:
        assert "Point an MCP client at http://localhost:8080/mcp\n" in (await browser.get("/")).text
