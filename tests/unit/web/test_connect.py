"""Connecting an account of one's own, pasting a key, and what comes back from elsewhere."""

from urllib.parse import parse_qs, urlsplit

import pytest

from mcp_hub.credentials.state import State
from mcp_hub.identity.principals import principal_of
from mcp_hub.oauth.connection import ConnectFailed
from mcp_hub.principal import LOCAL
from mcp_hub.store.connections import Source
from mcp_hub.upstream.check import Status
from rig.connections import FAILED, FakeConnections
from rig.household import People
from rig.site import private_site, site_of
from unit.web.screens import URL, Sitting

pytestmark = pytest.mark.promise("E37")
CALLBACK = "/oauth/callback/github"


@pytest.fixture
async def people():
    people = People()
    yield people
    await people.aclose()


@pytest.fixture
def fake():
    return FakeConnections()


@pytest.fixture
async def site(people, fake):
    return site_of(people, URL, own=fake.own(people.store)).app()


async def signed_in(people, site, user):
    sitting = Sitting(site, await people.sign_in(user))
    sitting.caller = principal_of(user)
    return sitting


@pytest.fixture
async def ada(people, site):
    return await signed_in(people, site, await people.add("Ada"))


@pytest.fixture
async def bo(people, site):
    return await signed_in(people, site, await people.add("Bo"))


async def on_the_way(sitting, window=""):
    """The state that an authorization server was given, by somebody who pressed the button."""
    page = await sitting.look(f"/connect/github{window}")
    leaving = await sitting.press(page, "Connect GitHub")
    return parse_qs(urlsplit(leaving.document.links["Continue to login.example.com"]).query)["state"][0]


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
    assert leaving.answer.headers["referrer-policy"] == "no-referrer"
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


async def test_whoever_comes_back_finds_their_card_and_no_code_in_the_address(fake, ada):
    state = await on_the_way(ada)
    back = await ada.look(f"{CALLBACK}?code=c0de-s3cret&state={state}")
    assert (back.status, back.location) == (303, "/?said=connected&about=github#upstream-github")
    assert back.answer.headers["referrer-policy"] == "no-referrer"
    assert back.answer.headers["cache-control"] == "no-store"
    assert fake.kept[ada.caller.key, "github"].connection.state is State.READY
    page = await ada.follow(back)
    assert "GitHub is connected." in page.text


async def test_a_window_that_was_opened_for_it_may_be_closed(fake, ada):
    state = await on_the_way(ada, "?window=popup")
    back = await ada.look(f"{CALLBACK}?code=c&state={state}")
    assert back.location == "/connect/github/ended?code=connected&window=popup"
    page = await ada.follow(back)
    assert page.status == 200
    assert "You may close this window." in page.text


async def test_nobody_is_told_that_they_are_connected_who_is_not(ada):
    page = await ada.look("/connect/github/ended?code=connected")
    assert page.status == 400
    assert "GitHub was not connected" in page.text


async def test_whoever_cancels_there_is_told_so_and_may_try_again(fake, ada):
    state = await on_the_way(ada)
    page = await ada.follow(await ada.look(f"{CALLBACK}?error=access_denied&state={state}"))
    assert "You did not agree at GitHub, so GitHub was not connected." in page.text
    assert page.document.links["Try again"] == f"{URL}/connect/github"
    assert fake.kept == {}


@pytest.mark.promise("T34", "T35")
async def test_what_one_began_another_cannot_end(fake, ada, bo):
    state = await on_the_way(ada)
    back = await bo.look(f"{CALLBACK}?code=c&state={state}")
    page = await bo.follow(back)
    assert "begun by somebody else than who is signed in to the hub here" in page.text
    assert "0badc0de" in page.text
    assert fake.kept == {}


@pytest.mark.promise("T35")
async def test_what_was_begun_in_one_browser_does_not_end_in_another(people, site, fake):
    user = await people.add("Eve")
    one, other = await signed_in(people, site, user), await signed_in(people, site, user)
    state = await on_the_way(one)
    page = await other.follow(await other.look(f"{CALLBACK}?code=c&state={state}"))
    assert "begun in another browser" in page.text
    assert fake.kept == {}


@pytest.mark.promise("T35")
async def test_what_comes_back_where_nobody_is_signed_in_stores_nothing(site, fake, ada):
    state = await on_the_way(ada)
    stranger = Sitting(site)
    back = await stranger.look(f"{CALLBACK}?code=c0de&state={state}")
    assert back.status == 303
    assert "c0de" not in back.location.replace("ref=0badc0de", "")
    assert state not in back.location
    assert (await stranger.follow(back)).location.startswith("/login?next=/connect/github/ended")
    assert fake.kept == {}


@pytest.mark.promise("T35")
async def test_what_came_back_once_does_not_count_again(fake, ada):
    state = await on_the_way(ada)
    await ada.look(f"{CALLBACK}?code=c&state={state}")
    fake.kept.clear()
    page = await ada.follow(await ada.look(f"{CALLBACK}?code=c&state={state}"))
    assert "This took too long, or was finished already" in page.text
    assert fake.kept == {}


