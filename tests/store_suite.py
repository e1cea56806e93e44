"""What every store promises, as tests: a test module takes `StoreSuite` in and gives the fixture `store`.

Rule: nothing here knows the engine. The store is fresh for each test and keeps `FEW` call records and `FEW_EVENTS`
events per tenant. The fixture `beside` is a second store of the same data, where the engine has such.
"""

import asyncio
from dataclasses import replace

import pytest
from tests.store_connections_suite import ConnectionSuite
from tests.store_events_suite import EventSuite
from tests.store_grants_suite import GrantSuite
from tests.store_people_suite import PeopleSuite

from mcp_hub.store.base import CallRecord, Remembered, SessionUse, Store, StoredSession
from mcp_hub.store.keys import Changed, KeyState, Rewrapped, StoredKey

FEW = 20
"""`most_calls` of the store under test."""

KNOWN = Remembered("default", "docs", "shared", "https://docs.example.com/mcp", "modern", b"catalog", 1000.0)

SESSION = StoredSession(
    b"d" * 32, ("default", "local", "me"), "2025-11-25", b'{"roots":{}}', b'{"name":"c"}', "info",
    ("docs+memo://1", "docs+memo://\u00e4"), 1000.0, 1500.0,
)  # fmt: skip


FIRST = StoredKey(b"\x00aaa", b"wrapped", 1000.0, KeyState.CURRENT)
SECOND = StoredKey(b"bbb\xff", b"other", 2000.0, KeyState.NEXT)


def call(at: int, tenant: str = "default") -> CallRecord:
    return CallRecord(
        *(float(at), tenant, "local", "me", "client", "docs", "tools/call", f"tool-{at}", "ok", 1.5),
    )


