"""Merged lists: in time, complete in what can be had, and honest about the rest."""

import asyncio
import json

import pytest

from mcp_hub.catalog.parts import Exposure, Kind, Part
from mcp_hub.credentials.state import State
from mcp_hub.errors import BadRequest, UnknownName
from mcp_hub.upstream.known import Known
from rig.fake_upstream import Answer, FakeUpstream, Request, tool
from rig.parts import LEGACY_CLIENT, ask, exposed

pytestmark = pytest.mark.promise("A1", "A8")


async def never(request: Request) -> Answer:
    await request.until_hung_up()
    return Answer(raw=b"", hangs_up=True)


async def answered(hub, method="tools/list", **params):
    async with asyncio.timeout(5):
        return json.loads(await hub.listing.answer(ask(method, params)))


def names(found, member="tools", key="name"):
    return [each[key] for each in found[member]]


async def dead(name: str) -> FakeUpstream:
    """An upstream at a port that nobody listens on."""
    fake = FakeUpstream(name=name)
    async with fake:
        pass
    return fake


async def test_the_lists_of_all_upstreams_are_one_in_the_order_of_declaration(over):
    second, first = FakeUpstream(name="zulu", tools=["b", "a"]), FakeUpstream(name="alpha", eras="legacy")
    for fake in (second, first):
        fake.prompts = [{"name": "p"}]
        fake.resources = [{"uri": "file:///r", "name": "r"}]
        fake.templates = [{"uriTemplate": "urn:x:{id}", "name": "t"}]
    async with over(second, first) as hub:
        assert names(await answered(hub)) == ["zulu__b", "zulu__a", "alpha__echo"]
        assert names(await answered(hub, "prompts/list"), "prompts") == ["zulu__p", "alpha__p"]
        resources = names(await answered(hub, "resources/list"), "resources", "uri")
        assert resources == ["zulu+file:///r", "alpha+file:///r"]
        templates = await answered(hub, "resources/templates/list")
        assert names(templates, "resourceTemplates", "uriTemplate") == ["zulu+urn:x:{id}", "alpha+urn:x:{id}"]


@pytest.mark.promise("T24", "S7")
async def test_one_dead_and_one_slow_upstream_cost_the_list_no_more_than_the_deadline_and_are_named(over):
    slow = FakeUpstream(name="slow")
    slow.before = never
    fakes = [FakeUpstream(name="well"), await dead("dead"), slow]
    async with over(*fakes, deadline=1.0, settled=False) as hub:
        async with asyncio.timeout(4):
            found = await answered(hub)
        missing = found["_meta"]["io.mcp-hub/upstreams"]
        assert names(found) == ["well__echo"]
        assert list(missing) == ["dead", "slow"]
        assert missing["slow"] == {
            "state": "unreachable",
            "stale": False,
            "message": "The first contact with slow is still under way.",
        }
        assert missing["dead"]["message"].startswith("dead could not be reached: No connection to 127.0.0.1")
        async with asyncio.timeout(0.9):  # less than the deadline: it is waited for once, not by every list
            await answered(hub)


async def test_upstreams_are_contacted_at_once_and_not_one_after_the_other(over):
    met, gate = set(), asyncio.Event()

    def joining(name: str):
        async def handler(request: Request) -> Answer | None:
            met.add(name)
            if len(met) == 3:
                gate.set()
            await gate.wait()

        return handler

    fakes = [FakeUpstream(name=name) for name in ("a", "b", "c")]
    for fake in fakes:
        fake.handlers["server/discover"] = joining(fake.name)
    async with over(*fakes, settled=False) as hub:
        assert len(names(await answered(hub))) == 3


async def test_a_rejected_credential_is_named_as_such(over):
    async def refuse(request: Request) -> Answer:
        return Answer(b"", 401)

    fake = FakeUpstream(name="locked")
    fake.before = refuse
    async with over(fake) as hub:
        found = await answered(hub)
    assert found["_meta"]["io.mcp-hub/upstreams"]["locked"]["state"] == "reconnect_needed"


