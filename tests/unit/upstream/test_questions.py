"""Open questions of one session: whose they are, how many there may be, and that each is answered once."""

import asyncio
import json

import pytest
from msgspec import Raw

from mcp_hub.upstream.questions import MOST_QUESTIONS, Questions
from mcp_hub.wire.eras import ASKING
from mcp_hub.wire.jsonrpc import Reply, parse
from rig.parts import LEGACY_CLIENT, tool_call

pytestmark = pytest.mark.promise("A3", "T26")
MAY = frozenset(ASKING)


def question(number="q", method="elicitation/create"):
    return parse(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": {}}).encode())


def withdrawal(**params):
    return parse(json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}).encode())


class Asked:
    """A call whose client answers when it is let, and how many questions wait as far as it knows."""

    def __init__(self):
        self.open = 0
        self.let = asyncio.Event()
        self.call = tool_call(client=LEGACY_CLIENT, ask_client=self._answer)

    async def _answer(self, method, params):
        await self.let.wait()
        return Reply(result=Raw(b"{}"))

    def asking(self):
        self.open += 1

    def answered(self):
        self.open -= 1


class Answers(list):
    async def take(self, answer):
        self.append(json.loads(answer)["id"])


async def settled(questions):
    for _ in range(10):  # turns, in which nothing waits for anything but the loop
        await asyncio.sleep(0)
    assert len(questions) == 0


async def test_a_question_is_answered_once_however_often_it_comes():
    answers, subject = Answers(), Asked()
    questions = Questions[Asked](answers.take)
    assert questions.ask(question(), [subject], MAY)
    assert questions.ask(question(), [subject], MAY)
    assert subject.open == 1
    subject.let.set()
    await settled(questions)
    assert (answers, subject.open) == (["q"], 0)


async def test_more_questions_than_a_client_can_be_bothered_with_are_not_asked():
    answers, subject = Answers(), Asked()
    questions = Questions[Asked](answers.take)
    asked = [questions.ask(question(number), [subject], MAY) for number in range(1000)]
    assert asked == [True] * MOST_QUESTIONS + [False] * (1000 - MOST_QUESTIONS)
    questions.leave(subject)
    await settled(questions)
    assert answers == []


async def test_nobody_is_asked_what_nobody_answers():
    answers, subject, mute = Answers(), Asked(), Asked()
    mute.call = tool_call()
    questions = Questions[Asked](answers.take)
    assert not questions.ask(question(), [], MAY)
    assert not questions.ask(question(), [mute], MAY)
    assert not questions.ask(question(method="tools/call"), [subject], MAY)
    assert not questions.ask(question(), [subject], frozenset({"roots/list"}))
    assert len(questions) == 0
    assert questions.ask(question(), [mute, subject], MAY), "the other one's client is the same, and has a way to it"
    questions.leave(mute)
    questions.leave(subject)
    await settled(questions)


async def test_a_question_ends_with_the_last_call_that_it_may_be_about():
    answers, first, second, late = Answers(), Asked(), Asked(), Asked()
    questions = Questions[Asked](answers.take)
    questions.ask(question(), [first, second], MAY)
    questions.join(late)
    assert [each.open for each in (first, second, late)] == [1, 1, 1]
    for each in (first, second):
        questions.leave(each)
    await asyncio.sleep(0)
    assert len(questions) == 1
    questions.leave(late)
    await settled(questions)
    assert answers == []


@pytest.mark.parametrize("said", [{"requestId": "p"}, {}, {"requestId": None}])
async def test_a_question_is_withdrawn_by_its_own_id_only(said):
    answers, subject = Answers(), Asked()
    questions = Questions[Asked](answers.take)
    questions.ask(question(), [subject], MAY)
    questions.withdraw(withdrawal(**said))
    questions.withdraw(parse(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":[1]}'))
    await asyncio.sleep(0)
    assert len(questions) == 1
    questions.withdraw(withdrawal(requestId="q"))
    await settled(questions)
    assert (answers, subject.open) == ([], 0)
