"""What comes back from an authorization server, and everything somebody else may try with it."""

import pytest

from mcp_hub.credentials.state import State
from mcp_hub.oauth.connection import ConnectFailed
from mcp_hub.principal import LOCAL
from rig.site import private_site
from unit.web.conftest import on_the_way, signed_in
from unit.web.screens import URL, Sitting

pytestmark = pytest.mark.promise("E37")
CALLBACK = "/oauth/callback/github"


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


async def test_a_way_back_to_what_nobody_connects_with_stores_nothing(fake, ada):
    async def finish(*given):
        raise KeyError("docs")

    fake.finish = finish
    page = await ada.follow(await ada.look("/oauth/callback/docs?code=c&state=s"))
    assert "Nobody connects an account of their own with Docs" in page.text


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


async def test_a_failure_of_the_hub_itself_is_no_way_back(fake, ada):
    fake.failing = ConnectFailed("Some sentence.", "brand_new_code", reference="aa")
    back = await ada.look(f"{CALLBACK}?code=c&state=s")
    assert back.location == "/connect/github/ended?code=brand_new_code&ref=aa"
    assert "GitHub was not connected, and nothing was stored." in (await ada.follow(back)).text