async def test_a_stored_list_is_served_at_once_while_its_upstream_is_down_and_marked_stale(over):
    known = Known(part=Part(items={Kind.TOOL: (tool("stored"),)}))
    slow = FakeUpstream(name="slow")
    slow.before = never
    async with over(slow, known={"slow": known}, settled=False, deadline=60) as hub:
        found = await answered(hub)
    assert names(found) == ["slow__stored"]
    assert found["_meta"]["io.mcp-hub/upstreams"]["slow"]["stale"] is True


async def test_a_list_brings_a_stale_one_up_to_date_for_the_next_reader(over):
    fake = FakeUpstream(name="a", tools=["old"])
    fake.hints = {"ttlMs": 0}
    now = [0.0]
    async with over(fake, clock=lambda: now[0]) as hub:
        fake.tools = [tool("new")]
        now[0] += 2
        assert names(await answered(hub)) == ["a__old"]
        await hub.journal.until(lambda: hub.upstreams["a"].known.fetched == 2)
        assert names(await answered(hub)) == ["a__new"]
        assert len(fake.asked("tools/list")) == 2


async def test_a_caller_who_leaves_while_it_waits_leaves_nothing_behind(over):
    slow = FakeUpstream(name="slow")
    slow.before = never
    async with over(slow, settled=False) as hub:
        before = asyncio.all_tasks()
        leaving = asyncio.ensure_future(hub.listing.view())
        await slow.until("server/discover")
        leaving.cancel()
        async with asyncio.timeout(5):
            await asyncio.wait([leaving])
            await asyncio.sleep(0)
        left = [each for each in asyncio.all_tasks() - before if "settled" in repr(each)]
        assert not [each for each in left if not each.done()]
        assert not hub.listing._given_up, "the next one waits for its own full time"


async def test_without_upstreams_the_list_is_empty_at_once(over):
    async with over() as hub:
        assert names(await answered(hub)) == []


async def test_a_client_of_the_legacy_era_gets_a_list_of_its_era(over):
    async with over(FakeUpstream(name="a")) as hub:
        found = json.loads(await hub.listing.answer(ask("tools/list", client=LEGACY_CLIENT)))
    assert set(found) == {"tools"}


# Pages


async def pages(hub, *, meanwhile=None):
    """Every page of the tools, following cursors; `meanwhile` runs after the first."""
    found = [await answered(hub)]
    while "nextCursor" in found[-1]:
        if meanwhile is not None and len(found) == 1:
            await meanwhile()
        found.append(await answered(hub, cursor=found[-1]["nextCursor"]))
    return [names(page) for page in found]


async def test_pages_hold_every_tool_once(over):
    fakes = [FakeUpstream(name=name, tools=["1", "2", "3"]) for name in ("a", "b")]
    async with over(*fakes, page_size=4) as hub:
        assert await pages(hub) == [["a__1", "a__2", "a__3", "b__1"], ["b__2", "b__3"]]


async def test_a_cursor_survives_an_upstream_that_vanishes_between_two_pages(over):
    fakes = [FakeUpstream(name=name, tools=["1", "2", "3"]) for name in ("a", "b", "c")]
    async with over(*fakes, page_size=4) as hub:

        async def vanish():
            hub.fakes["b"].tools = []
            hub.upstreams["b"].refresh_soon()
            await hub.upstreams["b"].refreshed()

        assert await pages(hub, meanwhile=vanish) == [["a__1", "a__2", "a__3", "b__1"], ["c__1", "c__2", "c__3"]]


async def test_a_dead_upstream_keeps_its_place_in_the_pages(over):
    fakes = [FakeUpstream(name=name, tools=["1", "2"]) for name in ("a", "b")]
    async with over(*fakes, page_size=3) as hub:
        assert await pages(hub, meanwhile=fakes[0].stop) == [["a__1", "a__2", "b__1"], ["b__2"]]


