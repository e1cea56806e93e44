"""Tasks cross between sides of one era, under ids that are of use to one caller only."""

import asyncio
import json

import pytest
from msgspec import Raw

from mcp_hub.catalog.parts import Exposure
from mcp_hub.errors import BadRequest, BrokeProtocol, MissingCapability, UnknownMethod
from mcp_hub.wire.eras import Client, Era
from mcp_hub.wire.jsonrpc import Reply
from rig.fake_upstream import Answer, FakeUpstream, result
from rig.parts import ALICE, BOB, MODERN_CLIENT, Stream, ask, fields_of, modern_meta
from rig.task_upstream import RELATED, TASKS, TaskUpstream

pytestmark = pytest.mark.promise("A5", "B22")
DECLARED = Raw(b'{"elicitation":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}')
MODERN = Client(Era.MODERN, "2026-07-28", DECLARED)
LEGACY = Client(Era.LEGACY, "2025-11-25", Raw(b'{"elicitation":{}}'))
OLDER = Client(Era.LEGACY, "2025-06-18", Raw(b"{}"))
PAIRS = pytest.mark.parametrize(("client", "eras"), [(MODERN, "modern"), (LEGACY, "legacy")])
MIXED = pytest.mark.parametrize(("client", "eras"), [(MODERN, "legacy"), (LEGACY, "modern")])


async def asked(hub, method, params=None, *, client, caller=ALICE, **more):
    """The decoded reply to one request of a client that declares what it can do."""
    given = {"client": client, "caller": caller}
    if client.era is Era.MODERN:
        said = {"io.modelcontextprotocol/clientCapabilities": json.loads(bytes(client.capabilities))}
        given["meta"] = modern_meta(**said)
    else:
        given["session"] = f"session of {caller}"
    async with asyncio.timeout(5):
        reply = await hub.road.answer(ask(method, params, **given, **more))
    return json.loads(bytes(reply.result if reply.result is not None else reply.error))


async def begun(hub, client, caller=ALICE, tool="up__echo", **more):
    """The id, as the caller is shown it, of a task that a call has just become."""
    params = {"name": tool, "arguments": {}} | ({"task": {"ttl": 60_000}} if client.era is Era.LEGACY else {})
    made = await asked(hub, "tools/call", params, client=client, caller=caller, **more)
    return made["taskId"] if client.era is Era.MODERN else made["task"]["taskId"]


# There and back


@PAIRS
async def test_a_call_becomes_a_task_that_its_caller_can_follow(over, client, eras):
    async with over(TaskUpstream(eras=eras)) as hub:
        fake = hub.fakes["up"]
        shown = await begun(hub, client)
        assert fake.ids == ["task-0"]
        assert "task-0" not in shown
        state = await asked(hub, "tasks/get", {"taskId": shown}, client=client)
        assert (state["taskId"], state["status"]) == (shown, "working")
        await asked(hub, "tasks/cancel", {"taskId": shown}, client=client)
        assert fake.tasks["task-0"]["status"] == "cancelled"
        assert fake.asked("tasks/get")[0].message["params"]["taskId"] == "task-0"
    assert ("resultType" in state) == (client is MODERN)


async def test_a_modern_tasks_result_has_the_hubs_uris_and_its_questions_get_their_answers(over):
    async with over(TaskUpstream()) as hub:
        fake = hub.fakes["up"]
        shown = await begun(hub, MODERN)
        answers = {"q1": {"action": "accept"}}
        ack = await asked(hub, "tasks/update", {"taskId": shown, "inputResponses": answers}, client=MODERN)
        fake.done.set()
        state = await asked(hub, "tasks/get", {"taskId": shown}, client=MODERN)
    assert (ack, fake.answers) == ({"resultType": "complete"}, [answers])
    assert state["result"]["content"][0]["uri"] == "up+file:///made"


async def test_a_legacy_tasks_result_is_waited_for_and_says_of_which_task_it_is(over):
    async with over(TaskUpstream(eras="legacy")) as hub:
        fake = hub.fakes["up"]
        shown = await begun(hub, LEGACY)
        waiting = asyncio.ensure_future(asked(hub, "tasks/result", {"taskId": shown}, client=LEGACY))
        await fake.until("tasks/result")
        fake.done.set()
        found = await waiting
    assert found["_meta"][RELATED]["taskId"] == shown
    assert found["content"][0]["uri"] == "up+file:///made"


