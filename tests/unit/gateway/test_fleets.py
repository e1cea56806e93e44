"""Two callers and their own upstreams: nothing of one ever reaches the other, and a fleet ends when nobody uses it."""

import asyncio
import gc
import json
import random
import weakref
from dataclasses import replace

import pytest

from mcp_hub.credentials.state import State
from mcp_hub.errors import ConnectionNeeded, Forbidden, RefusedCredential, UnknownName, Unreachable
from mcp_hub.gateway.memory import Memory
from mcp_hub.gateway.places import Limits
from mcp_hub.gateway.undecided import Undecided
from mcp_hub.principal import LOCAL, Principal
from mcp_hub.secret import Secret
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.upstream.call import CHANGES
from rig.fake_upstream import Answer, FakeUpstream, Request, tool
from rig.parts import ALICE, BOB, LEGACY_CLIENT, Stream, ask, modern_meta, tool_call
from rig.personal import Accesses, Personal, token_of

pytestmark = pytest.mark.promise("B22", "B15")
ERAS = pytest.mark.parametrize("eras", ["modern", "legacy"])
EVA = Principal("idp", "eva")
TOOLS = next(method for method, kind in CHANGES.items() if kind == "tools")


def decoded(reply):
    return json.loads(bytes(reply.result or reply.error or b""))


async def listed(hub, caller, **more):
    found = decoded(await hub.road.answer(ask("tools/list", caller=caller, **more)))
    return [each["name"] for each in found["tools"]], found


async def whoami(hub, caller, name="up__whoami", **more):
    return decoded(await hub.road.answer(ask("tools/call", {"name": name, "arguments": {}}, caller=caller, **more)))[
        "structuredContent"
    ]


async def ready(hub, *callers):
    async with asyncio.timeout(5):
        for caller in callers:
            await hub.of(caller).listing.view()


# Lists


@pytest.mark.promise("T15")
@ERAS
async def test_two_hundred_interleaved_lists_show_each_caller_their_own_tools_and_nobody_elses(over, eras):
    shared = FakeUpstream(name="all", tools=["echo"])
    async with over(shared, Personal(eras=eras), own=["up"], accesses=Accesses(ALICE)) as hub:
        found = await asyncio.gather(*(listed(hub, (ALICE, BOB)[n % 2]) for n in range(200)))
    for at, (names, result) in enumerate(found):
        assert names == (["all__echo", "up__whoami", "up__of-alice"] if at % 2 == 0 else ["all__echo"])
        assert result["cacheScope"] == "private"
        absent = result.get("_meta", {}).get("io.mcp-hub/upstreams", {})
        assert list(absent) == ([] if at % 2 == 0 else ["up"])


@pytest.mark.promise("T15", "B20")
async def test_who_is_missing_and_where_to_connect_is_said_to_each_caller_for_themselves(over):
    async with over(Personal(), own=["up"], accesses=Accesses(ALICE)) as hub:
        _, result = await listed(hub, BOB)
        about = await hub.road.describe(BOB, "2026-07-28")
        hers = await hub.road.describe(ALICE, "2026-07-28")
    sentence = "up is not connected for bob. Open https://hub.test/connect/up, then try again."
    assert result["_meta"]["io.mcp-hub/upstreams"]["up"] == {
        "state": "not_connected", "stale": False, "message": sentence, "link": "https://hub.test/connect/up",
    }  # fmt: skip
    assert f"- up (not_connected): {sentence}\n" in f"{about.instructions}\n"
    assert "up (" not in hers.instructions
    assert (about.cache_scope, hers.cache_scope) == ("private", "private")


@pytest.mark.promise("B20")
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "up__anything"}),
        ("prompts/get", {"name": "up__anything"}),
        ("resources/read", {"uri": "up+file:///x"}),
    ],
)
async def test_a_name_of_an_upstream_that_is_not_connected_brings_the_link(over, method, params):
    other = FakeUpstream(name="all")
    async with over(other, Personal(), own=["up"], accesses=Accesses()) as hub:
        await ready(hub, BOB)
        with pytest.raises(ConnectionNeeded, match="not connected for bob"):
            await hub.road.answer(ask(method, params, caller=BOB))
        with pytest.raises(UnknownName):
            await hub.road.answer(ask("tools/call", {"name": "all__anything"}, caller=BOB))


