"""Whatever happens to a parked call, at whichever step: its tool has run once at most, and its caller knows."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

import processes
from interaction.counted import (
    ASKED,
    EFFECTS,
    INTERRUPTED,
    NOT_OF_THIS,
    STEPS,
    STOPPING,
    UNDER_WAY,
    Caller,
    Runs,
    Scene,
    Watcher,
    brought_to,
    command,
    config,
    counting,
    text_of,
)
from interaction.own_hub import own_hub
from interaction.whole_hub import Client, events, killed, serving
from mcp_hub.gateway.parking import Parking

pytestmark = pytest.mark.promise("A5")

QUESTIONS = pytest.mark.parametrize("questions", [("form",), ("prompt",), ("form", "prompt")], ids="-".join)
TWO = ("form", "prompt")
_intents = itertools.count()


def fresh() -> str:
    """What a user means, once."""
    return f"intent-{next(_intents)}"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs") / "runs")


@pytest.fixture(scope="module")
def upstream(runs: Runs) -> Iterator[str]:
    """The address of a counting server that lives as long as these tests."""
    with processes.running(command(runs.path)) as started:
        yield started.url


@pytest.fixture(scope="module")
def hub(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a hub in front of it."""
    with processes.hub(config(upstream), tmp_path_factory.mktemp("hub")) as started:
        yield started.url
    assert started.complaints() == []


@pytest.fixture
async def watcher() -> AsyncIterator[Watcher]:
    async with Watcher() as watcher:
        yield watcher


@pytest.fixture
async def client(hub: str) -> AsyncIterator[Client]:
    async with Client(hub) as client:
        yield client


@pytest.fixture
async def bystander(hub: str, watcher: Watcher, runs: Runs) -> AsyncIterator[Caller]:
    """Another client, whose question is open all the time and whose call ends as it should."""
    async with Client(hub) as other:
        caller = Caller(other, fresh(), watcher.port)
        asked = await caller.asked()
        yield caller
        assert text_of(await caller.send(asked)) == f"{caller.intent} done: [{{'sure': True}}]"
        assert runs.of(caller.intent) == (1, 1)


# What clients do


@QUESTIONS
@pytest.mark.parametrize("step", UNDER_WAY)
@pytest.mark.usefixtures("bystander")
async def test_a_client_that_hangs_up_ends_its_call(step, questions, client: Client, watcher: Watcher, runs: Runs):
    scene = await brought_to(step, Caller(client, fresh(), watcher.port, questions), watcher)
    assert scene.pending is not None
    scene.pending.cancel()
    if step == "travelling":
        scene.go()  # who is first now, the answer or the hanging up, nobody can say
    await watcher.over(scene.caller.intent)
    if scene.asked is not None:
        assert INTERRUPTED in await scene.repeated()
    assert runs.of(scene.caller.intent) in ({(1, 0), (1, 1)} if step == "travelling" else {(1, 0)})


@pytest.mark.usefixtures("bystander")
async def test_a_client_that_closes_a_stream_it_has_begun_to_read_ends_its_call(
    client: Client, watcher: Watcher, runs: Runs
):
    caller = Caller(client, fresh(), watcher.port, token="first")
    asked = await caller.asked()
    caller.token = "second"
    watcher.holds = caller.answered
    body, headers = caller.request(asked)
    async with client.http.stream("POST", client.url, json=body, headers=headers) as stream:
        await watcher.reached(caller.answered)
        (told,) = events((await anext(stream.aiter_text())).encode())
        assert told["params"]["progressToken"] == "second", "which is the one of the request that is under way"
    await watcher.over(caller.intent)
    assert INTERRUPTED in text_of(await caller.send(asked))
    assert runs.of(caller.intent) == (1, 0)


@QUESTIONS
async def test_a_client_that_comes_back_on_another_connection_goes_on(
    questions, hub: str, watcher: Watcher, runs: Runs
):
    caller = Caller(Client(hub), fresh(), watcher.port, questions)
    asked = await caller.until_last_question()
    await caller.client.http.aclose()
    async with Client(hub) as again:
        caller.client = again
        assert f"{caller.intent} done" in text_of(await caller.send(asked))
    assert runs.of(caller.intent) == (1, 1)


@QUESTIONS
@pytest.mark.parametrize("step", ASKED)
@pytest.mark.usefixtures("bystander")
async def test_a_repeat_with_other_arguments_is_refused_and_changes_nothing(
    step, questions, client: Client, watcher: Watcher, runs: Runs
):
    scene = await brought_to(step, Caller(client, fresh(), watcher.port, questions), watcher)
    assert NOT_OF_THIS in await scene.repeated(amount=1_000_000)
    await _finished(scene)
    assert runs.of(scene.caller.intent) == (1, 1)


@QUESTIONS
@pytest.mark.parametrize("step", ASKED)
@pytest.mark.usefixtures("bystander")
async def test_the_same_answers_a_second_time_run_nothing(
    step, questions, client: Client, watcher: Watcher, runs: Runs
):
    scene = await brought_to(step, Caller(client, fresh(), watcher.port, questions), watcher)
    if step == "asked":
        told = await asyncio.gather(*(scene.repeated() for _ in range(3)))
        assert sorted("done" in each for each in told) == [False, False, True]
        assert sum(INTERRUPTED in each for each in told) == 2
    else:
        assert INTERRUPTED in await scene.repeated()
        await _finished(scene)
    assert INTERRUPTED in await scene.repeated()
    assert runs.of(scene.caller.intent) == (1, 1)


async def _finished(scene: Scene) -> None:
    """What is under way is answered as if nothing had happened, and so is a question that is still open."""
    scene.go()
    if scene.pending is not None:
        assert "done" in await scene.told()
    elif scene.step == "asked":
        assert "done" in await scene.repeated()