async def test_what_a_legacy_task_asks_and_is_answered_names_it_as_each_side_does(over):
    asked_of: list[dict] = []

    async def person(method, params):
        said = json.loads(bytes(params))
        asked_of.append(said)
        return Reply(result=Raw(json.dumps({"action": "accept", "_meta": said["_meta"]}).encode()))

    async with over(TaskUpstream(eras="legacy")) as hub:
        fake = hub.fakes["up"]
        fake.asks_for_results = True
        shown = await begun(hub, LEGACY)
        await asked(hub, "tasks/result", {"taskId": shown}, client=LEGACY, ask_client=person)
    assert [each["_meta"][RELATED]["taskId"] for each in asked_of] == [shown]
    assert [each["_meta"][RELATED]["taskId"] for each in fake.answers] == ["task-0"]


async def test_states_and_other_notices_of_a_legacy_task_reach_its_caller_under_the_id_it_knows(over):
    def notice(method, **params):
        return {"jsonrpc": "2.0", "method": method, "params": params}

    stream = Stream()
    async with over(TaskUpstream(eras="legacy")) as hub:
        fake = hub.fakes["up"]
        shown = await begun(hub, LEGACY)
        fake.told_before = [
            notice("notifications/tasks/status", taskId="task-0", status="working"),
            notice("notifications/tasks/status", taskId="task-7", status="working"),
            notice("notifications/message", level="info", data="x", _meta={RELATED: {"taskId": "task-0"}}),
            notice("notifications/message", level="info", data={"taskId": "task-0"}),
            notice("notifications/message", level="info", data="plain"),
        ]
        fake.done.set()
        await asked(hub, "tasks/result", {"taskId": shown}, client=LEGACY, emit=stream.emit)
    told = [each["params"] for each in stream.heard]
    assert told == [
        {"taskId": shown, "status": "working"},
        {"level": "info", "data": "x", "_meta": {RELATED: {"taskId": shown}}},
        {"level": "info", "data": {"taskId": "task-0"}},
        {"level": "info", "data": "plain"},
    ]


async def test_progress_of_a_legacy_task_carries_the_token_of_the_call_that_became_it(over):
    def progress(token):
        return {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}}

    stream = Stream()
    async with over(TaskUpstream(eras="legacy")) as hub:
        fake = hub.fakes["up"]
        shown = await begun(hub, LEGACY, meta=fields_of({"progressToken": "mine"}))
        given = fake.asked("tools/call")[0].message["params"]["_meta"]["progressToken"]
        fake.told_before = [progress(given), progress(given + 1), progress("mine")]
        fake.done.set()
        await asked(hub, "tasks/result", {"taskId": shown}, client=LEGACY, emit=stream.emit)
        await begun(hub, LEGACY, BOB)
        other = await begun(hub, LEGACY, BOB)
        await asked(hub, "tasks/result", {"taskId": other}, client=LEGACY, caller=BOB, emit=(his := Stream()).emit)
    assert [each["params"]["progressToken"] for each in stream.heard] == ["mine"]
    assert his.heard == []


@PAIRS
async def test_an_upstream_without_a_prefix_has_hidden_ids_too(over, client, eras):
    async with over(TaskUpstream(eras=eras), exposures={"up": Exposure("up", "Up", None)}) as hub:
        shown = await begun(hub, client, tool="echo")
        assert "task-0" not in shown
        assert (await asked(hub, "tasks/get", {"taskId": shown}, client=client))["taskId"] == shown


@PAIRS
async def test_equal_ids_of_two_upstreams_are_two_tasks(over, client, eras):
    async with over(TaskUpstream(eras=eras), TaskUpstream(eras=eras, name="other")) as hub:
        one = await begun(hub, client)
        two = await begun(hub, client, tool="other__echo")
        assert one != two
        await asked(hub, "tasks/cancel", {"taskId": two}, client=client)
        assert hub.fakes["up"].tasks["task-0"]["status"] == "working"
        assert hub.fakes["other"].tasks["task-0"]["status"] == "cancelled"


