"""What every store promises, as tests: a test module takes `StoreSuite` in and gives the fixture `store`.

Rule: nothing here knows the engine. The store is fresh for each test and keeps `FEW` call records and `FEW_EVENTS`
events per tenant. The fixture `beside` is a second store of the same data, where the engine has such.
"""

import asyncio
from dataclasses import replace

import pytest
from tests.store_events_suite import EventSuite
from tests.store_grants_suite import GrantSuite
from tests.store_people_suite import PeopleSuite

from mcp_hub.store.base import CallRecord, Remembered, SessionUse, Store, StoredSession

FEW = 20
"""`most_calls` of the store under test."""

KNOWN = Remembered("default", "docs", "shared", "https://docs.example.com/mcp", "modern", b"catalog", 1000.0)

SESSION = StoredSession(
    b"d" * 32, ("default", "local", "me"), "2025-11-25", b'{"roots":{}}', b'{"name":"c"}', "info",
    ("docs+memo://1", "docs+memo://\u00e4"), 1000.0, 1500.0,
)  # fmt: skip


def call(at: int, tenant: str = "default") -> CallRecord:
    return CallRecord(
        *(float(at), tenant, "local", "me", "client", "docs", "tools/call", f"tool-{at}", "ok", 1.5),
    )


class StoreSuite(PeopleSuite, GrantSuite, EventSuite):
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
