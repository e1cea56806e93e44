"""A parked call runs once, continues with the answers, and is gone when it should be."""

import asyncio
from contextlib import suppress

import pytest
from msgspec import Raw

from mcp_hub.errors import Forbidden
from mcp_hub.gateway.parking import Parking, Questions
from mcp_hub.upstream.call import nowhere
from mcp_hub.wire.jsonrpc import Reply

pytestmark = pytest.mark.promise("A5")
ME, YOU = ("default", "local", "me"), ("default", "local", "you")
DONE = Reply(result=b'{"done":true}')


class Work:
    """A call that asks `questions` one after the other, and counts how often it began and what it was told."""

    def __init__(self, questions: int = 1) -> None:
        self.questions = questions
        self.began = 0
        self.heard: list[bytes] = []
        self.ended = asyncio.Event()

    async def __call__(self, ask_client, emit):
        self.began += 1
        try:
            for number in range(self.questions):
                await emit(b"before %d" % number)
                reply = await ask_client("elicitation/create", Raw(b'{"n":%d}' % number))
                self.heard.append(bytes(reply.result))
            return DONE
        finally:
            self.ended.set()


async def test_a_call_without_questions_is_simply_answered():
    parking = Parking()
    assert await parking.run(ME, Work(0), nowhere) is DONE
    assert len(parking) == 0


async def test_a_call_is_continued_with_the_answers_and_never_begun_again():
    parking, work = Parking(), Work(2)
    async with asyncio.timeout(5):
        came = await parking.run(ME, work, nowhere)
        for number in range(2):
            assert isinstance(came, Questions)
            key = f"question-{number + 1}"
            assert came.requests == {key: {"method": "elicitation/create", "params": Raw(b'{"n":%d}' % number)}}
            came = await parking.resume(ME, came.reference, {key: Raw(b'"answer %d"' % number)}, nowhere)
    assert came is DONE
    assert (work.began, work.heard) == (1, [b'"answer 0"', b'"answer 1"'])
    assert len(parking) == 0


async def test_messages_go_to_the_request_that_waits_now():
    parking, work = Parking(), Work(2)
    first, second = [], []

    async def into_first(message):
        first.append(message)

    async def into_second(message):
        second.append(message)

    async with asyncio.timeout(5):
        came = await parking.run(ME, work, into_first)
        await parking.resume(ME, came.reference, {"question-1": Raw(b"1")}, into_second)
        await parking.aclose()
    assert (first, second) == ([b"before 0"], [b"before 1"])


async def test_an_answer_that_is_missing_is_asked_for_again():
    parking = Parking()
    async with asyncio.timeout(5):
        came = await parking.run(ME, Work(), nowhere)
        again = await parking.resume(ME, came.reference, {"something else": Raw(b"1")}, nowhere)
        assert again.requests == came.requests
        assert await parking.resume(ME, again.reference, {"question-1": Raw(b"1")}, nowhere) is DONE


@pytest.mark.promise("T21", "T26")
async def test_nobody_else_continues_a_call_and_nobody_twice():
    parking = Parking()
    async with asyncio.timeout(5):
        came = await parking.run(ME, Work(), nowhere)
        assert await parking.resume(YOU, came.reference, {"question-1": Raw(b"1")}, nowhere) is None
        assert await parking.resume(ME, "guessed", {"question-1": Raw(b"1")}, nowhere) is None
        assert await parking.resume(ME, came.reference, {"question-1": Raw(b"1")}, nowhere) is DONE
        assert await parking.resume(ME, came.reference, {"question-1": Raw(b"1")}, nowhere) is None


async def test_a_question_that_nobody_answers_ends_the_call():
    parking, work = Parking(lifetime=0.01), Work()
    async with asyncio.timeout(5):
        came = await parking.run(ME, work, nowhere)
        await work.ended.wait()
        assert await parking.resume(ME, came.reference, {}, nowhere) is None
    assert len(parking) == 0