@pytest.mark.promise("D32")
async def test_the_log_of_calls_holds_no_id_of_a_task(over):
    async with over(TaskUpstream()) as hub:
        shown = await begun(hub, MODERN)
        await asked(hub, "tasks/get", {"taskId": shown}, client=MODERN)
        assert [(each["method"], each["name"]) for each in hub.calls.records] == [
            ("tools/call", "echo"),
            ("tasks/get", ""),
        ]


# Attacks


@PAIRS
@pytest.mark.promise("T16", "T21")
async def test_another_principals_task_is_no_task_exactly_as_an_unknown_one(over, client, eras):
    methods = ["tasks/get", "tasks/cancel", "tasks/update" if client is MODERN else "tasks/result"]
    async with over(TaskUpstream(eras=eras)) as hub:
        fake = hub.fakes["up"]
        shown = await begun(hub, client, ALICE)
        await begun(hub, client, BOB)
        refusals = set()
        for method in methods:
            for named in (shown, "task-0", "unknown", shown[:-1], shown + "A", "", "é"):
                with pytest.raises(BadRequest) as refused:
                    await asked(hub, method, {"taskId": named}, client=client, caller=BOB)
                refusals.add(refused.value.public)
            assert not fake.asked(method)
        assert len(refusals) == 1
        assert (await asked(hub, "tasks/get", {"taskId": shown}, client=client))["status"] == "working"


@PAIRS
async def test_a_request_without_an_id_is_a_bad_request(over, client, eras):
    async with over(TaskUpstream(eras=eras)) as hub:
        for params in ({}, {"taskId": 5}, {"taskId": None}):
            with pytest.raises(BadRequest, match="needs a string 'taskId'"):
                await asked(hub, "tasks/get", params, client=client)


@PAIRS
@pytest.mark.promise("T23")
async def test_an_endless_id_of_an_upstream_costs_it_its_answer(over, client, eras):
    async with over(TaskUpstream(eras=eras)) as hub:
        state = {"taskId": "t" * 2000, "status": "working"}

        async def endless(request):
            return result(request, {"resultType": "task", **state} if client is MODERN else {"task": state})

        hub.fakes["up"].handlers["tools/call"] = endless
        with pytest.raises(BrokeProtocol, match="longer task id"):
            await begun(hub, client)


@PAIRS
@pytest.mark.promise("T25")
@pytest.mark.parametrize("raw", [b'{"taskId":"t",}', b'{"taskId":"t","_meta":{"x":1,}}'])
async def test_a_state_that_is_no_json_costs_its_upstream_its_answer(over, client, eras, raw):
    async with over(TaskUpstream(eras=eras)) as hub:
        shown = await begun(hub, client)

        async def broken(request):
            number = str(request.message["id"]).encode()
            return Answer(b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (number, raw))

        hub.fakes["up"].handlers["tasks/get"] = broken
        with pytest.raises(BrokeProtocol):
            await asked(hub, "tasks/get", {"taskId": shown}, client=client)
        assert (await begun(hub, client)) != shown, "and nothing else"


@PAIRS
async def test_a_task_whose_upstream_has_gone_is_no_task(over, client, eras):
    async with over(TaskUpstream(eras=eras), TaskUpstream(eras=eras, name="other")) as hub:
        shown = await begun(hub, client, tool="other__echo")
    async with over(TaskUpstream(eras=eras)) as hub:
        with pytest.raises(BadRequest, match="no such task"):
            await asked(hub, "tasks/get", {"taskId": shown}, client=client)


# What is offered to whom


@MIXED
async def test_between_eras_tasks_are_not_offered_and_calls_are_ordinary(over, client, eras):
    async with over(TaskUpstream(eras=eras)) as hub:
        told = await hub.road.describe(ALICE, client.revision)
        assert "tasks" not in told.capabilities
        assert TASKS not in told.capabilities.get("extensions", {})
        found = await asked(hub, "tools/call", {"name": "up__echo", "task": {"ttl": 1}}, client=client)
        assert found["content"][0]["type"] == "text"
        assert not hub.fakes["up"].tasks
        assert "task" not in hub.fakes["up"].asked("tools/call")[0].message["params"]
        for method in ("tasks/get", "tasks/list", "tasks/result", "tasks/update", "tasks/cancel"):
            with pytest.raises(UnknownMethod):
                await asked(hub, method, {"taskId": "x"}, client=client)


