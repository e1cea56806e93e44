"""What every store promises of registrations, grants and pasted keys; part of `tests/store_suite.py`."""

import asyncio
from dataclasses import replace

import pytest
from tests.store_people_suite import ANN as ANN_ACCOUNT
from tests.store_people_suite import agreed

from mcp_hub.store.base import SHARED, Remembered, Store, visible_to
from mcp_hub.store.connections import (
    KEPT_FOR,
    MOST_CHANGES,
    RETIRED_FOR,
    Changes,
    Grant,
    GrantState,
    PastedKey,
    Registration,
    Renewed,
    Sealed,
    Source,
    Whose,
)

ANN = Whose(ANN_ACCOUNT.tenant, ANN_ACCOUNT.issuer, ANN_ACCOUNT.subject, "github")
BOB = ANN._replace(subject="u-bob")
FOREIGN = ANN._replace(tenant="other")

REGISTRATION = Registration(
    "r-1", "default", "github", "https://as.example", "client-1", "client_secret_basic",
    "https://hub.example/oauth/callback/github", Source.REGISTERED, b"sealed secret", None, b"sealed management",
    9000.0, 1000.0,
)  # fmt: skip
OTHER = replace(
    REGISTRATION, id="r-2", client_id="client-2", source=Source.CONFIGURED, secret=b"other", management=None,
    secret_expires_at=None, created_at=2000.0,
)  # fmt: skip

GRANT = Grant(
    "g-ann", ANN, "r-1", "https://as.example", "https://as.example/token", "https://as.example/revoke",
    "https://mcp.github.example/mcp", frozenset({"repo", "read:org"}), frozenset({"admin"}), b"sealed access",
    b"sealed refresh", 4600.0, GrantState.READY, "", "ann@github \u00c4", 1, 1000.0, 1000.0, None, None, "place",
)  # fmt: skip
BARE = replace(
    GRANT, id="g-bob", whose=BOB, revocation_endpoint=None, resource=None, scopes=frozenset(), wanted=frozenset(),
    refresh_token=None, expires_at=None, account="", used_at=5.0,
)  # fmt: skip
RENEWED = Renewed(b"second access", b"second refresh", 9999.0, frozenset({"repo"}), 5000.0)
SECOND = replace(
    GRANT, access_token=b"second access", refresh_token=b"second refresh", expires_at=9999.0,
    scopes=frozenset({"repo"}), version=2, refreshed_at=5000.0,
)  # fmt: skip

KEY = PastedKey("k-ann", ANN, b"sealed key", "cdef", 1000.0, None, "place")


async def with_grants(store: Store, *grants: Grant) -> None:
    await store.add_registration(REGISTRATION, instead_of=None)
    for grant in grants:
        assert await store.put_grant(grant) is None


