"""What an upstream asks in the middle of a call reaches the client that made it, and the call runs once."""

import asyncio
import json

import pytest
from msgspec import Raw

from mcp_hub.errors import BadRequest, BrokeProtocol, Interrupted
from mcp_hub.gateway.asking import STATE_LIFETIME
from mcp_hub.wire.eras import Client, Era
from mcp_hub.wire.jsonrpc import Malformed, Reply, encode
from rig.fake_upstream import Answer, FakeUpstream, result, sse
from rig.parts import ALICE, BOB, LEGACY_CLIENT, Stream, ask, modern_meta

pytestmark = pytest.mark.promise("A5")
CAPABILITIES = Raw(b'{"elicitation":{"form":{}},"sampling":{},"roots":{"listChanged":true},"extensions":{"x":{}}}')
TOLD = {"elicitation": {"form": {}}, "sampling": {}, "roots": {}}
MODERN = Client(Era.MODERN, "2026-07-28", CAPABILITIES)
LEGACY = Client(Era.LEGACY, "2025-11-25", CAPABILITIES)
ELICIT = {"method": "elicitation/create", "params": {"message": "who?", "future": 2**70}}


class LegacyAsker(FakeUpstream):
    """A legacy upstream whose tools ask `ELICIT` as often as `questions` says before they are done."""

    def __init__(self, questions: int = 1) -> None:
        super().__init__(eras="legacy", name="up")
        self.questions = questions
        self.heard = asyncio.Queue()
        self.runs = 0
        self.handlers["tools/call"] = self.call
        self.before = self.take

    async def call(self, request):
        self.runs += 1

        async def chunks():
            for number in range(self.questions):
                yield sse({"jsonrpc": "2.0", "id": f"q{number}", **ELICIT})
                answer = await self.heard.get()
                assert answer["id"] == f"q{number}"
            done = {"content": [{"type": "text", "text": f"done {json.dumps(answer.get('result'))}"}]}
            yield sse({"jsonrpc": "2.0", "id": request.message["id"], "result": done})

        return Answer(content_type="text/event-stream", chunks=chunks())

    async def take(self, request):
        if request.verb == "POST" and "method" not in request.message:
            self.heard.put_nowait(request.message)
            return Answer(status=202)
        return None


class ModernAsker(FakeUpstream):
    """A modern upstream whose tools ask in their result until `inputResponses` come; `runs` counts what was done."""

    def __init__(self, state: str | None = "the state") -> None:
        super().__init__(name="up")
        self.state = state
        self.runs = 0
        self.handlers["tools/call"] = self.call

    async def call(self, request):
        params = request.message["params"]
        if "inputResponses" not in params:
            asking = {"resultType": "input_required", "inputRequests": {"who": ELICIT}}
            return result(request, asking | ({"requestState": self.state} if self.state else {}))
        assert params.get("requestState") == self.state
        self.runs += 1
        said = json.dumps(params["inputResponses"])
        return result(request, {"resultType": "complete", "content": [{"type": "text", "text": said}]})


class Person:
    """Answers what a legacy client is asked."""

    def __init__(self, reply: Reply | None = None) -> None:
        self.reply = reply or Reply(result=b'{"action":"accept"}')
        self.asked = []

    async def ask(self, method, params):
        self.asked.append((method, json.loads(bytes(params))))
        return self.reply


async def called(hub, client=MODERN, *, name="up__echo", caller=None, ask_client=None, emit=None, _meta=None, **params):
    meta = modern_meta(**(_meta or {})) | {"io.modelcontextprotocol/clientCapabilities": client.capabilities}
    more = {"caller": caller} if caller is not None else {}
    session = "s" if client.era is Era.LEGACY else None
    request = ask(
        "tools/call",
        {"name": name, "arguments": {"a": 1}, **params},
        client=client,
        meta=meta if client.era is Era.MODERN else {},
        session=session,
        ask_client=ask_client,
        emit=emit,
        **more,
    )
    async with asyncio.timeout(5):
        return json.loads(bytes((await hub.road.answer(request)).result))


# Legacy clients


@pytest.mark.parametrize("make", [LegacyAsker, ModernAsker])
async def test_a_legacy_client_is_asked_on_the_stream_of_its_call(over, make):
    person = Person()
    async with over(make()) as hub:
        found = await called(hub, LEGACY, ask_client=person.ask)
        assert hub.fakes["up"].runs == 1
    assert person.asked == [(ELICIT["method"], ELICIT["params"])]
    assert "accept" in found["content"][0]["text"]
    assert "resultType" not in found