# What happens to the hub


@pytest.mark.promise("D33")
@pytest.mark.parametrize("step", STEPS)
async def test_a_hub_that_is_killed_has_run_nothing_twice_and_says_so_when_it_is_back(
    step, upstream: str, watcher: Watcher, runs: Runs, tmp_path: Path
):
    async with serving(config(upstream), tmp_path) as hub, Client(hub.url) as client:
        scene = await brought_to(step, Caller(client, fresh(), watcher.port, TWO), watcher)
        await killed(hub)
        if scene.pending is not None:
            with pytest.raises(httpx2.TransportError):
                await scene.pending
    scene.go()
    await _nothing_is_left(scene, upstream, tmp_path, watcher)
    assert runs.of(scene.caller.intent) in {(1, 0), (1, 1)}


@pytest.mark.promise("D33")
@pytest.mark.parametrize("step", STEPS)
async def test_a_hub_that_is_stopped_lets_calls_finish_and_ends_those_that_wait(
    step, upstream: str, watcher: Watcher, runs: Runs, tmp_path: Path
):
    async with serving(config(upstream), tmp_path) as hub, Client(hub.url) as client:
        scene = await brought_to(step, Caller(client, fresh(), watcher.port, TWO), watcher)
        hub.process.terminate()
        scene.go()
        if step == "before":
            assert scene.pending is not None
            scene.asked = (await scene.pending)["result"]
        elif scene.pending is not None:
            assert "done" in await scene.told()
    await watcher.over(scene.caller.intent)
    await _nothing_is_left(scene, upstream, tmp_path, watcher)
    assert runs.of(scene.caller.intent) == (1, 0 if step in ("before", "asked") else 1)


@pytest.mark.promise("D33")
async def test_a_hub_that_is_stopped_tells_those_whose_calls_take_too_long(upstream: str, runs: Runs, tmp_path: Path):
    async with Watcher() as watcher, Watcher() as other, serving(config(upstream), tmp_path) as hub:
        async with Client(hub.url) as client, Client(hub.url) as another:
            mine = await brought_to("before", Caller(client, fresh(), watcher.port), watcher)
            theirs = await brought_to("answered", Caller(another, fresh(), other.port), other)
            hub.process.terminate()
            for scene in (mine, theirs):
                assert STOPPING in await scene.told()
        await asyncio.to_thread(hub.process.wait)
        assert "Cancel 2 running task(s)" in hub.log
        await watcher.over(mine.caller.intent)
        await other.over(theirs.caller.intent)
        assert runs.of(mine.caller.intent) == runs.of(theirs.caller.intent) == (1, 0)


async def _nothing_is_left(scene: Scene, upstream: str, directory: Path, watcher: Watcher) -> None:
    """The next hub knows that the call was made, and calls for what is meant anew."""
    async with serving(config(upstream), directory) as hub, Client(hub.url) as client:
        scene.caller.client = client
        if scene.asked is not None:
            assert INTERRUPTED in await scene.repeated()
        another = Caller(client, fresh(), watcher.port)
        assert "done" in text_of(await another.send(await another.asked()))


# What happens to the upstream


@pytest.mark.parametrize("step", STEPS)
async def test_an_upstream_that_dies_has_perhaps_run_and_is_not_called_again(step, watcher: Watcher, tmp_path: Path):
    runs = Runs(tmp_path / "runs")
    port = processes.free_port()
    async with (
        counting(runs, port=port) as upstream,
        serving(config(upstream.url), tmp_path) as hub,
        Client(hub.url) as client,
    ):
        scene = await brought_to(step, Caller(client, fresh(), watcher.port, TWO), watcher)
        upstream.process.kill()
        if scene.pending is not None:
            assert EFFECTS in await scene.told()
        if scene.asked is not None:
            assert (EFFECTS if step == "asked" else INTERRUPTED) in await scene.repeated()
        async with counting(runs, port=port):
            assert (await client.refreshed("up"))["state"] == "ready"
            if scene.asked is not None:
                assert INTERRUPTED in await scene.repeated()
            another = Caller(client, fresh(), watcher.port)
            assert "done" in text_of(await another.send(await another.asked()))
        assert runs.of(scene.caller.intent) == (1, int(step == "done"))


# What only a hub made by hand can be told


@QUESTIONS
async def test_a_question_that_is_not_answered_in_time_ends_the_call(
    questions, upstream: str, watcher: Watcher, runs: Runs
):
    async with own_hub(upstream, parking=Parking(lifetime=0.5)) as client:
        scene = await brought_to("asked", Caller(client, fresh(), watcher.port, questions), watcher)
        await watcher.over(scene.caller.intent)
        assert INTERRUPTED in await scene.repeated()
        assert runs.of(scene.caller.intent) == (1, 0)


@pytest.mark.promise("T21", "T26")
@pytest.mark.parametrize("step", ASKED)
async def test_nobody_elses_answer_counts_and_nobody_elses_call_is_touched(
    step, upstream: str, watcher: Watcher, runs: Runs
):
    async with own_hub(upstream) as client:
        mine = Caller(client, fresh(), watcher.port, headers={"X-Caller": "alice"})
        theirs = Caller(client, fresh(), watcher.port, headers={"X-Caller": "bob"})
        asked_of_them = await theirs.asked()
        scene = await brought_to(step, mine, watcher)
        mine.headers = {"X-Caller": "bob"}
        assert NOT_OF_THIS in await scene.repeated()
        mine.headers = {"X-Caller": "alice"}
        await _finished(scene)
        assert f"{theirs.intent} done" in text_of(await theirs.send(asked_of_them))
        assert runs.of(mine.intent) == runs.of(theirs.intent) == (1, 1)
