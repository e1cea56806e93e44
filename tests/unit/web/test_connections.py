"""The first page, for somebody who is signed in, and for the one user of a private hub."""

import pytest

from mcp_hub.credentials.state import State
from mcp_hub.identity.principals import principal_of
from mcp_hub.principal import LOCAL
from mcp_hub.secret import Secret
from rig.connections import answering
from rig.site import private_site, site_of
from unit.web.screens import URL, Sitting

pytestmark = pytest.mark.promise("E37")


async def test_nobody_sees_anything_before_they_have_signed_in(people, fake):
    stranger = Sitting(site_of(people, URL, own=fake.own(people.store)).app())
    for path in ("/", "/activity", "/connect/github", "/disconnect/github"):
        screen = await stranger.look(path)
        assert (screen.status, screen.location.partition("?")[0]) == (303, "/login")


async def test_everybody_sees_their_own_connections_and_nobody_elses(people, fake, ada):
    bo = await people.add("Bo")
    fake.connect(principal_of(bo), "github", account="bo-the-builder")
    fake.connect(ada.caller, "linear", account="ada-l")
    page = await ada.look("/")
    assert "ada-l" in page.text
    assert "bo-the-builder" not in page.text


async def test_what_waits_comes_first_with_a_button_that_names_it(fake, ada):
    fake.connect(ada.caller, "linear", State.RECONNECT_NEEDED, sentence="Linear rejected the saved sign-in.")
    fake.connect(ada.caller, "github")
    fake.met.update(github=answering(41, 3, 2), docs=answering(2), clock=answering(1))
    page = await ada.look("/")
    links = page.document.links
    assert "3 of 5 are ready. 1 needs you to reconnect. 1 is not connected." in page.text
    assert "41 tools, 3 prompts, 2 resources" in page.text
    assert {"Reconnect Linear", "Disconnect Linear…", "Disconnect GitHub…"} <= set(links)
    assert links["Reconnect Linear"] == f"{URL}/connect/linear"
    assert "Connect GitHub" not in links
    assert {"Check Linear now", "Check GitHub now", "Save and check Warehouse"} <= page.buttons()
    assert (
        page.text.index("Linear") < page.text.index("Warehouse") < page.text.index("GitHub") < page.text.index("Docs")
    )


async def test_an_upstream_that_is_switched_off_says_why_and_nothing_else(ada):
    page = await ada.look("/")
    before, _, after = page.text.partition("Old wiki")
    assert "No sign-in" in before
    assert "Disabled in the configuration" in after
    assert "sign-in" not in after


async def test_the_endpoint_is_there_with_what_to_paste(ada):
    page = await ada.look("/")
    assert f">{URL}/mcp</code>" in page.answer.text
    assert "claude mcp add --transport http hub http://127.0.0.1:8080/mcp" in page.answer.text


async def test_a_tool_that_needs_more_shows_what_and_where_to_allow_it(fake, ada):
    fake.connect(ada.caller, "github", wanted=frozenset({"repo", "delete_repo"}))
    page = await ada.look("/")
    assert "A tool needs more than you allowed." in page.text
    assert "Also asked for delete_repo" in page.text
    assert page.document.links["Allow more at GitHub"] == f"{URL}/connect/github"


@pytest.mark.promise("T40")
@pytest.mark.parametrize("query", ["said=<b>x</b>&about=github", "said=connected&about=<b>x</b>", "said=connected", ""])
async def test_nothing_of_the_address_is_shown(ada, query):
    page = await ada.look(f"/?{query}")
    assert "<b>" not in page.answer.text
    assert 'role="status"' not in page.answer.text


async def test_what_was_done_is_said_on_its_card(fake, ada):
    page = await ada.look("/?said=connected&about=github")
    text = page.answer.text
    card = text[text.index('id="upstream-github"') :]
    assert card.index('role="status"') < card.index("</li>")
    assert "GitHub is connected." in card


async def test_a_private_hub_has_the_same_page_for_its_one_user(people, fake):
    fake.connect(LOCAL, "github")
    sitting = Sitting(private_site(fake.own(people.store), URL).app())
    page = await sitting.look("/")
    assert "Connections" in page.text
    assert "Disconnect GitHub…" in page.document.links
    assert "Sign out" not in page.buttons()
    assert "Clients and tokens" not in page.document.links
    cookie = page.answer.headers["set-cookie"]
    assert cookie.startswith("mcp_hub_new=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "set-cookie" not in (await sitting.look("/")).answer.headers


@pytest.mark.promise("T40")
async def test_what_others_call_themselves_is_never_markup(fake, ada):
    markup = "<img src=x onerror=alert(1)>"
    fake.connect(ada.caller, "github", account=markup, scopes=frozenset({markup}), sentence=markup)
    page = await ada.look("/")
    assert "<img src=x" not in page.answer.text
    assert "&lt;img src=x" in page.answer.text


async def test_a_key_is_never_shown_again(fake, ada):
    await fake.paste(ada.caller, "warehouse", Secret("wh-9f3c-4711-f00d"))
    page = await ada.look("/")
    assert "wh-9f3c" not in page.answer.text
    assert "…f00d" in page.text
    assert {"Replace key for Warehouse", "Remove key for Warehouse…"} <= set(page.document.links)