async def test_an_upstream_is_told_what_the_client_can_be_asked_and_its_extensions_in_a_session_of_its_own(over):
    async with over(LegacyAsker()) as hub:
        await called(hub, LEGACY, ask_client=Person().ask)
        await called(hub, MODERN)
        told = [each["capabilities"] for each in hub.fakes["up"].sessions.values()]
    assert told[1:] == [TOLD | {"extensions": {"x": {}}}, TOLD]


@pytest.mark.promise("T26")
async def test_a_client_is_asked_only_what_it_said_it_answers(over):
    person = Person()
    async with over(LegacyAsker()) as hub:
        found = await called(hub, LEGACY_CLIENT, ask_client=person.ask)
        assert hub.fakes["up"].runs == 1
    assert person.asked == []
    assert found["content"][0]["text"] == "done null"
    async with over(ModernAsker()) as hub:
        with pytest.raises(BrokeProtocol):
            await called(hub, LEGACY_CLIENT, ask_client=person.ask)
        with pytest.raises(BrokeProtocol):
            await called(hub, LEGACY)
        assert hub.fakes["up"].runs == 0
    assert person.asked == []


async def test_a_client_that_refuses_an_answer_is_heard(over):
    person = Person(Reply(error=Raw(b'{"code":-1,"message":"no"}')))
    async with over(LegacyAsker()) as hub:
        assert (await called(hub, LEGACY, ask_client=person.ask))["content"][0]["text"] == "done null"
    async with over(ModernAsker()) as hub:
        with pytest.raises(BadRequest):
            await called(hub, LEGACY, ask_client=person.ask)
        assert hub.fakes["up"].runs == 0


async def test_an_upstream_that_never_stops_asking_is_stopped(over):
    fake = FakeUpstream(name="up")

    async def again(request):
        return result(request, {"resultType": "input_required", "requestState": "more"})

    fake.handlers["tools/call"] = again
    async with over(fake) as hub:
        with pytest.raises(BrokeProtocol):
            await called(hub, LEGACY, ask_client=Person().ask)


# Modern clients


async def test_a_legacy_upstreams_call_is_parked_and_continued_with_the_answers(over):
    async with over(LegacyAsker(questions=2)) as hub:
        first = await called(hub)
        assert first["resultType"] == "input_required"
        assert first["inputRequests"] == {"question-1": ELICIT}
        answers = {"question-1": {"action": "accept"}}
        second = await called(hub, inputResponses=answers, requestState=first["requestState"])
        assert second["inputRequests"] == {"question-2": ELICIT}
        answers = {"question-2": {"action": "decline"}}
        last = await called(hub, inputResponses=answers, requestState=second["requestState"])
        assert hub.fakes["up"].runs == 1
    assert (last["resultType"], last["content"][0]["text"]) == ("complete", 'done {"action": "decline"}')


@pytest.mark.promise("T21")
@pytest.mark.parametrize("make", [LegacyAsker, ModernAsker])
async def test_a_state_is_of_no_use_to_others_elsewhere_or_when_changed(over, make):
    answers = {"question-1": {}, "who": {}}
    async with over(make(), FakeUpstream(name="other")) as hub:
        state = (await called(hub, caller=ALICE))["requestState"]
        assert "the state" not in state
        for change in (
            {"caller": BOB},
            {"caller": ALICE, "name": "other__echo"},
            {"caller": ALICE, "arguments": {"a": 2}},
            {"caller": ALICE, "requestState": state[:-9] + "AAAAAAAA="},
            {"caller": ALICE, "requestState": 7},
        ):
            with pytest.raises(BadRequest):
                await called(hub, **{"inputResponses": answers, "requestState": state} | change)
        await called(hub, caller=ALICE, inputResponses=answers, requestState=state)
        assert hub.fakes["up"].runs == 1


async def test_a_parked_call_that_is_gone_says_so_and_is_not_run_again(over):
    async with over(LegacyAsker()) as hub:
        state = (await called(hub))["requestState"]
        answers = {"question-1": {}}
        await called(hub, inputResponses=answers, requestState=state)
        with pytest.raises(Interrupted) as gone:
            await called(hub, inputResponses=answers, requestState=state)
        assert hub.fakes["up"].runs == 1
    assert "may have had effects" in gone.value.public


