"""What every store promises of accounts, browser sessions and personal tokens; part of `tests/store_suite.py`."""

import asyncio
from dataclasses import replace

import pytest

from mcp_hub.store.base import Store
from mcp_hub.store.people import MOST_BROWSER_SESSIONS, MOST_PERSONAL_TOKENS, BrowserSession, PersonalToken, User

ANN = User(
    "u-ann", "default", "local", "u-ann", "Ann@Example.com", "Ann \u00c4", frozenset({"user"}),
    frozenset({"g1", "g,2"}), "$argon2id$hash", disabled=False, created_at=1000.0, seen_at=None,
)  # fmt: skip
BOB = replace(ANN, id="u-bob", subject="u-bob", email="bob@example.com", name="Bob", groups=frozenset())
ADMIN = replace(ANN, id="u-admin", subject="u-admin", email="root@example.com", roles=frozenset({"admin", "user"}))
FOREIGN = replace(ANN, id="u-foreign", tenant="other", subject="u-foreign")

BROWSER = BrowserSession(b"b" * 32, "default", ANN.id, 1000.0, 1100.0, 9000.0, "A browser/1.0 \u00e4")
TOKEN = PersonalToken(
    "t-1", b"t" * 32, "default", ANN.id, "a script's", "mcphub_pat_ab", frozenset({"hub:use"}), 1000.0, None, None
)


async def agreed(results: list[bool]) -> None:
    assert sorted(results, reverse=True) == [True, *[False] * (len(results) - 1)], "exactly one wins"


