"""One HTTP request to one upstream, and the network's trouble in the hub's words."""

import asyncio
from dataclasses import replace

import pytest

from mcp_hub.egress import errors as egress
from mcp_hub.egress.client import HttpClient
from mcp_hub.egress.dial import Dialer
from mcp_hub.errors import BrokeProtocol, Busy, TimedOut, Unreachable
from mcp_hub.upstream.channel import NO_LINES, Channel, joined, translated
from mcp_hub.wire.jsonrpc import request
from rig.fake_upstream import Answer, FakeUpstream, Request
from rig.parts import LIMITS, NOTHING, bearer, channel_to, door, tool_call, wires_to

pytestmark = pytest.mark.promise("A3", "T10", "A8")
BODY = request(1, "ping", {})


@pytest.mark.parametrize(
    ("trouble", "kind", "sentence"),
    [
        (egress.Refused("h is private."), Unreachable, "up may not be contacted: h is private."),
        (egress.ConnectFailed("No connection."), Unreachable, "up could not be reached: No connection."),
        (egress.ConnectTimedOut("Too slow."), Unreachable, "up could not be reached: Too slow."),
        (egress.ResponseTimedOut("x"), TimedOut, "up did not answer in time. The call may have had effects."),
        (
            egress.ConnectionLost("x", sent=True),
            Unreachable,
            "up hung up before its answer was complete. The call may have had effects.",
        ),
        (egress.ConnectionLost("x", sent=False), Unreachable, "up hung up before its answer was complete."),
        (egress.PoolFull("x"), Busy, "Too many calls to up are under way. Try again in a moment."),
        (egress.TooLarge("Cut off."), BrokeProtocol, "up sent more than the hub accepts: Cut off."),
        (egress.NotHttp("Not HTTP."), BrokeProtocol, "up does not speak HTTP as it should: Not HTTP."),
    ],
)
def test_every_trouble_of_the_network_says_what_happened_and_whose_turn_it_is(trouble, kind, sentence):
    error = translated("up", trouble)
    assert (type(error), error.public, error.upstream) == (kind, sentence, "up")


def test_header_lines_joined_are_header_lines():
    assert joined(NO_LINES, bearer("t").open(), NO_LINES) == b"Authorization: Bearer t\r\n"


async def test_a_request_carries_what_the_protocol_asks_for_and_the_credential_and_nothing_else():
    async with FakeUpstream() as fake, channel_to(fake, path="?key=1&b=/x") as channel, asyncio.timeout(5):
        (await channel.post(BODY, NO_LINES, bearer("token"))).close()
        (await channel.get(NO_LINES, NOTHING)).close()
        (await channel.delete(NO_LINES, bearer("token"))).close()
    post, get, delete = fake.seen
    assert {each.path for each in fake.seen} == {"/mcp?key=1&b=/x"}
    assert [each.verb for each in fake.seen] == ["POST", "GET", "DELETE"]
    assert post.headers == {
        "host": f"127.0.0.1:{fake.port}",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "authorization": "Bearer token",
        "content-length": str(len(BODY)),
    }
    assert set(get.headers) == {"host", "accept-encoding", "accept"}
    assert get.headers["accept"] == "text/event-stream"
    assert delete.headers["authorization"] == "Bearer token"


async def test_a_url_without_a_path_is_asked_at_the_root():
    async with FakeUpstream() as fake:
        http = door()
        channel = Channel("up", f"http://127.0.0.1:{fake.port}?q", http, LIMITS)
        async with asyncio.timeout(5):
            (await channel.post(BODY, NO_LINES, NOTHING)).close()
        await http.aclose()
    assert fake.seen[0].path == "/?q"


@pytest.mark.promise("D28")
async def test_an_address_that_is_not_allowed_is_never_connected():
    async with FakeUpstream() as fake:
        http = HttpClient(Dialer())
        with pytest.raises(Unreachable, match="up may not be contacted: 127"):
            await Channel("up", fake.url, http, LIMITS).post(BODY, NO_LINES, NOTHING)
        await http.aclose()
    assert not fake.seen


async def test_a_port_that_nobody_listens_on_is_unreachable():
    async with FakeUpstream() as fake, channel_to(fake) as channel, asyncio.timeout(5):
        await fake.stop()
        with pytest.raises(Unreachable, match="up could not be reached: No connection to"):
            await channel.post(BODY, NO_LINES, NOTHING)


@pytest.mark.promise("T24")
async def test_an_upstream_that_never_answers_is_given_up_after_the_wait_of_the_call():
    async def never(request: Request) -> Answer:
        await request.until_hung_up()
        return Answer(raw=b"", hangs_up=True)

    async with FakeUpstream() as fake, channel_to(fake) as channel, asyncio.timeout(3):
        fake.before = never
        with pytest.raises(TimedOut):
            await channel.post(BODY, NO_LINES, NOTHING, wait=0.05)
    async with (
        FakeUpstream() as fake,
        channel_to(fake, replace(LIMITS, first_byte=60, listing=0.05)) as channel,
        asyncio.timeout(3),
    ):
        fake.before = never
        with pytest.raises(TimedOut):  # a session's end is housekeeping: it waits no longer than a list
            await channel.delete(NO_LINES, NOTHING)


async def lost_after_first(fake: FakeUpstream) -> None:
    """The next request on a kept connection finds it dying: nothing of it is answered."""
    met = 0

    async def handler(request: Request) -> Answer | None:
        nonlocal met
        met += 1
        return Answer(raw=b"", hangs_up=True) if met == 2 else None

    fake.before = handler


async def test_a_tool_call_on_a_dying_connection_is_not_sent_again():
    async with FakeUpstream() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        await lost_after_first(fake)
        await wires.modern.send(tool_call(), NOTHING)
        with pytest.raises(Unreachable, match="may have had effects"):
            await wires.modern.send(tool_call(), NOTHING)
    assert len(fake.asked("tools/call")) == 2


@pytest.mark.parametrize("method", ["resources/read", "prompts/get", "tools/list"])
async def test_what_does_no_harm_twice_may_be_sent_again_once(method):
    async with FakeUpstream() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        await lost_after_first(fake)
        await wires.modern.send(tool_call(), NOTHING)
        assert (await wires.modern.send(tool_call(method=method), NOTHING)).result is not None
    assert len(fake.asked(method)) == 2


async def test_more_calls_than_the_pool_takes_are_told_to_come_back():
    async def never(request: Request) -> Answer:
        await request.until_hung_up()
        return Answer(raw=b"", hangs_up=True)

    async with FakeUpstream() as fake, asyncio.timeout(5):
        fake.before = never
        http = door(per_origin=1, waiting=0)
        channel = Channel("up", fake.url, http, LIMITS)
        first = asyncio.ensure_future(channel.post(BODY, NO_LINES, NOTHING))
        await fake.until("ping")
        with pytest.raises(Busy, match="Too many calls to up"):
            await channel.post(BODY, NO_LINES, NOTHING)
        first.cancel()
        await asyncio.wait([first])
        await http.aclose()


async def test_a_path_in_any_script_is_sent_percent_encoded():
    async with FakeUpstream() as fake, channel_to(fake, path="/straße%2F?q=ü&a=b") as channel:
        response = await channel.post(b"{}", NO_LINES, NOTHING)
        response.close()
        assert fake.seen[0].path == "/mcp/stra%C3%9Fe%2F?q=%C3%BC&a=b"