async def test_what_became_of_a_parked_call_is_told_long_after_its_question_has_expired(over):
    wall = [1_000_000.0]
    async with over(LegacyAsker(), wall=lambda: wall[0]) as hub:
        state = (await called(hub))["requestState"]
        await hub.parking.aclose()
        wall[0] += STATE_LIFETIME + 1
        with pytest.raises(Interrupted):
            await called(hub, inputResponses={"question-1": {}}, requestState=state)
        assert hub.fakes["up"].runs == 1


@pytest.mark.promise("T25")
@pytest.mark.parametrize("answer", [1, None, "yes", []])
async def test_what_cannot_be_an_answer_is_refused_and_the_call_goes_on_waiting(over, answer):
    async with over(LegacyAsker()) as hub:
        state = (await called(hub))["requestState"]
        with pytest.raises(Malformed):
            await called(hub, inputResponses={"question-1": answer}, requestState=state)
        last = await called(hub, inputResponses={"question-1": {"action": "accept"}}, requestState=state)
        assert hub.fakes["up"].runs == 1
    assert last["content"][0]["text"] == 'done {"action": "accept"}'


async def test_a_question_of_an_upstream_that_has_become_a_legacy_one_since_has_run_nothing(over):
    async with ModernAsker() as modern:
        async with over(modern) as hub:
            first = await called(hub)
            given = {"inputResponses": {"who": {}}, "requestState": first["requestState"]}
        assert modern.runs == 0
    async with over(LegacyAsker()) as hub:
        again = await called(hub, **given)
        assert list(again["inputRequests"]) == ["question-1"]
        (told,) = hub.fakes["up"].asked("tools/call")
        assert set(told.message["params"]) == {"name", "arguments"}, "what it cannot understand is not sent to it"


class ReportingAsker(LegacyAsker):
    """Reports progress before its question and after the answer, to whoever gave a token."""

    async def call(self, request):
        token = request.message["params"]["_meta"]["progressToken"]

        def progress(number):
            params = {"progressToken": token, "progress": number}
            return sse({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})

        async def chunks():
            yield progress(1) + sse({"jsonrpc": "2.0", "id": "q", **ELICIT})
            await self.heard.get()
            logged = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": 1}}
            yield progress(2) + sse(logged)
            yield sse({"jsonrpc": "2.0", "id": request.message["id"], "result": {"content": []}})

        return Answer(content_type="text/event-stream", chunks=chunks())


@pytest.mark.parametrize(("token", "heard"), [("second", ["second"]), (7, [7]), (None, [])])
async def test_a_parked_call_reports_to_the_request_that_continues_it_by_that_ones_token(over, token, heard):
    first, second = Stream(), Stream()
    level = {"io.modelcontextprotocol/logLevel": "debug"}
    async with over(ReportingAsker()) as hub:
        state = (await called(hub, emit=first.emit, _meta={"progressToken": "first", **level}))["requestState"]
        meta = level if token is None else {"progressToken": token, **level}
        given = {"inputResponses": {"question-1": {}}, "requestState": state}
        await called(hub, emit=second.emit, _meta=meta, **given)
    assert [each["params"] for each in first.heard] == [{"progressToken": "first", "progress": 1}]
    told = [each["params"]["progressToken"] for each in second.heard if each["method"] == "notifications/progress"]
    assert told == heard
    assert second.heard[-1]["method"] == "notifications/message"


@pytest.mark.parametrize("state", ["the state", None])
async def test_a_modern_upstreams_questions_pass_and_its_state_comes_back_to_it(over, state):
    async with over(ModernAsker(state)) as hub:
        first = await called(hub)
        assert first["inputRequests"] == {"who": ELICIT}
        given = {"requestState": first["requestState"]} if state else {}
        last = await called(hub, inputResponses={"who": {"action": "accept"}}, **given)
        assert hub.fakes["up"].runs == 1
    assert last["content"][0]["text"] == '{"who": {"action": "accept"}}'


async def test_a_modern_client_that_answers_nothing_is_asked_nothing(over):
    silent = Client(Era.MODERN, "2026-07-28", Raw(encode({})))
    async with over(LegacyAsker()) as hub:
        assert (await called(hub, silent))["content"][0]["text"] == "done null"


