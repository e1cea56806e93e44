"""The first admin: the code works once, for a while, for one, and only while there is none."""

import asyncio
import re

import pytest

from mcp_hub.identity.events import OPERATOR
from mcp_hub.identity.refusals import NotDone, NotSignedIn
from mcp_hub.principal import ADMIN
from rig.people import HERE, PASSWORD, people

pytestmark = pytest.mark.promise("C24")
ADA = "ada@example.com"


async def test_the_holder_of_the_code_becomes_the_first_admin():
    async with people() as hub:
        code = await hub.setup.offer()
        assert re.fullmatch(r"[0-9A-Z]{4}-[0-9A-Z]{4}", code)
        assert await hub.setup.is_good(code, HERE)
        ada = await hub.setup.claim(f" {code.lower().replace('-', ' ')} ", ADA, PASSWORD, HERE)
        assert ada.roles == {ADMIN}
        assert (await hub.accounts.sign_in(ADA, PASSWORD, HERE)).id == ada.id
        assert await hub.noted() == [("setup", "ok"), ("sign_in", "ok")]


async def test_a_code_works_once():
    async with people() as hub:
        code = await hub.setup.offer()
        await hub.setup.claim(code, ADA, PASSWORD, HERE)
        with pytest.raises(NotSignedIn):
            await hub.setup.claim(code, "eve@example.com", PASSWORD, HERE)
        assert len(await hub.accounts.users()) == 1


async def test_of_many_at_once_one_wins():
    async with people() as hub:
        codes = [await hub.setup.offer() for _ in range(3)]
        claims = [hub.setup.claim(codes[n % 3], f"a{n}@b.c", PASSWORD, HERE) for n in range(15)]
        done = await asyncio.gather(*claims, return_exceptions=True)
        assert sum(not isinstance(each, BaseException) for each in done) == 1
        assert all(isinstance(each, NotSignedIn) for each in done if isinstance(each, BaseException))
        assert len(await hub.accounts.users()) == 1


async def test_a_code_works_for_ten_minutes():
    async with people() as hub:
        code = await hub.setup.offer()
        hub.clock.at += 600
        with pytest.raises(NotSignedIn, match="older than ten minutes"):
            await hub.setup.claim(code, ADA, PASSWORD, HERE)


async def test_nothing_is_offered_while_there_is_an_admin_and_old_codes_are_of_no_use():
    async with people() as hub:
        code = await hub.setup.offer()
        ada = await hub.user(admin=True)
        assert await hub.setup.offer() is None
        with pytest.raises(NotSignedIn):
            await hub.setup.claim(code, "eve@example.com", PASSWORD, HERE)
        await hub.user("bob@example.com", admin=True)
        await hub.accounts.disable(ada, actor=OPERATOR)
        assert await hub.setup.offer() is None


@pytest.mark.parametrize(("email", "password"), [("ada", PASSWORD), (ADA, "short"), ("bob@example.com", PASSWORD)])
async def test_a_mistake_in_the_form_does_not_use_the_code_up(email, password):
    async with people() as hub:
        await hub.user("bob@example.com")
        code = await hub.setup.offer()
        with pytest.raises(NotDone):
            await hub.setup.claim(code, email, password, HERE)
        assert (await hub.setup.claim(code, ADA, PASSWORD, HERE)).email == ADA


async def test_codes_cannot_be_tried_through():
    async with people() as hub:
        code = await hub.setup.offer()
        for number in range(20):
            assert not await hub.setup.is_good(f"2222-{2000 + number}", HERE)
        with pytest.raises(NotSignedIn) as refused:
            await hub.setup.is_good(code, HERE)
        assert refused.value.wait == 60.0
        assert await hub.setup.is_good(code, "192.0.2.9"), "whoever tries them elsewhere is no hindrance"


@pytest.mark.promise("T32")
async def test_the_code_is_not_stored_as_itself(tmp_path):
    async with people(path=str(tmp_path / "hub.db")) as hub:
        code = await hub.setup.offer()
    stored = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert code.encode() not in stored
    assert code.replace("-", "").encode() not in stored
