"""The pages about connections, as a real browser shows them, and the way over an authorization server and back."""

import re
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from interaction.pages.conftest import Hub, Server
from interaction.pages.looking import complaints, out_of_order, small_targets, stops
from mcp_hub.config.model import Config, Network, OAuth, OwnHeader, Upstream
from mcp_hub.config.model import Server as Listening
from mcp_hub.connecting import Connecting, open_connections
from mcp_hub.credentials.state import State
from mcp_hub.identity.limits import Limits
from mcp_hub.identity.principals import principal_of
from mcp_hub.store.base import CallRecord
from mcp_hub.store.connections import Grant, GrantState, Whose
from mcp_hub.store.people import User
from mcp_hub.vault.master import Given
from mcp_hub.vault.vault import Vault
from mcp_hub.vault.written import from_text, generated
from mcp_hub.web.connections import Upstreams
from mcp_hub.web.own import Own, declared
from rig.connections import FAILED, FakeConnections, answering, silent
from rig.household import NOW, People
from rig.misbehaving_as import OMIT, MisbehavingAS, refusing
from rig.parts import LOOPBACK
from rig.site import site_of

pytestmark = pytest.mark.promise("E37")
MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
MASTER = from_text(generated(), "tests")


# What the pages look like


@dataclass
class Full:
    """A hub in which somebody has a connection of every kind and state."""

    hub: Hub
    fake: FakeConnections

    def page(self, browser: Browser, path: str, **options) -> Page:
        return self.hub.page(browser, self.hub.ada, path=path, **options)


@pytest.fixture
def full(hub: Hub, address) -> Full:
    fake, me = FakeConnections(), principal_of(hub.ada)
    address.app = site_of(hub.people, address.url, own=fake.own(hub.people.store)).app()
    fake.met.update(docs=silent("Docs did not answer within 10 s."), github=answering(41, 3, 2), clock=answering(1))
    fake.connect(me, "linear", State.RECONNECT_NEEDED, sentence="Linear rejected the saved sign-in.", account=MARKUP)
    fake.connect(me, "github", wanted=frozenset({"delete_repo", "x" * 90}))
    calls = [(outcome, "x" * 90) for outcome in ("ok", "tool_error", "unreachable")]
    records = [CallRecord(NOW, *me.key, MARKUP, "github", "tools/call", name, how, 12.0) for how, name in calls]
    hub.server.do(hub.people.store.append_calls(records))
    return Full(hub, fake)


def readable(page: Page) -> None:
    """Whoever looks, listens, types or taps gets along with this page."""
    assert complaints(page) == []
    assert small_targets(page) == []
    found = stops(page)
    assert found[0].name == "Skip to the content"
    assert out_of_order(found) == []
    assert [each.name for each in found if each.outline < 2] == []
    assert page.title() != "owned"
    assert page.locator("img:not([src^='/static/']), script, [onerror]").count() == 0


PATHS = (
    "/?said=no_way&about=github",
    "/connect/linear",
    "/connect/warehouse",
    "/connect/docs",
    "/connect/linear/ended?code=denied&ref=3fa9c01d",
    "/disconnect/github",
    "/activity",
)


@pytest.mark.promise("T30", "T40")
@pytest.mark.parametrize("path", PATHS)
def test_everybody_can_read_and_reach_everything(full, browser, path):
    readable(full.page(browser, path))


@pytest.mark.promise("T30")
def test_what_comes_of_a_form_is_readable_too(full, browser):
    page = full.page(browser, "/")
    page.get_by_role("button", name="Check GitHub now").click()
    expect(page.get_by_role("heading", name="GitHub: OK")).to_be_visible()
    readable(page)
    page.goto(full.hub.url)
    page.get_by_label("Key for Warehouse").fill("\u00a0")
    page.get_by_role("button", name="Save and check Warehouse").click()
    expect(page.get_by_label("Key for Warehouse")).to_have_attribute("aria-invalid", "true")
    readable(page)
    full.fake.failing = FAILED
    page.goto(f"{full.hub.url}/connect/linear")
    page.evaluate("() => { document.querySelector('details').open = true; }")
    readable(page)