@pytest.mark.promise("A5", "T26")
async def test_giving_up_tells_a_legacy_upstream_which_call_is_meant(over):
    fake = FakeUpstream(eras="legacy", name="up")
    begun, told = asyncio.Event(), asyncio.Event()

    async def hang(request):
        begun.set()
        await request.until_hung_up()
        return Answer(raw=b"", hangs_up=True)

    async def notice(request):
        told.set()
        return Answer(status=202)

    fake.handlers |= {"tools/call": hang, "notifications/cancelled": notice}
    async with over(fake) as hub:
        running = asyncio.ensure_future(called(hub, LEGACY))
        async with asyncio.timeout(5):
            await begun.wait()
            running.cancel()
            await told.wait()
        number = fake.asked("tools/call")[0].message["id"]
        assert fake.asked("notifications/cancelled")[0].message["params"]["requestId"] == number


@pytest.mark.promise("T25")
async def test_a_legacy_upstream_whose_result_reads_like_a_question_runs_once(over):
    fake = FakeUpstream(eras="legacy", name="up")

    async def odd(request):
        return result(request, {"content": [], "resultType": "input_required", "inputRequests": {}})

    fake.handlers["tools/call"] = odd
    async with over(fake) as hub:
        assert (await called(hub, LEGACY, ask_client=Person().ask))["content"] == []
        assert len(hub.fakes["up"].asked("tools/call")) == 1


@pytest.mark.parametrize("given", [{}, {"elicitationId": "its own"}])
async def test_a_legacy_client_that_is_sent_to_a_page_gets_the_id_that_its_revision_wants(over, given):
    fake, person = FakeUpstream(name="up"), Person()
    there = {"mode": "url", "message": "Pay", "url": "https://pay.example/1", **given}

    async def call(request):
        if "inputResponses" in request.message["params"]:
            return result(request, {"resultType": "complete", "content": []})
        question = {"method": "elicitation/create", "params": there}
        return result(request, {"resultType": "input_required", "inputRequests": {"pay": question}})

    fake.handlers["tools/call"] = call
    async with over(fake) as hub:
        await called(hub, LEGACY, ask_client=person.ask)
    ((_, asked),) = person.asked
    assert asked | there == asked
    assert asked["elicitationId"] == given.get("elicitationId", asked["elicitationId"])
    assert asked["elicitationId"]


async def test_a_legacy_upstream_is_told_what_each_modern_request_said_whatever_came_before(over):
    fake, silent = FakeUpstream(eras="legacy", name="up"), Client(Era.MODERN, MODERN.revision, Raw(b"{}"))
    fake.prompts = [{"name": "ask"}]
    completion = {"ref": {"type": "ref/prompt", "name": "up__ask"}, "argument": {"name": "a", "value": ""}}
    async with over(fake) as hub:
        async with asyncio.timeout(5):
            await hub.road.answer(ask("completion/complete", completion, client=MODERN))
        await called(hub, silent)
        await called(hub, MODERN)
        told = [each.message["params"]["capabilities"] for each in fake.asked("initialize")]
    assert told[-2:] == [TOLD, {}]


@pytest.mark.promise("T25", "T26")
@pytest.mark.parametrize(
    "asking",
    [
        {"inputRequests": "x"},
        {"inputRequests": {"a": 1}},
        {"inputRequests": {f"q{number}": ELICIT for number in range(17)}},
    ],
)
async def test_questions_of_no_form_or_without_measure_are_the_upstreams_fault(over, asking):
    fake, person = FakeUpstream(name="up"), Person()

    async def odd(request):
        return result(request, {"resultType": "input_required", **asking})

    fake.handlers["tools/call"] = odd
    async with over(fake) as hub:
        with pytest.raises(BrokeProtocol):
            await called(hub, LEGACY, ask_client=person.ask)
    assert person.asked == []


async def test_a_tool_that_answers_nonsense_leaves_its_upstream_ready(over):
    fake = FakeUpstream(name="up", tools=["echo", "bad"])

    async def bad(request):
        if request.message["params"]["name"] == "bad":
            return Answer(b"<html>", content_type="text/html")
        return None

    fake.handlers["tools/call"] = bad
    async with over(fake) as hub:
        for _ in range(4):
            with pytest.raises(BrokeProtocol):
                await called(hub, name="up__bad")
        assert hub.upstreams["up"].state == "ready"
        assert (await called(hub))["content"]