@pytest.mark.promise("T15")
async def test_what_a_caller_connects_is_theirs_at_once_and_nobody_elses(over):
    accesses = Accesses()
    async with over(Personal(), own=["up"], accesses=accesses) as hub:
        await ready(hub, ALICE, BOB)
        accesses(ALICE, "up").connect("alice-1")
        assert (await whoami(hub, ALICE))["token"] == "alice-1"
        assert (await listed(hub, ALICE))[0] == ["up__whoami", "up__of-alice"]
        assert (await listed(hub, BOB))[0] == []
        accesses(ALICE, "up").disconnect()
        upstream = hub.of(ALICE).upstreams["up"]
        await hub.journal.until(lambda: upstream.state is State.NOT_CONNECTED)
        assert (await listed(hub, ALICE))[0] == []


# Calls, sessions, connections


@pytest.mark.promise("T16", "T17")
@ERAS
async def test_interleaved_calls_share_neither_token_nor_session_nor_connection(over, eras):
    fake = Personal(eras=eras)
    people = [ALICE, BOB, EVA]
    async with over(fake, own=["up"], accesses=Accesses(*people)) as hub:
        await ready(hub, *people)
        callers = [people[n % 3] for n in range(150)]
        told = await asyncio.gather(*(whoami(hub, caller) for caller in callers))
    assert [each["token"] for each in told] == [f"{caller.subject}-1" for caller in callers]
    for caller in people:
        own = [each["count"] for each, whose in zip(told, callers, strict=True) if whose is caller]
        assert sorted(own) == list(range(1, 51)), "nobody else was counted in"
    assert fake.mixed == []
    assert len({account for each in fake.connections.values() for account in each}) == 3


@pytest.mark.promise("T18", "T16")
@pytest.mark.parametrize("seed", range(4))
@ERAS
async def test_calls_that_are_cancelled_and_tokens_that_are_renewed_at_any_moment_mix_nobody_up(over, eras, seed):
    chance, fake, people = random.Random(seed), Personal(eras=eras), [ALICE, BOB, EVA]
    accesses = Accesses(*people)
    newest = {caller.subject: 1 for caller in people}

    async def one(hub, caller) -> None:
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
        if chance.random() < 0.1:
            newest[caller.subject] += 1
            if chance.random() < 0.5:
                fake.expired.add(f"{caller.subject}-{newest[caller.subject] - 1}")
            accesses(caller, "up").renew(f"{caller.subject}-{newest[caller.subject]}")
        call = asyncio.ensure_future(whoami(hub, caller))
        if chance.random() < 0.2:
            await asyncio.sleep(chance.choice((0, 0.001)))
            call.cancel()
        try:
            assert (await call)["token"].partition("-")[0] == caller.subject
        except asyncio.CancelledError:
            assert call.cancelled()

    async with over(fake, own=["up"], accesses=accesses) as hub:
        await ready(hub, *people)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            for _ in range(120):
                group.create_task(one(hub, chance.choice(people)))
        for caller in people:  # whatever went on: what is sent now is what is good now
            assert (await whoami(hub, caller))["token"] == f"{caller.subject}-{newest[caller.subject]}"
    assert fake.mixed == []


@pytest.mark.promise("T18")
async def test_a_token_renewed_in_the_middle_of_a_clients_session_is_used_in_its_next_call(over):
    fake, accesses = Personal(eras="legacy"), Accesses(ALICE)
    async with over(fake, own=["up"], accesses=accesses) as hub:
        await ready(hub, ALICE)
        in_session = {"client": LEGACY_CLIENT, "session": "s"}
        first = await whoami(hub, ALICE, **in_session)
        accesses(ALICE, "up").renew("alice-2")
        second = await whoami(hub, ALICE, **in_session)
    assert (first["token"], second["token"]) == ("alice-1", "alice-2")
    assert first["session"] == second["session"]