class PeopleSuite:
    """Accounts and what lets them in."""

    async def test_who_watches_is_told_that_access_was_taken_away_before_whoever_took_it_goes_on(self, store: Store):
        told: list[str] = []
        store.on_access_taken(lambda: told.append("taken"))
        await store.add_user(ANN)
        await store.add_personal_token(TOKEN)
        await store.touch_personal_tokens([(TOKEN.digest, 5.0)])
        assert told == []
        assert await store.revoke_personal_token("default", TOKEN.id)
        assert told == ["taken"]
        assert not await store.revoke_personal_token("default", TOKEN.id)
        assert told == ["taken"]
        await store.update_user(replace(ANN, disabled=True))
        assert told == ["taken"] * 2

    async def test_who_watches_is_told_even_if_whoever_took_access_away_has_left(self, store: Store):
        told = asyncio.Event()
        await store.add_user(ANN)
        store.on_access_taken(told.set)
        taking = asyncio.ensure_future(store.remove_user(ANN.id))
        await asyncio.sleep(0)
        taking.cancel()
        is_gone = await store.user(ANN.id) is None
        assert told.is_set() == is_gone, "a method that is cancelled may still take effect"

    async def test_an_account_comes_back_as_it_was_by_each_of_its_names(self, store: Store):
        assert await store.add_user(ANN)
        assert await store.add_user(replace(BOB, issuer="https://idp", seen_at=5.0, password=None, disabled=True))
        assert await store.user(ANN.id) == ANN
        assert await store.user_known_as("default", "local", ANN.subject) == ANN
        eve = replace(BOB, id="u-eve", issuer="https://idp", subject="u-eve", email_verified=True)
        assert await store.add_user(eve)
        assert await store.user("u-eve") == eve
        assert await store.update_user(replace(eve, email_verified=False), was=eve)
        assert await store.user("u-eve") == replace(eve, email_verified=False)
        bob = await store.user_known_as("default", "https://idp", BOB.subject)
        assert bob == replace(BOB, issuer="https://idp", seen_at=5.0, password=None, disabled=True)
        assert await store.user("nobody") is None
        assert await store.user_known_as("default", "https://idp", ANN.subject) is None

    async def test_an_account_is_found_by_its_address_in_any_case_if_it_is_the_only_one(self, store: Store):
        await store.add_user(ANN)
        twins = [replace(ANN, id=f"t{n}", issuer="https://idp", subject=f"t{n}", email="TWIN@x") for n in range(2)]
        for twin in twins:
            assert await store.add_user(twin), "addresses of an identity provider may be the same"
        assert await store.user_by_email("default", "local", "aNN@eXAMPLE.COM") == ANN
        assert await store.user_by_email("default", "https://idp", ANN.email) is None
        assert await store.user_by_email("default", "https://idp", "twin@x") is None
        assert await store.user_by_email("other", "local", ANN.email) is None

    async def test_an_empty_address_is_nobodys(self, store: Store):
        await store.add_user(replace(ANN, issuer="https://idp", email=""))
        assert await store.user_by_email("default", "https://idp", "") is None

    @pytest.mark.parametrize(
        "same",
        [
            replace(BOB, id=ANN.id),
            replace(BOB, subject=ANN.subject),
            replace(BOB, email="ANN@EXAMPLE.COM"),
            replace(BOB, email=ANN.email, disabled=True),
        ],
        ids=["id", "subject", "email", "email of a disabled one"],
    )
    async def test_an_account_that_exists_is_not_added_again(self, store: Store, same: User):
        await store.add_user(ANN)
        assert not await store.add_user(same)
        assert await store.users("default") == [ANN]

    async def test_of_many_who_add_an_account_at_once_one_does(self, store: Store, beside: Store):
        new = [replace(ANN, id=f"u{n}", subject="same", issuer="https://idp") for n in range(100)]
        await agreed(await asyncio.gather(*((store, beside)[n % 2].add_user(user) for n, user in enumerate(new))))
        assert len(await store.users("default")) == 1

    async def test_an_update_replaces_all_but_when_they_were_seen(self, store: Store):
        await store.add_user(ANN)
        await store.see_user(ANN.id, 2000.0)
        changed = replace(BOB, id=ANN.id, disabled=True, password=None, created_at=7.0, seen_at=9999.0)
        assert await store.update_user(changed)
        assert await store.user(ANN.id) == replace(changed, seen_at=2000.0)
        assert not await store.update_user(BOB)
        assert await store.user(BOB.id) is None

    async def test_an_update_that_would_make_two_of_one_changes_nothing(self, store: Store):
        await store.add_user(ANN)
        await store.add_user(BOB)
        before = await store.access_generation()
        assert not await store.update_user(replace(BOB, email=ANN.email.upper()))
        assert not await store.update_user(replace(BOB, subject=ANN.subject))
        assert await store.users("default") == [ANN, BOB]
        assert await store.access_generation() == before

    async def test_an_update_from_what_is_no_longer_so_changes_nothing(self, store: Store):
        await store.add_user(ANN)
        disabled = replace(ANN, disabled=True)
        await store.see_user(ANN.id, 5.0)
        assert await store.update_user(disabled, was=ANN), "being seen is no change"
        assert not await store.update_user(replace(ANN, name="New"), was=ANN)
        assert not await store.update_user(BOB, was=BOB)
        assert await store.user(ANN.id) == replace(disabled, seen_at=5.0)

    async def test_of_many_who_change_an_account_from_one_state_one_does(self, store: Store, beside: Store):
        await store.add_user(ANN)
        new = [replace(ANN, name=f"n{n}") for n in range(20)]
        await agreed(await asyncio.gather(*((store, beside)[n % 2].update_user(u, was=ANN) for n, u in enumerate(new))))

    async def test_the_last_sight_only_moves_on(self, store: Store):
        await store.add_user(ANN)
        await store.see_user("nobody", 1.0)
        for at in (5.0, 3.0):
            await store.see_user(ANN.id, at)
        seen = await store.user(ANN.id)
        assert seen is not None
        assert seen.seen_at == 5.0

    async def test_accounts_are_listed_by_address(self, store: Store):
        for user in (BOB, ADMIN, ANN, FOREIGN):
            await store.add_user(user)
        assert await store.users("default") == [ANN, BOB, ADMIN]
        assert await store.users("nowhere") == []

    async def test_there_is_one_first_admin(self, store: Store, beside: Store):
        await store.add_user(ANN)
        await store.add_user(replace(ADMIN, disabled=True))
        await store.add_user(replace(FOREIGN, roles=ADMIN.roles))
        new = [replace(ADMIN, id=f"a{n}", subject=f"a{n}", email=f"a{n}@x") for n in range(100)]
        results = [(store, beside)[n % 2].add_first_admin(user) for n, user in enumerate(new)]
        await agreed(await asyncio.gather(*results))
        assert len(await store.users("default")) == 3

    async def test_a_role_that_only_looks_like_admin_is_none(self, store: Store):
        await store.add_user(replace(ANN, roles=frozenset({'not "admin"', "administrator", "Admin"})))
        assert await store.add_first_admin(ADMIN)

    @pytest.mark.promise("T62")
    async def test_a_browser_session_comes_back_as_it_was_and_only_under_its_own_digest(self, store: Store):
        await store.add_user(ANN)
        await store.keep_browser_session(BROWSER)
        assert await store.browser_session(BROWSER.digest) == BROWSER
        assert await store.browser_session(b"x" * 32) is None
        await store.touch_browser_session(BROWSER.digest, 2000.0)
        await store.touch_browser_session(BROWSER.digest, 1500.0)
        assert await store.browser_session(BROWSER.digest) == replace(BROWSER, used_at=2000.0)
        await store.drop_browser_session(BROWSER.digest)
        await store.touch_browser_session(BROWSER.digest, 3000.0)
        assert await store.browser_session(BROWSER.digest) is None

    async def test_browser_sessions_are_listed_by_their_last_use(self, store: Store):
        await store.add_user(ANN)
        await store.add_user(BOB)
        mine = [replace(BROWSER, digest=bytes([n]), used_at=float(at)) for n, at in enumerate((2, 3, 1))]
        for each in (*mine, replace(BROWSER, user=BOB.id)):
            await store.keep_browser_session(each)
        assert await store.browser_sessions(ANN.id) == [mine[1], mine[0], mine[2]]

    async def test_the_oldest_browser_sessions_of_a_user_make_room_and_nobody_elses(self, store: Store):
        await store.add_user(ANN)
        await store.add_user(BOB)
        await store.keep_browser_session(replace(BROWSER, user=BOB.id, created_at=1.0))
        many = MOST_BROWSER_SESSIONS + 3
        for n in range(many):
            await store.keep_browser_session(replace(BROWSER, digest=bytes([n]), created_at=100.0 + n))
        kept = {each.digest for each in await store.browser_sessions(ANN.id)}
        assert kept == {bytes([n]) for n in range(3, many)}
        assert len(await store.browser_sessions(BOB.id)) == 1

    async def test_a_personal_token_comes_back_as_it_was_and_only_under_its_own_digest(self, store: Store):
        await store.add_user(ANN)
        ending = replace(TOKEN, id="t-2", digest=b"e", expires_at=5.0, used_at=1.0, scopes=frozenset(), created_at=2.0)
        assert await store.add_personal_token(TOKEN)
        assert await store.add_personal_token(ending)
        assert await store.personal_token(TOKEN.digest) == TOKEN
        assert await store.personal_token(ending.digest) == ending
        assert await store.personal_token(TOKEN.id.encode()) is None
        assert await store.personal_tokens("default") == [TOKEN, ending]

    async def test_uses_of_personal_tokens_are_noted_and_revive_none_that_was_revoked(self, store: Store):
        await store.add_user(ANN)
        await store.add_personal_token(TOKEN)
        await store.touch_personal_tokens([(TOKEN.digest, 5.0), (b"x", 6.0), (TOKEN.digest, 4.0)])
        assert await store.personal_token(TOKEN.digest) == replace(TOKEN, used_at=5.0)
        await store.revoke_personal_token("default", TOKEN.id)
        await store.touch_personal_tokens([(TOKEN.digest, 7.0)])
        assert await store.personal_token(TOKEN.digest) is None

    async def test_a_user_has_only_so_many_personal_tokens(self, store: Store):
        await store.add_user(ANN)
        await store.add_user(BOB)
        for n in range(MOST_PERSONAL_TOKENS):
            assert await store.add_personal_token(replace(TOKEN, id=f"t{n}", digest=bytes([n])))
        assert not await store.add_personal_token(TOKEN)
        assert await store.add_personal_token(replace(TOKEN, user=BOB.id))
        assert len(await store.personal_tokens("default", ANN.id)) == MOST_PERSONAL_TOKENS

    async def test_only_its_owner_or_its_tenant_revokes_a_personal_token(self, store: Store):
        await store.add_user(ANN)
        await store.add_personal_token(TOKEN)
        before = await store.access_generation()
        assert not await store.revoke_personal_token("default", TOKEN.id, BOB.id)
        assert not await store.revoke_personal_token("other", TOKEN.id)
        assert not await store.revoke_personal_token("default", "t-unknown")
        assert await store.access_generation() == before
        assert await store.revoke_personal_token("default", TOKEN.id, ANN.id)
        assert await store.personal_tokens("default") == []

    async def test_nothing_is_kept_for_an_account_that_is_not_there(self, store: Store):
        await store.add_user(FOREIGN)
        await store.keep_browser_session(BROWSER)
        await store.keep_browser_session(replace(BROWSER, user=FOREIGN.id))
        assert not await store.add_personal_token(TOKEN)
        assert not await store.add_personal_token(replace(TOKEN, user=FOREIGN.id)), "of another tenant"
        assert await store.browser_session(BROWSER.digest) is None
        assert await store.personal_token(TOKEN.digest) is None

    @pytest.mark.promise("C25")
    async def test_accounts_of_tenants_do_not_see_each_other(self, store: Store):
        twin = replace(ANN, id="u-twin", tenant="other")
        for user in (ANN, twin):
            assert await store.add_user(user), "names are a tenant's own"
        await store.add_personal_token(TOKEN)
        assert await store.user_known_as("other", "local", ANN.subject) == twin
        assert await store.user_by_email("other", "local", ANN.email) == twin
        assert await store.users("other") == [twin]
        assert await store.personal_tokens("other") == []
        assert await store.personal_tokens("other", ANN.id) == []
        assert not await store.update_user(replace(ANN, tenant="other")), "an account moves to no other tenant"
        assert await store.users("default") == [ANN]

    @pytest.mark.promise("T59")
    async def test_the_access_generation_grows_with_whatever_takes_access_away(self, store: Store, beside: Store):
        await store.add_user(ANN)
        await store.keep_browser_session(BROWSER)
        await store.add_personal_token(TOKEN)
        await store.touch_browser_session(BROWSER.digest, 1.0)
        await store.touch_personal_tokens([(TOKEN.digest, 1.0)])
        await store.see_user(ANN.id, 1.0)
        before = await beside.access_generation()
        for take in (
            store.update_user(replace(ANN, disabled=True)),
            store.drop_browser_session(BROWSER.digest),
            store.revoke_personal_token("default", TOKEN.id),
            store.remove_user(ANN.id),
        ):
            await take
            after = await beside.access_generation()
            assert after > before
            before = after
        await store.sign_out(ANN.id)
        await store.remove_user(ANN.id)
        await store.drop_browser_session(BROWSER.digest)
        assert await beside.access_generation() == before, "nothing was left to take away"

    async def test_a_hundred_who_take_access_away_raise_the_generation_a_hundred_times(
        self, store: Store, beside: Store
    ):
        await store.add_user(ANN)
        before = await store.access_generation()
        new = [replace(ANN, name=f"n{n}") for n in range(100)]
        await asyncio.gather(*((store, beside)[n % 2].update_user(user) for n, user in enumerate(new)))
        assert await store.access_generation() == before + 100