MARKUP = "%3Cscript%3Ealert(1)%3C/script%3E"


@pytest.mark.promise("T40")
@pytest.mark.parametrize("name", ["error", "error_description", "error_uri", "state", "code", "iss", "x"])
async def test_nothing_that_comes_back_is_shown(ada, name):
    back = await ada.look(f"{CALLBACK}?{name}={MARKUP}")
    page = await ada.follow(back)
    for answer in (back.answer, page.answer):
        assert "alert(1)" not in answer.text + str(answer.headers)


@pytest.mark.promise("T40")
async def test_an_address_that_somebody_made_up_shows_nothing_of_theirs(ada):
    page = await ada.look(f"/connect/github/ended?code={MARKUP}&ref={MARKUP}")
    assert "alert(1)" not in page.answer.text
    assert "GitHub was not connected, and nothing was stored." in page.text


@pytest.mark.parametrize("query", ["%ff", "a" * 5000, "&".join(f"a{at}=1" for at in range(200))])
async def test_what_cannot_be_read_stores_nothing(fake, ada, query):
    assert "code=no_such_flow" in (await ada.look(f"{CALLBACK}?{query}")).location
    assert fake.kept == {}


async def test_an_upstream_that_nobody_has_declared_has_no_pages(ada):
    for path in ("/connect/nothing", "/connect/nothing/ended", "/oauth/callback/nothing", "/disconnect/nothing"):
        assert (await ada.look(path)).status == 404


async def test_a_way_back_to_what_nobody_connects_with_stores_nothing(fake, ada):
    async def finish(*given):
        raise KeyError("docs")

    fake.finish = finish
    page = await ada.follow(await ada.look("/oauth/callback/docs?code=c&state=s"))
    assert "Nobody connects an account of their own with Docs" in page.text


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


# Keys


async def test_a_key_is_saved_and_checked(fake, ada):
    page = await ada.press(await ada.look("/connect/warehouse"), "Save and check Warehouse", key=" wh-key-f00d ")
    assert "Your key is saved, and Warehouse takes it." in page.text
    assert "connected (41 ms)" in page.text
    assert fake.kept[ada.caller.key, "warehouse"].key == "wh-key-f00d"
    assert "wh-key" not in page.answer.text
    again = await ada.look("/connect/warehouse")
    assert "Replace your key for Warehouse" in again.text
    assert "wh-key" not in again.answer.text


async def test_a_key_that_is_not_taken_is_kept_and_said_to_be_refused(fake, ada):
    fake.verdict = Status.UNAUTHORIZED
    page = await ada.press(await ada.look("/"), "Save and check Warehouse", key="wrong")
    assert "Your key is saved, but Warehouse cannot be used with it now." in page.text
    assert "It rejected the credential." in page.text


async def test_what_can_be_no_key_is_refused_at_the_field(fake, ada):
    page = await ada.press(await ada.look("/connect/warehouse"), "Save and check Warehouse", key=" ")
    assert page.status == 400
    assert "A key is one line of visible characters." in page.text
    assert 'aria-invalid="true"' in page.answer.text
    assert fake.kept == {}


async def test_a_check_shows_its_steps(fake, ada):
    fake.connect(ada.caller, "github")
    page = await ada.press(await ada.look("/"), "Check GitHub now")
    assert "GitHub: OK" in page.text
    assert "41 tools, 3 prompts" in page.text
    assert "Check GitHub again" in page.buttons()


@pytest.mark.promise("T35")
async def test_in_a_private_hub_only_the_browser_that_began_ends(people, fake):
    site = private_site(fake.own(people.store), URL).app()
    mine, attackers = Sitting(site), Sitting(site)
    state = await on_the_way(mine)
    page = await attackers.follow(await attackers.look(f"{CALLBACK}?code=c&state={state}"))
    assert "begun in another browser" in page.text
    state = await on_the_way(mine)
    assert "said=connected" in (await mine.look(f"{CALLBACK}?code=c&state={state}")).location
    assert (LOCAL.key, "github") in fake.kept


@pytest.mark.promise("T33")
async def test_in_a_private_hub_a_form_of_another_browser_does_nothing(people, fake):
    site = private_site(fake.own(people.store), URL).app()
    mine, attackers = Sitting(site), Sitting(site)
    await mine.look("/connect/github")
    fields = (await attackers.look("/connect/github")).document.forms[-1].fields
    assert (await mine.send("/connect/github", **fields)).status == 403
    assert fake.begun == {}


async def test_a_failure_of_the_hub_itself_is_no_way_back(fake, ada):
    fake.failing = ConnectFailed("Some sentence.", "brand_new_code", reference="aa")
    back = await ada.look(f"{CALLBACK}?code=c&state=s")
    assert back.location == "/connect/github/ended?code=brand_new_code&ref=aa"
    assert "GitHub was not connected, and nothing was stored." in (await ada.follow(back)).text