@pytest.mark.promise("T17")
async def test_the_end_of_a_clients_session_ends_it_in_every_fleet_of_its_owner_and_in_no_other(over):
    fake = Personal(eras="legacy")
    accesses = Accesses(ALICE, BOB)
    hers = replace(ALICE, brought=(("x-key", Secret("another")),))
    async with over(fake, own=["up"], accesses=accesses) as hub, asyncio.timeout(5):
        for caller in (ALICE, hers, BOB):
            await ready(hub, caller)
            await whoami(hub, caller, client=LEGACY_CLIENT, session="s")
        await hub.road.end_session("s", ALICE.key)
        ended = [token_of(each) for each in fake.seen if each.verb == "DELETE"]
    assert ended == ["alice-1", "alice-1"]


@pytest.mark.promise("T16")
async def test_what_a_request_brings_makes_a_fleet_of_its_own_and_is_no_part_of_its_name(over):
    async with over(Personal(), own=["up"], accesses=Accesses(ALICE)) as hub:
        one = replace(ALICE, brought=(("x-key", Secret("first-value")),))
        other = replace(ALICE, brought=(("x-key", Secret("second-value")),))
        fleets = [hub.of(each) for each in (ALICE, one, other, one, ALICE)]
        assert len({id(each) for each in fleets}) == 3
        assert (fleets[0], fleets[1]) == (fleets[4], fleets[3])
        assert "first-value" not in repr(hub.fleets._fleets)
        swapped = replace(ALICE, brought=(("x-key:first", Secret("value")),))
        assert hub.of(swapped) not in fleets


async def test_who_else_a_caller_is_known_as_counts_where_an_upstream_is_told_of_it(over):
    life = {"by_claims": True}
    async with over(Personal(), own=["up"], accesses=Accesses(ALICE), life=life) as hub:
        admin = replace(ALICE, groups=frozenset({"admins"}))
        assert hub.of(ALICE) is not hub.of(admin)
        assert hub.of(admin) is hub.of(replace(ALICE, groups=frozenset({"admins"})))


# Progress, notices, tasks


@pytest.mark.promise("T16", "T26")
async def test_progress_goes_to_whoever_called_only(over):
    fake = Personal()

    async def progressing(request: Request) -> Answer:
        token = request.message["params"]["_meta"]["progressToken"]
        told = {"jsonrpc": "2.0", "method": "notifications/progress"}
        note = {**told, "params": {"progressToken": token, "progress": 1, "message": token_of(request)}}
        done = {"jsonrpc": "2.0", "id": request.message["id"], "result": {"content": [], "resultType": "complete"}}
        body = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in (note, done))
        return Answer(body, content_type="text/event-stream")

    fake.handlers["tools/call"] = progressing
    async with over(fake, own=["up"], accesses=Accesses(ALICE, BOB)) as hub:
        await ready(hub, ALICE, BOB)
        streams = [(caller, Stream()) for caller in (ALICE, BOB) * 20]
        await asyncio.gather(
            *(
                hub.road.answer(
                    ask(
                        "tools/call",
                        {"name": "up__whoami"},
                        caller=caller,
                        emit=stream.emit,
                        meta=modern_meta(progressToken="same"),
                    )
                )
                for caller, stream in streams
            )
        )
    for caller, stream in streams:
        assert [each["params"]["message"] for each in stream.heard] == [f"{caller.subject}-1"]


@pytest.mark.promise("T15", "A7")
async def test_a_change_of_somebodys_own_list_is_told_to_them_and_a_change_for_all_to_everybody(over):
    fake, shared = Personal(), FakeUpstream(name="all", tools=["echo"])
    accesses = Accesses(BOB)
    async with over(fake, shared, own=["up"], accesses=accesses) as hub, asyncio.timeout(5):
        await ready(hub, ALICE, BOB)
        hers, his = (hub.of(each).notices.open(each.key) for each in (ALICE, BOB))
        accesses(ALICE, "up").connect("alice-1")
        assert [method for method, _ in await hers.heard()] == [TOOLS]
        shared.tools.append(tool("more"))
        hub.of(BOB).upstreams["all"].refresh_soon()
        assert [method for method, _ in await his.heard()] == [TOOLS], "and nothing of hers before"
        assert [method for method, _ in await hers.heard()] == [TOOLS]