class RegistrationSuite:
    """The hub as a client of authorization servers."""

    async def test_a_registration_comes_back_as_it_was(self, store: Store):
        assert await store.add_registration(REGISTRATION, instead_of=None) == REGISTRATION
        assert await store.registration("r-1") == REGISTRATION
        assert await store.registration("r-2") is None
        assert await store.registrations("default", "github") == [REGISTRATION]
        assert await store.registrations("default", "other") == []
        assert await store.registrations("other", "github") == []

    @pytest.mark.promise("B17")
    async def test_of_many_who_register_at_once_one_does_and_all_get_that_one(self, store: Store, beside: Store):
        new = [replace(REGISTRATION, id=f"r{n}", client_id=f"c{n}") for n in range(40)]
        adding = [(store, beside)[n % 2].add_registration(each, instead_of=None) for n, each in enumerate(new)]
        got = {each.id for each in await asyncio.gather(*adding)}
        assert len(got) == 1
        assert [each.id for each in await store.registrations("default", "github")] == list(got)

    @pytest.mark.promise("B18")
    async def test_of_many_who_replace_the_registration_they_saw_one_does(self, store: Store, beside: Store):
        await store.add_registration(REGISTRATION, instead_of=None)
        new = [replace(OTHER, id=f"r{n:02}", client_id=f"c{n}") for n in range(40)]
        adding = [(store, beside)[n % 2].add_registration(each, instead_of="r-1") for n, each in enumerate(new)]
        (won,) = {each.id for each in await asyncio.gather(*adding)}
        kept = await store.registrations("default", "github")
        assert [(each.id, each.retired_at) for each in kept] == [(won, None), ("r-1", OTHER.created_at)]

    async def test_one_registration_is_in_use_per_tenant_upstream_and_authorization_server(self, store: Store):
        others = [
            replace(REGISTRATION, id="a", tenant="other"),
            replace(REGISTRATION, id="b", upstream="docs"),
            replace(REGISTRATION, id="c", issuer="https://as.example/"),
        ]
        for each in (REGISTRATION, *others):
            assert await store.add_registration(each, instead_of=None) == each
        assert await store.add_registration(OTHER, instead_of="r-unknown") == REGISTRATION
        assert await store.registration("r-2") is None

    async def test_a_retired_registration_makes_room_and_is_never_in_use_again(self, store: Store):
        await store.add_registration(REGISTRATION, instead_of=None)
        await store.retire_registration("r-1", 1500.0)
        await store.retire_registration("r-1", 1600.0)
        retired = replace(REGISTRATION, retired_at=1500.0)
        assert await store.registration("r-1") == retired
        assert await store.add_registration(OTHER, instead_of=None) == OTHER
        assert await store.registrations("default", "github") == [OTHER, retired]

    @pytest.mark.promise("B18")
    async def test_a_secret_is_replaced_only_if_it_is_still_what_it_was(self, store: Store, beside: Store):
        await store.add_registration(REGISTRATION, instead_of=None)
        assert not await store.put_secret("r-1", was=b"?", secret=b"new", previous=None)
        assert not await store.put_secret("r-1", was=None, secret=b"new", previous=None)
        assert not await store.put_secret("r-?", was=None, secret=b"new", previous=None)
        changes = [
            (store, beside)[n % 2].put_secret("r-1", was=b"sealed secret", secret=bytes([n]), previous=b"before")
            for n in range(20)
        ]
        await agreed(await asyncio.gather(*changes))
        changed = await store.registration("r-1")
        assert changed is not None
        assert changed.previous_secret == b"before"
        assert await store.put_secret("r-1", was=changed.secret, secret=None, previous=None)
        assert await store.put_secret("r-1", was=None, secret=b"again", previous=None)
        assert await store.registration("r-1") == replace(REGISTRATION, secret=b"again")

    @pytest.mark.promise("B18")
    async def test_what_no_grant_needs_any_more_loses_its_secrets_and_later_goes(self, store: Store):
        await with_grants(store, GRANT)
        await store.add_registration(OTHER, instead_of="r-1")
        retired = replace(REGISTRATION, retired_at=2000.0)
        long_after = 2000.0 + KEPT_FOR
        await store.sweep(long_after)
        assert await store.registration("r-1") == retired, "a grant needs it"
        await store.drop_grant(ANN)
        await store.sweep(2000.0 + RETIRED_FOR - 1)
        assert await store.registration("r-1") == retired, "somebody may be connecting under it"
        await store.sweep(2000.0 + RETIRED_FOR)
        erased = replace(retired, secret=None, previous_secret=None, management=None)
        assert await store.registration("r-1") == erased
        await store.sweep(long_after)
        assert await store.registrations("default", "github") == [OTHER], "and the one in use stays for ever"


