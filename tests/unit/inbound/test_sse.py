"""The transport of 2024-11-05: a stream, POSTs beside it, and what somebody else can do to them."""

import asyncio
import json
from dataclasses import dataclass, field

import pytest

from mcp_hub.errors import Forbidden
from mcp_hub.gateway.listener import Over
from mcp_hub.gateway.notices import Notices
from mcp_hub.gateway.places import Limits as NoticeLimits
from mcp_hub.gateway.places import Places
from mcp_hub.gateway.view import Views
from mcp_hub.inbound import conversation, sse
from mcp_hub.inbound.door import ByHeaders
from mcp_hub.inbound.endpoint import Endpoint
from mcp_hub.inbound.flight import Timing
from mcp_hub.inbound.legacy import STRANGER
from mcp_hub.inbound.sessions import Limits, MemorySessions
from mcp_hub.inbound.sse import Sse
from mcp_hub.upstream.call import CHANGES
from mcp_hub.wire.sse import EventParser
from unit.inbound.asgi import BOUND, Exchange, Response, begin
from unit.inbound.hub import ALICE, META, Road, identify, message

pytestmark = pytest.mark.promise("A4")

OPENING = {"protocolVersion": "2024-11-05", "capabilities": {"roots": {}}, "clientInfo": {"name": "c", "version": "1"}}
TOOLS_CHANGED = next(method for method, kind in CHANGES.items() if kind == "tools")


@dataclass
class Stream:
    """A client's open stream."""

    hub: "Hub"
    exchange: Exchange
    caller: str
    numbers: list[int] = field(default_factory=lambda: [0])

    async def begun(self) -> "Stream":
        await self.exchange.until(b"event: endpoint\n")
        await self.exchange.until(b"\n\n")
        return self

    @property
    def events(self):
        return EventParser(4_000_000).feed(b"".join(self.exchange.chunks))

    @property
    def address(self) -> str:
        return self.events[0].data.decode()

    @property
    def session(self) -> str:
        return self.address.partition("session_id=")[2]

    @property
    def heard(self):
        return [json.loads(each.data) for each in self.events if each.event == "message"]

    async def post(self, body, **how) -> Response:
        return await self.hub.post(self.address, body, **{"x_caller": self.caller, **how})

    async def until(self, count: int) -> list:
        """The messages, once there are so many."""
        await self.exchange.until(b"event: message\n", count)
        return self.heard

    async def ask(self, method, params=None):
        """The answer to a request, once it is on the stream."""
        self.numbers[0] += 1
        number = f"n{self.numbers[0]}"
        assert (await self.post(message(method, params, number))).status == 202
        async with asyncio.timeout(BOUND), self.exchange.written:
            await self.exchange.written.wait_for(lambda: self.answer(number) is not None)
        return self.answer(number)

    def answer(self, number):
        return next((each for each in self.heard if isinstance(each, dict) and each.get("id") == number), None)

    async def introduce(self, revision="2024-11-05"):
        answer = await self.ask("initialize", {**OPENING, "protocolVersion": revision})
        await self.post(message("notifications/initialized", number=None))
        return answer

    def hang_up(self) -> None:
        self.exchange.hung_up.set()


class Hub:
    """The transport under test, and its road and sessions."""

    def __init__(self, *, timing=None, limits=None, notices=None, **settings):
        self.road = Road()
        self.sessions = MemorySessions(self.road.end_session, limits or Limits(), lambda: 0.0)
        self.notices = Notices(Views({}, {}, 0), places=Places(notices or NoticeLimits()), delay=0)
        settings = {"door": ByHeaders(identify), "allowed_hosts": {"localhost", "hub.example.com"}, **settings}
        self.sse = Sse(self.road, self.sessions, self.notices_of, timing=timing or Timing(), **settings)
        self.streams: list[Stream] = []

    def notices_of(self, caller) -> Notices:
        return self.notices

    def begin(self, method="GET", caller="", scope=None, **headers) -> Stream:
        given = {"host": "localhost:8080", "accept": "text/event-stream", "x-caller": caller}
        lines = {**given, **{name.replace("_", "-"): value for name, value in headers.items()}}
        kept = [(name, value) for name, value in lines.items() if value is not None]
        self.streams.append(Stream(self, begin(self.sse.stream, method, kept, [b""], **(scope or {})), caller))
        return self.streams[-1]

    async def open(self, caller="", **how) -> Stream:
        return await self.begin(caller=caller, **how).begun()

    def begin_post(self, address, body, method="POST", **headers) -> Exchange:
        path, _, query = address.partition("?")
        given = {"host": "localhost:8080", "content-type": "application/json"}
        lines = {**given, **{name.replace("_", "-"): value for name, value in headers.items()}}
        kept = [(name, value) for name, value in lines.items() if value is not None]
        return begin(self.sse.messages, method, kept, [body], path=path, query_string=query.encode())

    async def post(self, address, body, **how) -> Response:
        return await self.begin_post(address, body, **how).response()


