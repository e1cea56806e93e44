"""Ending a connection, with whatever the other side says of it."""

import pytest

from mcp_hub.identity.principals import principal_of
from mcp_hub.oauth.connection import Ending
from mcp_hub.secret import Secret
from unit.web.conftest import signed_in

pytestmark = pytest.mark.promise("E37")


@pytest.fixture
async def ada(people, site, fake):
    sitting = await signed_in(people, site, await people.add("Ada"))
    fake.connect(sitting.caller, "github")
    return sitting


async def test_the_page_says_what_will_happen_and_does_nothing(fake, ada):
    page = await ada.look("/disconnect/github")
    assert "This hub forgets your sign-in at once" in page.text
    assert "Nobody else's connection changes." in page.text
    assert (ada.caller.key, "github") in fake.kept


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (Ending.CONFIRMED, "GitHub is disconnected, and confirmed that the hub has no access any more."),
        (Ending.NO_WAY, "GitHub has no way to be told so; if you wish to end the access there too, remove the hub"),
        (Ending.NO_ANSWER, "GitHub did not confirm that it ended the access; to be sure, remove the hub"),
    ],
)
async def test_afterwards_it_is_said_what_the_other_side_said(fake, ada, ending, words):
    fake.ending = ending
    answer = await ada.press(await ada.look("/disconnect/github"), "Disconnect GitHub")
    assert answer.location.endswith("#upstream-github")
    page = await ada.follow(answer)
    assert words in page.text
    assert 'role="status"' in page.answer.text
    assert fake.kept == {}


async def test_a_key_is_forgotten_here_and_still_good_there(fake, ada):
    await fake.paste(ada.caller, "warehouse", Secret("f00d"))
    page = await ada.press(await ada.look("/disconnect/warehouse"), "Remove key for Warehouse")
    assert "Warehouse itself still takes it until you revoke it there." in (await ada.follow(page)).text
    assert (ada.caller.key, "warehouse") not in fake.kept


async def test_what_has_ended_already_is_said_to_have(fake, ada):
    page = await ada.look("/disconnect/github")
    fake.kept.clear()
    assert "GitHub was not connected." in (await ada.follow(await ada.press(page, "Disconnect GitHub"))).text
    assert "said=nothing" in (await ada.look("/disconnect/github")).location
    assert "said=nothing" in (await ada.look("/disconnect/docs")).location


@pytest.mark.promise("T33")
async def test_a_form_that_no_page_has_shown_ends_nothing(people, fake, ada):
    page = await ada.look("/disconnect/github")
    assert (await ada.press(page, "Disconnect GitHub", origin="https://evil.example")).status == 403
    assert (await ada.send("/disconnect/github", x="1")).status == 403
    fields = (await ada.look("/connect/github")).document.forms[-1].fields
    assert (await ada.send("/disconnect/github", **fields)).status == 403
    assert (ada.caller.key, "github") in fake.kept


async def test_nobody_ends_what_is_anothers(people, fake, ada):
    bo = principal_of(await people.add("Bo"))
    fake.connect(bo, "github")
    await ada.press(await ada.look("/disconnect/github"), "Disconnect GitHub")
    assert set(fake.kept) == {(bo.key, "github")}