async def test_a_task_of_a_tool_that_makes_none_is_refused_where_the_hub_offers_tasks(over):
    plain, new = FakeUpstream(name="plain", eras="legacy"), TaskUpstream(name="new")
    async with over(TaskUpstream(eras="legacy"), plain, new) as hub:
        for name in ("plain__echo", "new__echo"):
            with pytest.raises(UnknownMethod, match="cannot be called as a task"):
                await asked(hub, "tools/call", {"name": name, "task": {}}, client=LEGACY)
        found = await asked(hub, "tools/call", {"name": "up__echo", "task": {}}, client=OLDER)
        assert "content" in found
        assert not any(fake.asked("tools/call") for fake in (plain, new))


@pytest.mark.parametrize(
    ("client", "methods"),
    [
        (MODERN, ["tasks/list", "tasks/result"]),
        (LEGACY, ["tasks/update"]),
        (OLDER, ["tasks/get", "tasks/list", "tasks/result", "tasks/cancel"]),
    ],
)
async def test_each_revision_has_the_methods_it_has(over, client, methods):
    async with over(TaskUpstream(), TaskUpstream(eras="legacy", name="old")) as hub:
        for method in methods:
            with pytest.raises(UnknownMethod):
                await asked(hub, method, {"taskId": "x"}, client=client)


async def test_a_client_that_did_not_declare_the_extension_is_told_to(over):
    async with over(TaskUpstream()) as hub:
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            with pytest.raises(MissingCapability) as missing:
                await asked(hub, method, {"taskId": "gate-test"}, client=MODERN_CLIENT)
            assert missing.value.extension == TASKS
        found = await asked(hub, "tools/call", {"name": "up__echo"}, client=MODERN_CLIENT)
        assert "taskId" not in found


async def test_a_modern_upstream_gets_a_task_parameter_as_it_came(over):
    async with over(TaskUpstream()) as hub:
        await asked(hub, "tools/call", {"name": "up__echo", "task": {"ttl": 1}}, client=MODERN_CLIENT)
        assert hub.fakes["up"].asked("tools/call")[0].message["params"]["task"] == {"ttl": 1}


async def test_a_legacy_upstream_is_not_told_of_tasks_that_its_client_would_make(over):
    capabilities = b'{"elicitation":{},"tasks":{"requests":{"elicitation":{"create":{}}}}}'
    async with over(TaskUpstream(eras="legacy")) as hub:
        await begun(hub, Client(Era.LEGACY, "2025-11-25", Raw(capabilities)))
        told = [each["capabilities"] for each in hub.fakes["up"].sessions.values()]
    assert told[-1] == {"elicitation": {}}


@pytest.mark.parametrize("client", [MODERN_CLIENT, LEGACY])
async def test_an_upstream_that_makes_a_task_for_a_client_without_tasks_breaks_the_protocol(over, client):
    async with over(TaskUpstream()) as hub:

        async def insists(request):
            return result(request, {"resultType": "task", "taskId": "bare", "status": "working"})

        hub.fakes["up"].handlers["tools/call"] = insists
        with pytest.raises(BrokeProtocol, match="answered with a task"):
            await asked(hub, "tools/call", {"name": "up__echo"}, client=client)


# The list


def page(*ids, **more):
    return {"tasks": [{"taskId": each, "status": "working"} for each in ids], **more}


@pytest.mark.promise("T15")
async def test_a_caller_is_listed_the_tasks_it_made_and_no_others(over):
    async with over(TaskUpstream(eras="legacy"), TaskUpstream(eras="legacy", name="other")) as hub:
        mine = [await begun(hub, LEGACY), await begun(hub, LEGACY, tool="other__echo")]
        his = await begun(hub, LEGACY, BOB)
        listed = {
            caller: [task["taskId"] for task in (await asked(hub, "tasks/list", client=LEGACY, caller=caller))["tasks"]]
            for caller in (ALICE, BOB)
        }
    assert listed == {ALICE: mine, BOB: [his]}


