"""Who hears of which change, through the merge: what was named and granted, and nothing of anybody else's."""

import asyncio
import json

import pytest
from msgspec import Raw

from mcp_hub.catalog.access import Filter
from mcp_hub.errors import BadRequest, Forbidden
from mcp_hub.gateway.listener import Over
from mcp_hub.gateway.notices import LARGEST, LONGEST_URI
from mcp_hub.gateway.places import Limits
from rig.fake_upstream import FakeUpstream, tool
from rig.parts import ALICE, BOB, exposed

pytestmark = pytest.mark.promise("A5", "A7")
TOOLS = "notifications/tools/list_changed"
UPDATED = "notifications/resources/updated"


def giving(name: str, *uris: str, eras: str = "modern") -> FakeUpstream:
    fake = FakeUpstream(name=name, eras=eras)
    fake.capabilities = {"tools": {"listChanged": True}, "resources": {"listChanged": True, "subscribe": True}}
    fake.resources = [{"uri": uri, "name": uri} for uri in uris]
    return fake


def quiet(hub):
    """Have the first lists announced at once, to listeners that are not there yet."""
    if hub.notices._timer is not None:
        hub.notices._timer.cancel()
    hub.notices._look()


async def heard(listener):
    async with asyncio.timeout(5):
        return [(method, {key: json.loads(bytes(raw)) for key, raw in params.items()})
                for method, params in await listener.heard()]  # fmt: skip


async def subscribed(hub, listener, *uris):
    async with asyncio.timeout(5):
        return await hub.notices.subscribe(listener, uris)


async def test_a_changed_list_is_told_to_those_who_asked_for_its_kind_only(over):
    async with over(giving("a")) as hub:
        quiet(hub)
        tools, prompts = (hub.notices.open(ALICE.key, frozenset({kind})) for kind in ("tools", "prompts"))
        hub.fakes["a"].tools = [tool("new")]
        hub.upstreams["a"].refresh_soon()
        assert await heard(tools) == [(TOOLS, {})]
        assert not prompts._waiting


async def test_a_fetch_that_changes_nothing_is_told_to_nobody(over):
    async with over(giving("a")) as hub, asyncio.timeout(5):
        quiet(hub)
        listener = hub.notices.open(ALICE.key)
        hub.upstreams["a"].refresh_soon()
        await hub.upstreams["a"].refreshed()
        quiet(hub)
        assert not listener._waiting


@pytest.mark.parametrize("eras", ["modern", "legacy"])
async def test_what_an_upstream_announces_is_told_once_its_list_was_fetched(over, eras):
    async with over(giving("a", eras=eras)) as hub:
        quiet(hub)
        await hub.fakes["a"].until_listening()
        listener = hub.notices.open(ALICE.key)
        fetched = len(hub.fakes["a"].asked("tools/list"))
        hub.fakes["a"].announce(TOOLS)
        assert await heard(listener) == [(TOOLS, {})]
        assert len(hub.fakes["a"].asked("tools/list")) > fetched


async def test_an_upstream_that_appears_is_a_change(over):
    late = giving("a", "x:1")
    async with over(late, settled=False) as hub:
        listener = hub.notices.open(ALICE.key)
        assert {method.split("/")[1] for method, _ in await heard(listener)} == {"tools", "resources"}


@pytest.mark.parametrize("eras", ["modern", "legacy"])
@pytest.mark.promise("B22")
async def test_a_resource_is_told_of_in_the_hubs_words_to_those_who_subscribed_only(over, eras):
    async with over(giving("a", "x:1", "x:2", eras=eras)) as hub:
        quiet(hub)
        alice, bob = (hub.notices.open(each.key, frozenset()) for each in (ALICE, BOB))
        assert await subscribed(hub, alice, "a+x:1") == {"a+x:1"}
        assert await subscribed(hub, bob, "a+x:2") == {"a+x:2"}
        await hub.fakes["a"].until_subscribed("x:1", "x:2")
        hub.fakes["a"].update("x:1", future={"n": 1}, _meta={"io.modelcontextprotocol/subscriptionId": 7})
        assert await heard(alice) == [(UPDATED, {"uri": "a+x:1", "future": {"n": 1}})]
        assert not bob._waiting
        hub.notices.unsubscribe(alice, "a+x:1")
        alice.close()
        bob.close()
        await hub.fakes["a"].until_subscribed()
        assert not hub.notices._by_uri


async def test_a_part_of_what_was_subscribed_to_is_told_of_too(over):
    async with over(giving("a", "x://d", "x://d/e", "x://de")) as hub:
        quiet(hub)
        parent, other = (hub.notices.open(ALICE.key, frozenset()) for _ in range(2))
        await subscribed(hub, parent, "a+x://d")
        await subscribed(hub, other, "a+x://de")
        hub.fakes["a"].update("x://d/e", subscribed="x://d")
        assert await heard(parent) == [(UPDATED, {"uri": "a+x://d/e"})]
        assert not other._waiting