class GrantOfUserSuite:
    """What users gave the hub."""

    async def test_a_grant_comes_back_as_it_was_and_only_to_whom_it_belongs(self, store: Store):
        await with_grants(store, GRANT, BARE)
        assert await store.grant(ANN) == GRANT
        assert await store.grant(BOB) == BARE
        for other in (FOREIGN, ANN._replace(issuer="https://idp"), ANN._replace(upstream="docs")):
            assert await store.grant(other) is None

    @pytest.mark.promise("B22", "C25")
    async def test_grants_are_listed_by_tenant_by_principal_and_by_upstream(self, store: Store):
        docs = replace(GRANT, id="g-docs", whose=ANN._replace(upstream="docs"))
        foreign = replace(GRANT, id="g-foreign", whose=FOREIGN)
        await with_grants(store, GRANT, BARE, docs, foreign)
        assert await store.grants("default") == [docs, GRANT, BARE]
        assert await store.grants("default", issuer=ANN.issuer, subject=ANN.subject) == [docs, GRANT]
        assert await store.grants("default", upstream="docs") == [docs]
        assert await store.grants("other") == [foreign]
        assert await store.grants("nowhere") == []

    async def test_a_principal_has_one_grant_for_an_upstream(self, store: Store):
        await with_grants(store, GRANT)
        again = replace(GRANT, id="g-again", access_token=b"other")
        assert await store.put_grant(again) == GRANT
        assert await store.grants("default") == [again]
        assert await store.drop_grant(ANN) == again
        assert await store.drop_grant(ANN) is None
        assert await store.grant(ANN) is None

    async def test_of_many_who_put_a_grant_at_once_the_last_stays_and_each_is_handed_the_one_before(
        self, store: Store, beside: Store
    ):
        await with_grants(store)
        new = [replace(GRANT, id=f"g{n}") for n in range(20)]
        before = await asyncio.gather(*((store, beside)[n % 2].put_grant(each) for n, each in enumerate(new)))
        (kept,) = await store.grants("default")
        replaced = [each.id for each in before if each is not None]
        assert sorted([*replaced, kept.id]) == sorted(each.id for each in new), "none is lost, so each can be revoked"

    @pytest.mark.promise("T47")
    async def test_of_many_who_want_to_renew_one_may(self, store: Store, beside: Store):
        await with_grants(store, GRANT)
        leasing = [
            (store, beside)[n % 2].lease_grant(GRANT.id, 1, f"o{n}", at=100.0, until=115.0 + n) for n in range(40)
        ]
        await agreed(await asyncio.gather(*leasing))

    @pytest.mark.promise("T47")
    async def test_a_lease_ends_at_its_time_by_its_owner_or_by_what_it_was_for(self, store: Store):
        await with_grants(store, GRANT)
        assert await store.lease_grant(GRANT.id, 1, "one", at=100.0, until=115.0)
        assert not await store.lease_grant(GRANT.id, 1, "two", at=114.9, until=200.0)
        assert await store.lease_grant(GRANT.id, 1, "one", at=110.0, until=120.0), "for longer"
        assert not await store.lease_grant(GRANT.id, 1, "two", at=115.0, until=200.0)
        assert await store.lease_grant(GRANT.id, 1, "two", at=120.0, until=200.0), "who had it is gone"
        await store.release_grant(GRANT.id, "one")
        assert not await store.lease_grant(GRANT.id, 1, "three", at=121.0, until=200.0), "which was not theirs to end"
        await store.release_grant(GRANT.id, "two")
        assert await store.lease_grant(GRANT.id, 1, "three", at=121.0, until=200.0)
        assert await store.renew_grant(GRANT.id, 1, RENEWED)
        assert not await store.lease_grant(GRANT.id, 1, "three", at=121.0, until=200.0), "of a version that is over"
        assert await store.lease_grant(GRANT.id, 2, "four", at=121.0, until=200.0)
        assert not await store.lease_grant("g-?", 1, "one", at=100.0, until=115.0)

    @pytest.mark.promise("T47")
    async def test_of_many_who_renew_one_version_one_does(self, store: Store, beside: Store):
        await with_grants(store, GRANT, BARE)
        renewing = [
            (store, beside)[n % 2].renew_grant(GRANT.id, 1, replace(RENEWED, access_token=bytes([n])))
            for n in range(40)
        ]
        results = await asyncio.gather(*renewing)
        await agreed(results)
        assert await store.grant(ANN) == replace(SECOND, access_token=bytes([results.index(True)]))
        assert await store.grant(BOB) == BARE

    async def test_a_refresh_that_ends_after_the_user_connected_anew_changes_nothing(self, store: Store):
        await with_grants(store, GRANT)
        assert await store.lease_grant(GRANT.id, 1, "one", at=100.0, until=115.0)
        again = replace(GRANT, id="g-again")
        await store.put_grant(again)
        assert not await store.renew_grant(GRANT.id, 1, RENEWED)
        assert not await store.mark_grant(GRANT.id, 1, "refused", 200.0)
        await store.release_grant(GRANT.id, "one")
        assert await store.grant(ANN) == again
        assert await store.lease_grant(again.id, 1, "two", at=101.0, until=115.0), "the lease went with the old one"

    @pytest.mark.promise("T47")
    async def test_a_refresh_that_ends_after_the_user_disconnected_brings_nothing_back(self, store: Store):
        await with_grants(store, GRANT)
        assert await store.lease_grant(GRANT.id, 1, "one", at=100.0, until=115.0)
        assert await store.drop_grant(ANN) == GRANT
        assert not await store.renew_grant(GRANT.id, 1, RENEWED)
        assert await store.grant(ANN) is None

    async def test_of_those_who_mark_and_renew_one_version_nobody_undoes_a_later_one(self, store: Store):
        await with_grants(store, GRANT)
        assert await store.renew_grant(GRANT.id, 1, RENEWED)
        assert not await store.mark_grant(GRANT.id, 1, "refused", 6000.0), "somebody else has renewed it"
        assert await store.grant(ANN) == SECOND
        assert await store.mark_grant(GRANT.id, 2, "GitHub refused it.", 6000.0)
        marked = replace(SECOND, state=GrantState.RECONNECT_NEEDED, reason="GitHub refused it.", marked_at=6000.0)
        assert await store.grant(ANN) == marked

    async def test_nobody_renews_what_only_its_user_can_but_who_was_about_to_may_finish(self, store: Store):
        await with_grants(store, GRANT)
        assert await store.lease_grant(GRANT.id, 1, "slow", at=100.0, until=115.0)
        assert await store.lease_grant(GRANT.id, 1, "taken over", at=116.0, until=130.0)
        assert await store.mark_grant(GRANT.id, 1, "used up", 120.0)
        assert not await store.lease_grant(GRANT.id, 1, "third", at=200.0, until=215.0)
        before = await store.connection_generation()
        assert await store.renew_grant(GRANT.id, 1, RENEWED), "the slow one had won there"
        assert await store.grant(ANN) == SECOND
        assert await store.connection_generation() > before, "whoever believed the mark looks again"

    async def test_uses_and_wishes_are_noted_and_revive_nothing(self, store: Store):
        await with_grants(store, GRANT, BARE)
        await store.touch_grants({GRANT.id: 7.0, BARE.id: 3.0, "g-?": 9.0})
        await store.want_scopes(GRANT.id, frozenset({"x y", "\u00e4"}))
        await store.want_scopes("g-?", frozenset({"x"}))
        assert await store.grant(ANN) == replace(GRANT, used_at=7.0, wanted=frozenset({"x y", "\u00e4"}))
        assert await store.grant(BOB) == BARE, "it was used at 5 already"
        await store.drop_grant(ANN)
        await store.touch_grants({GRANT.id: 8.0})
        assert await store.grant(ANN) is None