class StoreSuite(PeopleSuite, GrantSuite, ConnectionSuite, EventSuite):
    """The conformance suite."""

    async def test_a_new_store_knows_nothing(self, store: Store):
        assert await store.remembered("default") == []
        assert await store.calls("default", limit=10) == []
        assert await store.setting("cursor-key") is None

    async def test_what_was_remembered_comes_back_as_it_was(self, store: Store):
        odd = replace(KNOWN, upstream="odd", era=None, catalog=bytes(range(256)), url="https://exämple/mcp'\"--")
        await store.remember(KNOWN)
        await store.remember(odd)
        assert await store.remembered("default") == [KNOWN, odd]

    async def test_remembering_again_replaces(self, store: Store):
        newer = replace(KNOWN, era="legacy", catalog=b"newer", saved_at=2000.0)
        await store.remember(KNOWN)
        await store.remember(newer)
        assert await store.remembered("default") == [newer]

    async def test_an_item_without_catalog_keeps_the_stored_one_and_its_age(self, store: Store):
        await store.remember(KNOWN)
        await store.remember(replace(KNOWN, era="legacy", catalog=None, saved_at=2000.0))
        assert await store.remembered("default") == [replace(KNOWN, era="legacy")]

    async def test_an_empty_catalog_is_a_catalog(self, store: Store):
        empty = replace(KNOWN, catalog=b"", saved_at=2000.0)
        await store.remember(KNOWN)
        await store.remember(empty)
        assert await store.remembered("default") == [empty]

    async def test_another_url_drops_the_catalog_of_the_old_one(self, store: Store):
        moved = replace(KNOWN, url="https://moved.example.com/mcp", catalog=None, saved_at=2000.0)
        await store.remember(KNOWN)
        await store.remember(moved)
        assert await store.remembered("default") == [moved]

    async def test_a_first_catalog_may_come_later(self, store: Store):
        await store.remember(replace(KNOWN, catalog=None, saved_at=500.0))
        await store.remember(replace(KNOWN, catalog=None, saved_at=600.0))
        assert (await store.remembered("default"))[0].saved_at == 600.0
        await store.remember(KNOWN)
        assert await store.remembered("default") == [KNOWN]

    async def test_visibilities_of_one_upstream_are_kept_apart(self, store: Store):
        mine = replace(KNOWN, visibility="default/local/me", catalog=b"mine")
        await store.remember(KNOWN)
        await store.remember(mine)
        assert await store.remembered("default") == [mine, KNOWN]

    @pytest.mark.promise("A8")
    async def test_forgetting_drops_every_visibility_of_that_upstream_alone(self, store: Store):
        other = replace(KNOWN, upstream="other")
        for item in (KNOWN, replace(KNOWN, visibility="default/local/me"), other):
            await store.remember(item)
        await store.forget("default", "docs")
        await store.forget("default", "never-known")
        assert await store.remembered("default") == [other]

    async def test_tenants_do_not_see_each_other(self, store: Store):
        await store.remember(KNOWN)
        await store.append_calls([call(1)])
        assert await store.remembered("other") == []
        assert await store.calls("other", limit=10) == []
        await store.forget("other", "docs")
        assert await store.remembered("default") == [KNOWN]

    @pytest.mark.promise("D32")
    async def test_the_calls_of_one_principal_are_theirs_alone(self, store: Store):
        others = [call(4)._replace(subject="you"), call(5)._replace(issuer="https://id.example.com"), call(6, "other")]
        await store.append_calls([call(1), *others, call(2)])
        assert await store.calls_of("default", "local", "me", limit=10) == [call(2), call(1)]
        assert await store.calls_of("default", "local", "me", limit=1) == [call(2)]
        assert await store.calls_of("default", "local", "me", limit=-1) == []
        assert await store.calls_of("default", "local", "nobody", limit=10) == []

    async def test_calls_come_back_newest_first_and_no_more_than_asked_for(self, store: Store):
        await store.append_calls([call(1), call(2)])
        await store.append_calls([call(3)])
        assert await store.calls("default", limit=10) == [call(3), call(2), call(1)]
        assert await store.calls("default", limit=2) == [call(3), call(2)]
        assert await store.calls("default", limit=0) == []

    async def test_appending_nothing_changes_nothing(self, store: Store):
        await store.append_calls([])
        assert await store.calls("default", limit=10) == []

    @pytest.mark.promise("D32")
    async def test_the_oldest_calls_of_a_tenant_make_room_and_nobody_elses(self, store: Store):
        await store.append_calls([call(0, "other"), *(call(at) for at in range(FEW))])
        await store.append_calls([call(0, "other"), *(call(at) for at in range(FEW, FEW + 5))])
        kept = await store.calls("default", limit=10 * FEW)
        assert kept == [call(at) for at in reversed(range(5, FEW + 5))]
        assert len(await store.calls("other", limit=10)) == 2

    async def test_a_batch_larger_than_the_log_leaves_its_newest(self, store: Store):
        await store.append_calls([call(at) for at in range(3 * FEW)])
        kept = await store.calls("default", limit=10 * FEW)
        assert kept == [call(at) for at in reversed(range(2 * FEW, 3 * FEW))]

    async def test_the_first_writer_of_a_setting_wins(self, store: Store):
        assert await store.keep_setting_if_absent("cursor-key", b"first") == b"first"
        assert await store.keep_setting_if_absent("cursor-key", b"second") == b"first"
        assert await store.setting("cursor-key") == b"first"
        assert await store.setting("other-key") is None

    async def test_writers_at_the_same_time_agree_on_a_setting(self, store: Store):
        values = [bytes([at]) for at in range(8)]
        kept = await asyncio.gather(*(store.keep_setting_if_absent("key", value) for value in values))
        assert len(set(kept)) == 1

    async def test_concurrent_appends_lose_nothing(self, store: Store):
        await asyncio.gather(*(store.append_calls([call(at)]) for at in range(FEW)))
        assert {record.at for record in await store.calls("default", limit=FEW)} == {float(at) for at in range(FEW)}

    async def test_text_that_looks_like_sql_is_text(self, store: Store):
        hostile = "'); DROP TABLE calls; --"
        record = call(1)._replace(name=hostile, client=hostile)
        await store.append_calls([record])
        assert await store.calls("default", limit=1) == [record]
        assert await store.calls(hostile, limit=1) == []

    async def test_a_setting_is_replaced_only_if_it_is_still_what_it_was(self, store: Store):
        assert not await store.replace_setting("key", b"", b"new")
        await store.keep_setting_if_absent("key", b"first")
        await store.keep_setting_if_absent("a-key", b"\x00")
        assert not await store.replace_setting("key", b"other", b"new")
        assert await store.replace_setting("key", b"first", b"new")
        assert await store.settings() == [("a-key", b"\x00"), ("key", b"new")]

    async def begun(self, store: Store) -> None:
        assert await store.keys() == []
        assert await store.begin_keys(FIRST, [])

    @pytest.mark.promise("T32")
    async def test_the_first_key_is_stored_once_together_with_the_settings_it_seals(self, store: Store):
        await store.keep_setting_if_absent("old", b"plain")
        changes = [Changed("old", b"plain", b"sealed"), Changed("new", None, b"canary")]
        assert await store.begin_keys(FIRST, changes)
        assert not await store.begin_keys(SECOND, [])
        assert await store.keys() == [FIRST]
        assert await store.settings() == [("new", b"canary"), ("old", b"sealed")]

    @pytest.mark.promise("T32")
    @pytest.mark.parametrize(
        "wrong",
        [
            Changed("old", b"other", b"x"),
            Changed("old", None, b"x"),
            Changed("no", b"", b"x"),
            Changed("no", None, b"x"),
        ],
    )
    async def test_a_first_key_beside_settings_that_are_not_what_was_said_is_not_stored(
        self, store: Store, wrong: Changed
    ):
        await store.keep_setting_if_absent("old", b"plain")
        assert not await store.begin_keys(FIRST, [Changed("new", None, b"canary"), wrong])
        assert await store.keys() == []
        assert await store.settings() == [("old", b"plain")]

    async def test_of_many_first_keys_at_once_one_is_stored(self, store: Store):
        firsts = [FIRST._replace(kid=bytes([at] * 4)) for at in range(8)]
        won = await asyncio.gather(*(store.begin_keys(each, []) for each in firsts))
        assert won.count(True) == 1
        assert await store.keys() == [firsts[won.index(True)]]

    async def test_a_key_goes_from_next_to_current_to_old_to_retired(self, store: Store):
        await self.begun(store)
        assert await store.add_key(SECOND, FIRST)
        assert not await store.promote_key(FIRST.kid)
        assert await store.promote_key(SECOND.kid)
        assert not await store.promote_key(SECOND.kid)
        assert not await store.promote_key(b"none")
        assert [each.state for each in await store.keys()] == [KeyState.OLD, KeyState.CURRENT]
        await store.retire_keys(FIRST.kid)
        assert [each.state for each in await store.keys()] == [KeyState.OLD, KeyState.CURRENT]
        await store.retire_keys(SECOND.kid)
        retired = [FIRST._replace(state=KeyState.RETIRED), SECOND._replace(state=KeyState.CURRENT)]
        assert await store.keys() == retired

    async def test_a_next_key_is_added_beside_the_current_one_that_was_seen_and_beside_no_other_next(
        self, store: Store
    ):
        assert not await store.add_key(SECOND, FIRST)
        await self.begun(store)
        assert not await store.add_key(SECOND, FIRST._replace(wrapped=b"rewrapped"))
        assert not await store.add_key(SECOND._replace(kid=FIRST.kid), FIRST)
        nexts = [SECOND._replace(kid=bytes([at] * 4)) for at in range(4)]
        assert (await asyncio.gather(*(store.add_key(each, FIRST) for each in nexts))).count(True) == 1
        assert len(await store.keys()) == 2

    async def test_all_keys_are_wrapped_anew_or_none(self, store: Store):
        await self.begun(store)
        await store.add_key(SECOND, FIRST)
        one, two = Rewrapped(FIRST.kid, b"wrapped", b"1"), Rewrapped(SECOND.kid, b"other", b"2")
        for wrong in ([one], [one, two._replace(old=b"?")], [one, two, two._replace(kid=b"more")], []):
            assert not await store.rewrap_keys(wrong)
        assert await store.keys() == [FIRST, SECOND]
        assert await store.rewrap_keys([one, two])
        assert await store.keys() == [FIRST._replace(wrapped=b"1"), SECOND._replace(wrapped=b"2")]

    @pytest.mark.promise("A4")
    async def test_a_session_comes_back_as_it_was_and_only_under_its_own_digest(self, store: Store):
        plain = replace(SESSION, id=b"p" * 32, info=None, log_level=None, resources=())
        await store.keep_sessions([SESSION, plain])
        assert await store.session(SESSION.id) == SESSION
        assert await store.session(plain.id) == plain
        assert await store.session(b"x" * 32) is None
        assert await store.session(b"") is None

    @pytest.mark.promise("A4")
    async def test_sessions_are_listed_by_their_last_use_and_a_use_revives_none_that_was_dropped(self, store: Store):
        others = [replace(SESSION, id=bytes([at]) * 32, used_at=float(at)) for at in (3, 1, 2)]
        await store.keep_sessions(others)
        await store.touch_sessions([(others[1].id, 9.0), (b"x" * 32, 10.0)])
        await store.drop_sessions([others[2].id, b"y" * 32])
        await store.touch_sessions([(others[2].id, 11.0)])
        assert await store.session_uses() == [
            SessionUse(others[0].id, SESSION.owner, 3.0),
            SessionUse(others[1].id, SESSION.owner, 9.0),
        ]

    @pytest.mark.promise("A4")
    async def test_keeping_a_session_again_replaces_it(self, store: Store):
        changed = replace(SESSION, log_level="error", resources=(), used_at=2000.0)
        await store.keep_sessions([SESSION])
        await store.keep_sessions([changed])
        assert await store.session(SESSION.id) == changed
        assert len(await store.session_uses()) == 1

    async def test_closing_twice_is_no_error(self, store: Store):
        await store.aclose()
        await store.aclose()
