"""What every store promises of clients, codes, families and what may be used once; part of `tests/store_suite.py`."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from tests.store_people_suite import ANN, BOB, BROWSER, FOREIGN, TOKEN, agreed

from mcp_hub.store.base import Store
from mcp_hub.store.grants import (
    MOST_ACCESS_TOKENS,
    MOST_FAMILIES,
    MOST_SUPERSEDED,
    AccessToken,
    Code,
    Family,
    Issued,
    Once,
    Pending,
    RefreshToken,
    RegisteredClient,
)

DAY = 86400.0
CLIENT = RegisteredClient("c-1", "default", b"s" * 32, b'{"client_name":"\xc3\xa4"}', 1000.0, None, 5000.0)
CODE = Code(
    b"c" * 32, "default", "c-1", "A client \u00e4", ANN.id, "http://127.0.0.1:1/cb?x=1", "challenge", "https://hub/mcp",
    frozenset({"hub:use", "hub:admin"}), b"browser", 1000.0, 1060.0,
)  # fmt: skip
FAMILY = Family(
    "f-1", "default", ANN.id, "c-1", "A client \u00e4", "https://hub/mcp", CODE.scopes, 1010.0, 1010.0, 50_000.0
)
ACCESS = AccessToken(b"a" * 32, FAMILY.id, frozenset({"hub:use"}), 2000.0)
REFRESH = RefreshToken(b"r" * 32, FAMILY.id, CODE.scopes, 1010.0, 9000.0)
FIRST = Issued(ACCESS, REFRESH)


def issued(n: int, family: str = FAMILY.id, at: float = 1100.0) -> Issued:
    name = str(n).encode()
    return Issued(
        AccessToken(b"a" + name, family, frozenset({"hub:use"}), at + 1000.0),
        RefreshToken(b"r" + name, family, CODE.scopes, at, at + 8000.0),
    )


async def begun(store: Store) -> None:
    await store.add_user(ANN)
    await store.add_code(CODE)
    assert await store.redeem(CODE.digest, FAMILY, FIRST, 1010.0) is Once.WON


class GrantSuite:
    """What the authorization server remembers."""

    async def test_a_client_comes_back_as_it_was_and_once(self, store: Store):
        plain = replace(CLIENT, id="c-2", secret=None, used_at=7.0)
        assert await store.add_client(CLIENT, most=10)
        assert await store.add_client(plain, most=10)
        assert not await store.add_client(replace(plain, metadata=b"{}"), most=10), "an id is given once"
        await store.touch_client(CLIENT.id, 1500.0, 9000.0)
        await store.touch_client("c-unknown", 1500.0, 9000.0)
        assert await store.client(CLIENT.id) == replace(CLIENT, used_at=1500.0, expires_at=9000.0)
        assert await store.client("c-unknown") is None

    @pytest.mark.promise("T53")
    async def test_clients_have_a_bound_per_tenant_and_those_that_expired_make_room(self, store: Store):
        new = [replace(CLIENT, id=f"c{n}", expires_at=2000.0 + n) for n in range(4)]
        assert [await store.add_client(each, most=3) for each in new] == [True, True, True, False]
        assert await store.add_client(replace(new[3], tenant="other"), most=3)
        late = replace(CLIENT, id="late", created_at=2001.0)
        assert await store.add_client(late, most=3)
        assert [await store.client(f"c{n}") is not None for n in range(3)] == [False, False, True]

    @pytest.mark.promise("T53")
    async def test_of_many_clients_at_once_no_more_than_the_bound_are_kept(self, store: Store, beside: Store):
        new = [replace(CLIENT, id=f"c{n}") for n in range(100)]
        kept = await asyncio.gather(*((store, beside)[n % 2].add_client(c, most=7) for n, c in enumerate(new)))
        assert kept.count(True) == 7

    async def test_a_code_comes_back_as_it_was_and_only_under_its_own_digest(self, store: Store):
        await store.add_user(ANN)
        await store.add_code(CODE)
        assert await store.code(CODE.digest) == CODE
        assert await store.code(b"x" * 32) is None

    async def test_old_codes_are_deleted_a_day_after_they_expired(self, store: Store):
        await store.add_user(ANN)
        await store.add_code(CODE)
        await store.add_code(replace(CODE, digest=b"2", created_at=CODE.expires_at + DAY - 1, expires_at=1e6))
        assert await store.code(CODE.digest) is not None
        await store.add_code(replace(CODE, digest=b"3", created_at=CODE.expires_at + DAY, expires_at=1e6))
        assert await store.code(CODE.digest) is None

    async def test_a_code_is_redeemed_for_a_family_with_its_tokens(self, store: Store):
        await begun(store)
        assert await store.code(CODE.digest) == replace(CODE, family=FAMILY.id)
        assert await store.family(FAMILY.id) == FAMILY
        assert await store.access_token(ACCESS.digest) == (ACCESS, FAMILY)
        assert await store.refresh_token(REFRESH.digest) == (REFRESH, FAMILY)
        assert await store.access_token(REFRESH.digest) is None
        assert await store.refresh_token(ACCESS.digest) is None

    async def test_a_client_that_does_not_refresh_gets_an_access_token_alone(self, store: Store):
        await store.add_user(ANN)
        await store.add_code(CODE)
        assert await store.redeem(CODE.digest, FAMILY, Issued(ACCESS, None), 1010.0) is Once.WON
        assert await store.refresh_token(REFRESH.digest) is None

    @pytest.mark.promise("T46")
    async def test_a_code_that_is_used_again_ends_what_it_began(self, store: Store):
        await begun(store)
        before = await store.access_generation()
        other = replace(FAMILY, id="f-2")
        assert await store.redeem(CODE.digest, other, issued(2, "f-2"), 1e9) is Once.LOST, "also long after"
        assert await store.family(FAMILY.id) is None
        assert await store.family("f-2") is None
        assert await store.access_token(ACCESS.digest) is None
        assert await store.refresh_token(REFRESH.digest) is None
        assert await store.access_generation() > before

    @pytest.mark.promise("T46")
    async def test_of_many_redemptions_at_once_one_wins_and_nothing_of_it_is_left(self, store: Store, beside: Store):
        await store.add_user(ANN)
        await store.add_code(CODE)
        stores = (store, beside)
        tries = [
            stores[n % 2].redeem(CODE.digest, replace(FAMILY, id=f"f{n}"), issued(n, f"f{n}"), 1010.0)
            for n in range(100)
        ]
        assert Counter(await asyncio.gather(*tries)) == {Once.WON: 1, Once.LOST: 99}
        assert await store.families("default") == []
        assert [await store.access_token(issued(n).access.digest) for n in range(100)] == [None] * 100

    @pytest.mark.parametrize(
        ("changed", "at"),
        [
            (FAMILY, CODE.expires_at),
            (replace(FAMILY, user=BOB.id), 1010.0),
            (replace(FAMILY, client="c-2"), 1010.0),
            (replace(FAMILY, tenant="other"), 1010.0),
            (replace(FAMILY, user=""), 1010.0),
        ],
        ids=["expired", "user", "client", "tenant", "nobody"],
    )
    async def test_a_code_becomes_no_family_but_its_own_and_in_time(self, store: Store, changed: Family, at: float):
        await store.add_user(ANN)
        await store.add_user(BOB)
        await store.add_code(CODE)
        assert await store.redeem(CODE.digest, changed, FIRST, at) is Once.GONE
        assert await store.redeem(b"unknown", FAMILY, FIRST, 1010.0) is Once.GONE
        assert await store.families("default") == []
        assert await store.redeem(CODE.digest, FAMILY, FIRST, CODE.expires_at - 0.1) is Once.WON, "it is still unused"

    @pytest.mark.promise("T59")
    async def test_a_disabled_user_gets_nothing_for_codes_and_refresh_tokens(self, store: Store):
        await begun(store)
        await store.add_code(replace(CODE, digest=b"2"))
        await store.update_user(replace(ANN, disabled=True))
        assert await store.redeem(b"2", replace(FAMILY, id="f-2"), issued(2, "f-2"), 1010.0) is Once.GONE
        assert await store.rotate(REFRESH.digest, issued(1), 1100.0) is Once.GONE
        await store.update_user(ANN)
        assert await store.rotate(REFRESH.digest, issued(1), 1100.0) is Once.WON

    @pytest.mark.promise("T59")
    async def test_a_removed_user_takes_everything_along_and_leaves_the_others_alone(self, store: Store):
        await begun(store)
        await store.add_user(BOB)
        await store.keep_browser_session(BROWSER)
        await store.add_personal_token(TOKEN)
        await store.add_code(replace(CODE, digest=b"2"))
        await store.add_code(replace(CODE, digest=b"bob", user=BOB.id))
        await store.redeem(b"bob", replace(FAMILY, id="f-bob", user=BOB.id), issued(2, "f-bob"), 1010.0)
        await store.remove_user(ANN.id)
        assert await store.browser_session(BROWSER.digest) is None
        assert await store.personal_token(TOKEN.digest) is None
        assert await store.code(b"2") is None
        assert await store.access_token(ACCESS.digest) is None
        assert await store.refresh_token(REFRESH.digest) is None
        assert [family.id for family in await store.families("default")] == ["f-bob"]
        await store.add_code(replace(CODE, digest=b"3"))
        assert await store.code(b"3") is None, "nothing is given for an account that is not there"

    @pytest.mark.promise("T59")
    async def test_signing_out_ends_browsers_families_and_codes_but_no_personal_token(self, store: Store):
        await begun(store)
        await store.keep_browser_session(BROWSER)
        await store.add_personal_token(TOKEN)
        await store.add_code(replace(CODE, digest=b"2"))
        before = await store.access_generation()
        await store.sign_out(ANN.id)
        assert await store.browser_sessions(ANN.id) == []
        assert await store.families("default", ANN.id) == []
        assert await store.code(b"2") is None
        assert await store.personal_token(TOKEN.digest) == TOKEN
        assert await store.access_generation() > before

    async def test_rotating_supersedes_a_token_and_notes_the_use(self, store: Store):
        await begun(store)
        new = issued(1)
        assert await store.rotate(REFRESH.digest, new, 1100.0) is Once.WON
        family = replace(FAMILY, used_at=1100.0)
        assert await store.refresh_token(REFRESH.digest) == (replace(REFRESH, superseded_at=1100.0), family)
        assert await store.refresh_token(b"r1") == (new.refresh, family)
        assert await store.access_token(b"a1") == (new.access, family)
        assert await store.access_token(ACCESS.digest) is not None, "calls under way go on"
        assert await store.rotate(REFRESH.digest, issued(2), 1101.0) is Once.LOST
        assert await store.refresh_token(b"r2") is None

    @pytest.mark.promise("T48")
    async def test_of_many_rotations_at_once_one_wins_and_one_pair_is_there(self, store: Store, beside: Store):
        await begun(store)
        tries = [(store, beside)[n % 2].rotate(REFRESH.digest, issued(n), 1100.0) for n in range(100)]
        assert Counter(await asyncio.gather(*tries)) == {Once.WON: 1, Once.LOST: 99}
        assert [await store.refresh_token(b"r%d" % n) is not None for n in range(100)].count(True) == 1
        assert [await store.access_token(b"a%d" % n) is not None for n in range(100)].count(True) == 1

    @pytest.mark.parametrize("at", [REFRESH.expires_at, FAMILY.expires_at])
    async def test_what_has_expired_is_not_rotated(self, store: Store, at: float):
        await begun(store)
        assert await store.rotate(REFRESH.digest, issued(1), at) is Once.GONE
        assert await store.rotate(b"unknown", issued(1), 1100.0) is Once.GONE

    async def test_a_family_keeps_a_bounded_number_of_tokens_however_often_it_is_rotated(self, store: Store):
        await begun(store)
        last = REFRESH.digest
        rounds = MOST_SUPERSEDED + 5
        for n in range(rounds):
            assert await store.rotate(last, issued(n), 1100.0 + n) is Once.WON
            last = b"r%d" % n
        kept = [await store.refresh_token(b"r%d" % n) is not None for n in range(rounds)]
        assert kept == [False] * 4 + [True] * (rounds - 4), "the newest superseded ones, and the one in use"
        there = [await store.access_token(b"a%d" % n) is not None for n in range(rounds)]
        assert there == [False] * (rounds - MOST_ACCESS_TOKENS) + [True] * MOST_ACCESS_TOKENS
        await store.rotate(last, issued(999, at=8000.0), 8000.0)
        assert await store.access_token(b"a%d" % (rounds - 1)) is None, "expired ones go"

    async def test_of_one_client_a_user_has_a_bounded_number_of_families_and_the_one_left_longest_goes(
        self, store: Store
    ):
        await begun(store)
        others = [("c-2", ANN.id), (FAMILY.client, BOB.id)]
        await store.add_user(BOB)
        mine = [(FAMILY.client, ANN.id)] * MOST_FAMILIES
        before = await store.access_generation()
        for n, (client, user) in enumerate([*others, *mine]):
            await store.add_code(replace(CODE, digest=bytes([n]), client=client, user=user))
            new = replace(FAMILY, id=f"n-{n}", client=client, user=user, used_at=2000.0 - n)
            assert await store.redeem(bytes([n]), new, issued(n, new.id), 1010.0) is Once.WON
        kept = {family.id for family in await store.families("default")}
        assert kept == {f"n-{n}" for n in range(MOST_FAMILIES + 2)}, "the first, which was used longest ago, went"
        assert await store.access_token(ACCESS.digest) is None
        assert await store.access_generation() == before + 1

    async def test_families_are_listed_by_their_last_use(self, store: Store):
        await begun(store)
        await store.add_user(BOB)
        for n, user in ((2, ANN), (3, BOB)):
            await store.add_code(replace(CODE, digest=bytes([n]), user=user.id))
            family = replace(FAMILY, id=f"f-{n}", user=user.id, used_at=1010.0 + n)
            await store.redeem(bytes([n]), family, issued(n, f"f-{n}"), 1010.0)
        await store.rotate(REFRESH.digest, issued(1), 5000.0)
        assert [family.id for family in await store.families("default")] == ["f-1", "f-3", "f-2"]
        assert [family.id for family in await store.families("default", ANN.id)] == ["f-1", "f-2"]
        assert await store.families("other") == []

    async def test_only_its_user_or_its_tenant_revokes_a_family(self, store: Store):
        await begun(store)
        before = await store.access_generation()
        assert not await store.revoke_family("default", FAMILY.id, BOB.id)
        assert not await store.revoke_family("other", FAMILY.id)
        assert not await store.revoke_family("default", "f-unknown", ANN.id)
        assert await store.access_generation() == before
        assert await store.access_token(ACCESS.digest) is not None
        assert await store.revoke_family("default", FAMILY.id, ANN.id)
        assert await store.access_token(ACCESS.digest) is None
        assert await store.refresh_token(REFRESH.digest) is None
        assert await store.rotate(REFRESH.digest, issued(1), 1100.0) is Once.GONE
        assert await store.access_generation() > before

    async def test_one_access_token_is_revoked_alone(self, store: Store):
        await begun(store)
        before = await store.access_generation()
        await store.revoke_access_token(b"unknown")
        assert await store.access_generation() == before
        await store.revoke_access_token(ACCESS.digest)
        assert await store.access_token(ACCESS.digest) is None
        assert await store.refresh_token(REFRESH.digest) == (REFRESH, FAMILY)
        assert await store.access_generation() > before

    async def test_a_client_may_act_for_itself_alone(self, store: Store):
        own = replace(FAMILY, id="client:c-1", user="")
        await store.give(own, replace(ACCESS, family=own.id), 1010.0)
        later = replace(own, created_at=1020.0, expires_at=60_000.0)
        await store.give(later, replace(ACCESS, digest=b"2", family=own.id, expires_at=5000.0), 1020.0)
        assert await store.families("default") == [replace(own, used_at=1020.0, expires_at=60_000.0)]
        assert await store.families("default", "") == []
        assert await store.access_token(b"2") is not None
        await store.give(own, replace(ACCESS, digest=b"3", family=own.id, expires_at=5000.0), 3000.0)
        assert await store.access_token(ACCESS.digest) is None, "what expired goes"

    async def test_what_waits_is_taken_once_and_of_many_by_one(self, store: Store, beside: Store):
        item = Pending("oidc", b"d" * 32, bytes(range(256)), 2000.0)
        assert await store.put_pending(item, at=1000.0, most=10)
        assert not await store.put_pending(replace(item, payload=b"other"), at=1000.0, most=10)
        assert await store.pending("oidc", item.digest, 1999.0) == item
        assert await store.take_pending("consent", item.digest, 1500.0) is None
        taken = await asyncio.gather(
            *((store, beside)[n % 2].take_pending("oidc", item.digest, 1500.0) for n in range(100))
        )
        assert Counter(taken) == {item: 1, None: 99}
        assert await store.pending("oidc", item.digest, 1500.0) is None

    async def test_what_waited_too_long_is_gone(self, store: Store):
        item = Pending("setup", b"d", b"", 2000.0)
        await store.put_pending(item, at=1000.0, most=10)
        assert await store.pending("setup", b"d", 2000.0) is None
        assert await store.take_pending("setup", b"d", 2000.0) is None

    @pytest.mark.promise("T53")
    async def test_of_each_kind_only_the_newest_wait(self, store: Store):
        items = [Pending("oidc", bytes([n]), b"", 2000.0) for n in range(5)]
        other = replace(items[0], kind="consent")
        assert all([await store.put_pending(each, at=1000.0, most=3) for each in (other, *items)])
        waiting = [await store.pending("oidc", each.digest, 1000.0) for each in items]
        assert waiting == [None, None, *items[2:]]
        assert await store.pending("consent", other.digest, 1000.0) == other

    @pytest.mark.promise("T54")
    async def test_what_may_be_used_once_is_used_by_one_until_it_expires(self, store: Store, beside: Store):
        uses = [(store, beside)[n % 2].use_once("jti", b"d" * 32, at=1000.0, expires_at=1300.0) for n in range(100)]
        await agreed(await asyncio.gather(*uses))
        assert await store.use_once("other", b"d" * 32, at=1000.0, expires_at=1300.0)
        assert not await store.use_once("jti", b"d" * 32, at=1299.0, expires_at=1500.0)
        assert await store.use_once("jti", b"d" * 32, at=1300.0, expires_at=1600.0)

    async def test_a_sweep_deletes_what_has_expired_and_nothing_else(self, store: Store):
        await begun(store)
        await store.keep_browser_session(BROWSER)
        await store.add_client(CLIENT, most=10)
        await store.put_pending(Pending("oidc", b"d", b"", 1500.0), at=1000.0, most=10)
        before = await store.access_generation()
        await store.sweep(1499.0)
        assert await store.access_token(ACCESS.digest) is not None
        assert await store.browser_session(BROWSER.digest) is not None
        assert await store.client(CLIENT.id) is not None
        assert await store.pending("oidc", b"d", 0.0) is not None
        await store.sweep(REFRESH.expires_at)
        assert await store.access_generation() == before, "an ending needs no telling"
        assert await store.access_token(ACCESS.digest) is None
        assert await store.refresh_token(REFRESH.digest) is None
        assert await store.families("default") == [], "a family that nobody can use any more"
        assert await store.browser_session(BROWSER.digest) is None
        assert await store.client(CLIENT.id) is None
        assert await store.pending("oidc", b"d", 0.0) is None
        assert await store.code(CODE.digest) is not None, "for replays"
        await store.sweep(CODE.expires_at + DAY)
        assert await store.code(CODE.digest) is None

    async def test_a_family_is_swept_at_its_own_end_or_when_only_superseded_tokens_are_left(self, store: Store):
        await begun(store)
        await store.rotate(REFRESH.digest, issued(1), 1100.0)
        await store.sweep(3000.0)
        assert await store.access_token(b"a1") is None
        assert [family.id for family in await store.families("default")] == ["f-1"], "it can be refreshed"
        await store.sweep(9050.0)
        assert await store.families("default") != []
        await store.sweep(9100.0)
        assert await store.families("default") == []

    @pytest.mark.promise("C25")
    async def test_a_code_of_one_tenant_is_not_for_an_account_of_another(self, store: Store):
        await store.add_user(FOREIGN)
        await store.add_code(replace(CODE, user=FOREIGN.id))
        assert await store.code(CODE.digest) is None