class PastedKeySuite:
    """Keys that users pasted."""

    async def test_a_key_comes_back_as_it_was_and_only_to_whom_it_belongs(self, store: Store):
        bobs = replace(KEY, id="k-bob", whose=BOB, key=b"bobs", hint="", used_at=3.0)
        await store.put_key(KEY)
        await store.put_key(bobs)
        assert await store.key(ANN) == KEY
        assert await store.key(BOB) == bobs
        assert await store.key(FOREIGN) is None
        assert await store.keys_of("default", issuer=ANN.issuer, subject=ANN.subject) == [KEY]
        assert {each.id for each in await store.keys_of("default")} == {"k-ann", "k-bob"}
        assert await store.keys_of("other") == []

    async def test_another_key_takes_the_place_of_the_one_before(self, store: Store):
        await store.put_key(KEY)
        newer = replace(KEY, id="k-newer", key=b"newer")
        await store.put_key(newer)
        await store.touch_keys({KEY.id: 5.0, newer.id: 6.0})
        await store.touch_keys({newer.id: 4.0})
        assert await store.keys_of("default") == [replace(newer, used_at=6.0)]
        assert await store.drop_key(ANN)
        assert not await store.drop_key(ANN)
        await store.touch_keys({newer.id: 7.0})
        assert await store.key(ANN) is None


