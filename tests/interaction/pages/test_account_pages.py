"""The pages of somebody signed in, as a real browser shows them, and what strangers can make it do there."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route

from interaction.pages.conftest import served
from interaction.pages.looking import complaints, out_of_order, small_targets, stops
from mcp_hub.identity.events import Events
from mcp_hub.web.access import Access
from mcp_hub.web.frame import Frame
from mcp_hub.web.index import Index
from mcp_hub.web.site import Site
from mcp_hub.web.visitors import Visitors
from unit.web.people import ADA, BO, FIREFOX, Records, now

pytestmark = pytest.mark.promise("E37")
MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@dataclass
class Hub:
    """A hub's account pages on `url`, and what they are about."""

    url: str
    records: Records
    visitors: Visitors

    def page(self, chromium: Browser, user=BO, *, path: str = "/account/clients", **options) -> Page:
        """A page, seen by somebody signed in in a browser of their own."""
        context = chromium.new_context(viewport={"width": 1280, "height": 800}, **options)
        context.set_default_timeout(5000)
        cookie = self.records.sign_in(user).open()
        context.add_cookies(
            [{"name": "mcp_hub", "value": cookie, "url": self.url, "sameSite": "Lax", "httpOnly": True}]
        )
        page = context.new_page()
        page.goto(self.url + path)
        return page


@pytest.fixture(scope="module")
def shared() -> Iterator[Hub]:
    made: list[Hub] = []

    def app(url: str) -> Starlette:
        records, frame = Records(), Frame("9.9")
        visitors = Visitors(records, base_url=url, key=b"k" * 32)
        made.append(Hub(url, records, visitors))
        account = Access(
            frame,
            visitors,
            grants=records,
            sessions=records,
            tokens=records,
            events=Events(records),
            endpoint=f"{url}/mcp",
            now=now,
        )
        return Site([Index("9.9", f"{url}/mcp", (frame, visitors)), account], frame).app()

    with served(app):
        yield made[0]


@pytest.fixture
def hub(shared: Hub) -> Hub:
    """The same hub for every test, with nothing left of the one before."""
    shared.records.__init__()
    return shared


@pytest.fixture
def full(hub: Hub) -> Hub:
    """Somebody has clients, tokens and browsers, some of them with unpleasant names."""
    for user in (ADA, BO):
        hub.records.grant(user)
        hub.records.grant(user, MARKUP, MARKUP, administers=True)
        hub.records.sign_in(user, MARKUP)
    hub.records.make_token(BO, MARKUP, 86400.0)
    hub.records.make_token(BO, "N" * 100, -1.0)
    return hub


PATHS = ("/account/clients?said=name", "/", "/nothing")


@pytest.mark.parametrize("path", PATHS)
def test_everybody_can_read_and_reach_everything(full, chromium, path):
    page = full.page(chromium, path=path)
    assert complaints(page) == []
    assert small_targets(page) == []
    found = stops(page)
    assert found[0].name == "Skip to the content"
    assert out_of_order(found) == []
    assert [each.name for each in found if each.outline < 2] == []
    assert len(found) >= page.evaluate("() => document.querySelectorAll('main a, main button, main summary').length")


def test_a_page_with_nothing_on_it_is_readable_too(hub, chromium):
    page = hub.page(chromium, ADA, path="/account/clients?said=client")
    assert complaints(page) == []
    assert page.get_by_text("You have no personal tokens.").is_visible()


def test_somebody_who_skips_to_the_content_goes_on_from_there(full, chromium):
    page = full.page(chromium)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.querySelector('main').contains(document.activeElement)")


def test_everything_works_without_scripts(full, chromium):
    page = full.page(chromium, java_script_enabled=False)
    page.get_by_role("button", name="Revoke Claude Code").click()
    assert page.get_by_role("status").inner_text().startswith("Done. That client has no access any more")
    assert not page.get_by_role("button", name="Revoke Claude Code").is_visible()
    page.get_by_label("What it is for").fill("backup")
    page.get_by_label("Expires after").select_option("1 year")
    page.get_by_role("button", name="Make the token").click()
    secret = page.get_by_role("group", name="backup").inner_text()
    assert secret.startswith("mcphub_pat_")
    page.get_by_role("link", name="I have copied it").click()
    assert secret not in page.content()
    page.get_by_role("button", name="Revoke backup").click()
    assert page.get_by_role("status").is_visible()
    page.get_by_role("button", name="Sign out this browser").click()
    assert urlsplit(page.url).path == "/login"


def test_a_token_that_is_shown_once_is_readable_by_everybody(hub, chromium):
    page = hub.page(chromium, ADA)
    page.get_by_label("What it is for").fill(MARKUP)
    page.get_by_role("button", name="Make the token").click()
    assert page.get_by_role("heading", name="Your new token").is_visible()
    assert complaints(page) == []
    assert small_targets(page) == []


