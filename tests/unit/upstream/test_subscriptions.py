"""One subscription upstream for however many listeners: what is granted, shared, given back and kept through cuts."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from mcp_hub.upstream.probe import probe
from mcp_hub.upstream.subscriptions import Subscriptions
from mcp_hub.upstream.watch import Watch
from mcp_hub.upstream.wires import Wires
from rig.fake_upstream import Answer, FakeUpstream, Request, sse
from rig.parts import INFO, bearing, channel_to

pytestmark = pytest.mark.promise("A5")
ERAS = pytest.mark.parametrize("eras", ["modern", "legacy"])


class Updates:
    """The resources that were told of."""

    def __init__(self) -> None:
        self.queue = asyncio.Queue()

    def __call__(self, params) -> None:
        self.queue.put_nowait(json.loads(bytes(params)))

    async def next(self):
        async with asyncio.timeout(5):
            return await self.queue.get()


def offering(eras: str) -> FakeUpstream:
    fake = FakeUpstream(eras=eras)
    fake.capabilities = {"resources": {"subscribe": True}}
    return fake


@asynccontextmanager
async def subscribing(fake: FakeUpstream, *, deadline: float = 4.0):
    """The subscription to this upstream, started, with what it tells."""
    updates = Updates()
    async with channel_to(fake) as channel:
        wires = Wires.over(channel)
        subscriptions = Subscriptions("up", bearing(wires), INFO, updated=updates, deadline=deadline, waits=(0.001,))
        watch = Watch(
            "up",
            bearing(wires),
            INFO,
            changed=lambda: None,
            heard=lambda message: updates(message.params),
            listening_in=subscriptions.listening_in,
            waits=(0.001,),
        )
        async with asyncio.timeout(5):
            opening = await probe("up", bearing(wires), INFO, pinned=None)
        watch.start(opening)
        subscriptions.start(opening)
        try:
            yield subscriptions, updates
        finally:
            async with asyncio.timeout(5):
                await watch.aclose()
                await subscriptions.aclose()


async def granted(subscriptions, *uris):
    async with asyncio.timeout(5):
        return await subscriptions.subscribe(uris)


@ERAS
async def test_a_resource_that_is_subscribed_to_is_told_of(eras):
    async with offering(eras) as fake, subscribing(fake) as (subscriptions, updates):
        assert await granted(subscriptions, "x:1", "x:2") == {"x:1", "x:2"}
        fake.update("x:2", future=1)
        assert await updates.next() == {"uri": "x:2", "future": 1}


@ERAS
async def test_what_the_upstream_refuses_is_not_granted_and_the_rest_is(eras):
    async with offering(eras) as fake, subscribing(fake) as (subscriptions, _):
        fake.refused = {"x:1"}
        assert await granted(subscriptions, "x:1", "x:2") == {"x:2"}
        assert await granted(subscriptions, "x:1") == set()
        fake.refused = set()
        assert await granted(subscriptions, "x:1") == {"x:1"}
        await fake.until_subscribed("x:1", "x:2")


@ERAS
async def test_many_listeners_share_one_subscription_which_lasts_as_long_as_the_last_of_them(eras):
    async with offering(eras) as fake, subscribing(fake) as (subscriptions, _):
        for _ in range(3):
            assert await granted(subscriptions, "x:1")
        method = "subscriptions/listen" if eras == "modern" else "resources/subscribe"
        assert len(fake.asked(method)) == 1
        subscriptions.unsubscribe(["x:1"])
        subscriptions.unsubscribe(["x:1"])
        assert await granted(subscriptions, "x:2")
        await fake.until_subscribed("x:1", "x:2")
        subscriptions.unsubscribe(["x:1"])
        await fake.until_subscribed("x:2")
        subscriptions.unsubscribe(["x:2", "x:2", "unknown"])
        await fake.until_subscribed()
        assert not subscriptions._wanted
        assert not subscriptions._verdicts


async def test_a_new_stream_is_acknowledged_before_the_old_one_is_closed():
    async with offering("modern") as fake, subscribing(fake) as (subscriptions, updates):
        await granted(subscriptions, "x:1")
        (old,) = fake.streams
        held = asyncio.Event()

        async def slow(request: Request) -> Answer | None:
            await held.wait()
            return None

        fake.handlers["subscriptions/listen"] = slow
        waiting = asyncio.ensure_future(granted(subscriptions, "x:2"))
        await fake.until("subscriptions/listen", 2)
        assert fake.streams == [old]
        fake.update("x:1")
        assert await updates.next() == {"uri": "x:1"}
        held.set()
        assert await waiting == {"x:2"}
        await fake.until_subscribed("x:1", "x:2")


@ERAS
async def test_what_may_have_been_missed_while_the_stream_was_down_counts_as_updated(eras):
    async with offering(eras) as fake, subscribing(fake) as (subscriptions, updates):
        await granted(subscriptions, "x:1")
        fake.cut_streams()
        assert await updates.next() == {"uri": "x:1"}
        await fake.until_subscribed("x:1")
        fake.update("x:1", n=2)
        while await updates.next() != {"uri": "x:1", "n": 2}:
            pass


async def test_in_a_new_session_it_is_subscribed_to_again():
    async with offering("legacy") as fake, subscribing(fake) as (subscriptions, updates):
        await granted(subscriptions, "x:1")
        fake.sessions.clear()
        await subscriptions._carrier.end(("catalog",))
        fake.cut_streams()
        assert await updates.next() == {"uri": "x:1"}
        assert [each["subscribed"] for each in fake.sessions.values()] == [{"x:1"}]


@ERAS
async def test_who_offers_no_subscriptions_is_asked_for_none(eras):
    async with FakeUpstream(eras=eras) as fake, subscribing(fake) as (subscriptions, _):
        assert await granted(subscriptions, "x:1") == set()
        assert not fake.asked("subscriptions/listen")
        assert not fake.asked("resources/subscribe")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"{}", 400),
        Answer(b"{}"),
        Answer(b"", 503),
        Answer(sse({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged"}), 200, "text/event-stream"),
        Answer(b"data: {}\n\n", 200, "text/event-stream"),
    ],
)
async def test_an_upstream_that_does_not_keep_to_its_word_grants_nothing(answer):
    async def odd(request: Request) -> Answer:
        return answer

    async with offering("modern") as fake, subscribing(fake) as (subscriptions, _):
        fake.handlers["subscriptions/listen"] = odd
        assert await granted(subscriptions, "x:1") == set()
        assert not subscriptions._wanted


@ERAS
async def test_a_silent_upstream_costs_the_deadline_and_no_more(eras):
    async def never(request: Request) -> Answer:
        await request.until_hung_up()
        return Answer(raw=b"", hangs_up=True)

    async with offering(eras) as fake, subscribing(fake, deadline=0.05) as (subscriptions, _):
        fake.handlers["subscriptions/listen"] = fake.handlers["resources/subscribe"] = never
        assert await granted(subscriptions, "x:1") == set()
        assert not subscriptions._wanted


@ERAS
async def test_a_listener_that_gives_up_waiting_leaves_nothing_behind(eras):
    async def never(request: Request) -> Answer:
        await request.until_hung_up()
        return Answer(raw=b"", hangs_up=True)

    async with offering(eras) as fake, subscribing(fake) as (subscriptions, _):
        fake.handlers["subscriptions/listen"] = fake.handlers["resources/subscribe"] = never
        waiting = asyncio.ensure_future(granted(subscriptions, "x:1"))
        await fake.until("subscriptions/listen" if eras == "modern" else "resources/subscribe")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not subscriptions._wanted


@pytest.mark.promise("T23", "T25")
@ERAS
async def test_notices_that_are_none_are_not_told(eras):
    async with offering(eras) as fake, subscribing(fake) as (subscriptions, updates):
        await granted(subscriptions, "x:1")
        (stream,) = fake.streams
        stream.put_nowait(b"data: not JSON\n\n")
        stream.put_nowait(sse({"jsonrpc": "2.0", "method": "notifications/other", "params": {"uri": "x:1"}}))
        stream.put_nowait(sse({"jsonrpc": "2.0", "id": 9, "result": {}}))
        fake.update("x:1")
        assert await updates.next() == {"uri": "x:1"}
