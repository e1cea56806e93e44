"""The question and the way back, as a real browser shows them and goes it."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route

from interaction.pages.conftest import served
from interaction.pages.looking import complaints, out_of_order, small_targets, stops
from mcp_hub.config.model import Client
from rig.authorizing import ADA, CHALLENGE, DOCUMENT, ROOT, Front, made

pytestmark = pytest.mark.promise("E37")
NAME = "<img src=x onerror=\"document.title='owned'\"> " + "W" * 100


@dataclass
class Elsewhere:
    """The site of a client: whoever comes back is sent on to a third place, as claude.ai and others do."""

    third: str
    html: str = ""
    came: list[dict[str, list[str]]] = field(default_factory=list)
    referrers: list[str | None] = field(default_factory=list)

    def app(self, _url: str) -> Starlette:
        return Starlette(routes=[Route("/cb", self.back), Route("/page", self.page)])

    async def back(self, request: Request) -> RedirectResponse:
        self.came.append(parse_qs(request.url.query))
        self.referrers.append(request.headers.get("referer"))
        return RedirectResponse(f"{self.third}/done")

    async def page(self, _request: Request) -> HTMLResponse:
        return HTMLResponse(self.html)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[tuple[Elsewhere, str]]:
    third = Starlette(routes=[Route("/done", lambda _request: PlainTextResponse("arrived"))])
    with served(lambda _url: third) as last:
        site = Elsewhere(last)
        with served(site.app) as url:
            yield site, url


@dataclass
class Hub:
    url: str
    front: Front
    client: str

    def page(self, chromium: Browser, path: str, user=ADA, **options) -> Page:
        context = chromium.new_context(viewport={"width": 1280, "height": 800}, **options)
        context.set_default_timeout(5000)
        cookie = {"name": "mcp_hub", "value": self.front.browsers.sign_in(user), "url": self.url}
        context.add_cookies([{**cookie, "sameSite": "Lax", "httpOnly": True}])
        page = context.new_page()
        page.goto(path if path.startswith("http") else self.url + path)
        return page

    def asked(self, client: str = "web", **more: str) -> str:
        redirect = {"web": f"{self.client}/cb", "phone": "com.example.app:/cb"}.get(client, "https://claude.example/cb")
        wanted = {"response_type": "code", "client_id": client, "redirect_uri": redirect, "state": "s;,=&'\" ü"}
        proof = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
        return f"/authorize?{urlencode({**wanted, **proof, **more})}"


@pytest.fixture(scope="module")
def hub(elsewhere) -> Iterator[Hub]:
    running: list[Hub] = []

    def app(url: str) -> Starlette:
        declared = {
            "web": Client("web", (f"{elsewhere[1]}/cb",), NAME),
            "phone": Client("phone", ("com.example.app:/cb",), "Phone"),
        }
        running.append(Hub(url, made(url, declared), elsewhere[1]))
        running[0].front.table.publish(client_name=NAME, redirect_uris=["https://claude.example/cb", "http://[::1]/cb"])
        return running[0].front.http.app

    with served(app) as _:
        for user in (ADA, ROOT):
            asyncio.run(running[0].front.store.add_user(user))
        yield running[0]
    asyncio.run(running[0].front.store.aclose())


@pytest.mark.parametrize("client", ["web", "phone", DOCUMENT])
def test_everybody_can_read_the_question_and_reach_its_buttons(hub: Hub, chromium, client):
    page = hub.page(chromium, hub.asked(client, scope="hub:use hub:admin"), ROOT)
    assert complaints(page) == []
    assert small_targets(page) == []
    found = stops(page)
    assert out_of_order(found) == []
    assert [each.name for each in found if each.outline < 2] == []
    assert {"Allow", "Deny"} <= {each.name for each in found}
    assert page.title() != "owned"
    assert page.locator("main img, script, [onerror]").count() == 0


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("answer", ["Allow", "Deny"])
def test_the_answer_reaches_the_client_also_where_that_redirects_on(hub: Hub, chromium, elsewhere, answer, scripts):
    page = hub.page(chromium, hub.asked(), java_script_enabled=scripts)
    page.get_by_role("button", name=answer).click()
    page.wait_for_url("**/done")
    came = elsewhere[0].came[-1]
    assert came["state"] == ["s;,=&'\" ü"]
    assert came["iss"] == [hub.url]
    assert ("code" in came) is (answer == "Allow")
    assert elsewhere[0].referrers[-1] is None
    page.go_back()
    assert "code=" not in page.url


def test_an_app_is_opened_by_a_click_and_its_page_is_readable(hub: Hub, chromium):
    page = hub.page(chromium, hub.asked("phone"))
    page.get_by_role("button", name="Allow").click()
    link = page.get_by_role("link", name="Continue to Phone")
    assert (link.get_attribute("href") or "").startswith("com.example.app:/cb?code=")
    assert complaints(page) == []
    assert small_targets(page) == []
    assert urlsplit(page.url).path == "/authorize"


@pytest.mark.promise("T40")
@pytest.mark.parametrize("broken", ["&scope=%3Cimg%3E", "&scope=x", "&redirect_uri=x", "&client_id=%3Cscript%3E"])
def test_the_pages_that_say_why_not_are_readable_and_repeat_nothing(hub: Hub, chromium, broken):
    page = hub.page(chromium, hub.asked(DOCUMENT) + broken)
    assert complaints(page) == []
    assert small_targets(page) == []
    assert page.locator("main img, script").count() == 0


@pytest.mark.promise("T39")
def test_the_question_is_shown_in_no_frame(hub: Hub, chromium, elsewhere):
    elsewhere[0].html = f"<iframe src='{hub.url}{hub.asked()}'></iframe>"
    page = hub.page(chromium, f"{elsewhere[1]}/page")
    page.wait_for_load_state("networkidle")
    assert [frame.url for frame in page.frames[1:]] == ["chrome-error://chromewebdata/"]


@pytest.mark.promise("T33", "T36")
def test_the_page_of_another_site_cannot_answer_a_question(hub: Hub, chromium, elsewhere):
    mine = hub.page(chromium, hub.asked())
    fields = {
        name: mine.locator(f"form[action='/authorize'] input[name={name}]").get_attribute("value")
        for name in ("form_token", "question")
    }
    inputs = "".join(f"<input name='{name}' value='{value}'>" for name, value in {**fields, "answer": "allow"}.items())
    elsewhere[0].html = f"<form method=post action='{hub.url}/authorize'>{inputs}<button>Win a prize</button></form>"
    before = len(elsewhere[0].came)
    mine.goto(f"{elsewhere[1]}/page")
    with mine.expect_response("**/authorize") as answer:
        mine.get_by_role("button").click()
    # The cookie does not come along either (SameSite), so that the hub asks who this is.
    assert answer.value.status in (303, 403)
    assert len(elsewhere[0].came) == before
