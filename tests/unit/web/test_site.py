"""What goes wrong anywhere on the site is told in one way: pages to browsers, sentences to programs."""

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mcp_hub.errors import BadCredentials, BadRequest, Forbidden, HubFault, StoreFailed, Unauthenticated
from mcp_hub.web.forms import BadForm
from mcp_hub.web.frame import Frame
from mcp_hub.web.probes import PROBES, Probes
from mcp_hub.web.site import Site
from mcp_hub.web.visitors import CrossSite

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SENTENCE = "What happened, and <b>the next step</b>."


class Failing:
    def __init__(self, error: Exception | None):
        self.error = error

    def routes(self):
        return [Route("/page", self.fail), Route("/api/v1/it", self.fail)]

    async def fail(self, request: Request) -> Response:
        raise self.error


def client(error=None) -> httpx2.AsyncClient:
    app = Site([Probes(), Failing(error)], Frame("9.9")).app()
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:8080")


@pytest.mark.promise("D33")
async def test_the_hub_is_alive_and_ready_whatever_else_there_is():
    async with client() as browser:
        assert {(await browser.get(path)).status_code for path in PROBES} == {200}


@pytest.mark.promise("E37", "T40")
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CrossSite(SENTENCE), 403),
        (Forbidden(SENTENCE), 403),
        (BadForm(SENTENCE), 400),
        (BadForm(SENTENCE, 413), 413),
        (BadRequest(SENTENCE), 400),
        (BadCredentials(SENTENCE), 400),
        (Unauthenticated(SENTENCE, "Bearer realm"), 401),
        (StoreFailed(SENTENCE), 503),
        (HubFault(SENTENCE), 503),
    ],
)
async def test_an_error_is_a_page_for_browsers_a_sentence_for_programs_and_json_in_the_api(error, status):
    async with client(error) as browser:
        page = await browser.get("/page", headers=BROWSER)
        plain = await browser.get("/page")
        told = await browser.get("/api/v1/it", headers=BROWSER)
    assert {page.status_code, plain.status_code, told.status_code} == {status}
    assert "and &lt;b&gt;the next step&lt;/b&gt;." in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert plain.text == f"{SENTENCE}\n"
    assert told.json() == {"error": SENTENCE}
    if status == 401:
        assert page.headers["www-authenticate"] == "Bearer realm"


@pytest.mark.promise("E37", "T40")
async def test_what_is_not_there_is_not_repeated():
    async with client() as browser:
        missing = await browser.get("/<script>alert(1)</script>?q=<script>", headers=BROWSER)
        wrong = await browser.post("/page", headers=BROWSER)
        plain = await browser.get("/nothing")
    assert (missing.status_code, wrong.status_code, plain.status_code) == (404, 405, 404)
    assert sorted(wrong.headers["allow"].split(", ")) == ["GET", "HEAD"]
    assert "alert" not in missing.text
    assert plain.headers["content-type"].startswith("text/plain")


@pytest.mark.promise("T41", "T62")
@pytest.mark.parametrize("path", ["/page/", "//page", "/page//", "/Page"])
async def test_an_address_that_is_not_quite_a_page_leads_nowhere(path):
    async with client() as browser:
        for method in ("GET", "POST"):
            answer = await browser.request(method, f"http://127.0.0.1:8080{path}")
            assert answer.status_code == 404
            assert "location" not in answer.headers
