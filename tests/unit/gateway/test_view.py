"""The merged view: built when something visible changes, and not otherwise."""

import asyncio
import json
from dataclasses import replace

import pytest

from mcp_hub.catalog.access import Filter
from mcp_hub.catalog.parts import Exposure, Kind
from mcp_hub.upstream.health import UNTRIED
from mcp_hub.wire.eras import Era
from rig.fake_upstream import FakeUpstream, tool
from rig.parts import exposed

pytestmark = pytest.mark.promise("A1", "A8")


def listed(view, kind=Kind.TOOL, era=Era.MODERN):
    return json.loads(view.listing(kind, era))


async def test_a_list_is_encoded_once_and_then_the_same_bytes(over):
    async with over(FakeUpstream(name="a")) as hub:
        view = hub.views.current()
        assert hub.views.current() is view
        for kind in Kind:
            for era in Era:
                assert view.listing(kind, era) is view.listing(kind, era)


@pytest.mark.promise("S6")
async def test_a_refresh_that_changes_nothing_leaves_the_encoded_lists_alone(over):
    async with over(FakeUpstream(name="a")) as hub, asyncio.timeout(5):
        before = hub.views.current().listing(Kind.TOOL, Era.MODERN)
        fetched = hub.upstreams["a"].known.fetched
        hub.upstreams["a"].refresh_soon()
        await hub.upstreams["a"].refreshed()
        assert hub.upstreams["a"].known.fetched != fetched
        assert hub.views.current().listing(Kind.TOOL, Era.MODERN) is before


async def test_a_changed_list_makes_a_new_view_and_leaves_the_old_one_as_it_was(over):
    async with over(FakeUpstream(name="a")) as hub, asyncio.timeout(5):
        before = hub.views.current()
        hub.fakes["a"].tools = [tool("new")]
        hub.upstreams["a"].refresh_soon()
        await hub.upstreams["a"].refreshed()
        after = hub.views.current()
    assert [each["name"] for each in listed(before)["tools"]] == ["a__echo"]
    assert [each["name"] for each in listed(after)["tools"]] == ["a__new"]


async def test_trouble_is_visible_once_and_so_is_its_end(over):
    async with over(FakeUpstream(name="a")) as hub:
        upstream = hub.upstreams["a"]
        well = hub.views.current()
        upstream._learn(replace(upstream.known, health=UNTRIED.failed("a is down.", 0.0)))
        ill = hub.views.current()
        assert ill is not well
        upstream._learn(replace(upstream.known, health=upstream.known.health.failed("a is down.", 50.0)))
        assert hub.views.current() is ill, "a second failure of the same kind shows nothing new"
        upstream._learn(replace(upstream.known, health=upstream.known.health.succeeded()))
        assert hub.views.current() is not ill
    assert listed(ill)["_meta"]["io.mcp-hub/upstreams"] == {
        "a": {"state": "unreachable", "stale": True, "message": "a is down."}
    }
    assert "io.mcp-hub/upstreams" not in listed(well)["_meta"]
    assert "a (unreachable): a is down." in ill.instructions
    assert "a is down" not in well.instructions


async def test_modern_lists_carry_hints_and_legacy_ones_nothing_they_do_not_know(over):
    async with over(FakeUpstream(name="a")) as hub:
        view = hub.views.current()
    assert {key: each for key, each in listed(view).items() if key != "tools"} == {
        "ttlMs": 60_000,
        "cacheScope": "public",
        "resultType": "complete",
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "mcp_hub", "version": "1"}},
    }
    assert set(listed(view, era=Era.LEGACY)) == {"tools"}


async def test_a_filter_makes_the_merged_list_private(over):
    fake = FakeUpstream(name="a", tools=["x", "y"])
    async with over(fake, exposures=exposed(fake, tools=Filter(deny=("y",)))) as hub:
        found = listed(hub.views.current())
    assert found["cacheScope"] == "private"
    assert [each["name"] for each in found["tools"]] == ["a__x"]


@pytest.mark.promise("A6")
async def test_an_upstream_that_is_not_known_yet_keeps_its_names_for_itself(over):
    dead = FakeUpstream(name="a")
    async with dead:
        pass
    other = FakeUpstream(name="b", tools=["a__echo", "own"])
    other.resources = [{"uri": "a+file:///x", "name": "x"}]
    exposures = {"a": Exposure("a", "A", "a"), "b": Exposure("b", "B", None)}
    async with over(dead, other, exposures=exposures) as hub, asyncio.timeout(5):
        names = [each["name"] for each in listed(hub.views.current())["tools"]]
        assert names == ["b__a__echo", "own"]
        assert hub.views.current().catalog.resource("a+file:///unlisted").upstream == "a"
        async with dead:
            await hub.journal.until(lambda: hub.upstreams["a"].known.part is not None)
            names_now = [each["name"] for each in listed(hub.views.current())["tools"]]
    assert names_now == ["a__echo", *names]


async def test_what_one_upstream_can_do_the_hub_can_do(over):
    plain, able = FakeUpstream(name="a"), FakeUpstream(name="b")
    plain.capabilities, able.capabilities = (
        {"tools": {}},
        {
            "completions": {},
            "logging": {},
            "x": {},
            "resources": {"subscribe": True},
        },
    )
    async with over(plain) as hub:
        assert hub.views.current().capabilities("2026-07-28") == {
            kind: {"listChanged": True} for kind in ("tools", "prompts", "resources")
        }
    async with over(FakeUpstream(name="a"), able) as hub:
        assert set(hub.views.current().capabilities("2026-07-28")) == {
            "tools",
            "prompts",
            "resources",
            "completions",
            "logging",
        }
        assert hub.views.current().capabilities("2026-07-28")["resources"] == {"listChanged": True, "subscribe": True}


async def test_instructions_stand_under_the_title_of_whose_they_are(over):
    first, second = FakeUpstream(name="a"), FakeUpstream(name="b")
    first.instructions = "# Use a\ncarefully"
    async with over(first, second) as hub:
        said = hub.views.current().instructions
    assert said.startswith("mcp_hub: several MCP servers")
    assert "## A\n### Use a\ncarefully" in said
    assert "## B" not in said


async def test_without_upstreams_every_list_is_empty_and_nothing_is_missing(over):
    async with over() as hub:
        view = hub.views.current()
    for kind in Kind:
        assert listed(view, kind)[kind.member] == []
    assert "io.mcp-hub/upstreams" not in listed(view)["_meta"]
    assert view.cache_scope == "private"


@pytest.mark.promise("A6", "T27")
async def test_what_the_merge_had_to_change_is_logged_once(over, caplog):
    both = (FakeUpstream(name="one"), FakeUpstream(name="two"))
    unprefixed = {each.name: Exposure(each.name, each.name, None) for each in both}
    async with over(*both, exposures=unprefixed) as hub:
        assert set(hub.views.current().catalog.tools) == {"echo", "two__echo"}
        for upstream in hub.upstreams.values():
            upstream.refresh_soon()
            async with asyncio.timeout(5):
                await upstream.refreshed()
            hub.views.current()
    told = [each.getMessage() for each in caplog.records if "two" in each.getMessage() and "echo" in each.getMessage()]
    assert len(told) == 1
