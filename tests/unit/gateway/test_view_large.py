"""A catalog of many thousands is merged, compared and encoded beside everything else."""

import asyncio
import json

import pytest

from mcp_hub.catalog.parts import Kind
from mcp_hub.gateway.view import LARGE
from mcp_hub.wire.eras import Era
from rig.fake_upstream import FakeUpstream, tool
from rig.parts import MODERN_CLIENT, Stream, ask

pytestmark = pytest.mark.promise("A7", "A8", "S6")


def large(name="large", count=LARGE + 500):
    fake = FakeUpstream(name=name, tools=[f"t{number}" for number in range(count)])
    fake.page_size = 1000
    return fake


class Beats:
    """Counts the turns of the event loop."""

    def __init__(self) -> None:
        self.count = 0
        self._task = asyncio.ensure_future(self._beat())

    async def _beat(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)

    def stop(self) -> None:
        self._task.cancel()


async def test_the_first_list_of_a_large_upstream_is_merged_before_it_is_the_list(over):
    async with over(large(), FakeUpstream(name="small")) as hub:
        merged = hub.views._merged
        view = hub.views.current()
        assert merged is not None
        assert view.catalog is merged[1], "nothing was merged when it was looked at"
        assert len(view.catalog.tools) == LARGE + 501


async def test_preparing_lets_others_have_their_turns_and_keeps_what_is_equal(over):
    async with over(large()) as hub:
        before = hub.views.current().catalog
        beats = Beats()
        await asyncio.sleep(0)
        begun = beats.count
        await hub.views.prepare()
        assert beats.count > begun + 3
        beats.stop()
        assert hub.views._merged[1] is not before
        assert hub.views._merged[1].items[Kind.TOOL] is before.items[Kind.TOOL]


async def test_a_changed_large_list_is_told_of_and_an_equal_one_is_not(over):
    fake = large()
    async with over(fake) as hub:
        upstream = hub.upstreams[fake.name]
        hub.notices._look()
        listener = hub.notices.open(("t", "i", "me"))
        upstream.refresh_soon()
        await upstream.refreshed()
        hub.notices._look()
        assert not listener._waiting
        fake.tools.append(tool("another"))
        upstream.refresh_soon()
        await upstream.refreshed()
        hub.notices._look()
        assert list(listener._waiting) == ["notifications/tools/list_changed"]
        assert hub.views.current().catalog.tool("large__another") is not None


async def test_a_change_of_state_merges_nothing_again(over):
    async with over(FakeUpstream(name="one"), FakeUpstream(name="two")) as hub:
        catalog = hub.views.current().catalog
        await hub.fakes["two"].stop()
        hub.upstreams["two"].refresh_soon()
        await hub.upstreams["two"].refreshed()
        view = hub.views.current()
        assert [each.upstream for each in view.absences] == ["two"]
        assert view.catalog is catalog


@pytest.mark.parametrize("count", [0, 1, LARGE + 1])
async def test_a_list_that_is_encoded_in_steps_is_the_same_list(count, over):
    async with over(large(count=count)) as hub:
        view = hub.views.current()
        answered = await hub.road.answer(ask("tools/list", client=MODERN_CLIENT, emit=Stream().emit))
        at_once = view.page(Kind.TOOL, Era.MODERN, view.catalog.items[Kind.TOOL], None)
        assert json.loads(bytes(answered.result)) == json.loads(at_once)
        assert bytes(answered.result) == at_once
        assert view.kept(Kind.TOOL, Era.MODERN) == at_once


async def test_pages_of_a_large_list_look_for_their_owners_once(over):
    async with over(large(), page_size=1000) as hub:
        cursor, names = None, []
        while True:
            params = {} if cursor is None else {"cursor": cursor}
            page = json.loads(bytes((await hub.road.answer(ask("tools/list", params))).result))
            names += [each["name"] for each in page["tools"]]
            cursor = page.get("nextCursor")
            if cursor is None:
                break
        assert len(names) == len(set(names)) == LARGE + 500
        assert hub.views.current().owners(Kind.TOOL) is hub.views.current().owners(Kind.TOOL)