@pytest.mark.promise("T16")
async def test_an_update_of_a_resource_reaches_the_account_it_was_told_to(over):
    fake = Personal()
    fake.capabilities = {"resources": {"subscribe": True}}
    fake.resources = [{"uri": "x:1", "name": "one"}]
    async with over(fake, own=["up"], accesses=Accesses(ALICE, BOB)) as hub, asyncio.timeout(5):
        await ready(hub, ALICE, BOB)
        hers, his = (hub.of(each).notices.open(each.key, frozenset()) for each in (ALICE, BOB))
        assert await hub.of(ALICE).notices.subscribe(hers, ["up+x:1"]) == {"up+x:1"}
        assert [token_of(each) for each in fake.asked("subscriptions/listen")] == ["alice-1"]
        assert await hub.of(BOB).notices.subscribe(his, ["up+x:1"]) == {"up+x:1"}
        (first, second) = fake.streams
        first.put_nowait(_updated("x:1"))
        assert [method for method, _ in await hers.heard()] == ["notifications/resources/updated"]
        assert his._waiting == {}
        second.put_nowait(_updated("x:1"))
        assert [method for method, _ in await his.heard()] == ["notifications/resources/updated"]


def _updated(uri: str) -> bytes:
    told = {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}}
    return b"data: " + json.dumps(told).encode() + b"\n\n"


async def test_how_many_may_listen_is_counted_over_all_fleets(over):
    limits = Limits(per_principal=2, total=3)
    brings = replace(ALICE, brought=(("x-key", Secret("other")),))
    async with over(Personal(), own=["up"], accesses=Accesses(), listeners=limits) as hub:
        first = hub.of(ALICE).notices.open(ALICE.key)
        hub.of(brings).notices.open(brings.key)
        with pytest.raises(Forbidden, match="You have 2 streams"):
            hub.of(ALICE).notices.open(ALICE.key)
        hub.of(BOB).notices.open(BOB.key)
        with pytest.raises(Forbidden, match="3 listeners"):
            hub.of(EVA).notices.open(EVA.key)
        first.close()
        hub.of(EVA).notices.open(EVA.key)


# Their life


async def test_a_hub_without_upstreams_of_anybodys_own_has_one_fleet_for_all(over):
    async with over(FakeUpstream(name="all")) as hub:
        assert hub.of(ALICE) is hub.of(BOB) is hub.of(LOCAL)
        assert hub.fleets._fleets == {}


async def test_what_all_share_is_the_same_in_every_fleet(over):
    shared = FakeUpstream(name="all")
    async with over(shared, Personal(), own=["up"], accesses=Accesses(ALICE, BOB)) as hub:
        await ready(hub, ALICE, BOB)
        assert hub.of(ALICE).upstreams["all"] is hub.of(BOB).upstreams["all"]
        assert hub.of(ALICE).upstreams["up"] is not hub.of(BOB).upstreams["up"]
        assert list(hub.of(ALICE).upstreams) == ["all", "up"]
    assert len(shared.asked("tools/list")) == 1


@ERAS
async def test_a_fleet_that_nobody_uses_ends_with_its_sessions_and_leaves_nothing_behind(over, eras):
    now, fake, accesses = [0.0], Personal(eras=eras), Accesses(ALICE, BOB)
    async with over(fake, own=["up"], accesses=accesses, life={"clock": lambda: now[0]}) as hub, asyncio.timeout(5):
        await ready(hub, ALICE, BOB)
        await whoami(hub, ALICE)
        gone, left = weakref.ref(hub.of(ALICE).upstreams["up"]), hub.of(BOB)
        now[0] = 1799.0
        hub.of(BOB)
        now[0] = 1801.0
        hub.fleets.sweep()
        while hub.fleets._farewells:
            await asyncio.wait(hub.fleets._farewells)
        assert list(hub.fleets._fleets.values()) == [left]
        assert accesses(ALICE, "up").watched == 0
        ended = [token_of(each) for each in fake.seen if each.verb == "DELETE"]
        assert ended == (["alice-1"] * 2 if eras == "legacy" else [])
        gc.collect()
        assert gone() is None or not [each for each in asyncio.all_tasks() if "alice" in repr(each)]
        assert (await whoami(hub, ALICE))["token"] == "alice-1", "and is made again when it is needed"


