"""Pasting a key, and checking what one has."""

import pytest

from mcp_hub.upstream.check import Status

pytestmark = pytest.mark.promise("E37")


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
