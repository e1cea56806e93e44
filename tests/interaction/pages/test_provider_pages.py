"""Signing in over a provider on another site, in a real browser."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from interaction.pages.looking import complaints, out_of_order, small_targets, stops
from mcp_hub.identity.arrival import Arrival
from mcp_hub.web.frame import Frame
from mcp_hub.web.login import LoginPages, Provider
from mcp_hub.web.lookers import Doorway, Members
from mcp_hub.web.site import Site
from mcp_hub.web.visitors import Visitors
from rig.connections import FakeConnections
from rig.people import PASSWORD, PROVIDER, people
from rig.site import own_pages

pytestmark = pytest.mark.promise("C24", "E37")
ADA = "ada@example.com"


class AtIdp:
    """A provider that is another site, and sends whoever comes straight back."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.next_path = "/"

    def routes(self) -> Sequence[Route]:
        return [Route("/at-idp", self.back)]

    async def back(self, request: Request) -> RedirectResponse:
        return RedirectResponse(f"{self.url}/login/callback?state=x&code=y", 302)

    async def begin(self, browser: bytes, next_path: str) -> str:
        self.next_path = next_path
        return f"{self.url.replace('127.0.0.1', 'localhost')}/at-idp"

    async def finish(self, query: Sequence[tuple[str, str]], browser: bytes) -> Arrival:
        return Arrival(PROVIDER.issuer, "s1", "bob@example.com", email_verified=True, next_path=self.next_path)


@dataclass
class Hub:
    url: str

    def page(self, browser: Browser, path: str) -> Page:
        context = browser.new_context(viewport={"width": 1280, "height": 800}, java_script_enabled=True)
        context.set_default_timeout(5000)
        page = context.new_page()
        page.goto(self.url + path)
        return page


@pytest.fixture(scope="module")
def hub(server) -> Iterator[Hub]:
    opened = people(provider=PROVIDER)
    made = server.do(opened.__aenter__())
    server.do(made.user(ADA, admin=True))
    with server.serve() as site:
        frame, idp = Frame("9.9"), AtIdp(site.url)
        visitors = Visitors(made.browsers, base_url=site.url, key=b"k" * 32)
        login = LoginPages(
            frame,
            visitors,
            accounts=made.accounts,
            browsers=made.browsers,
            limits=made.limits,
            events=made.events,
            provider=Provider("id.example.com", idp),
        )
        own = own_pages(FakeConnections().own(made.store), frame, Doorway(Members(visitors), visitors), site.url)
        site.app = Site([*own, login, idp], frame).app()
        yield Hub(site.url)
    server.do(opened.__aexit__(None, None, None))


def test_the_way_over_the_provider_comes_back_signed_in(hub, browser):
    page = hub.page(browser, "/login?next=/%3Fy")
    page.get_by_role("link", name="Sign in with id.example.com").click()
    page.wait_for_url(f"{hub.url}/?y")
    assert page.get_by_text("Signed in as bob@example.com").is_visible()


def test_an_admin_gets_in_with_a_password_when_the_provider_does_not_answer(hub, browser):
    page = hub.page(browser, "/login?next=/%3Fz")
    page.get_by_role("link", name="Sign in with a password").click()
    page.get_by_label("Email address").fill(ADA)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{hub.url}/?z")
    assert page.get_by_text(f"Signed in as {ADA}").is_visible()


def test_everybody_can_read_and_reach_both_ways(hub, browser):
    page = hub.page(browser, "/login?with=password")
    assert complaints(page) == []
    assert small_targets(page) == []
    page.goto(f"{hub.url}/login?with=password")
    page.evaluate("() => document.activeElement.blur()")
    found = stops(page)
    assert out_of_order(found) == []
    assert [each.name for each in found if each.outline < 2] == []