async def test_a_fleet_in_which_a_call_is_under_way_or_somebody_listens_does_not_end(over):
    now, fake = [0.0], Personal()
    gate = asyncio.Event()
    answer = fake.handlers["tools/call"]

    async def waiting(request: Request) -> Answer | None:
        await gate.wait()
        return await answer(request)

    fake.handlers["tools/call"] = waiting
    life = {"clock": lambda: now[0]}
    async with over(fake, own=["up"], accesses=Accesses(ALICE, BOB), life=life) as hub, asyncio.timeout(5):
        await ready(hub, ALICE, BOB)
        call = asyncio.ensure_future(whoami(hub, ALICE))
        listener = hub.of(BOB).notices.open(BOB.key)
        await fake.until("tools/call")
        now[0] = 10_000.0
        hub.fleets.sweep()
        assert len(hub.fleets._fleets) == 2
        gate.set()
        assert (await call)["token"] == "alice-1"
        listener.close()
        now[0] = 20_000.0
        hub.fleets.sweep()
        assert len(hub.fleets._fleets) == 0


async def test_there_are_only_so_many_fleets_and_the_one_unused_for_longest_makes_room(over):
    now = [0.0]
    life = {"clock": lambda: now[0], "most": 2}
    async with over(Personal(), own=["up"], accesses=Accesses(), life=life) as hub:
        first, second = hub.of(ALICE), hub.of(BOB)
        now[0] = 1.0
        assert hub.of(ALICE) is first
        hub.of(EVA)
        assert set(hub.fleets._fleets.values()) == {first, hub.of(EVA)}
        kept = [hub.of(each).notices.open(each.key) for each in (ALICE, EVA)]
        with pytest.raises(Forbidden, match="as many people at once"):
            hub.of(BOB)
        kept[0].close()
        assert hub.of(BOB) not in (first, second)


async def test_whoever_brings_something_else_each_time_takes_nobody_elses_place(over):
    now = [0.0]
    life = {"clock": lambda: now[0], "most": 4, "most_of_one": 2}
    async with over(Personal(), own=["up"], accesses=Accesses(), life=life) as hub:
        his = hub.of(BOB)
        brings = [replace(ALICE, brought=(("x-key", Secret(f"value-{n}")),)) for n in range(20)]
        for each in brings:
            now[0] += 1.0
            hub.of(each)
        assert [whose for whose, *_ in hub.fleets._fleets].count(ALICE.key) == 2
        assert hub.of(BOB) is his
        for each in brings[-2:]:
            hub.of(each).notices.open(ALICE.key)
        with pytest.raises(Forbidden, match="as many credentials at once"):
            hub.of(ALICE)
        hub.of(EVA)


async def test_an_upstream_of_a_fleet_that_has_ended_sends_nothing_more(over):
    fake = Personal()
    async with over(fake, own=["up"], accesses=Accesses(ALICE), life={"most": 1}) as hub:
        await ready(hub, ALICE)
        old = hub.of(ALICE).upstreams["up"]
        hub.of(BOB)
        with pytest.raises(Unreachable, match="Call again"):
            await old.send(tool_call())
    assert fake.asked("tools/call") == []


# What is remembered


@pytest.mark.promise("T15")
async def test_a_callers_own_list_is_remembered_for_them_alone_until_their_first_contact(over, tmp_path):
    store = SqliteStore.open(f"sqlite:///{tmp_path}/hub.db")
    fake, places = Personal(), {"up": "place"}
    memory = Memory(store, "default", places)
    async with over(fake, own=["up"], accesses=Accesses(ALICE), memory=memory) as hub:
        await ready(hub, ALICE)
        await memory.flush()
    fake.before = _never
    again = Memory(store, "default", places)
    async with over(fake, own=["up"], accesses=Accesses(ALICE, BOB), memory=again, deadline=0.5) as hub:
        names, result = await listed(hub, ALICE)
        assert names == ["up__whoami", "up__of-alice"]
        assert result["_meta"]["io.mcp-hub/upstreams"]["up"]["stale"]
        assert (await listed(hub, BOB))[0] == []
    await store.aclose()