class ChangeSuite:
    """Whose connections changed."""

    async def test_each_change_is_told_and_named_and_nothing_else_is(self, store: Store, beside: Store):
        told: list[Changes] = []
        store.on_connections_changed(told.append)
        assert await store.connection_changes(0) == Changes(0, 0, frozenset())
        await with_grants(store, GRANT)
        await store.put_key(replace(KEY, whose=BOB))
        assert await store.mark_grant(GRANT.id, 1, "refused", 1.0)
        assert await store.drop_key(BOB)
        assert await store.drop_grant(ANN)
        assert [each.whose for each in told] == [{ANN}, {BOB}, {ANN}, {BOB}, {ANN}]
        assert [(each.since, each.generation) for each in told] == [(n, n + 1) for n in range(5)]
        assert await beside.connection_generation() == 5
        assert await beside.connection_changes(3) == Changes(3, 5, frozenset({ANN, BOB}))

    async def test_what_means_the_same_raises_nothing(self, store: Store):
        await with_grants(store, GRANT)
        await store.put_key(KEY)
        before = await store.connection_generation()
        await store.lease_grant(GRANT.id, 1, "one", at=1.0, until=9.0)
        await store.release_grant(GRANT.id, "one")
        await store.renew_grant(GRANT.id, 1, RENEWED)
        await store.reseal(Sealed.KEY, KEY.id, was=b"sealed key", sealed=b"anew")
        await store.touch_grants({GRANT.id: 5.0})
        await store.touch_keys({KEY.id: 5.0})
        await store.want_scopes(GRANT.id, frozenset({"x"}))
        await store.mark_grant(GRANT.id, 1, "of the version before", 1.0)
        await store.drop_key(BOB)
        await store.drop_grant(BOB)
        await store.sweep(1e9)
        assert await store.connection_generation() == before

    async def test_who_watches_is_told_even_if_whoever_changed_it_has_left(self, store: Store):
        told = asyncio.Event()
        await with_grants(store, GRANT)
        store.on_connections_changed(lambda _: told.set())
        dropping = asyncio.ensure_future(store.drop_grant(ANN))
        await asyncio.sleep(0)
        dropping.cancel()
        is_gone = await store.grant(ANN) is None
        assert told.is_set() == is_gone, "a method that is cancelled may still take effect"

    async def test_access_and_connections_are_watched_side_by_side(self, store: Store):
        told: list[str] = []
        store.on_access_taken(lambda: told.append("access"))
        store.on_connections_changed(lambda _: told.append("connections"))
        store.on_connections_changed(lambda _: told.append("newer"))
        await store.add_user(ANN_ACCOUNT)
        await store.put_key(KEY)
        await store.update_user(replace(ANN_ACCOUNT, disabled=True))
        await store.remove_user(ANN_ACCOUNT.id)
        assert told == ["newer", "access", "access", "newer"]

    async def test_who_looks_after_too_many_changes_is_told_to_look_at_all(self, store: Store):
        for _ in range(3):
            await store.put_key(KEY)
        for n in range(MOST_CHANGES):
            await store.put_key(replace(KEY, id=f"k{n}", whose=BOB))
        now = await store.connection_generation()
        assert now == MOST_CHANGES + 3
        assert await store.connection_changes(3) == Changes(3, now, frozenset({BOB}))
        assert await store.connection_changes(2) == Changes(2, now, None)
        assert (await store.connection_changes(now + 1)).whose is None, "of a store that was put back meanwhile"


class RemovedUserSuite:
    """What goes with a user."""

    @pytest.mark.promise("T59", "T15")
    async def test_an_account_that_is_removed_takes_its_connections_and_catalogs_with_it(
        self, store: Store, beside: Store
    ):
        mine = Remembered("default", "github", visible_to(ANN[:3]), "https://x", "modern", b"mine", 1.0)
        bobs, shared = replace(mine, visibility=visible_to(BOB[:3])), replace(mine, visibility=SHARED)
        docs = replace(GRANT, id="g-docs", whose=ANN._replace(upstream="docs"))
        await store.add_user(ANN_ACCOUNT)
        await with_grants(store, GRANT, BARE, docs)
        await store.put_key(KEY)
        await store.put_key(replace(KEY, id="k-foreign", whose=FOREIGN))
        for item in (mine, bobs, shared):
            await store.remember(item)
        before = await beside.connection_generation()
        await store.remove_user("u-unknown")
        assert await beside.connection_generation() == before
        await store.remove_user(ANN_ACCOUNT.id)
        assert (await beside.connection_changes(before)).whose == {ANN, docs.whose}
        assert await store.grants("default") == [BARE]
        assert await store.keys_of("default") == []
        assert len(await store.keys_of("other")) == 1
        assert {each.visibility for each in await store.remembered("default")} == {bobs.visibility, SHARED}

    @pytest.mark.promise("T15")
    async def test_what_one_caller_may_see_is_read_and_forgotten_alone(self, store: Store):
        mine = Remembered("default", "github", visible_to(ANN[:3]), "https://x", "modern", b"mine", 1.0)
        others = [
            replace(mine, visibility=SHARED),
            replace(mine, visibility=visible_to(BOB[:3])),
            replace(mine, upstream="docs"),
        ]
        for item in (mine, *others):
            await store.remember(item)
        assert await store.remembered("default", mine.visibility) == [others[2], mine]
        assert await store.remembered("default", SHARED) == [others[0]]
        assert await store.remembered("default", "") == []
        await store.forget("default", "github", mine.visibility)
        assert await store.remembered("default", mine.visibility) == [others[2]]
        assert len(await store.remembered("default")) == 3

    @pytest.mark.promise("T15")
    async def test_who_disconnects_is_remembered_with_no_catalog_there(self, store: Store):
        mine = Remembered("default", "github", visible_to(ANN[:3]), "https://x", "modern", b"mine", 1.0)
        for item in (mine, replace(mine, upstream="docs"), replace(mine, visibility=SHARED)):
            await store.remember(item)
        await with_grants(store, GRANT)
        await store.drop_grant(BOB)
        assert mine in await store.remembered("default")
        await store.drop_grant(ANN)
        assert mine not in await store.remembered("default")
        await store.remember(mine)
        await store.put_key(KEY)
        await store.drop_key(ANN)
        assert await store.remembered("default", mine.visibility) == [replace(mine, upstream="docs")]

    def test_no_two_principals_see_the_same(self):
        keys = [("t", "i", "s"), ("t", "i,s", ""), ("t", 'i", "s', ""), ("ti", "", "s"), ("shared", "", "")]
        assert len({SHARED, *map(visible_to, keys)}) == len(keys) + 1


