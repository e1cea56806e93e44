"""Signing in and out, and the first admin, in a real browser."""

import pytest
from playwright.sync_api import Browser, Page, expect

from interaction.pages.conftest import Hub
from interaction.pages.looking import complaints, out_of_order, small_targets, stops
from mcp_hub.web.login import Provider
from rig.site import Down, site_of

pytestmark = pytest.mark.promise("E37", "C24")
PASSWORD = "a quiet green lamp"
MARKUP = "<img src=x onerror=\"document.title='owned'\">"


def opened(browser: Browser, url: str, **options) -> Page:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
    context.set_default_timeout(5000)
    page = context.new_page()
    page.goto(url)
    return page


def setup_url(hub: Hub) -> str:
    """The address that a hub without an admin prints."""
    for user in (hub.ada, hub.bo):
        hub.server.do(hub.people.store.remove_user(user.id))
    return f"{hub.url}/setup?code={hub.server.do(hub.people.setup.offer())}"


def sign_in(page: Page, email: str, password: str) -> None:
    page.get_by_label("Email address").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_everybody_can_sign_in_by_eye_and_by_keyboard(hub, browser):
    hub.server.do(hub.people.set_password(hub.ada, PASSWORD))
    page = opened(browser, f"{hub.url}/login")
    assert page.evaluate("() => document.activeElement.name") == "email"
    page.keyboard.type("ada@example.com")
    page.keyboard.press("Tab")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("The address or the password is wrong.")
    assert complaints(page) == []
    assert small_targets(page) == []
    page.reload()
    page.evaluate("() => document.activeElement.blur()")
    assert out_of_order(stops(page)) == []


def test_signing_in_leads_on_and_signing_out_ends_it_without_scripts(hub, browser):
    hub.server.do(hub.people.set_password(hub.ada, PASSWORD))
    page = opened(browser, f"{hub.url}/account/clients", java_script_enabled=False)
    assert page.url == f"{hub.url}/login?next=/account/clients"
    sign_in(page, "ada@example.com", PASSWORD)
    page.wait_for_url(f"{hub.url}/account/clients")
    (cookie,) = [each for each in page.context.cookies() if each["name"] == "mcp_hub"]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("You are signed out of this browser.")
    assert [each["name"] for each in page.context.cookies()] == ["mcp_hub_new"]
    assert hub.server.do(hub.people.browsers.find(cookie["value"])) is None
    page.go_back()
    assert page.get_by_role("button", name="Sign out everywhere").count() == 0


def test_the_first_admin_is_made_with_the_printed_link_and_without_scripts(hub, browser):
    url = setup_url(hub)
    page = opened(browser, url, java_script_enabled=False)
    for name, text in (("Email address", "eve@example.com"), ("Password", PASSWORD), ("The same password again", "x")):
        page.get_by_label(name, exact=True).fill(text)
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_text("The two passwords are not the same.")).to_be_visible()
    page.get_by_label("Email address").fill("eve@example.com")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("The same password again").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_role("heading", name="Connections")).to_be_visible()
    expect(page.get_by_text("Signed in as eve@example.com")).to_be_visible()
    again = opened(browser, url)
    expect(again.get_by_role("heading", name="This hub cannot be set up with this link")).to_be_visible()
    assert complaints(again) == []


def test_everybody_can_read_the_page_of_the_first_admin(hub, browser):
    page = opened(browser, setup_url(hub))
    page.get_by_label("Email address").fill("eve@example.com")
    page.get_by_label("Password", exact=True).fill("short")
    page.get_by_label("The same password again").fill("short")
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_label("Password", exact=True)).to_have_attribute("aria-invalid", "true")
    assert complaints(page) == []
    assert small_targets(page) == []
    page.reload()
    page.evaluate("() => document.activeElement.blur()")
    assert out_of_order(stops(page)) == []


def test_everybody_can_sign_in_where_they_always_do_or_read_why_not(hub, browser, address):
    address.app = site_of(hub.people, hub.url, provider=Provider("id.example.com", Down())).app()
    page = opened(browser, f"{hub.url}/login")
    assert complaints(page) == []
    assert small_targets(page) == []
    assert out_of_order(stops(page)) == []
    page.get_by_role("link", name="Sign in with a password").click()
    expect(page.get_by_label("Email address")).to_be_visible()
    assert complaints(page) == []
    page.get_by_role("link", name="Sign in with id.example.com").click()
    expect(page.get_by_role("heading", name="You are not signed in")).to_be_visible()
    assert complaints(page) == []


@pytest.mark.promise("T39")
@pytest.mark.parametrize("path", ["/login", "/setup", "/authorize?client_id=x", "/login?next=/account/clients"])
def test_no_page_before_signing_in_is_shown_in_a_frame(hub, browser, stranger, path):
    stranger.html = f"<iframe src='{hub.url}{path}'></iframe>"
    page = opened(browser, stranger.url)
    assert page.frames[1].locator("form, .brand").count() == 0


@pytest.mark.promise("T40", "T41")
@pytest.mark.parametrize(
    "path",
    [
        f"/login?next={MARKUP}&said={MARKUP}",
        f"/login?error={MARKUP}&error_description={MARKUP}",
        f"/setup?code={MARKUP}",
        f"/authorize?client_id={MARKUP}&state={MARKUP}&redirect_uri={MARKUP}",
        f"/login/callback?error={MARKUP}&error_description={MARKUP}&state={MARKUP}",
    ],
)
def test_nothing_of_the_address_comes_back_as_an_element_or_a_text(hub, browser, path):
    page = opened(browser, hub.url + path)
    assert page.title() != "owned"
    assert "onerror" not in page.content()


@pytest.mark.promise("T33", "T35")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_another_site_signs_nobody_in_as_somebody_else(hub, browser, stranger, host):
    hub.server.do(hub.people.set_password(hub.bo, PASSWORD))
    attacker = opened(browser, f"{hub.url}/login")
    token = attacker.locator("input[name=form_token]").get_attribute("value")
    stranger.html = (
        f"<form method=post action='{hub.url}/login'><input type=hidden name=form_token value='{token}'>"
        f"<input type=hidden name=email value='bo@example.com'><input type=hidden name=password value='{PASSWORD}'>"
        "<button>Win a prize</button></form>"
    )
    victim = opened(browser, f"{hub.url}/login")
    victim.goto(stranger.url.replace("127.0.0.1", host))
    with victim.expect_navigation() as navigation:
        victim.get_by_role("button").click()
    assert navigation.value.status == 403
    assert not [each for each in victim.context.cookies() if each["name"] == "mcp_hub"]
