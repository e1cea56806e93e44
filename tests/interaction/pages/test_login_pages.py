"""The pages of signing in and of setting up, as a real browser shows them."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Page
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from interaction.pages.conftest import served
from interaction.pages.looking import complaints, out_of_order, small_targets, stops
from mcp_hub.config.model import Lifetimes
from mcp_hub.identity.accounts import Accounts
from mcp_hub.identity.arrival import Arrival
from mcp_hub.identity.attempts import Attempts
from mcp_hub.identity.browsers import Browsers
from mcp_hub.identity.events import Events
from mcp_hub.identity.limits import Limits
from mcp_hub.identity.passwords import Passwords
from mcp_hub.identity.setup import Setup
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.web.frame import Frame
from mcp_hub.web.index import Index
from mcp_hub.web.login import LoginPages, Provider
from mcp_hub.web.setup import SetupPage
from mcp_hub.web.site import Site
from mcp_hub.web.visitors import Visitors
from rig.people import CHEAP, PASSWORD, PROVIDER

pytestmark = pytest.mark.promise("C24", "E37")
ADA = "ada@example.com"


class AtIdp:
    """A provider that is another site, and sends whoever comes straight back."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.next_path = "/"

    async def begin(self, browser: bytes, next_path: str) -> str:
        self.next_path = next_path
        return f"{self.url.replace('127.0.0.1', 'localhost')}/at-idp"

    async def finish(self, query: object, browser: bytes) -> Arrival:
        return Arrival(PROVIDER.issuer, "s1", ADA, email_verified=True, next_path=self.next_path)


@dataclass
class Hub:
    """A hub's pages of signing in on `url`; its store is empty at first."""

    url: str
    with_provider: bool

    def page(self, chromium: Browser, path: str, **options) -> Page:
        context = chromium.new_context(viewport={"width": 1280, "height": 800}, **options)
        context.set_default_timeout(5000)
        page = context.new_page()
        page.goto(self.url + path)
        return page

    def asked(self, path: str) -> str:
        with urlopen(self.url + path, timeout=5) as answer:
            return answer.read().decode()


class Part:
    """Some more routes: how a test, which is in another thread, gets at what a terminal would show."""

    def __init__(self, *routes: Route) -> None:
        self._routes = routes

    def routes(self) -> tuple[Route, ...]:
        return self._routes


def app(url: str, *, with_provider: bool):
    store, passwords, limits, frame = SqliteStore.open(":memory:"), Passwords(CHEAP), Limits(), Frame("9.9")
    events = Events(store)
    provider = PROVIDER if with_provider else None
    accounts = Accounts(store, passwords, Attempts(limits), events, declared={}, provider=provider)
    browsers, setup = Browsers(store, Lifetimes()), Setup(store, store, passwords, limits, events)
    visitors = Visitors(browsers, base_url=url, key=b"k" * 32)

    async def offer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await setup.offer() or "")

    async def end(request: Request) -> PlainTextResponse:
        passwords.close()
        await events.aclose()
        await store.aclose()
        return PlainTextResponse("ended")

    async def at_idp(request: Request) -> PlainTextResponse:
        return PlainTextResponse("", 302, {"Location": f"{url}/login/callback?state=x&code=y"})

    login = LoginPages(
        frame,
        visitors,
        accounts=accounts,
        browsers=browsers,
        limits=limits,
        events=events,
        provider=Provider("id.example.com", AtIdp(url)) if with_provider else None,
    )
    more = Part(Route("/offer", offer), Route("/end", end), Route("/at-idp", at_idp))
    pages = SetupPage(frame, visitors, setup=setup, browsers=browsers)
    return Site([Index("9.9", f"{url}/mcp", (frame, visitors)), login, pages, more], frame).app()


@pytest.fixture(scope="module", params=[False, True], ids=["local", "oidc"])
def hub(request) -> Iterator[Hub]:
    with served(lambda url: app(url, with_provider=request.param)) as url:
        made = Hub(url, request.param)
        yield made
        made.asked("/end")


def test_a_hub_is_set_up_and_signed_in_to_by_keyboard_and_without_scripts(hub, chromium):
    """One walk, since what a page shows depends on what was done before."""
    page = hub.page(chromium, f"/setup?code={hub.asked('/offer')}", java_script_enabled=False)
    page.keyboard.type("ada@example.com")
    page.keyboard.press("Tab")
    page.keyboard.type("short")
    page.keyboard.press("Tab")
    page.keyboard.type("short")
    page.keyboard.press("Enter")
    page.get_by_text("A password needs at least 8 characters").wait_for()
    assert page.get_by_label("Password", exact=True).get_attribute("aria-invalid") == "true"
    page.get_by_label("Email address").fill(ADA)
    for label in ("Password", "The same password again"):
        page.get_by_label(label, exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    assert page.get_by_text(f"Signed in as {ADA}").is_visible()
    page.get_by_role("button", name="Sign out").click()
    assert page.get_by_role("status").inner_text() == "You are signed out of this browser."
    page.goto(f"{hub.url}/login?with=password&next=/%3Fx")
    page.get_by_label("Email address").fill(ADA)
    page.get_by_label("Password", exact=True).fill("wrong wrong")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("The address or the password is wrong.").wait_for()
    page.get_by_label("Email address").fill(ADA)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{hub.url}/?x")
    assert page.get_by_text(f"Signed in as {ADA}").is_visible()


def test_the_way_over_a_provider_on_another_site_comes_back_signed_in(hub, chromium):
    if not hub.with_provider:
        return
    page = hub.page(chromium, "/login?next=/%3Fy")
    page.get_by_role("link", name="Sign in with id.example.com").click()
    page.wait_for_url(f"{hub.url}/?y")
    assert page.get_by_text(f"Signed in as {ADA}").is_visible()


PATHS = {False: ("/login?said=out", "/setup", "/setup?code="), True: ("/login", "/login?with=password")}


def test_everybody_can_read_and_reach_everything(hub, chromium):
    for path in PATHS[hub.with_provider]:
        code = hub.asked("/offer") if path.endswith("code=") else ""
        look_at(hub, hub.page(chromium, path + code), path + code)


def look_at(hub: Hub, page: Page, path: str) -> None:
    assert complaints(page) == []
    assert small_targets(page) == []
    page.goto(hub.url + path)
    page.evaluate("() => document.activeElement.blur()")
    found = stops(page)
    assert out_of_order(found) == []
    assert [each.name for each in found if each.outline < 2] == []
    assert urlsplit(page.url).path == urlsplit(path).path