class SealedSuite:
    """Everything that is sealed, to be sealed anew."""

    async def test_rows_are_handed_out_by_id_in_pages_across_tenants(self, store: Store):
        others = [replace(REGISTRATION, id=f"r-{n}", tenant=f"t{n}") for n in (5, 3, 4)]
        for each in (REGISTRATION, *others):
            await store.add_registration(each, instead_of=None)
        assert [each.id for each in await store.all_registrations("", 2)] == ["r-1", "r-3"]
        assert [each.id for each in await store.all_registrations("r-3", 9)] == ["r-4", "r-5"]
        await store.put_grant(GRANT)
        await store.put_grant(BARE)
        await store.put_key(KEY)
        assert await store.all_grants("", 9) == [GRANT, BARE]
        assert await store.all_grants("g-ann", 9) == [BARE]
        assert await store.all_keys("", 9) == [KEY]
        assert await store.all_keys("k-ann", 9) == []

    @pytest.mark.promise("T32")
    async def test_a_value_is_sealed_anew_in_its_own_place_and_only_if_it_is_still_the_same(self, store: Store):
        await with_grants(store, GRANT)
        await store.put_secret("r-1", was=b"sealed secret", secret=b"sealed secret", previous=b"sealed previous")
        await store.put_key(KEY)
        rows = {
            Sealed.SECRET: ("r-1", b"sealed secret"),
            Sealed.PREVIOUS_SECRET: ("r-1", b"sealed previous"),
            Sealed.MANAGEMENT: ("r-1", b"sealed management"),
            Sealed.ACCESS_TOKEN: ("g-ann", b"sealed access"),
            Sealed.REFRESH_TOKEN: ("g-ann", b"sealed refresh"),
            Sealed.KEY: ("k-ann", b"sealed key"),
        }
        assert set(rows) == set(Sealed)
        for column, (row, was) in rows.items():
            assert not await store.reseal(column, row, was=b"?", sealed=b"x")
            assert not await store.reseal(column, "?", was=was, sealed=b"x")
            assert await store.reseal(column, row, was=was, sealed=column.encode())
        anew = {each: each.encode() for each in Sealed}
        registration = replace(
            REGISTRATION,
            secret=anew[Sealed.SECRET],
            previous_secret=anew[Sealed.PREVIOUS_SECRET],
            management=anew[Sealed.MANAGEMENT],
        )
        assert await store.registration("r-1") == registration
        tokens = {"access_token": anew[Sealed.ACCESS_TOKEN], "refresh_token": anew[Sealed.REFRESH_TOKEN]}
        assert await store.grant(ANN) == replace(GRANT, **tokens)
        assert await store.key(ANN) == replace(KEY, key=anew[Sealed.KEY])

    async def test_a_version_that_is_sealed_anew_is_still_the_same_version(self, store: Store):
        await with_grants(store, GRANT)
        assert await store.reseal(Sealed.REFRESH_TOKEN, GRANT.id, was=b"sealed refresh", sealed=b"anew")
        assert await store.renew_grant(GRANT.id, 1, RENEWED)
        assert not await store.reseal(Sealed.REFRESH_TOKEN, GRANT.id, was=b"anew", sealed=b"late")
        assert await store.grant(ANN) == SECOND


class ConnectionSuite(RegistrationSuite, GrantOfUserSuite, PastedKeySuite, ChangeSuite, RemovedUserSuite, SealedSuite):
    """All of it."""