@pytest.mark.promise("T25")
async def test_an_upstream_cannot_tell_of_anothers_resource_nor_of_a_hidden_one(over):
    first, second = giving("a", "x:1", "x:secret"), giving("b", "x:1")
    exposures = exposed(first, second, resources=Filter(deny=("x:secret",)))
    exposures = {name: type(each)(name, resources=each.resources) for name, each in exposures.items()}
    async with over(first, second, exposures=exposures) as hub:
        quiet(hub)
        listener = hub.notices.open(ALICE.key, frozenset())
        assert await subscribed(hub, listener, "x:1", "x:secret") == {"x:1"}
        for name, uri in (("b", "x:1"), ("a", "x:secret"), ("nobody", "x:1")):
            hub.notices.updated(name, Raw(json.dumps({"uri": uri}).encode()))
        assert not listener._waiting
        hub.notices.updated("a", Raw(b'{"uri":"x:1"}'))
        assert await heard(listener) == [(UPDATED, {"uri": "x:1"})]


@pytest.mark.promise("T23")
async def test_what_is_no_notice_is_not_told_and_a_large_one_in_short(over):
    async with over(giving("a", "x:1")) as hub:
        quiet(hub)
        listener = hub.notices.open(ALICE.key, frozenset())
        await subscribed(hub, listener, "a+x:1")
        for rubbish in (b"", b"[]", b"{}", b'{"uri":1}', b'{"uri":"\\ud800"}', b'{"uri":"%b"}' % (b"x" * 5000)):
            hub.notices.updated("a", Raw(rubbish))
        assert not listener._waiting
        hub.notices.updated("a", Raw(b'{"uri":"x:1","more":"%b"}' % (b"x" * LARGEST)))
        assert await heard(listener) == [(UPDATED, {"uri": "a+x:1"})]


async def test_what_nobody_tells_of_is_left_out(over):
    silent = FakeUpstream(name="b")
    silent.resources = [{"uri": "x:1", "name": "x"}]
    async with over(giving("a", "x:1"), silent) as hub:
        listener = hub.notices.open(ALICE.key, frozenset())
        hub.fakes["a"].refused = {"x:no"}
        wanted = ("a+x:1", "a+x:no", "b+x:1", "c+x:1", "unknown", "a+" + "x" * LONGEST_URI)
        assert await subscribed(hub, listener, *wanted) == {"a+x:1"}
        assert set(hub.notices._by_uri) == {"a+x:1"}
        assert await subscribed(hub, listener, "a+x:1") == {"a+x:1"}, "again is no second time"
        listener.close()
        await hub.fakes["a"].until_subscribed()


async def test_a_listener_that_leaves_while_it_is_being_subscribed_leaves_nothing_behind(over):
    async with over(giving("a", "x:1")) as hub:
        listener = hub.notices.open(ALICE.key, frozenset())
        waiting = asyncio.ensure_future(subscribed(hub, listener, "a+x:1"))
        await hub.fakes["a"].until("subscriptions/listen", 2)
        listener.close()
        await waiting
        await hub.fakes["a"].until_subscribed()
        assert (hub.notices._by_uri, hub.notices._places.resources, hub.notices._places.taken) == ({}, 0, 0)


@pytest.mark.promise("S9")
async def test_there_are_only_so_many_listeners_and_resources(over):
    limits = Limits(per_principal=2, total=3, resources=2, all_resources=3)
    async with over(giving("a", "x:1", "x:2", "x:3"), listeners=limits) as hub:
        first, second = (hub.notices.open(ALICE.key) for _ in range(2))
        with pytest.raises(Forbidden, match="You have 2 streams"):
            hub.notices.open(ALICE.key)
        third = hub.notices.open(BOB.key)
        with pytest.raises(Forbidden, match="takes no more"):
            hub.notices.open(("idp", "carol", "t"))
        await subscribed(hub, first, "a+x:1", "a+x:2")
        with pytest.raises(BadRequest, match="name fewer"):
            await subscribed(hub, first, "a+x:3")
        with pytest.raises(Forbidden, match="as many resources"):
            await subscribed(hub, third, "a+x:1", "a+x:2")
        first.close()
        first.close()
        assert hub.notices.open(ALICE.key)
        assert await subscribed(hub, third, "a+x:1", "a+x:2")
        assert second.over is None


async def test_stopping_ends_every_listener_and_takes_no_more(over):
    async with over(giving("a")) as hub:
        listener = hub.notices.open(ALICE.key)
        hub.notices.stop()
        assert await heard(listener) == []
        assert listener.over is Over.ENDED
        with pytest.raises(Forbidden, match="stopping"):
            hub.notices.open(ALICE.key)
