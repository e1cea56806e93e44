"""The pages of somebody signed in, as a real browser shows them, and what strangers can make it do there."""

import pytest
from playwright.sync_api import expect

from interaction.pages.conftest import Hub
from interaction.pages.looking import complaints, out_of_order, small_targets, stops
from mcp_hub.identity.scopes import ADMIN as ADMIN_SCOPE
from rig.household import FIREFOX
from rig.site import visitors_of

pytestmark = pytest.mark.promise("E37")
MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture
def full(hub: Hub) -> Hub:
    """Everybody has clients, tokens and browsers, some of them with unpleasant names, and so has somebody else."""
    people, do = hub.people, hub.server.do
    odd = do(people.add(MARKUP, email=MARKUP.replace(" ", "")))
    for user in (hub.ada, hub.bo, odd):
        do(people.grant(user))
        do(people.grant(user, MARKUP, MARKUP, ADMIN_SCOPE))
        do(people.sign_in(user, MARKUP))
        do(people.tokens.create(user, MARKUP, 86400.0))
        do(people.tokens.create(user, "N" * 100, -1.0))
    return hub


PATHS = ("/account/clients?said=gone", "/", "/nothing", "/admin/users", "/admin/users/BO?said=gone")


@pytest.mark.parametrize("path", PATHS)
def test_everybody_can_read_and_reach_everything(full, browser, path):
    page = full.page(browser, path=path.replace("BO", full.bo.id))
    assert complaints(page) == []
    assert small_targets(page) == []
    found = stops(page)
    assert found[0].name == "Skip to the content"
    assert out_of_order(found) == []
    assert [each.name for each in found if each.outline < 2] == []
    assert len(found) >= page.evaluate("() => document.querySelectorAll('main a, main button, main summary').length")


def test_a_page_with_nothing_on_it_is_readable_too(hub, browser):
    page = hub.page(browser, hub.ada, path="/account/clients?said=client")
    assert complaints(page) == []
    expect(page.get_by_text("You have no personal tokens.")).to_be_visible()


def test_somebody_who_skips_to_the_content_goes_on_from_there(full, browser):
    page = full.page(browser)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.querySelector('main').contains(document.activeElement)")


def test_everything_works_without_scripts(full, browser):
    page = full.page(browser, java_script_enabled=False)
    page.get_by_role("button", name="Revoke Claude Code").click()
    expect(page.get_by_role("status")).to_contain_text("Done. That client has no access any more")
    expect(page.get_by_role("button", name="Revoke Claude Code")).not_to_be_visible()
    page.get_by_label("What it is for").fill("backup")
    page.get_by_label("Expires after").select_option("1 year")
    page.get_by_role("button", name="Make the token").click()
    secret = page.get_by_role("group", name="backup").inner_text()
    assert secret.startswith("mcphub_pat_")
    page.get_by_role("link", name="I have copied it").click()
    assert secret not in page.content()
    page.get_by_role("button", name="Revoke backup").click()
    expect(page.get_by_role("status")).to_be_visible()
    page.get_by_role("button", name="Sign out this browser").click()
    page.wait_for_url("**/login")


def test_a_token_that_is_shown_once_is_readable_by_everybody(hub, browser):
    page = hub.page(browser, hub.ada)
    page.get_by_label("What it is for").fill(MARKUP)
    page.get_by_role("button", name="Make the token").click()
    expect(page.get_by_role("heading", name="Your new token")).to_be_visible()
    assert complaints(page) == []
    assert small_targets(page) == []


@pytest.mark.promise("T30", "T40")
@pytest.mark.parametrize("path", [f"/account/clients?said={MARKUP}", f"/{MARKUP}", "/admin/users", "/admin/users/BO"])
def test_markup_in_names_and_addresses_makes_no_element(full, browser, path):
    page = full.page(browser, path=path.replace("BO", full.bo.id))
    assert page.title() != "owned"
    assert page.locator("img:not([src^='/static/']), script, [onerror]").count() == 0


@pytest.mark.promise("T40")
def test_what_is_planted_in_a_page_is_neither_run_nor_loaded(full, browser, stranger):
    stranger.asked.clear()
    elsewhere = stranger.url
    page = full.page(browser)
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
    assert page.title() == "Clients and tokens - mcp_hub"
    with page.expect_console_message(lambda message: "form-action" in message.text):
        page.evaluate("() => document.querySelector('#f').submit()")
    assert stranger.asked == []
    assert len([each for each in said if "Content Security Policy" in each]) >= 6


@pytest.mark.promise("T39")
def test_a_page_is_shown_in_no_frame(full, browser, stranger):
    stranger.html = f"<iframe src='{full.url}/account/clients'></iframe>"
    page = full.page(browser)
    page.goto(stranger.url)
    framed = page.frames[1]
    assert "Clients and tokens" not in framed.content()
    assert framed.locator("button").count() == 0


@pytest.mark.promise("T33")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("token", ["none", "the attacker's own", "the victim's own"])
def test_a_form_of_another_site_is_refused(full, browser, stranger, host, token):
    # The other port of the same host is the same site: there the browser sends the cookie along.
    page = full.page(browser, full.ada)
    people, do = full.people, full.server.do
    victim = do(people.browsers.find(page.context.cookies()[0]["value"]))
    _, attacker = do(people.signed_in(full.bo))
    proof = {"none": None, "the attacker's own": attacker, "the victim's own": victim}[token]
    value = "" if proof is None else visitors_of(people, full.url).form_token(proof, "/account/clients/end")
    family = do(people.store.families("default", full.ada.id))[0]
    stranger.html = (
        f"<form method=post action='{full.url}/account/clients/end'><input name=client value={family.id}>"
        f"<input name=form_token value='{value}'><button>Win a prize</button></form>"
    )
    page.goto(stranger.url.replace("127.0.0.1", host))
    with page.expect_navigation() as navigation:
        page.get_by_role("button").click()
    # From another site the cookie does not come along, so that the hub asks who this is instead.
    assert navigation.value.status == 403 or host == "localhost"
    assert "said=" not in page.url
    assert family in do(people.store.families("default", full.ada.id))


@pytest.mark.promise("T33")
def test_looking_changes_nothing(full, browser):
    page = full.page(browser, full.ada)
    before = full.everything()
    for form in page.locator("main form").all():
        query = "&".join(
            f"{field.get_attribute('name')}={field.get_attribute('value')}" for field in form.locator("input").all()
        )
        path = form.get_attribute("action")
        answer = page.request.get(f"{full.url}{path}?{query}")
        assert answer.status == 405
    assert full.everything() == before


@pytest.mark.promise("T33")
def test_the_cookie_is_out_of_reach_of_scripts(full, browser):
    page = full.page(browser)
    assert page.evaluate("() => document.cookie") == ""
    assert page.get_by_text("Firefox on Linux").count() >= 1
    assert FIREFOX not in page.content()


@pytest.mark.promise("F4")
def test_what_is_wrong_with_a_page_would_be_found(browser):
    page = browser.new_context().new_page()
    page.set_content(
        "<html><body style='display:flex;flex-direction:column-reverse'><p style='color:#ccc;width:900px'>pale</p>"
        "<button style='outline:none'>first</button><button>second</button></body></html>"
    )
    found = complaints(page)
    assert [each for each in found if each.startswith("light at 1280: color-contrast")]
    assert "dark at 320: 908 pixels wide" in found
    assert len(small_targets(page)) == 2
    reached = stops(page)
    assert [each.name for each in reached if each.outline < 2] == ["first", "second"]
    assert out_of_order([reached[0], *reached]) == [("first", "second")]