async def test_a_request_that_is_cancelled_ends_its_call():
    parking, work = Parking(), Work()
    before = asyncio.all_tasks()
    async with asyncio.timeout(5):
        came = await parking.run(ME, work, nowhere)
        waiting = asyncio.ensure_future(parking.resume(ME, came.reference, {}, nowhere))
        assert isinstance(await waiting, Questions)

        async def forever(ask_client, emit):
            await work.ended.wait()
            return DONE

        running = asyncio.ensure_future(parking.run(YOU, forever, nowhere))
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await parking.aclose()
    assert asyncio.all_tasks() == before


async def test_one_caller_parks_only_so_many_calls():
    parking = Parking(per_principal=2)
    works = [Work() for _ in range(3)]
    async with asyncio.timeout(5):
        for work in works[:2]:
            await parking.run(ME, work, nowhere)
        with pytest.raises(Forbidden):
            await parking.run(ME, works[2], nowhere)
        assert works[2].began == 0
        assert isinstance(await parking.run(YOU, Work(), nowhere), Questions)
        await parking.aclose()


async def test_what_the_call_raises_is_raised_to_whoever_waits():
    async def failing(ask_client, emit):
        await ask_client("roots/list", Raw(b"{}"))
        raise Forbidden("no")

    parking = Parking()
    async with asyncio.timeout(5):
        came = await parking.run(ME, failing, nowhere)
        with pytest.raises(Forbidden):
            await parking.resume(ME, came.reference, {"question-1": Raw(b"{}")}, nowhere)


async def test_the_end_of_all_ends_running_calls_too_and_waits_until_their_upstreams_know():
    told, begun = [], asyncio.Barrier(3)

    async def slow(ask_client, emit):
        try:
            await begun.wait()
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            told.append("cancelled")

    parking = Parking()
    async with asyncio.timeout(5):
        running = asyncio.ensure_future(parking.run(ME, slow, nowhere))
        gone = asyncio.ensure_future(parking.run(YOU, slow, nowhere))
        await begun.wait()
        gone.cancel()
        await parking.aclose()
        assert told == ["cancelled", "cancelled"]
        assert await running is None
    assert gone.cancelled()


async def test_a_question_that_is_withdrawn_is_not_put_to_the_client():
    second = asyncio.Event()

    async def withdrawing(ask_client, emit):
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await ask_client("roots/list", Raw(b"{}"))
        second.set()
        await ask_client("elicitation/create", Raw(b"{}"))
        return DONE

    parking = Parking()
    async with asyncio.timeout(5):
        came = await parking.run(ME, withdrawing, nowhere)
        while "question-1" in came.requests:  # it was asked before it was withdrawn: both orders are right
            await second.wait()
            came = await parking.resume(ME, came.reference, {}, nowhere)
        assert list(came.requests) == ["question-2"]
        assert await parking.resume(ME, came.reference, {"question-2": Raw(b"1")}, nowhere) is DONE


async def test_a_call_that_ends_while_its_question_is_open_is_answered_when_its_client_comes_back():
    async def impatient(ask_client, emit):
        asked = asyncio.ensure_future(ask_client("roots/list", Raw(b"{}")))
        await leave.wait()
        asked.cancel()
        return DONE

    leave, parking = asyncio.Event(), Parking()
    async with asyncio.timeout(5):
        came = await parking.run(ME, impatient, nowhere)
        leave.set()
        assert await parking.resume(ME, came.reference, {"question-1": Raw(b"1")}, nowhere) is DONE


async def test_a_call_that_was_begun_while_there_was_room_keeps_its_place():
    parking, works = Parking(per_principal=1), [Work(), Work()]
    async with asyncio.timeout(5):
        came = await asyncio.gather(*(parking.run(ME, work, nowhere) for work in works))
        assert len(parking) == 2
        for each in came:
            assert await parking.resume(ME, each.reference, {"question-1": Raw(b"1")}, nowhere) is DONE