async def test_what_was_remembered_is_forgotten_with_the_connection(over, tmp_path):
    store = SqliteStore.open(f"sqlite:///{tmp_path}/hub.db")
    memory, accesses = Memory(store, "default", {"up": "place"}), Accesses(ALICE)
    async with over(Personal(), own=["up"], accesses=accesses, memory=memory) as hub, asyncio.timeout(5):
        await ready(hub, ALICE)
        await memory.flush()
        assert len(await store.remembered("default")) == 1
        accesses(ALICE, "up").disconnect()
        upstream = hub.of(ALICE).upstreams["up"]
        await hub.journal.until(lambda: upstream.state is State.NOT_CONNECTED)
        await memory.flush()
        assert await store.remembered("default") == []
    await store.aclose()


async def _never(request: Request) -> Answer:
    await request.until_hung_up()
    return Answer(raw=b"", hangs_up=True)


# Upstreams about which nothing is said


def undecided(*answers: bool):
    """An access for an upstream about which nothing is said, and whom it asks."""
    asked: list[str] = []
    left = list(answers)

    async def signs_in(name: str, refusal: RefusedCredential) -> bool:
        asked.append(name)
        await asyncio.sleep(0)
        return left.pop(0) if left else False

    return Undecided(signs_in), asked


@pytest.mark.promise("B16")
async def test_an_upstream_that_turns_out_to_have_people_sign_in_becomes_each_callers_own(over):
    fake, other = Personal(), FakeUpstream(name="all", eras="legacy")
    found, asked = undecided(True)
    accesses = Accesses(ALICE)
    async with over(other, fake, access=None, accesses=accesses, shared={"up": found.access("up")}, run=False) as hub:
        found.found = hub.fleets.turn_own
        listener = hub.of(BOB).notices.open(BOB.key)
        hub.fleets.start()
        async with asyncio.timeout(5):
            assert (await listed(hub, ALICE))[0] == ["all__echo", "up__whoami", "up__of-alice"]
            names, result = await listed(hub, BOB)
            assert names == ["all__echo"]
            assert result["_meta"]["io.mcp-hub/upstreams"]["up"]["state"] == "not_connected"
            assert await listener.heard() == [], "cut off, so that its client comes back"
            assert (await whoami(hub, ALICE))["token"] == "alice-1"
    assert asked == ["up"]
    assert len(other.asked("initialize")) == 1, "the others are what they were"


@pytest.mark.promise("B16")
async def test_a_call_that_finds_out_goes_on_as_its_callers_own(over):
    fake = FakeUpstream(name="up")
    found, asked = undecided(True)
    async with over(fake, accesses=Accesses(), shared={"up": found.access("up")}) as hub, asyncio.timeout(5):
        found.found = hub.fleets.turn_own
        assert "content" in decoded(await hub.road.answer(ask("tools/call", {"name": "up__echo"}, caller=BOB)))

        async def closed(request: Request) -> Answer:
            return Answer(status=401)

        fake.before = closed
        before = len(fake.asked("tools/call"))
        with pytest.raises(ConnectionNeeded, match="up is not connected for bob"):
            await hub.road.answer(ask("tools/call", {"name": "up__echo"}, caller=BOB))
        assert len(fake.asked("tools/call")) == before + 1
    assert asked == ["up"]


async def test_many_refusals_at_once_ask_once_and_whoever_gives_up_leaves_the_others_waiting():
    gate, asked = asyncio.Event(), []

    async def signs_in(name: str, refusal: RefusedCredential) -> bool:
        asked.append(name)
        await gate.wait()
        return False

    found = Undecided(signs_in)
    refusal = RefusedCredential("up", "no")
    access = found.access("up")
    waiting = [asyncio.ensure_future(access.refused(access.ready(), refusal)) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting[0].cancel()
    gate.set()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in ended] == [asyncio.CancelledError, *[RefusedCredential] * 4]
    assert asked == ["up"]
    with pytest.raises(RefusedCredential):
        await access.refused(access.ready(), RefusedCredential("up", "no", status=403))
    assert asked == ["up"], "what is forbidden is no reason to ask"
    await found.aclose()