async def test_every_page_of_an_upstreams_tasks_is_followed_but_no_circle(over):
    async with over(TaskUpstream(eras="legacy")) as hub:
        fake = hub.fakes["up"]
        mine = [await begun(hub, LEGACY) for _ in range(5)]
        fake.page_size = 2
        found = await asked(hub, "tasks/list", client=LEGACY)
        assert [each["taskId"] for each in found["tasks"]] == mine
        assert len(fake.asked("tasks/list")) == 3

        async def circle(request):
            return result(request, page("task-0", nextCursor="again"))

        fake.handlers["tasks/list"] = circle
        assert len((await asked(hub, "tasks/list", client=LEGACY))["tasks"]) == 2


@pytest.mark.promise("A8")
async def test_an_upstream_that_lists_nonsense_or_nothing_in_time_is_named_and_costs_only_itself(over):
    never = asyncio.Event()

    async def hangs(request):
        await never.wait()

    async def nonsense(request):
        return result(request, {"tasks": 5})

    async def refuses(request):
        return None

    fakes = [TaskUpstream(eras="legacy", name=name) for name in ("well", "slow", "mad", "shut")]
    async with over(*fakes, deadline=0.2) as hub:
        mine = await begun(hub, LEGACY, tool="well__echo")
        for fake, handler in zip(fakes[1:], (hangs, nonsense, refuses), strict=True):
            fake.handlers["tasks/list"] = handler
        found = await asked(hub, "tasks/list", client=LEGACY)
        never.set()
    assert [each["taskId"] for each in found["tasks"]] == [mine]
    assert set(found["_meta"]["io.mcp-hub/upstreams"]) == {"slow", "mad", "shut"}


async def test_a_cursor_is_not_one_of_the_hubs(over):
    async with over(TaskUpstream(eras="legacy")) as hub:
        with pytest.raises(BadRequest, match="cursor"):
            await asked(hub, "tasks/list", {"cursor": "x"}, client=LEGACY)


# Ordinary calls


async def test_a_legacy_task_that_brings_content_besides_is_hidden_too(over):
    async with over(TaskUpstream(eras="legacy")) as hub:

        async def both(request):
            return result(request, {"content": [], "task": {"taskId": "bare", "status": "working"}})

        hub.fakes["up"].handlers["tools/call"] = both
        assert await begun(hub, LEGACY) != "bare"
        plain = await asked(hub, "tools/call", {"name": "up__echo"}, client=LEGACY)
    assert plain["task"]["taskId"] == "bare", "its own, since nobody asked for a task"


@pytest.mark.promise("S1")
async def test_an_ordinary_result_with_an_id_of_the_tools_own_is_left_alone(over):
    async with over(TaskUpstream()) as hub:
        own = {"resultType": "complete", "content": [], "taskId": "mine", "task": {"taskId": "mine"}}

        async def answers(request):
            return result(request, own)

        hub.fakes["up"].handlers["tools/call"] = answers
        found = await asked(hub, "tools/call", {"name": "up__echo"}, client=MODERN)
    assert found == own


@pytest.mark.promise("T18")
@PAIRS
async def test_what_a_request_says_of_another_task_is_left_out_and_not_taken_from_anybody_else(over, client, eras):
    # What a client says of itself is remembered for its next request, and for whoever says the very same.
    meta = modern_meta() if client.era is Era.MODERN else {}
    meta = {**meta, **fields_of({RELATED: {"taskId": "task-9"}})}
    if client.era is Era.MODERN:
        meta["io.modelcontextprotocol/clientCapabilities"] = client.capabilities
    remembered = dict(meta)
    async with over(TaskUpstream(eras=eras)) as hub:
        shown = await begun(hub, client)
        await hub.road.answer(
            ask("tasks/get", {"taskId": shown}, client=client, caller=ALICE, session=f"session of {ALICE}", meta=meta)
        )
        (got,) = hub.fakes["up"].asked("tasks/get")
    assert RELATED not in got.message["params"].get("_meta", {})
    assert meta == remembered