@pytest.mark.promise("T39")
def test_no_page_is_shown_in_a_frame(full, browser, stranger):
    page = full.page(browser, "/")
    for path in ("/", "/connect/linear", "/disconnect/github", "/connect/warehouse"):
        stranger.html = f"<iframe src='{full.hub.url}{path}'></iframe>"
        page.goto(stranger.url)
        assert page.frames[1].locator("button").count() == 0


@pytest.mark.promise("T33")
@pytest.mark.parametrize("token", ["none", "the attacker's own", "of another form"])
def test_a_form_of_another_site_does_nothing(full, browser, stranger, token):
    page = full.page(browser, "/connect/linear")
    fields = {
        "none": "",
        "the attacker's own": _token(full.hub.page(browser, full.hub.bo, path="/disconnect/linear").content()),
        "of another form": _token(page.content()),
    }
    field_ = f"<input name=form_token value='{fields[token]}'>"
    actions = ("/disconnect/github", "/connect/github", "/connect/warehouse/key")
    for action in actions:
        stranger.html = (
            f"<form method=post action='{full.hub.url}{action}'>{field_}<input name=key value=theirs>"
            "<button>Win a prize</button></form>"
        )
        page.goto(stranger.url)
        with page.expect_navigation() as navigation:
            page.get_by_role("button").click()
        assert navigation.value.status == 403
    assert full.fake.begun == {}
    assert {name for _, name in full.fake.kept} == {"linear", "github"}


def _token(html: str) -> str:
    return re.findall(r'name="form_token" value="([^"]+)"', html)[-1]


# The way over an authorization server and back


@dataclass
class Clock:
    at: float = NOW

    def __call__(self) -> float:
        return self.at


@dataclass
class Whole:
    """The connections as a hub puts them together, an authorization server that asks, and pages in front."""

    url: str
    server: Server
    people: People
    at: MisbehavingAS
    made: Connecting
    clock: Clock
    users: dict[str, User] = field(default_factory=dict)

    def page(self, browser: Browser, name: str, path: str) -> Page:
        """Somebody's browser, without scripts."""
        if name not in self.users:
            self.users[name] = self.server.do(self.people.add(name))
        hub = Hub(self.url, self.server, self.people, self.users[name], self.users[name])
        return hub.page(browser, path=path, java_script_enabled=False)

    def grant(self, name: str) -> Grant | None:
        caller = principal_of(self.users[name])
        return self.server.do(self.people.store.grant(Whose(*caller.key, "github")))


@pytest.fixture(scope="module")
def whole(server: Server) -> Iterator[Whole]:
    stack, clock = AsyncExitStack(), Clock()
    at = server.do(stack.enter_async_context(MisbehavingAS(now=clock, asks=True)))
    with server.serve() as site:
        url = site.url.replace("127.0.0.1", "localhost")  # so that the authorization server is another site
        people = server.do(_people())
        made = server.do(_made(url, at, people, stack, clock))
        upstreams = Upstreams(declared(_upstreams(at).values(), {}, {"github": at.resource}), lambda _caller: {})
        own = Own(made.connections, upstreams, FakeConnections().check, people.store, Limits())
        site.app = site_of(people, url, own=own).app()
        yield Whole(url, server, people, at, made, clock)
        server.do(stack.aclose())
        server.do(people.aclose())


async def _people() -> People:
    return People()


def _upstreams(at: MisbehavingAS) -> dict[str, Upstream]:
    key = OwnHeader("X-API-Key", "pasted")
    return {
        "github": Upstream("github", at.resource, "GitHub", auth=OAuth()),
        "warehouse": Upstream("warehouse", at.resource, "Warehouse", auth=key),
    }


