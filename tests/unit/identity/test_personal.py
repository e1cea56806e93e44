"""Personal tokens: shown once, kept as digests, no stronger than whoever they belong to."""

import pytest

from mcp_hub.identity.events import OPERATOR
from mcp_hub.identity.refusals import NotDone
from mcp_hub.identity.scopes import ADMIN as ADMIN_SCOPE
from mcp_hub.identity.scopes import USE
from mcp_hub.identity.tokens import digest
from rig.people import people

pytestmark = pytest.mark.promise("C24")


async def test_a_token_is_made_and_only_its_digest_is_kept(tmp_path):
    async with people(path=str(tmp_path / "hub.db")) as hub:
        ada = await hub.user()
        token, secret = await hub.personal.create(ada, "script", 60.0)
        assert secret.open().startswith("mcphub_pat_")
        assert secret.open().startswith(token.prefix)
        assert len(token.prefix) < 20
        kept = await hub.store.personal_token(digest(secret))
        assert kept == token
        assert (kept.expires_at, kept.scopes, kept.used_at) == (hub.clock.at + 60, {USE}, None)
        assert await hub.noted() == [("user_added", "ok"), ("personal_token_created", "ok")]
    stored = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert secret.open().encode() not in stored


async def test_everybody_lists_and_revokes_their_own():
    async with people() as hub:
        ada, eve = await hub.user(), await hub.user("eve@example.com")
        token, _ = await hub.personal.create(ada, "script", None)
        assert not await hub.personal.revoke(eve, token.id)
        assert [each.id for each in await hub.personal.list(ada)] == [token.id]
        assert await hub.personal.list(eve) == []
        assert await hub.personal.revoke(ada, token.id)
        assert not await hub.personal.revoke(ada, token.id)
        assert await hub.personal.list(ada) == []


async def test_the_operator_lists_and_revokes_all():
    async with people() as hub:
        token, _ = await hub.personal.create(await hub.user(), "script", None, actor=OPERATOR)
        assert [each.id for each in await hub.personal.list_all()] == [token.id]
        assert await hub.personal.revoke_any(token.id, actor=OPERATOR)
        assert not await hub.personal.revoke_any(token.id, actor=OPERATOR)
        assert [outcome for kind, outcome in await hub.noted() if kind.startswith("personal")] == ["ok", "ok"]


@pytest.mark.promise("T58")
async def test_a_token_can_do_no_more_than_its_owner():
    async with people() as hub:
        ada, root = await hub.user(), await hub.user("root@example.com", admin=True)
        for scopes in ({ADMIN_SCOPE}, {USE, "x"}, set()):
            with pytest.raises(NotDone, match=r"for nothing else|an admin's token"):
                await hub.personal.create(ada, "script", None, frozenset(scopes))
        token, _ = await hub.personal.create(root, "script", None, frozenset({USE, ADMIN_SCOPE}))
        assert ADMIN_SCOPE in token.scopes


@pytest.mark.parametrize("name", ["", "x" * 101, "two\nlines", "\u202e"])
async def test_a_token_needs_a_name(name):
    async with people() as hub:
        with pytest.raises(NotDone, match="name"):
            await hub.personal.create(await hub.user(), name, None)


async def test_there_is_an_end_to_how_many_one_account_has():
    async with people() as hub:
        ada = await hub.user()
        for number in range(100):
            await hub.personal.create(ada, f"n{number}", None)
        with pytest.raises(NotDone, match="at most 100"):
            await hub.personal.create(ada, "one more", None)