@pytest.fixture
async def hub():
    hub = Hub()
    yield hub
    for each in hub.streams:
        each.hang_up()
        await each.exchange.over()


# What crosses


@pytest.mark.parametrize("revision", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
async def test_the_stream_names_the_address_first_and_the_revision_is_agreed_on_it(hub, revision):
    stream = await hub.open()
    assert stream.address.startswith("/messages?session_id=")
    assert len(stream.session) >= 32
    answer = await stream.introduce(revision)
    assert answer["result"]["protocolVersion"] == revision
    assert answer["result"]["instructions"] == "Be kind."
    headers = dict(stream.exchange.headers)
    assert headers[b"content-type"] == b"text/event-stream"
    assert headers[b"x-accel-buffering"] == b"no"


async def test_requests_reach_the_road_as_those_of_any_session(hub):
    stream = await hub.open("alice")
    await stream.introduce()
    assert (await stream.ask("tools/call", {"name": "echo"}))["result"] == {"content": []}
    assert (await stream.ask("ping"))["result"] == {}
    assert (await stream.ask("logging/setLevel", {"level": "warning"}))["result"] == {}
    (ask,) = hub.road.asks
    assert (ask.session, ask.client.revision, ask.caller.subject) == (stream.session, "2024-11-05", "alice")
    assert hub.road.levels == [(stream.session, "warning")]


async def test_progress_comes_before_the_answer_it_belongs_to(hub):
    stream = await hub.open()
    await stream.introduce()
    await stream.ask("tools/call", {"name": "e", "arguments": {"progress": 3}})
    methods = [each.get("method", "answer") for each in stream.heard]
    assert methods == ["answer", *["notifications/progress"] * 3, "answer"]


async def test_a_question_is_asked_on_the_stream_and_answered_by_a_post(hub):
    stream = await hub.open()
    await stream.introduce()
    call = asyncio.ensure_future(stream.ask("tools/call", {"name": "e", "arguments": {"wait": True}}))
    await hub.road.asked(1)
    asking = asyncio.ensure_future(hub.road.asks[0].ask_client("roots/list", b"{}"))
    asked = (await stream.until(2))[-1]
    assert asked["method"] == "roots/list"
    answer = {"jsonrpc": "2.0", "id": asked["id"], "result": {"roots": []}}
    assert (await stream.post(json.dumps(answer).encode())).status == 202
    assert json.loads(bytes((await asking).result)) == {"roots": []}
    hub.road.release.set()
    assert "result" in await call


@pytest.mark.promise("T20", "B22")
async def test_the_answer_of_another_stream_of_the_same_user_answers_nothing(hub):
    asked_one, other = await hub.open("alice"), await hub.open("alice")
    await asked_one.introduce()
    await other.introduce()
    call = asyncio.ensure_future(asked_one.ask("tools/call", {"name": "e", "arguments": {"wait": True}}))
    await hub.road.asked(1)
    asking = asyncio.ensure_future(hub.road.asks[0].ask_client("roots/list", b"{}"))
    number = (await asked_one.until(2))[-1]["id"]
    forged = json.dumps({"jsonrpc": "2.0", "id": number, "result": {"roots": ["forged"]}}).encode()
    assert (await other.post(forged)).status == 202
    await other.ask("ping")
    assert not asking.done()
    assert [each for each in other.heard if "method" in each] == []
    asking.cancel()
    hub.road.release.set()
    await call


async def test_cancelling_ends_the_call_and_owes_no_answer(hub):
    stream = await hub.open()
    await stream.introduce()
    await stream.post(message("tools/call", {"name": "e", "arguments": {"wait": True}}, 7))
    await hub.road.entered.wait()
    await stream.post(message("notifications/cancelled", {"requestId": 7}, None))
    async with asyncio.timeout(BOUND):
        await hub.road.cancelled.wait()
    await stream.ask("ping")
    assert [each["id"] for each in stream.heard] == ["n1", "n2"]


async def test_what_is_cancelled_before_it_has_begun_never_begins(hub):
    stream = await hub.open()
    await stream.introduce()
    talk = hub.sse._open[stream.session]
    await talk.take(message("tools/call", {"name": "e"}, 7))
    await talk.take(message("notifications/cancelled", {"requestId": 7}, None))
    await stream.ask("ping")
    assert hub.road.asks == []
    assert talk.session.running == {}


async def test_changes_of_lists_are_told_on_the_stream_once_the_client_is_introduced(hub):
    stream = await hub.open()
    hub.notices._tell_all("tools")
    await stream.introduce()
    assert [each for each in stream.heard if "method" in each] == []
    hub.notices._tell_all("tools")
    assert (await stream.until(2))[-1] == {"jsonrpc": "2.0", "method": TOOLS_CHANGED}


async def test_a_batch_is_answered_by_one_array_where_the_revision_knows_batches(hub):
    stream = await hub.open()
    await stream.introduce("2025-03-26")
    batch = b"[" + b",".join([message("ping", number=1), message("nothing", number=2)]) + b"]"
    await stream.post(batch)
    answers = (await stream.until(2))[-1]
    assert [each["id"] for each in answers] == [1, 2]
    await stream.post(b"[" + message("notifications/initialized", number=None) + b"]")
    other = await hub.open()
    await other.introduce()
    await other.post(batch)
    assert (await other.until(2))[-1]["error"]["code"] == -32600


async def test_nothing_but_ping_is_served_before_the_client_has_said_who_it_is(hub):
    stream = await hub.open()
    assert (await stream.ask("tools/list"))["error"]["code"] == -32600
    assert (await stream.ask("ping"))["result"] == {}
    assert (await stream.ask("initialize", {}))["error"]["code"] == -32602
    await stream.introduce()
    assert (await stream.ask("initialize", OPENING))["error"]["code"] == -32600
    assert hub.road.asks == []


async def test_a_modern_request_is_answered_as_an_old_server_answers_it(hub):
    stream = await hub.open()
    assert (await stream.ask("server/discover", {"_meta": META}))["error"]["code"] == -32601


async def test_a_large_answer_arrives_whole_among_others(hub):
    stream = await hub.open()
    await stream.introduce()
    hub.road.result = b'{"content":["' + b"x" * 1_500_000 + b'"]}'
    await asyncio.gather(stream.ask("tools/list"), stream.ask("ping"))
    assert {each["id"] for each in stream.heard} == {"n1", "n2", "n3"}
    assert max(map(len, stream.exchange.chunks)) <= 128 * 1024


# Where the messages go


@pytest.mark.parametrize(
    ("public", "host", "root", "expected"),
    [
        (None, "localhost:8080", "", "/messages"),
        (None, "localhost:8080", "/a b/", "/a%20b/messages"),
        ("https://hub.example.com/mcp%20hub/", "hub.example.com", "", "/mcp%20hub/messages"),
        ("https://hub.example.com/below", "localhost:8080", "", "/messages"),
    ],
)
async def test_the_address_holds_what_a_proxy_or_another_app_puts_before_it(public, host, root, expected):
    hub = Hub(public_url=public)
    stream = await hub.open(host=host, scope={"root_path": root})
    assert stream.address.partition("?")[0] == expected
    stream.hang_up()
    await stream.exchange.over()


# Whose it is


@pytest.mark.promise("T19", "B22")
async def test_a_stream_belongs_to_the_principal_who_opened_it(hub):
    stream = await hub.open("alice")
    await stream.introduce()
    stolen = await stream.post(message("tools/list"), x_caller="bob")
    unknown = await hub.post("/messages?session_id=guess", message("tools/list"), x_caller="bob")
    assert (stolen.status, stolen.body) == (404, unknown.body), "not to be told from one that never was"
    assert hub.road.asks == []


@pytest.mark.promise("T19")
@pytest.mark.parametrize(
    "query",
    [
        "",
        "session_id=",
        "other=x",
        "session_id=a&session_id=b",
        "session_id=" + "a" * 5000,
        "%ff",
        "session_id=a&" * 17,
    ],
)
async def test_an_address_that_names_no_session_is_refused(hub, query):
    assert (await hub.post(f"/messages?{query}", message("ping"))).status == 400


@pytest.mark.promise("T19")
async def test_the_id_of_a_stream_is_none_of_the_other_transport_and_the_other_way_round(hub):
    stream = await hub.open("alice")
    other = Endpoint(hub.road, hub.sessions, hub.notices_of, door=ByHeaders(identify), allowed_hosts={"localhost"})
    for method, body in (("POST", message("tools/list")), ("GET", b""), ("DELETE", b"")):
        lines = {"host": "localhost", "x-caller": "alice", "mcp-session-id": stream.session}
        headers = [*lines.items(), ("content-type", "application/json"), ("accept", "*/*")]
        assert (await begin(other, method, headers, [body]).response()).status == 404
    lasting = await hub.sessions.open(ALICE, STRANGER)
    address = f"/messages?session_id={lasting.id}"
    assert (await hub.post(address, message("ping"), x_caller="alice")).status == 404


async def test_ids_are_never_the_same(hub):
    assert len({(await hub.open()).session for _ in range(20)}) == 20


@pytest.mark.promise("T22")
async def test_pages_of_other_sites_and_other_names_are_kept_out_of_both_addresses(hub):
    stream = await hub.open()
    evil = {"origin": "https://evil.example"}
    assert (await hub.begin(**evil).exchange.response()).status == 403
    assert (await hub.begin(host="evil.example").exchange.response()).status == 421
    assert (await stream.post(message("ping"), **evil)).status == 403
    assert (await stream.post(message("ping"), host="evil.example")).status == 421
    assert len(hub.sessions) == 1


async def test_only_the_methods_that_mean_something_are_served(hub):
    stream = await hub.open()
    posted = await hub.begin("POST").exchange.response()
    assert (posted.status, posted.headers["allow"]) == (405, "GET")
    got = await stream.post(b"", method="GET")
    assert (got.status, got.headers["allow"]) == (405, "POST")
    assert (await hub.begin(accept="application/json").exchange.response()).status == 406
    assert (await stream.post(message("ping"), content_type="text/plain")).status == 415
    assert (await stream.post(b"{")).status == 400
    assert (await stream.post(b'{"jsonrpc":"2.0","method":"notifications/x","params":[]}')).status == 202


@pytest.mark.promise("T23")
async def test_a_body_that_is_too_large_is_not_read(hub):
    small = Hub(max_request=100)
    stream = await small.open()
    assert (await stream.post(b" " * 101)).status == 413
    stream.hang_up()
    await stream.exchange.over()


# How it ends


async def test_the_session_ends_with_its_stream(hub):
    stream = await hub.open()
    await stream.introduce()
    await stream.post(message("tools/call", {"name": "e", "arguments": {"wait": True}}, 7))
    await hub.road.entered.wait()
    stream.hang_up()
    async with asyncio.timeout(BOUND):
        await hub.road.cancelled.wait()
        await stream.exchange.over()
        await hub.sessions.settle()
    assert hub.road.ended == [stream.session]
    assert (await stream.post(message("ping"))).status == 404
    assert (len(hub.sessions), len(hub.sse), hub.notices._places.taken) == (0, 0, 0)


async def test_when_the_hub_stops_what_is_under_way_is_answered_and_the_stream_ends(hub):
    stream = await hub.open()
    await stream.introduce()
    call = asyncio.ensure_future(stream.ask("tools/call", {"name": "e", "arguments": {"wait": True}}))
    await hub.road.entered.wait()
    hub.notices.stop()
    hub.road.release.set()
    assert "result" in await call
    await stream.exchange.response()
    assert len(hub.sessions) == 0


@pytest.mark.promise("T23")
async def test_a_client_that_reads_nothing_is_given_up(hub):
    slow = Hub(timing=Timing(late=0.01, write=0.05))
    stream = await slow.open()
    await stream.introduce()
    stream.exchange.taking.clear()
    slow.road.result = b'{"content":["' + b"x" * 3_000_000 + b'"]}'
    posts = [slow.begin_post(stream.address, message("tools/list", number=n)) for n in range(20)]
    await stream.exchange.over()
    for each in posts:
        each.task.cancel()
        await asyncio.gather(each.task, return_exceptions=True)
    assert (len(slow.sessions), len(slow.sse)) == (0, 0)


@pytest.mark.promise("T23")
async def test_what_waits_for_a_slow_client_is_bounded(monkeypatch):
    monkeypatch.setattr(sse, "MOST_QUEUED", 1000)
    monkeypatch.setattr(sse, "MOST_HELD", 10_000)
    hub = Hub(timing=Timing(late=0.01))
    stream = await hub.open()
    await stream.introduce()
    stream.exchange.taking.clear()
    hub.road.result = b'{"content":["' + b"x" * 900 + b'"]}'
    flood = [hub.begin_post(stream.address, message("tools/list", number=n)) for n in range(20)]
    await stream.exchange.over()
    for each in flood:
        await asyncio.gather(each.task, return_exceptions=True)
    assert len(hub.sessions) == 0


@pytest.mark.promise("T23")
async def test_those_who_wait_for_room_go_on_when_there_is_some(monkeypatch, hub):
    monkeypatch.setattr(sse, "MOST_QUEUED", 100)
    stream = await hub.open()
    await stream.introduce()
    stream.exchange.taking.clear()
    for number in range(20):
        assert (await stream.post(message("ping", number=number))).status == 202
    outlet = hub.sse._open[stream.session]._outlet
    assert 0 < outlet._queued <= 200
    assert outlet._waiting > 0
    stream.exchange.taking.set()
    assert sorted(each["id"] for each in (await stream.until(21))[1:]) == list(range(20))


@pytest.mark.promise("T23")
async def test_requests_under_way_at_once_are_bounded(monkeypatch, hub):
    monkeypatch.setattr(conversation, "MOST", 2)
    stream = await hub.open()
    await stream.introduce()
    for number in range(3):
        await stream.post(message("tools/call", {"name": "e", "arguments": {"wait": True}}, number))
    refused = (await stream.until(2))[-1]
    assert (refused["id"], refused["error"]["code"]) == (2, -32603)
    hub.road.release.set()
    assert len(await stream.until(4)) == 4


@pytest.mark.promise("T23")
async def test_bytes_of_the_requests_under_way_are_bounded(monkeypatch, hub):
    monkeypatch.setattr(conversation, "MOST_BYTES", 10_000)
    stream = await hub.open()
    await stream.introduce()
    large = {"name": "e", "arguments": {"wait": True, "x": "x" * 6000}}
    for number in range(2):
        await stream.post(message("tools/call", large, number))
    refused = (await stream.until(2))[-1]
    assert (refused["id"], refused["error"]["code"]) == (1, -32603)
    hub.road.release.set()
    await stream.until(3)
    assert "result" in await stream.ask("tools/call", {"name": "e", "arguments": {"x": "x" * 6000}})


@pytest.mark.promise("T23")
async def test_a_thousand_streams_of_one_user_are_not_opened_and_others_are_served():
    hub = Hub(limits=Limits(per_principal=10, total=15))
    mine = [hub.begin(caller="alice") for _ in range(1000)]
    opened = mine[:10]
    for each in opened:
        await each.begun()
    for each in mine[10:]:
        assert (await each.exchange.response()).status == 403
    other = await hub.open("bob")
    assert "result" in await other.introduce()
    for each in [*opened, other]:
        each.hang_up()
        await each.exchange.over()
    assert (len(hub.sessions), len(hub.sse), hub.notices._places.taken) == (0, 0, 0)


async def test_without_a_place_for_its_notices_no_stream_is_opened():
    hub = Hub(notices=NoticeLimits(total=0))
    with pytest.raises(Forbidden):
        hub.notices.open(("", "", ""))
    assert (await hub.begin().exchange.response()).status == 403
    assert len(hub.sessions) == 0


async def test_a_stream_whose_notices_are_not_read_ends(hub):
    stream = await hub.open()
    await stream.introduce()
    listener = hub.sse._open[stream.session].session.listener
    listener.finish(Over.OVERFLOWED)
    await stream.exchange.response()
    assert len(hub.sessions) == 0


async def test_an_idle_stream_is_kept_alive_by_comments():
    hub = Hub(timing=Timing(late=0.01, keep_alive=0.01))
    stream = await hub.open()
    await stream.exchange.until(b": keep-alive\n\n", 2)
    stream.hang_up()
    await stream.exchange.over()
