"""The other three combinations of eras: a tool that asks has run once for each time its caller meant it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

import processes
from interaction.counted import (
    ANSWERS,
    CAPABILITIES,
    EFFECTS,
    NOT_OF_THIS,
    SECONDS,
    Caller,
    Runs,
    Watcher,
    brought_to,
    command,
    config,
    counting,
    text_of,
)
from interaction.whole_hub import LEGACY, USUAL, Client, Json, killed, message, serving

pytestmark = pytest.mark.promise("A5")
TWO = ("form", "prompt")
ERAS = pytest.mark.parametrize("house", ["legacy", "modern"], indirect=True)


def fresh() -> str:
    """What a user means, once."""
    return f"intent-{uuid4()}"


@dataclass
class House:
    """A hub in front of a counting server of one era."""

    era: str
    runs: Runs
    hub: str
    upstream: str


@contextmanager
def _house(era: str, directory: Path) -> Iterator[House]:
    runs = Runs(directory / "runs")
    with ExitStack() as stack:
        upstream = stack.enter_context(processes.running(command(runs.path, era=era))).url
        hub = stack.enter_context(processes.hub(config(upstream), directory))
        yield House(era, runs, hub.url, upstream)
    assert hub.complaints() == []


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, House]]:
    with ExitStack() as stack:
        yield {era: stack.enter_context(_house(era, tmp_path_factory.mktemp(era))) for era in ("legacy", "modern")}


@pytest.fixture
def house(houses: dict[str, House], request: pytest.FixtureRequest) -> House:
    return houses[request.param]


@pytest.fixture
async def watcher() -> AsyncIterator[Watcher]:
    async with Watcher() as watcher:
        yield watcher


# Modern clients of a modern upstream


@pytest.fixture
async def caller(houses: dict[str, House], watcher: Watcher) -> AsyncIterator[Caller]:
    """Somebody about to call a modern upstream, while another client waits with a question of its own."""
    house = houses["modern"]
    async with Client(house.hub) as client, Client(house.hub) as other:
        theirs = Caller(other, fresh(), watcher.port)
        asked = await theirs.asked()
        yield Caller(client, fresh(), watcher.port, TWO)
        assert f"{theirs.intent} done" in text_of(await theirs.send(asked))
        assert house.runs.of(theirs.intent)[1] == 1


async def test_a_modern_upstream_is_called_as_often_as_the_client_says_and_no_more(
    caller: Caller, houses: dict[str, House], watcher: Watcher
):
    runs = houses["modern"].runs
    scene = await brought_to("asked", caller, watcher)
    assert runs.of(caller.intent) == (2, 0), "one call for each round"
    assert "done" in await scene.repeated()
    assert runs.of(caller.intent) == (3, 1)
    assert "done" in await scene.repeated(), "what a second repeat means is the upstream's to say"
    assert runs.of(caller.intent) == (4, 2)


async def test_a_modern_upstreams_call_that_is_hung_up_on_ends_and_can_be_answered_again(
    caller: Caller, houses: dict[str, House], watcher: Watcher
):
    scene = await brought_to("answered", caller, watcher)
    assert scene.pending is not None
    scene.pending.cancel()
    await watcher.over(caller.intent)
    assert "done" in await scene.repeated()
    assert houses["modern"].runs.of(caller.intent)[1] == 1


async def test_a_modern_upstreams_question_is_answered_for_the_request_it_was_asked_to_only(
    caller: Caller, houses: dict[str, House], watcher: Watcher
):
    scene = await brought_to("asked", caller, watcher)
    assert NOT_OF_THIS in await scene.repeated(amount=1_000_000)
    assert houses["modern"].runs.of(caller.intent) == (2, 0)
    assert "done" in await scene.repeated()
    assert houses["modern"].runs.of(caller.intent) == (3, 1)


@pytest.mark.promise("D33")
@pytest.mark.parametrize("step", ["asked", "answered"])
async def test_a_modern_upstreams_question_outlives_the_hub(step, watcher: Watcher, tmp_path: Path):
    runs = Runs(tmp_path / "runs")
    async with counting(runs, era="modern") as upstream:
        async with serving(config(upstream.url), tmp_path) as hub, Client(hub.url) as client:
            scene = await brought_to(step, Caller(client, fresh(), watcher.port, TWO), watcher)
            await killed(hub)
            if scene.pending is not None:
                with pytest.raises(httpx2.TransportError):
                    await scene.pending
                await watcher.over(scene.caller.intent)
        async with serving(config(upstream.url), tmp_path) as hub, Client(hub.url) as client:
            scene.caller.client = client
            assert "done" in await scene.repeated()
        assert runs.of(scene.caller.intent)[1] == 1


@pytest.mark.parametrize("step", ["asked", "answered"])
async def test_a_modern_upstreams_question_outlives_the_upstream_if_that_is_its_will(
    step, watcher: Watcher, tmp_path: Path
):
    runs, port = Runs(tmp_path / "runs"), processes.free_port()
    async with (
        counting(runs, era="modern", port=port) as upstream,
        serving(config(upstream.url), tmp_path) as hub,
        Client(hub.url) as client,
    ):
        scene = await brought_to(step, Caller(client, fresh(), watcher.port, TWO), watcher)
        upstream.process.kill()
        if scene.pending is not None:
            assert EFFECTS in await scene.told()
        async with counting(runs, era="modern", port=port):
            assert (await client.refreshed("up"))["state"] == "ready"
            assert "done" in await scene.repeated()
        assert runs.of(scene.caller.intent)[1] == 1


# Legacy clients


@dataclass
class Session:
    """A legacy session whose client answers questions, one call at a time."""

    client: Client
    headers: dict[str, str]
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 1000)))

    async def post(self, body: Json) -> int:
        """The status of what a message came to that has no answer."""
        return (await self.client.post(body, self.headers)).status_code

    @asynccontextmanager
    async def calling(self, intent: str, watcher: Watcher, questions: tuple[str, ...] = TWO) -> AsyncIterator["Stream"]:
        """The stream of one call."""
        number = next(self.numbers)
        arguments = {"intent": intent, "questions": list(questions), "watcher": watcher.port}
        # With a token, so that progress begins the stream at once.
        meta = {"progressToken": number}
        body = message("tools/call", {"name": "up__count", "arguments": arguments, "_meta": meta}, number)
        async with self.client.http.stream("POST", self.client.url, json=body, headers=self.headers) as response:
            yield Stream(self, number, response.aiter_lines())


@dataclass
class Stream:
    """What comes on the stream of a call."""

    session: Session
    number: int
    lines: AsyncIterator[str]

    async def next(self) -> Json:
        """The next question, or the answer."""
        async with asyncio.timeout(SECONDS):
            async for line in self.lines:
                data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
                if data and "id" in (heard := json.loads(data)):
                    return heard
        raise AssertionError("the stream ended without an answer")

    async def answer(self, question: Json, **answer: Any) -> int:
        """Answer a question, in the way that its method wants."""
        given = {"result": ANSWERS[question["method"]], **answer}
        return await self.session.post({"jsonrpc": "2.0", "id": question["id"], **given})

    async def until_last_question(self) -> Json:
        question = await self.next()
        for _ in TWO[1:]:
            assert await self.answer(question) == 202
            question = await self.next()
        return question


@asynccontextmanager
async def session_at(url: str) -> AsyncIterator[Session]:
    """A session at a hub."""
    async with Client(url) as client:
        info = {"name": "old client", "version": "1"}
        params = {"protocolVersion": LEGACY, "capabilities": CAPABILITIES, "clientInfo": info}
        opened = await client.post(message("initialize", params))
        lines = {**USUAL, "Mcp-Session-Id": opened.headers["mcp-session-id"], "MCP-Protocol-Version": LEGACY}
        session = Session(client, lines)
        await session.post(message("notifications/initialized", number=None))
        yield session


def rounds(house: House, count: int) -> int:
    """How often the tool has begun when it has come to so many questions."""
    return count if house.era == "modern" else 1


@ERAS
@pytest.mark.promise("T26")
async def test_an_answer_counts_once_and_from_the_session_that_was_asked(house: House, watcher: Watcher):
    async with session_at(house.hub) as mine, session_at(house.hub) as other:
        intent, theirs = fresh(), fresh()
        async with mine.calling(intent, watcher) as stream, other.calling(theirs, watcher) as another:
            question, their_question = await stream.until_last_question(), await another.until_last_question()
            stolen = Stream(other, 0, stream.lines)
            assert await stolen.answer(question, result={"role": "assistant", "content": "stolen"}) == 202
            assert house.runs.of(intent)[1] == 0
            told = await asyncio.gather(*(stream.answer(question) for _ in range(3)))
            assert told == [202, 202, 202], "an answer to nothing that is asked is taken and dropped"
            assert f"{intent} done" in text_of(await stream.next())
            assert await stream.answer(question) == 202
            await another.answer(their_question)
            assert f"{theirs} done" in text_of(await another.next())
    for each in (intent, theirs):
        assert house.runs.of(each) == (rounds(house, 3), 1)


@ERAS
@pytest.mark.parametrize("step", ["before", "asked", "answered"])
@pytest.mark.parametrize("event", ["cancelled", "deleted"])
async def test_a_call_that_is_cancelled_or_whose_session_ends_is_over_at_the_upstream(
    event, step, house: House, watcher: Watcher
):
    intent, theirs = fresh(), fresh()
    async with session_at(house.hub) as mine, session_at(house.hub) as other:
        async with other.calling(theirs, watcher) as another:
            question = await another.until_last_question()
            watcher.holds = {"before": "began", "answered": "answered 1", "asked": ""}[step]
            async with mine.calling(intent, watcher) as stream:
                if step != "before":
                    asked = await stream.until_last_question()
                if step == "answered":
                    await stream.answer(asked)
                if step != "asked":
                    await watcher.reached(watcher.holds)
                await _ended(event, stream)
                if step == "asked":
                    await stream.answer(asked)  # too late
                await watcher.over(intent)
            await another.answer(question)
            assert f"{theirs} done" in text_of(await another.next())
        if event == "cancelled":
            async with mine.calling(third := fresh(), watcher) as stream:
                await stream.answer(await stream.until_last_question())
                assert f"{third} done" in text_of(await stream.next())
    began, ended = house.runs.of(intent)
    assert began <= rounds(house, {"before": 1, "asked": 2, "answered": 3}[step])
    assert ended == 0
    assert house.runs.of(theirs)[1] == 1


async def _ended(event: str, stream: Stream) -> None:
    session = stream.session
    if event == "cancelled":
        told = message("notifications/cancelled", {"requestId": stream.number}, None)
        assert await session.post(told) == 202
    else:
        assert (await session.client.http.delete(session.client.url, headers=session.headers)).status_code == 204


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("step", ["before", "asked", "answered"])
async def test_a_legacy_client_learns_that_its_upstream_died(step, era, watcher: Watcher, tmp_path: Path):
    runs, port = Runs(tmp_path / "runs"), processes.free_port()
    async with (
        counting(runs, era=era, port=port) as upstream,
        serving(config(upstream.url), tmp_path) as hub,
        session_at(hub.url) as session,
    ):
        watcher.holds = {"before": "began", "answered": "answered 1", "asked": ""}[step]
        async with session.calling(intent := fresh(), watcher) as stream:
            if step != "before":
                asked = await stream.until_last_question()
            if step == "answered":
                await stream.answer(asked)
            if step != "asked":
                await watcher.reached(watcher.holds)
            upstream.process.kill()
            if step == "asked":
                await stream.answer(asked)
            told = text_of(await stream.next())
        async with counting(runs, era=era, port=port):
            assert (await session.client.refreshed("up"))["state"] == "ready"
            async with session.calling(another := fresh(), watcher) as stream:
                await stream.answer(await stream.until_last_question())
                assert f"{another} done" in text_of(await stream.next())
        assert runs.of(intent)[1] == 0
    assert EFFECTS in told or (step == "asked" and "could not be reached" in told), told
