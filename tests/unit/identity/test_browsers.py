"""Browser sessions: kept as digests, ended by time, by a new sign-in and with their account."""

import pytest

from mcp_hub.identity.events import OPERATOR
from rig.people import people

pytestmark = pytest.mark.promise("C24")
HOUR = 3600.0


async def test_the_cookie_finds_its_owner_and_is_not_stored(tmp_path):
    path = tmp_path / "hub.db"
    async with people(path=str(path)) as hub:
        ada = await hub.user()
        cookie = await hub.browsers.begin(ada, "Firefox")
        found = await hub.browsers.find(cookie.open())
        assert found.user.id == ada.id
        for other in ("", cookie.open()[:-1], cookie.open() + "x", found.session.digest.hex()):
            assert await hub.browsers.find(other) is None
    stored = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert cookie.open().encode() not in stored


async def test_one_that_is_not_used_ends_after_half_a_day_and_any_after_a_week():
    async with people() as hub:
        cookie = (await hub.browsers.begin(await hub.user(), "Firefox")).open()
        for _ in range(14):
            hub.clock.at += 11.9 * HOUR
            assert await hub.browsers.find(cookie) is not None
        hub.clock.at += 11.9 * HOUR
        assert await hub.browsers.find(cookie) is None
        idle = (await hub.browsers.begin(await hub.accounts.find("ada@example.com"), "Firefox")).open()
        hub.clock.at += 12 * HOUR
        assert await hub.browsers.find(idle) is None


@pytest.mark.promise("T35")
async def test_signing_in_begins_a_new_one_and_ends_the_one_before():
    async with people() as hub:
        ada = await hub.user()
        planted = await hub.browsers.begin(ada, "Firefox")
        fresh = await hub.browsers.begin(ada, "Firefox", replacing=planted.open())
        assert fresh != planted
        assert await hub.browsers.find(planted.open()) is None
        assert await hub.browsers.find(fresh.open()) is not None


async def test_signing_out_ends_it():
    async with people() as hub:
        cookie = (await hub.browsers.begin(await hub.user(), "Firefox")).open()
        await hub.browsers.end(cookie)
        assert await hub.browsers.find(cookie) is None


@pytest.mark.promise("T59")
async def test_a_disabled_account_is_signed_in_nowhere_even_if_its_session_were_still_there():
    async with people() as hub:
        ada = await hub.user()
        await hub.accounts.disable(ada, actor=OPERATOR)
        left_over = (await hub.browsers.begin(ada, "Firefox")).open()
        assert await hub.browsers.find(left_over) is None


async def test_use_is_noted_once_a_minute():
    async with people() as hub:
        cookie = (await hub.browsers.begin(await hub.user(), "Firefox" * 100)).open()
        began = hub.clock.at
        hub.clock.at += 59
        await hub.browsers.find(cookie)
        assert (await hub.browsers.find(cookie)).session.used_at == began
        hub.clock.at += 1
        await hub.browsers.find(cookie)
        found = await hub.browsers.find(cookie)
        assert found.session.used_at == hub.clock.at
        assert len(found.session.agent) == 256
