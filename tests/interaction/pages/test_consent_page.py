"""The question whether an app may use the hub, and the way back to the app, in a real browser."""

import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Page

from interaction.pages.conftest import Hub, Stranger
from interaction.pages.looking import complaints, out_of_order, small_targets, stops
from rig.authorizing import CHALLENGE

pytestmark = pytest.mark.promise("E37", "T36")
MARKUP = "<img src=x onerror=\"document.title='owned'\">"


def asked(hub: Hub, browser: Browser, redirect: str, name: str = "Notes", **options) -> Page:
    """The question of an app that has just registered itself, put to Ada."""
    page = hub.page(browser, hub.ada, path="/nothing", **options)
    native = {"application_type": "native"} if not redirect.startswith("https:") else {}
    said = {"client_name": name, "redirect_uris": [redirect], "token_endpoint_auth_method": "none", **native}
    answer = page.request.post(f"{hub.url}/register", data=said)
    assert answer.status == 201, answer.text()
    query = {
        "response_type": "code",
        "client_id": answer.json()["client_id"],
        "redirect_uri": redirect,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "state": "s" * 40,
    }
    page.goto(f"{hub.url}/authorize?{urlencode(query)}")
    return page


@pytest.mark.parametrize("redirect", ["https://app.example/cb", "http://127.0.0.1/cb"])
def test_everybody_can_read_and_answer_the_question(hub, browser, redirect):
    page = asked(hub, browser, redirect)
    assert page.get_by_role("heading", name="Allow Notes to use this hub?").is_visible()
    assert complaints(page) == []
    assert small_targets(page) == []
    found = stops(page)
    assert out_of_order(found) == []
    assert [each.name for each in found][-3:] == ["Allow", "Deny", "Clients and tokens"]


@pytest.mark.parametrize(("answer", "given"), [("Allow", "code"), ("Deny", "error")])
def test_the_answer_reaches_an_app_on_this_computer_without_scripts(hub, browser, stranger, answer, given):
    # It listens on a port of its own, which the policy of the page does not name.
    stranger.asked.clear()
    page = asked(hub, browser, f"{stranger.url}/cb", java_script_enabled=False)
    page.get_by_role("button", name=answer, exact=True).click()
    page.wait_for_url(re.compile(re.escape(stranger.url)))
    (arrived,) = [each for each in stranger.asked if each.startswith("/cb")]
    query = parse_qs(urlsplit(arrived).query)
    assert query.keys() == {given, "state", "iss"} | ({"error_description"} if "error_description" in query else set())
    assert (query["state"], query["iss"]) == (["s" * 40], [hub.url])


def test_the_way_to_an_app_that_is_no_site_is_a_link_to_press(hub, browser):
    page = asked(hub, browser, "com.example.notes:/cb")
    page.get_by_role("button", name="Allow").click()
    link = page.get_by_role("link", name="Continue to Notes")
    assert (link.get_attribute("href") or "").startswith("com.example.notes:/cb?code=")
    assert complaints(page) == []
    assert small_targets(page) == []


@pytest.mark.promise("T30", "T40")
def test_markup_in_the_name_of_an_app_makes_no_element(hub, browser):
    page = asked(hub, browser, "https://app.example/cb", MARKUP)
    assert page.title() == "Allow an app? - mcp_hub"
    assert page.locator("main img, script, [onerror]").count() == 0


@pytest.mark.promise("T39")
def test_the_question_is_shown_in_no_frame(hub, browser, stranger):
    page = asked(hub, browser, "https://app.example/cb")
    stranger.html = f"<iframe src='{page.url}'></iframe>"
    page.goto(stranger.url)
    assert page.frames[1].locator("button").count() == 0


@pytest.mark.promise("T33")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_another_site_does_not_answer_the_question(hub, browser, stranger: Stranger, host):
    page = asked(hub, browser, f"{stranger.url}/cb")
    stranger.asked.clear()
    fields = {each.get_attribute("name"): each.get_attribute("value") for each in page.locator("main input").all()}
    inputs = "".join(f"<input type=hidden name='{name}' value='{value}'>" for name, value in fields.items())
    stranger.html = (
        f"<form method=post action='{hub.url}/authorize'>{inputs}"
        "<button name=answer value=allow>Win a prize</button></form>"
    )
    page.goto(stranger.url.replace("127.0.0.1", host))
    page.get_by_role("button").click()
    assert page.locator("text=Access allowed").count() == 0
    assert stranger.asked == []
    assert hub.server.do(hub.people.store.events("default", limit=10)) == []
