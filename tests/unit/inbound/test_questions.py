"""A client is asked on its own stream, and its answer reaches the one question it belongs to."""

import asyncio
import json

import pytest
from msgspec import Raw

from mcp_hub.errors import Forbidden
from mcp_hub.inbound.questions import MOST, Questions
from mcp_hub.wire.jsonrpc import encode, parse

pytestmark = pytest.mark.promise("A5", "T26")


class Client:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked = asyncio.Queue()

    async def emit(self, message):
        self.asked.put_nowait(json.loads(message))


def answer(number, **what):
    return parse(encode({"jsonrpc": "2.0", "id": number, **what}))


async def test_an_answer_reaches_its_question():
    questions, client = Questions(), Client()
    async with asyncio.timeout(5):
        first = asyncio.ensure_future(questions.ask(client.emit, "roots/list", Raw(b'{"a":1}')))
        second = asyncio.ensure_future(questions.ask(client.emit, "elicitation/create", Raw(b"{}")))
        asked = [await client.asked.get(), await client.asked.get()]
        assert [(each["method"], each["params"]) for each in asked] == [
            ("roots/list", {"a": 1}),
            ("elicitation/create", {}),
        ]
        assert asked[0]["id"] != asked[1]["id"]
        assert questions.answered(answer(asked[1]["id"], error={"code": -1, "message": "no"}))
        assert questions.answered(answer(asked[0]["id"], result={"roots": []}))
        assert bytes((await first).result) == b'{"roots":[]}'
        assert (await second).error is not None


@pytest.mark.parametrize("number", [1, "hub-guessed", "", None])
async def test_an_answer_to_nothing_that_was_asked_counts_for_nothing(number):
    questions, client = Questions(), Client()
    async with asyncio.timeout(5):
        waiting = asyncio.ensure_future(questions.ask(client.emit, "roots/list", Raw(b"{}")))
        asked = await client.asked.get()
        assert not questions.answered(answer(number, result={}))
        assert not Questions().answered(answer(asked["id"], result={}))
        assert questions.answered(answer(asked["id"], result={}))
        assert not questions.answered(answer(asked["id"], result={"twice": 1}))
        assert bytes((await waiting).result) == b"{}"


async def test_a_question_that_is_withdrawn_is_open_no_more():
    questions, client = Questions(), Client()
    async with asyncio.timeout(5):
        waiting = asyncio.ensure_future(questions.ask(client.emit, "roots/list", Raw(b"{}")))
        asked = await client.asked.get()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert not questions.answered(answer(asked["id"], result={}))


async def test_a_client_has_only_so_many_open_questions():
    questions, client = Questions(), Client()
    waiting = [asyncio.ensure_future(questions.ask(client.emit, "roots/list", Raw(b"{}"))) for _ in range(MOST)]
    async with asyncio.timeout(5):
        for _ in waiting:
            await client.asked.get()
        with pytest.raises(Forbidden):
            await questions.ask(client.emit, "roots/list", Raw(b"{}"))
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
