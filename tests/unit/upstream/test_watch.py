"""Announcements of change, in both eras, and what a stream that ends means."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from mcp_hub.upstream.probe import probe
from mcp_hub.upstream.watch import Watch
from mcp_hub.upstream.wires import Wires
from rig.fake_upstream import LEGACY, Answer, FakeUpstream, Request, sse
from rig.parts import INFO, LIMITS, NOTHING, bearer, bearing, channel_to

pytestmark = pytest.mark.promise("A7")
ERAS = pytest.mark.parametrize("eras", ["modern", "legacy"])
CHANGED = "notifications/tools/list_changed"


class Changes:
    """How often a change was told of."""

    def __init__(self) -> None:
        self.count = 0
        self._told = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self) -> None:
        self.count += 1
        task = asyncio.ensure_future(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        async with self._told:
            self._told.notify_all()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5), self._told:
            await self._told.wait_for(lambda: self.count >= count)


def announcing(eras: str, *kinds: str) -> FakeUpstream:
    fake = FakeUpstream(eras=eras)
    fake.capabilities = {kind: {"listChanged": True} for kind in kinds or ("tools",)}
    return fake


def streams(fake: FakeUpstream) -> str:
    return "subscriptions/listen" if fake.eras == "modern" else "GET"


@asynccontextmanager
async def watching(fake: FakeUpstream, *, waits=(0.001,), pause=0.001, limits=LIMITS, credential=NOTHING):
    """A watch of this upstream, not started, with its opening and the changes it will tell of."""
    changes = Changes()
    async with channel_to(fake, limits) as channel:
        wires = Wires.over(channel)
        async with asyncio.timeout(5):
            opening = await probe("up", bearing(wires, credential), INFO, pinned=None)
        watch = Watch("up", bearing(wires, credential), INFO, changed=changes, waits=waits, pause=pause)
        try:
            yield watch, opening, changes
        finally:
            async with asyncio.timeout(5):
                await watch.aclose()


async def until_streaming(fake: FakeUpstream, times: int = 1) -> None:
    await fake.until(streams(fake), times)
    await fake.until_listening()


@ERAS
@pytest.mark.parametrize("kind", ["tools", "prompts", "resources"])
async def test_every_announcement_of_a_change_is_told(eras, kind):
    async with announcing(eras, kind) as fake, watching(fake) as (watch, opening, changes):
        watch.start(opening)
        await until_streaming(fake)
        for count in range(1, 4):
            fake.announce(f"notifications/{kind}/list_changed")
            await changes.until(count)
    assert len([each for each in fake.seen if streams(fake) in (each.method, each.verb)]) == 1


async def test_a_modern_upstream_is_asked_for_what_it_announces_only():
    async with (
        announcing("modern", "tools", "resources") as fake,
        watching(fake, credential=bearer("own")) as (
            watch,
            opening,
            _,
        ),
    ):
        watch.start(opening)
        await until_streaming(fake)
    request = fake.asked("subscriptions/listen")[0]
    assert request.message["params"]["notifications"] == {"toolsListChanged": True, "resourcesListChanged": True}
    assert request.headers["mcp-method"] == "subscriptions/listen"
    assert request.headers["authorization"] == "Bearer own"


async def test_a_legacy_upstream_is_listened_to_in_the_catalogs_session():
    async with announcing("legacy") as fake, watching(fake) as (watch, opening, _):
        watch.start(opening)
        await until_streaming(fake)
    request = next(each for each in fake.seen if each.verb == "GET")
    assert request.headers["mcp-session-id"] == "session-0"
    assert request.headers["mcp-protocol-version"] == LEGACY
    assert request.headers["accept"] == "text/event-stream"
    assert len(fake.asked("initialize")) == 1


@ERAS
@pytest.mark.parametrize("capability", [{}, {"listChanged": False}, {"listChanged": "yes"}, [], None])
async def test_who_announces_nothing_is_not_listened_to(eras, capability):
    async with announcing(eras) as fake:
        fake.capabilities = {"tools": capability}
        async with watching(fake) as (watch, opening, _):
            watch.start(opening)
            assert watch._task is None


@ERAS
async def test_starting_again_with_the_same_opening_keeps_the_stream(eras):
    async with announcing(eras) as fake, watching(fake) as (watch, opening, changes):
        watch.start(opening)
        await until_streaming(fake)
        watch.start(replace(opening))
        fake.announce(CHANGED)
        await changes.until(1)
    assert len([each for each in fake.seen if streams(fake) in (each.method, each.verb)]) == 1


async def test_starting_with_another_opening_listens_anew():
    async with announcing("modern") as fake, watching(fake) as (watch, opening, _):
        watch.start(opening)
        await until_streaming(fake)
        watch.start(replace(opening, capabilities={"prompts": {"listChanged": True}}))
        await fake.until("subscriptions/listen", 2)
    assert fake.asked("subscriptions/listen")[1].message["params"]["notifications"] == {"promptsListChanged": True}


@ERAS
async def test_a_stream_that_was_cut_is_opened_anew_and_taken_for_a_change(eras):
    async with announcing(eras) as fake, watching(fake) as (watch, opening, changes):
        watch.start(opening)
        await until_streaming(fake)
        assert changes.count == 0
        fake.cut_streams()
        await changes.until(1)
        await until_streaming(fake, 2)
        fake.announce(CHANGED)
        await changes.until(2)


@ERAS
async def test_a_connection_that_breaks_is_a_cut_too(eras):
    async with announcing(eras) as fake, watching(fake) as (watch, opening, changes):
        watch.start(opening)
        await until_streaming(fake)
        for writer in list(fake._writers):
            writer.transport.abort()
        await until_streaming(fake, 2)
        await changes.until(1)


@ERAS
@pytest.mark.parametrize("status", [405, 404, 400, 401, 200])
async def test_who_offers_no_stream_is_left_in_peace(eras, status):
    async def refuse(request: Request) -> Answer | None:
        return Answer(b"{}", status) if streams(fake) in (request.method, request.verb) else None

    async with announcing(eras) as fake, watching(fake) as (watch, opening, changes):
        fake.before = refuse
        watch.start(opening)
        async with asyncio.timeout(5):
            await asyncio.wait([watch._task])
        assert watch._task.exception() is None
        assert changes.count == 0


async def test_a_legacy_upstream_that_forgot_the_session_is_left_to_the_next_fetch():
    async with announcing("legacy") as fake, watching(fake) as (watch, opening, changes):
        watch.start(opening)
        await until_streaming(fake)

        async def forgotten(request: Request) -> Answer | None:
            return Answer(b"", 404) if request.verb == "GET" else None

        fake.before = forgotten
        fake.cut_streams()
        async with asyncio.timeout(5):
            await asyncio.wait([watch._task])
        assert changes.count == 1
        assert not watch._carrier._carrier.legacy._sessions, "the next fetch opens a new session"


@ERAS
async def test_a_server_that_fails_or_is_gone_is_tried_again(eras):
    failed = []

    async def failing(request: Request) -> Answer | None:
        if streams(fake) in (request.method, request.verb) and len(failed) < 3:
            failed.append(1)
            return [Answer(b"", 503), Answer(raw=b"", hangs_up=True), Answer(b"<p>", 500, "text/html")][len(failed) - 1]
        return None

    async with announcing(eras) as fake, watching(fake) as (watch, opening, changes):
        fake.before = failing
        watch.start(opening)
        await until_streaming(fake)
        assert changes.count == 0, "nothing was listened to, so nothing was missed"
        fake.announce(CHANGED)
        await changes.until(1)


@pytest.mark.promise("T25", "T23")
@ERAS
async def test_what_is_no_announcement_is_not_heard(eras):
    async with announcing(eras) as fake, watching(fake) as (watch, opening, changes):
        watch.start(opening)
        await until_streaming(fake)
        for rubbish in (b"data: not JSON\n\n", b"data: []\n\n", b"data:\n\n", b"event: x\n\n", b": comment\n\n"):
            fake.streams[0].put_nowait(rubbish)
        fake.announce("notifications/resources/updated")
        fake.streams[0].put_nowait(sse({"jsonrpc": "2.0", "id": 5, "result": {}}))
        fake.announce(CHANGED)
        await changes.until(1)
        assert changes.count == 1


@pytest.mark.promise("T23")
@ERAS
async def test_announcements_without_end_are_read_no_faster_than_they_can_be_followed(eras):
    async with announcing(eras) as fake, watching(fake, pause=60) as (watch, opening, changes):
        watch.start(opening)
        await until_streaming(fake)
        fake.streams[0].put_nowait(sse(*[{"jsonrpc": "2.0", "method": CHANGED}] * 100))
        await changes.until(1)
        for _ in range(100):
            fake.announce(CHANGED)
        (stream,) = fake.streams
        async with asyncio.timeout(5):
            await stream.join()  # all of them have been sent
        assert changes.count == 1


@pytest.mark.promise("T23")
@ERAS
async def test_an_event_without_end_costs_the_stream_and_is_bounded(eras):
    async with announcing(eras) as fake, watching(fake) as (watch, opening, changes):
        watch.start(opening)
        await until_streaming(fake)
        fake.streams[0].put_nowait(b"data: " + b"x" * (LIMITS.event + 100))
        fake.streams.clear()
        await until_streaming(fake, 2)
        await changes.until(1)


@pytest.mark.promise("T26")
async def test_a_legacy_server_that_asks_on_the_stream_is_answered():
    async with announcing("legacy") as fake, watching(fake) as (watch, opening, _):
        watch.start(opening)
        await until_streaming(fake)
        answered = asyncio.Event()
        answers = []

        async def listen(request: Request) -> Answer | None:
            if "method" not in request.message:
                answers.append(request.message)
                if len(answers) == 2:
                    answered.set()
            return None

        fake.before = listen
        for number, method in enumerate(["ping", "roots/list"]):
            fake.streams[0].put_nowait(sse({"jsonrpc": "2.0", "id": number, "method": method}))
        async with asyncio.timeout(5):
            await answered.wait()
    assert answers[0] == {"jsonrpc": "2.0", "id": 0, "result": {}}
    assert answers[1]["error"]["code"] == -32601


async def test_a_modern_server_that_asks_on_the_stream_is_not_heard():
    async with announcing("modern") as fake, watching(fake) as (watch, opening, changes):
        watch.start(opening)
        await until_streaming(fake)
        fake.streams[0].put_nowait(sse({"jsonrpc": "2.0", "id": 1, "method": "ping"}))
        fake.announce(CHANGED)
        await changes.until(1)
    assert all(json.loads(each.body).get("method") for each in fake.seen)


async def test_a_stream_that_is_cut_at_once_is_opened_more_and_more_seldom_across_restarts():
    async with announcing("modern") as fake, watching(fake, waits=(1.0, 5.0, 30.0, 60.0)) as (watch, _, _):
        assert [watch._wait(0.1) for _ in range(6)] == [1.0, 5.0, 30.0, 60.0, 60.0, 60.0]
        assert watch._wait(61) == 1.0
        assert [watch._wait(0.1), watch._wait(0.1)] == [1.0, 5.0]


@ERAS
async def test_stopping_closes_the_stream_and_leaves_no_task(eras):
    closed = asyncio.Event()

    async def held(request: Request) -> Answer | None:
        if streams(fake) not in (request.method, request.verb):
            return None

        async def chunks():
            yield b": open\n\n"
            await request.until_hung_up()
            closed.set()

        return Answer(content_type="text/event-stream", chunks=chunks())

    async with announcing(eras) as fake, watching(fake) as (watch, opening, _):
        fake.before = held
        watch.start(opening)
        await fake.until(streams(fake))
        task = watch._task
        async with asyncio.timeout(5):
            await watch.aclose()
            assert task.done()
            await closed.wait()
        watch.stop()
        await watch.aclose()