async def _made(
    url: str, at: MisbehavingAS, people: People, stack: AsyncExitStack, clock: Callable[[], float]
) -> Connecting:
    config = Config(server=Listening(public_url=url), network=Network(tuple(LOOPBACK)), upstreams=_upstreams(at))
    vault = await Vault.unlock(people.store, Given(MASTER), clock)
    return await open_connections(config, people.store, vault, stack, clock)


@pytest.fixture(autouse=True)
def honest(request: pytest.FixtureRequest) -> None:
    """The authorization server of before does not spoil what comes after."""
    if "whole" in request.fixturenames:
        at = request.getfixturevalue("whole").at
        at.say.clear()
        at.answers.clear()


def connect(page: Page, name: str = "ada-l", button: str = "Connect GitHub", answer: str = "Allow") -> None:
    """From the page of connecting to what comes of it."""
    page.get_by_role("button", name=button).click()
    page.get_by_role("heading", name="Allow this?").wait_for()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name=answer).click()


def test_somebody_connects_and_comes_back_to_the_card(whole, browser):
    page = whole.page(browser, "Ada", "/")
    page.get_by_role("link", name="Connect GitHub").click()
    expect(page.get_by_text("ada@example.com").last).to_be_visible()
    expect(page.get_by_text("this hub, which registers itself there when you go on")).to_be_visible()
    connect(page)
    expect(page.get_by_role("status")).to_have_text("GitHub is connected.")
    assert page.url == f"{whole.url}/?said=connected&about=github#upstream-github"
    assert whole.grant("Ada").state is GrantState.READY
    page.go_back()
    assert "code=" not in page.url
    again = whole.page(browser, "Ada", "/")
    expect(again.get_by_role("link", name="Disconnect GitHub…")).to_be_visible()


def test_whoever_cancels_there_has_nothing_stored_and_may_try_again(whole, browser):
    page = whole.page(browser, "Bo", "/connect/github")
    connect(page, answer="Cancel")
    expect(page.get_by_role("alert")).to_contain_text("You did not agree at GitHub, so GitHub was not connected.")
    assert page.url.startswith(f"{whole.url}/connect/github/ended?code=denied")
    assert whole.grant("Bo") is None
    assert complaints_without_scripts(page)
    page.get_by_role("link", name="Try again").click()
    connect(page)
    expect(page.get_by_role("status")).to_have_text("GitHub is connected.")


def complaints_without_scripts(page: Page) -> bool:
    """Nothing of what the authorization server said stands on the page."""
    return "NOBODY-MAY-SEE" not in page.content()


def test_a_connection_that_is_refused_is_made_anew(whole, browser):
    page = whole.page(browser, "Cy", "/connect/github")
    connect(page)
    expect(page.get_by_role("status")).to_be_visible()
    before = whole.grant("Cy")
    marked = whole.people.store.mark_grant(before.id, before.version, "GitHub rejected the saved sign-in.", NOW)
    assert whole.server.do(marked)
    page.goto(whole.url)
    expect(page.get_by_text("Reconnect needed", exact=True)).to_be_visible()
    page.get_by_role("link", name="Reconnect GitHub").click()
    connect(page, button="Reconnect GitHub")
    expect(page.get_by_role("status")).to_have_text("GitHub is connected.")
    assert whole.grant("Cy").state is GrantState.READY