@pytest.mark.promise("T30", "T40")
@pytest.mark.parametrize("path", ["/account/clients", f"/account/clients?said={MARKUP}", f"/{MARKUP}"])
def test_markup_in_names_and_addresses_makes_no_element(full, chromium, path):
    page = full.page(chromium, path=path)
    assert page.title() != "owned"
    assert page.locator("img:not([src^='/static/']), script, [onerror]").count() == 0


class Stranger:
    """A site of somebody else's, with one page; it notes what was asked for."""

    def __init__(self):
        self.html = ""
        self.asked: list[str] = []

    def app(self, url: str) -> Starlette:
        return Starlette(routes=[Route("/", self.page), Route("/{path}", self.other)])

    async def page(self, request: Request) -> HTMLResponse:
        return HTMLResponse(self.html)

    async def other(self, request: Request) -> PlainTextResponse:
        self.asked.append(request.url.path)
        return PlainTextResponse("")


@pytest.fixture(scope="module")
def stranger() -> Iterator[tuple[Stranger, str]]:
    site = Stranger()
    with served(site.app) as url:
        yield site, url


@pytest.mark.promise("T40")
def test_what_is_planted_in_a_page_is_neither_run_nor_loaded(full, chromium, stranger):
    site, elsewhere = stranger
    site.asked.clear()
    page = full.page(chromium)
    planted = (
        f"<script>document.title='owned'</script><script src='{elsewhere}/a'></script><img src='{elsewhere}/b'>"
        f"<style>@import '{elsewhere}/c';</style><iframe src='{elsewhere}/d'></iframe><base href='{elsewhere}/e/'>"
        f"<form id=f method=post action='{elsewhere}/g'><button>planted</button></form>"
    )

    def plant(route):
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("<main", f"{planted}<main"))

    page.route("**/account/clients", plant)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.reload()
    with page.expect_console_message(lambda message: "form-action" in message.text):
        page.evaluate("() => document.querySelector('#f').submit()")
    assert page.title() == "Clients and tokens - mcp_hub"
    assert site.asked == []
    assert len([each for each in said if "Content Security Policy" in each]) >= 6


@pytest.mark.promise("T39")
def test_a_page_is_shown_in_no_frame(full, chromium, stranger):
    site, elsewhere = stranger
    site.html = f"<iframe src='{full.url}/account/clients'></iframe>"
    page = full.page(chromium)
    page.goto(elsewhere)
    framed = page.frames[1]
    assert "Clients and tokens" not in framed.content()
    assert framed.locator("button").count() == 0


@pytest.mark.promise("T33")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("token", ["none", "the attacker's own", "the victim's own"])
def test_a_form_of_another_site_is_refused(full, chromium, stranger, host, token):
    # The other port of the same host is the same site: there the browser sends the cookie along.
    site, elsewhere = stranger
    page = full.page(chromium, ADA)
    victim, attacker = list(full.records.cookies.values())[-1], full.records.cookies[full.records.sign_in(BO).open()]
    proof = {"none": None, "the attacker's own": attacker, "the victim's own": victim}[token]
    value = "" if proof is None else full.visitors.form_token(proof, "/account/clients/end")
    family = next(each for each in full.records.all_families if each.user == ADA.id)
    site.html = (
        f"<form method=post action='{full.url}/account/clients/end'><input name=client value={family.id}>"
        f"<input name=form_token value='{value}'><button>Win a prize</button></form>"
    )
    page.goto(elsewhere.replace("127.0.0.1", host))
    with page.expect_navigation() as navigation:
        page.get_by_role("button").click()
    assert navigation.value.status in ({403} if host == "127.0.0.1" else {403, 303, 404})
    assert family in full.records.all_families


@pytest.mark.promise("T33")
def test_looking_changes_nothing(full, chromium):
    page = full.page(chromium, ADA)
    before = (list(full.records.all_families), list(full.records.all_tokens), dict(full.records.cookies))
    for form in page.locator("main form").all():
        query = "&".join(
            f"{field.get_attribute('name')}={field.get_attribute('value')}" for field in form.locator("input").all()
        )
        path = form.get_attribute("action")
        answer = page.request.get(f"{full.url}{path}?{query}")
        assert answer.status == 405
    assert before == (full.records.all_families, full.records.all_tokens, full.records.cookies)


@pytest.mark.promise("T33")
def test_the_cookie_is_out_of_reach_of_scripts(full, chromium):
    page = full.page(chromium)
    assert page.evaluate("() => document.cookie") == ""
    assert page.get_by_text("Firefox on Linux").count() >= 1
    assert FIREFOX not in page.content()
