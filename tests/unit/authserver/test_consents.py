"""Questions and their answers, as many at once as there may be."""

import asyncio

import pytest

from mcp_hub.authserver import requests
from mcp_hub.authserver.consents import Consents, Decision, NotAsked, Visitor
from mcp_hub.authserver.requests import Asked
from rig.authorizing import ADA, RESOURCE, Front, front, url

pytestmark = pytest.mark.promise("C24")
VISITOR = Visitor(ADA, b"b" * 32, "192.0.2.1")


async def asked_of(hub: Front) -> tuple[Consents, Asked]:
    client = await hub.clients.find("trusted", may_fetch=False)
    assert client is not None
    query = requests.read_query(url().partition("?")[2].encode())
    asked = requests.judged(query, client, requests.way_back(query, client, "http://hub"), (RESOURCE,))
    return Consents(hub.store, hub.clients, hub.events, hub.clock), asked


@pytest.mark.promise("T46")
async def test_of_many_clicks_at_once_one_gives_a_code():
    async with front() as hub:
        all_, asked = await asked_of(hub)
        client = await hub.clients.find("trusted", may_fetch=False)
        question = await all_.ask(asked, client, VISITOR)
        clicks = (all_.answer(question.key, allowed=True, visitor=VISITOR) for _ in range(30))
        async with asyncio.timeout(5):
            results = await asyncio.gather(*clicks, return_exceptions=True)
        assert sum(isinstance(each, Decision) for each in results) == 1
        assert sum(isinstance(each, NotAsked) for each in results) == 29


@pytest.mark.promise("T37")
async def test_who_answers_elsewhere_does_not_take_the_question_away():
    async with front() as hub:
        all_, asked = await asked_of(hub)
        client = await hub.clients.find("trusted", may_fetch=False)
        question = await all_.ask(asked, client, VISITOR)
        with pytest.raises(NotAsked):
            await all_.answer(question.key, allowed=True, visitor=Visitor(ADA, b"x" * 32, ""))
        with pytest.raises(NotAsked):
            await all_.answer("made up", allowed=True, visitor=VISITOR)
        assert isinstance(await all_.answer(question.key, allowed=True, visitor=VISITOR), Decision)


async def test_a_question_of_before_a_restart_can_be_answered_after_it():
    async with front() as hub:
        all_, asked = await asked_of(hub)
        client = await hub.clients.find("trusted", may_fetch=False)
        question = await all_.ask(asked, client, VISITOR)
        again = Consents(hub.store, hub.clients, hub.events, hub.clock)
        decision = await again.answer(question.key, allowed=True, visitor=VISITOR)
        assert isinstance(decision, Decision)
        assert decision.asked == asked


async def test_there_is_an_end_to_the_questions_that_wait():
    async with front() as hub:
        asked = (await asked_of(hub))[1]
        all_ = Consents(hub.store, hub.clients, hub.events, hub.clock, most=3)
        client = await hub.clients.find("trusted", may_fetch=False)
        first, *kept = [await all_.ask(asked, client, VISITOR) for _ in range(4)]
        with pytest.raises(NotAsked):
            await all_.answer(first.key, allowed=True, visitor=VISITOR)
        for question in kept:
            assert isinstance(await all_.answer(question.key, allowed=True, visitor=VISITOR), Decision)
