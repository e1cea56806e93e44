"""Connecting an account of one's own: what the page says, and where its button leads."""

import pytest

from mcp_hub.oauth.connection import ConnectFailed
from mcp_hub.store.connections import Source
from rig.connections import FAILED
from rig.site import private_site
from unit.web.screens import URL, Sitting

pytestmark = pytest.mark.promise("E37")


async def test_the_page_says_who_connects_what_where_and_for_what(ada):
    page = await ada.look("/connect/github")
    for told in ("ada@example.com", "GitHub", "api.githubcopilot.com", "login.example.com", "repo", "read:org"):
        assert told in page.text
    assert "this hub, which has registered itself there" in page.text


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Source.CONFIGURED, "the operator of this hub has set up"),
        (Source.DOCUMENT, "document that it publishes"),
        (None, "registers itself there when you go on"),
    ],
)
async def test_the_page_says_as_whom_the_hub_is_known_there(fake, ada, source, words):
    fake.source, fake.scopes = source, ()
    page = await ada.look("/connect/github")
    assert words in page.text
    assert "what it gives if nothing particular is asked for" in page.text


@pytest.mark.promise("T34")
async def test_looking_begins_nothing_and_leads_nowhere(fake, ada):
    page = await ada.look("/connect/github")
    assert (page.status, page.location) == (200, "")
    assert "refresh" not in page.answer.headers
    assert fake.begun == {}


async def test_the_button_leads_on_by_itself_and_by_a_link(fake, ada):
    leaving = await ada.press(await ada.look("/connect/github"), "Connect GitHub")
    url = leaving.document.links["Continue to login.example.com"]
    assert url.startswith("https://login.example.com/authorize?")
    assert leaving.answer.headers["refresh"] == f"0;url={url}"
    (begun,) = fake.begun.values()
    assert (begun.key, begun.upstream, begun.window) == (ada.caller.key, "github", False)


@pytest.mark.promise("T33")
@pytest.mark.parametrize("path", ["/connect/github", "/connect/warehouse/key", "/connect/github/check"])
async def test_a_form_that_no_page_has_shown_does_nothing(fake, ada, bo, path):
    stolen = (await bo.look("/connect/github")).document.forms[-1].fields
    for fields in ({}, stolen, {"form_token": "x" * 60}):
        assert (await ada.send(path, **fields, key="k")).status == 403
    page = await ada.look("/connect/github")
    assert (await ada.press(page, "Connect GitHub", origin="https://evil.example")).status == 403
    other = (await ada.look("/connect/linear")).document.forms[-1].fields
    assert (await ada.send(path, **other, key="k")).status == 403
    assert (fake.begun, fake.kept) == ({}, {})


async def test_an_upstream_that_nobody_has_declared_has_no_pages(ada):
    for path in ("/connect/nothing", "/connect/nothing/ended", "/oauth/callback/nothing", "/disconnect/nothing"):
        assert (await ada.look(path)).status == 404


@pytest.mark.promise("T42")
@pytest.mark.parametrize("server", ["javascript:alert(1)//", "data:text/html,x", "a:$(cmd)", "file://", "https:"])
async def test_no_browser_is_sent_where_no_authorization_server_is(fake, ada, server):
    page = await ada.look("/connect/github")
    fake.server = server
    answer = await ada.press(page, "Connect GitHub")
    assert "refresh" not in answer.answer.headers
    assert server not in answer.answer.text
    assert "cannot be connected now" in answer.text


async def test_a_server_that_does_not_answer_is_named_with_what_was_tried(fake, ada):
    page = await ada.look("/connect/github")
    fake.failing = FAILED
    for answer in (await ada.look("/connect/github"), await ada.press(page, "Connect GitHub")):
        assert answer.status == 502
        for told in (FAILED.public, "no_answer 3fa9c01d", "Read its metadata", "no answer within 10 s"):
            assert told in answer.text
        assert answer.document.links["Try again"] == f"{URL}/connect/github"


async def test_where_nobody_has_been_asked_to_sign_in_the_page_asks_whether_one_can(fake, ada):
    fake.sign_ins["clock"] = "undecided"
    assert "Connect Clock" in (await ada.look("/connect/clock")).buttons()
    fake.failing = ConnectFailed("It has nobody sign in.", "not_offered")
    page = await ada.look("/connect/clock")
    assert "Clock has not asked anybody to sign in so far" in page.text


@pytest.mark.parametrize(
    ("upstream", "words"),
    [
        ("docs", "one credential for everybody"),
        ("clock", "needs no sign-in"),
        ("billing", "a credential that your client sends"),
        ("crm", "tells CRM who you are"),
        ("old", "not in use here: Disabled in the configuration."),
    ],
)
async def test_where_there_is_nothing_to_connect_the_page_says_so(ada, upstream, words):
    page = await ada.look(f"/connect/{upstream}")
    assert page.status == 200
    assert words in page.text
    assert page.buttons() == {"Sign out"}


async def test_whoever_uses_the_hub_under_another_name_is_sent_to_its_own_first(people, site, fake):
    cookie = await people.sign_in(await people.add("Ada"))
    sitting = Sitting(site, cookie, "http://localhost:8080")
    page = await sitting.look("/connect/github")
    answer = await sitting.press(page, "Connect GitHub", origin="http://localhost:8080")
    assert answer.status == 400
    assert answer.document.links["Connect GitHub at that address"] == f"{URL}/connect/github"
    assert fake.begun == {}


@pytest.mark.promise("T33")
async def test_in_a_private_hub_a_form_of_another_browser_does_nothing(people, fake):
    site = private_site(fake.own(people.store), URL).app()
    mine, attackers = Sitting(site), Sitting(site)
    await mine.look("/connect/github")
    fields = (await attackers.look("/connect/github")).document.forms[-1].fields
    assert (await mine.send("/connect/github", **fields)).status == 403
    assert fake.begun == {}
