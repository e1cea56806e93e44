"""What an upstream asks and says on the stream beside the calls of a session: whose it is."""

import asyncio
from dataclasses import replace

import pytest
from msgspec import Raw

from mcp_hub.errors import TimedOut
from mcp_hub.wire.eras import META_LOG_LEVEL
from rig.beside import ASKABLE, BOB, MODERN_ASKABLE, Beside, Person, calls
from rig.fake_upstream import Answer, Request, result
from rig.parts import LIMITS, fields_of, modern_meta

pytestmark = pytest.mark.promise("A5")


# Whose question it is


@pytest.mark.parametrize("client", [ASKABLE, MODERN_ASKABLE], ids=["legacy", "modern"])
async def test_the_client_of_the_call_under_way_is_asked_and_its_answer_reaches_the_session(client):
    fake, alice = Beside(), Person()
    async with calls(fake) as (begin, _):
        call = await begin(alice, client=client)
        fake.ask()
        await fake.reach(lambda: fake.answers)
        fake.done.set()
        assert (await call).result is not None
    assert fake.answers == [("session-0", {"jsonrpc": "2.0", "id": "q", "result": {"by": "alice"}})]
    assert fake.opened == ["session-0"]


@pytest.mark.promise("T16", "T26", "B22")
async def test_a_question_beside_one_session_never_reaches_the_client_of_another():
    fake, alice, bob = Beside(), Person("alice"), Person("bob")
    async with calls(fake) as (begin, _):
        await begin(alice)
        await begin(bob, BOB)
        secret = {"method": "notifications/message", "params": {"level": "info", "data": "of alice"}}
        for number in range(5):
            fake.say(secret)
            fake.ask(number)
        await fake.reach(lambda: len(fake.answers) == 5)
    assert (len(alice.asked), bob.asked) == (5, [])
    assert (len(alice.hears.heard), bob.hears.heard) == (5, [])
    assert {session for session, _ in fake.answers} == {"session-0"}
    assert {each["result"]["by"] for _, each in fake.answers} == {"alice"}


@pytest.mark.promise("T26")
async def test_a_question_that_may_be_of_another_client_is_answered_and_nobody_is_asked():
    fake, one, other = Beside(), Person("one"), Person("other")
    async with calls(fake) as (begin, _):
        await begin(one, client=MODERN_ASKABLE)
        await begin(other, client=MODERN_ASKABLE)
        fake.ask()
        await fake.reach(lambda: fake.answers)
    assert one.asked == other.asked == []
    assert fake.answers[0][1]["error"]["code"] == -32601


async def test_one_client_is_asked_on_any_of_its_calls_and_none_of_them_runs_out_of_time():
    fake, alice = Beside(), Person()
    alice.may_answer.clear()
    async with calls(fake, replace(LIMITS, first_byte=0.3)) as (begin, _):
        first, second = await begin(alice), await begin(alice)
        fake.ask()
        late = await begin(alice)
        await asyncio.wait([first, second, late], timeout=0.6)
        assert not first.done()
        assert not second.done()
        assert not late.done()
        alice.may_answer.set()
        await fake.reach(lambda: fake.answers)
        fake.done.set()
        assert [(await each).result is not None for each in (first, second, late)] == [True] * 3
    assert len(alice.asked) == 1


async def test_without_an_answer_after_the_question_a_call_runs_out_of_time_and_is_cancelled_there():
    fake, alice = Beside(), Person()
    async with calls(fake, replace(LIMITS, first_byte=0.2)) as (begin, _):
        call = await begin(alice)
        fake.ask()
        await fake.reach(lambda: fake.answers)
        with pytest.raises(TimedOut, match=r"did not answer in time\. The call may have had effects\."):
            await call
        await fake.until("notifications/cancelled", 1)


async def test_a_question_is_withdrawn_by_the_upstream():
    fake, alice = Beside(), Person()
    alice.may_answer.clear()
    async with calls(fake) as (begin, _):
        call = await begin(alice)
        fake.ask()
        await alice.is_asked.wait()
        fake.say({"method": "notifications/cancelled", "params": {"requestId": "q"}})
        await alice.withdrawn.wait()
        fake.done.set()
        assert (await call).result is not None
    assert fake.answers == []


async def test_a_question_ends_with_its_call():
    fake, alice = Beside(), Person()
    alice.may_answer.clear()
    async with calls(fake) as (begin, _):
        call = await begin(alice)
        fake.ask()
        await alice.is_asked.wait()
        call.cancel()
        await alice.withdrawn.wait()
    assert fake.answers == []


# What else comes


async def test_progress_logs_pings_and_notices_come_beside_a_call_as_on_its_own_stream():
    fake, alice, notices = Beside(), Person(), []
    log = {"method": "notifications/message", "params": {"level": "info", "data": 2**70}}
    async with calls(fake, heard=notices.append) as (begin, _):
        await begin(alice, meta=fields_of({"progressToken": "mine"}))
        number = fake.asked("tools/call")[0].message["id"]
        fake.say(
            {"method": "notifications/progress", "params": {"progressToken": number, "progress": 1}},
            {"method": "notifications/progress", "params": {"progressToken": number + 1, "progress": 2}},
            {"method": "notifications/tools/list_changed"},
            {"id": number, "result": {"content": ["no answer comes here"]}},
            log,
            {"id": "p", "method": "ping"},
        )
        fake.queues["session-0"].put_nowait(b'data: [{"jsonrpc":"2.0","id":"in a batch","method":"ping"}]\n\n')
        await fake.reach(lambda: len(fake.answers) == 2)
    assert [each["params"] for each in alice.hears.heard] == [
        {"progressToken": "mine", "progress": 1},
        log["params"],
    ]
    assert [each.method for each in notices] == ["notifications/tools/list_changed"]
    answers = [("session-0", {"jsonrpc": "2.0", "id": number, "result": {}}) for number in ("p", "in a batch")]
    assert fake.answers == answers


async def test_a_modern_client_hears_the_log_it_asked_for():
    fake, alice = Beside(), Person()
    async with calls(fake) as (begin, _):
        await begin(alice, client=MODERN_ASKABLE, meta=modern_meta(**{META_LOG_LEVEL: "warning"}))
        for level in ("info", "error"):
            fake.say({"method": "notifications/message", "params": {"level": level, "data": level}})
        fake.say({"id": "p", "method": "ping"})
        await fake.reach(lambda: fake.answers)
    assert [each["params"]["level"] for each in alice.hears.heard] == ["error"]


async def test_progress_of_a_task_comes_beside_a_later_call_under_the_token_of_its_request():
    fake, alice = Beside(), Person()

    async def makes_a_task(request: Request) -> Answer:
        return result(request, {"task": {"taskId": "t", "status": "working", "ttl": 60_000}})

    async with calls(fake) as (begin, _):
        fake.handlers["tools/call"] = makes_a_task
        params = {"name": Raw(b'"echo"'), "task": Raw(b"{}")}
        await (await begin(alice, params=params, meta=fields_of({"progressToken": "of the task"})))
        number = fake.asked("tools/call")[0].message["id"]
        fake.handlers["tools/call"] = fake.work
        await begin(alice)
        for token in (number, "nobody's"):
            fake.say({"method": "notifications/progress", "params": {"progressToken": token, "progress": 1}})
        fake.say({"id": "p", "method": "ping"})
        await fake.reach(lambda: fake.answers)
    assert [each["params"] for each in alice.hears.heard] == [{"progressToken": "of the task", "progress": 1}]