ENDINGS = {
    "Di": ({}, {}, "confirmed that the hub has no access any more"),
    "Ed": ({"revocation_endpoint": OMIT}, {}, "GitHub has no way to be told so"),
    "Fy": ({}, {"/revoke": refusing("server_error", 500)}, "GitHub did not confirm that it ended the access"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_connection_ends_here_whatever_the_other_side_says(whole, browser, name):
    say, answers, words = ENDINGS[name]
    whole.at.say.update(say)
    whole.clock.at += 26 * 3600  # so that the hub looks again at what it knows of the server
    page = whole.page(browser, name, "/connect/github")
    connect(page)
    page.get_by_role("link", name="Disconnect GitHub…").click()
    expect(page.get_by_text("Nobody else's connection changes.")).to_be_visible()
    whole.at.answers.update(answers)
    page.get_by_role("button", name="Disconnect GitHub").click()
    expect(page.get_by_role("status")).to_contain_text(words)
    expect(page.get_by_role("link", name="Connect GitHub")).to_be_visible()
    assert whole.grant(name) is None


def carried_back(page: Page) -> str:
    """The address that the authorization server would send this browser back to."""
    page.get_by_role("button", name="Connect GitHub").click()
    page.get_by_role("heading", name="Allow this?").wait_for()
    place, _, query = page.url.partition("?")
    answer = httpx2.post(place, data={**dict(parse_qsl(query)), "name": "ada-l", "answer": "allow"})
    return answer.headers["location"]


@pytest.mark.promise("T34", "T35")
def test_what_one_began_another_cannot_end_and_neither_has_it(whole, browser):
    victim, attacker = whole.page(browser, "Gil", "/"), whole.page(browser, "Hal", "/connect/github")
    back = carried_back(attacker)
    victim.goto(back)
    expect(victim.get_by_role("alert")).to_contain_text("begun in another browser")
    assert (whole.grant("Gil"), whole.grant("Hal")) == (None, None)


@pytest.mark.promise("T34")
def test_a_link_to_connect_connects_whoever_opens_it_and_nobody_else(whole, browser):
    first, second = whole.page(browser, "Ina", "/connect/github"), whole.page(browser, "Jo", "/connect/github")
    expect(second.get_by_text("jo@example.com").last).to_be_visible()
    connect(second, "jo-at-github")
    expect(second.get_by_role("status")).to_be_visible()
    assert whole.grant("Ina") is None
    assert whole.grant("Jo") is not None
    expect(first.get_by_role("button", name="Connect GitHub")).to_be_visible()


@pytest.mark.promise("T35")
def test_a_way_back_that_is_too_old_or_was_gone_before_stores_nothing(whole, browser):
    page = whole.page(browser, "Kay", "/connect/github")
    back = carried_back(page)
    whole.clock.at += 601
    page.goto(back)
    expect(page.get_by_role("alert")).to_contain_text("This took too long")
    assert whole.grant("Kay") is None
    page.get_by_role("link", name="Try again").click()
    back = carried_back(page)
    page.goto(back)
    expect(page.get_by_role("status")).to_have_text("GitHub is connected.")
    page.goto(back)
    expect(page.get_by_role("alert")).to_contain_text("was finished already")


def test_a_key_is_pasted_shown_by_its_end_and_removed(whole, browser):
    page = whole.page(browser, "Lea", "/")
    page.get_by_label("Key for Warehouse").fill("wh-live-4711-f00d")
    page.get_by_role("button", name="Save and check Warehouse").click()
    expect(page.get_by_text("Your key is saved, and Warehouse takes it.")).to_be_visible()
    page.get_by_role("link", name="To your connections").click()
    assert "wh-live" not in page.content()
    expect(page.get_by_text("f00d")).to_be_visible()
    page.get_by_role("link", name="Remove key for Warehouse").click()
    page.get_by_role("button", name="Remove key for Warehouse").click()
    expect(page.get_by_role("status")).to_contain_text("until you revoke it there")
    expect(page.get_by_label("Key for Warehouse")).to_be_visible()


def test_a_window_that_was_opened_for_it_says_that_it_may_be_closed(whole, browser):
    page = whole.page(browser, "Mo", "/connect/github?window=popup")
    connect(page)
    expect(page.get_by_text("You may close this window.")).to_be_visible()
    assert whole.grant("Mo") is not None


@pytest.mark.promise("T42")
def test_no_browser_is_sent_where_no_authorization_server_is(whole, browser):
    page = whole.page(browser, "Nan", "/connect/github")
    whole.at.say["authorization_endpoint"] = "javascript:document.title='owned'"
    whole.clock.at += 26 * 3600
    page.get_by_role("button", name="Connect GitHub").click()
    assert "javascript:" not in page.content()
    assert page.url == f"{whole.url}/connect/github"