async def test_a_cursor_of_another_kind_or_another_hub_is_not_known(over):
    fake = FakeUpstream(name="a", tools=["1", "2"])
    async with over(fake, page_size=1) as hub:
        cursor = (await answered(hub))["nextCursor"]
        for method, wrong in [
            ("prompts/list", cursor), ("tools/list", cursor[:-2]), ("tools/list", "x"), ("tools/list", ""),
            ("tools/list", "é"), ("tools/list", 5), ("tools/list", {"a": 1}), ("tools/list", "A" * 100_000),
        ]:  # fmt: skip
            with pytest.raises(BadRequest, match=r"does not know this cursor\. List again from the start"):
                await answered(hub, method, cursor=wrong)


async def test_a_cursor_that_is_null_is_none(over):
    async with over(FakeUpstream(name="a")) as hub:
        assert names(await answered(hub, cursor=None)) == ["a__echo"]


async def test_a_cursor_from_before_pages_were_switched_off_still_leads_on(over):
    fake = FakeUpstream(name="a", tools=["1", "2", "3"])
    async with fake:
        async with over(fake, page_size=1) as hub:
            cursor = (await answered(hub))["nextCursor"]
        async with over(fake) as hub:
            assert names(await answered(hub, cursor=cursor)) == ["a__2", "a__3"]


# Whose name it is


async def test_names_lead_to_their_upstream_in_its_own_words(over):
    fake = FakeUpstream(name="a")
    fake.prompts, fake.resources = [{"name": "p"}], [{"uri": "file:///r", "name": "r"}]
    async with over(fake) as hub, asyncio.timeout(5):
        tool_route, prompt = await hub.listing.tool("a__echo"), await hub.listing.prompt("a__p")
        resource = await hub.listing.resource("a+file:///r")
        assert [each.upstream for each in (tool_route, prompt, resource)] == ["a"] * 3
        assert [each.original for each in (tool_route, prompt, resource)] == ["echo", "p", "file:///r"]
        assert hub.listing.namespace("a") == "a"


async def test_a_name_is_looked_for_again_once_first_contacts_are_over(over):
    gate = asyncio.Event()

    async def late(request: Request) -> None:
        await gate.wait()

    fake = FakeUpstream(name="a")
    fake.handlers["server/discover"] = late
    async with over(fake, settled=False) as hub, asyncio.timeout(5):
        asking = asyncio.ensure_future(hub.listing.tool("a__echo"))
        await fake.until("server/discover")
        gate.set()
        assert (await asking).original == "echo"


@pytest.mark.parametrize("kind", ["tool", "prompt", "resource"])
async def test_a_name_that_nobody_has_says_who_is_missing_or_to_list_again(over, kind):
    async with over(FakeUpstream(name="a"), await dead("gone")) as hub, asyncio.timeout(5):
        with pytest.raises(UnknownName) as caught:
            await getattr(hub.listing, kind)("x" * 5000)
    assert (caught.value.kind, caught.value.name) == (kind, "x" * 5000)
    assert caught.value.public.startswith(
        f"No {kind} is called '{'x' * 100}' here. Missing at the moment: gone could not"
    )
    async with over(FakeUpstream(name="a")) as hub, asyncio.timeout(5):
        with pytest.raises(UnknownName, match="List again: it may have a new name"):
            await getattr(hub.listing, kind)("nothing")


async def test_an_unprefixed_upstream_has_no_namespace(over):
    fake = FakeUpstream(name="a")
    async with over(fake, exposures={"a": Exposure("a", "A", None)}) as hub:
        assert hub.listing.namespace("a") is None
        assert names(await answered(hub)) == ["echo"]


async def test_state_and_absence_are_the_same_words(over):
    async with over(await dead("gone")) as hub:
        found = await answered(hub)
        told = found["_meta"]["io.mcp-hub/upstreams"]["gone"]
        assert told["state"] == hub.upstreams["gone"].state == State.UNREACHABLE
        assert told["message"] == hub.upstreams["gone"].reason
        assert exposed(hub.fakes["gone"]).keys() == {"gone"}
