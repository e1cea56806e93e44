import asyncio
import socket
from dataclasses import dataclass, field

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_hub.egress.errors import ConnectionLost, EgressError, NotHttp, ResponseTimedOut, TooLarge
from mcp_hub.egress.http1 import MAX_HEAD, MAX_HEADERS, SLICE, Link
from mcp_hub.egress.response import Response

pytestmark = pytest.mark.promise("D28")


@pytest.fixture
def anyio_backend():
    return "asyncio"  # no transport of either loop is involved here


class Wire(asyncio.Transport):
    """A transport that remembers what was written and is read by nobody."""

    def __init__(self):
        super().__init__()
        self.written = bytearray()
        self.reading = True
        self.open = True

    def write(self, data):
        self.written += data

    def is_closing(self):
        return not self.open

    def abort(self):
        self.open = False

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True


@dataclass
class Holder:
    """Counts what its connection says of itself."""

    freed_count: int = 0
    gone_count: int = 0

    def freed(self, link):
        self.freed_count += 1

    def gone(self, link):
        self.gone_count += 1


@dataclass
class Setup:
    """A connection between a holder and a wire."""

    holder: Holder = field(default_factory=Holder)
    wire: Wire = field(default_factory=Wire)

    def __post_init__(self):
        self.link = Link("peer.example", self.holder)
        self.link.connection_made(self.wire)

    async def ask(self, wire=b"request", first_byte=5.0):
        exchange = asyncio.create_task(self.link.exchange(wire, first_byte))
        await asyncio.sleep(0)
        return exchange

    def hear(self, *pieces, eof=False):
        """What a transport does with bytes that arrive: it stops when it is closed."""
        for piece in pieces:
            if self.wire.open:
                self.link.data_received(piece)
        if eof:
            if self.wire.open:
                self.link.eof_received()
            self.link.connection_lost(None)

    async def asked(self, *pieces, eof=False) -> Response:
        exchange = await self.ask()
        self.hear(*pieces, eof=eof)
        async with asyncio.timeout(5):
            return await exchange


@pytest.fixture
async def setup():
    setup = Setup()
    yield setup
    setup.link.drop()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

# ── the reference ──


@dataclass(frozen=True)
class Outcome:
    """What a parser made of the bytes; all empty where they were no complete response."""

    status: int = 0
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    reusable: bool = False


def by_h11(raw: bytes) -> Outcome:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("Host", "a"), ("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
    status, headers, body, seen_end = 0, {}, b"", False
    try:
        for data in (raw, b"") if raw else (b"",):
            seen_end = seen_end or not data
            connection.receive_data(data)
            while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.Response):
                    status = event.status_code
                    for name, value in event.headers:
                        headers[name] = b", ".join([headers[name], value]) if name in headers else value
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    reusable = connection.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE} and not seen_end
                    reusable = reusable and not connection.trailing_data[0]
                    headers.pop(b"set-cookie", None)
                    return Outcome(status, tuple(sorted(headers.items())), body, reusable)
                elif isinstance(event, h11.ConnectionClosed):
                    return Outcome()
    except h11.RemoteProtocolError:
        pass
    return Outcome()


def by_link(pieces: list[bytes]) -> Outcome:
    async def run() -> Outcome:
        setup = Setup()
        exchange = await setup.ask()
        setup.hear(*pieces)
        reusable = setup.holder.freed_count == 1 and setup.wire.open
        setup.hear(eof=True)
        assert setup.holder.gone_count == 1
        try:
            response = await exchange
            body = await response.read(10**6)
        except EgressError:
            return Outcome()
        return Outcome(response.status, tuple(sorted(response.headers.items())), body, reusable)

    return asyncio.run(run())


NAMES = st.sampled_from([b"x-a", b"X-B", b"Content-Type", b"Server", b"Set-Cookie", b"x_c!#$%&'*+.^`|~"])
VALUES = st.from_regex(rb"[!-~](?:[ -~\t]{0,12}[!-~])?|", fullmatch=True)
FIELDS = st.lists(st.tuples(NAMES, VALUES, st.sampled_from([b"", b" ", b"  \t"])), max_size=5)


def encoded(fields) -> bytes:
    return b"".join(b"%b:%b%b%b\r\n" % (name, pad, value, pad) for name, value, pad in fields)


@st.composite
def interims(draw) -> bytes:
    return b"".join(
        b"HTTP/1.1 %d Wait\r\n%b\r\n" % (status, encoded(draw(FIELDS)))
        for status in draw(st.lists(st.sampled_from([100, 102, 103]), max_size=2))
    )


@st.composite
def framings(draw) -> tuple[bytes, bytes]:
    """The fields that delimit a body, and the body as it is sent."""
    parts = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=4))
    body = b"".join(parts)
    match draw(st.sampled_from(["length", "chunked", "close"])):
        case "length":
            return b"Content-Length: %d\r\n" % len(body), body
        case "close":
            return b"", body
        case _:
            sent = b"".join(b"%x%b\r\n%b\r\n" % (len(p), draw(st.sampled_from([b"", b";a=b"])), p) for p in parts)
            return b"Transfer-Encoding: chunked\r\n", sent + b"0\r\n" + encoded(draw(FIELDS)) + b"\r\n"


@st.composite
def responses(draw) -> bytes:
    status = draw(st.sampled_from([200, 202, 301, 304, 401, 404, 500, 503]))
    framing, body = draw(framings())
    if status == 304:
        framing, body = draw(st.sampled_from([b"", b"Content-Length: 7\r\n"])), b""
    connection = draw(st.sampled_from([b"", b"Connection: close\r\n", b"Connection: Keep-Alive\r\n"]))
    fields = draw(st.permutations([framing, connection, encoded(draw(FIELDS))]))
    reason = draw(st.sampled_from([b" OK", b" ", b" Not quite so"]))
    return draw(interims()) + b"HTTP/1.1 %d%b\r\n%b\r\n%b" % (status, reason, b"".join(fields), body)


def split(draw, raw: bytes) -> list[bytes]:
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(raw) - 1)), max_size=8)))
    return [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True) if start < end]


@settings(max_examples=400, deadline=None)
@given(st.data(), responses())
def test_every_response_reads_as_h11_reads_it_wherever_it_is_split(data, raw):
    reference = by_h11(raw)
    assert reference.status
    assert by_link(split(data.draw, raw)) == reference


@settings(max_examples=300, deadline=None)
@given(st.data(), responses())
def test_a_response_that_breaks_off_is_complete_only_where_h11_says_so(data, raw):
    cut = raw[: data.draw(st.integers(0, len(raw)))]
    assert by_link(split(data.draw, cut) if cut else []) == by_h11(cut)


@pytest.mark.promise("T23")
@settings(max_examples=400, deadline=None)
@given(st.data(), responses())
def test_a_damaged_response_is_an_error_or_reads_as_h11_reads_it(data, raw):
    damaged = bytearray(raw)
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=3)):
        damaged[place] = data.draw(st.one_of(st.sampled_from(b"\r\n\0 :;,0123456789"), st.integers(0, 255)))
    ours, reference = by_link(split(data.draw, bytes(damaged))), by_h11(bytes(damaged))
    if ours != Outcome() and reference != Outcome():
        assert (ours.status, ours.body) == (reference.status, reference.body)


@pytest.mark.promise("T23")
@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=60), max_size=6))
def test_noise_is_an_error_and_nothing_else(pieces):
    assert by_link(pieces) == Outcome()


# ── one exchange after another ──


async def test_a_connection_is_handed_back_when_its_response_is_complete(setup):
    response = await setup.asked(OK)
    assert (response.status, response.headers) == (200, {b"content-length": b"2"})
    assert await response.read(10) == b"ok"
    assert setup.holder.freed_count == 1
    assert setup.wire.open
    assert repr(setup.link) == "<Link peer.example idle used=1>"


async def test_a_second_exchange_does_not_disturb_the_first_one_s_unread_answer(setup):
    first = await setup.ask()
    second = asyncio.create_task(setup.link.exchange(b"request", 5))
    setup.hear(OK)  # the second exchange begins before the first caller has had its turn
    await asyncio.sleep(0)
    setup.hear(b"HTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\nbad")
    answers = [await first, await second]
    assert [answer.status for answer in answers] == [200, 404]
    assert [await answer.read(10) for answer in answers] == [b"ok", b"bad"]


async def test_cancelling_a_caller_whose_answer_is_complete_leaves_the_connection_to_the_next(setup):
    first = await setup.ask()
    second = asyncio.create_task(setup.link.exchange(b"request", 5))
    setup.hear(OK)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    setup.hear(OK)
    assert (await second).status == 200
    assert setup.wire.open


@pytest.mark.parametrize(
    "extra",
    [
        b"HTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: 4\r\n\r\nevil",
        b"H",
        b"evil",
        b"\0",
        b"HTTP/1.1 100 Wait\r\n\r\n",
    ],
)
@pytest.mark.promise("B22")
async def test_bytes_after_a_response_are_not_part_of_it_and_end_the_connection(setup, extra):
    response = await setup.asked(OK + extra)
    assert await response.read(100) == b"ok"
    assert b"x-evil" not in response.headers
    assert (setup.holder.freed_count, setup.holder.gone_count) == (0, 1)


@pytest.mark.promise("B22")
async def test_an_answer_that_nobody_asked_for_is_nobodys(setup):
    await setup.asked(OK)
    setup.hear(OK)
    assert setup.holder.gone_count == 1
    with pytest.raises(ConnectionLost) as caught:
        await setup.link.exchange(b"request", 5)
    assert not caught.value.sent
    assert bytes(setup.wire.written) == b"request"


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
)
async def test_a_connection_that_the_server_will_close_is_not_kept(setup, raw):
    response = await setup.asked(raw)
    assert await response.read(10) == b"ok"
    assert (setup.holder.freed_count, setup.holder.gone_count) == (0, 1)


@pytest.mark.parametrize(
    ("told", "hint"),
    [
        (b"timeout=5", 5),
        (b"timeout=5, max=100", 5),
        (b"max=100, Timeout=72", 72),
        (b"xtimeout=5", None),
        (b"timeout=", None),
        (b"timeout=-1", None),
        (b"timeout=5x", None),
        (b"timeout=99999999999999999999", None),
        (b"", None),
    ],
)
async def test_the_servers_idle_limit_is_noted(setup, told, hint):
    await setup.asked(b"HTTP/1.1 200 OK\r\nKeep-Alive: %b\r\nContent-Length: 0\r\n\r\n" % told)
    assert setup.link.hint == hint


async def test_repeated_headers_are_joined_and_cookies_left_out(setup):
    fields = b"A: 1\r\nSet-Cookie: a=b\r\na: 2\r\nset-cookie: c=d\r\n"
    response = await setup.asked(b"HTTP/1.1 200 OK\r\n%bContent-Length: 0\r\n\r\n" % fields)
    assert response.headers == {b"a": b"1, 2", b"content-length": b"0"}
    assert response.values(b"a") == [b"1", b"2"]
    assert response.values(b"content-length") == [b"0"]
    assert response.values(b"b") == response.values(b"set-cookie") == []


async def test_what_was_repeated_in_one_response_is_not_in_the_next(setup):
    twice = b"HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\nA: 3\r\nContent-Length: 0\r\n\r\n"
    once = b"HTTP/1.1 103 Early\r\nA: 0\r\nA: 0\r\n\r\nHTTP/1.1 200 OK\r\nA: 4\r\nContent-Length: 0\r\n\r\n"
    for raw, values in ((once, [b"4"]), (twice, [b"1", b"2", b"3"]), (once, [b"4"])):
        assert (await setup.asked(raw)).values(b"a") == values


async def test_a_body_that_ends_with_the_connection_is_complete(setup):
    response = await setup.asked(b"HTTP/1.1 200 OK\r\n\r\nall ", b"of it", eof=True)
    assert await response.read(100) == b"all of it"
    assert setup.holder.gone_count == 1


async def test_a_body_that_ends_with_a_reset_is_not_complete(setup):
    response = await setup.asked(b"HTTP/1.1 200 OK\r\n\r\nhalf")
    setup.link.connection_lost(ConnectionResetError())
    with pytest.raises(ConnectionLost, match="before its answer was complete") as caught:
        await response.read(100)
    assert isinstance(caught.value.__cause__, ConnectionResetError)


@pytest.mark.parametrize(
    ("raw", "answered"), [(b"", False), (b"HTTP/1.1 2", True), (b"HTTP/1.1 100 Wait\r\n\r\n", True)]
)
async def test_a_connection_that_closes_without_an_answer_says_whether_one_had_begun(setup, raw, answered):
    with pytest.raises(ConnectionLost) as caught:
        await setup.asked(*([raw] if raw else []), eof=True)
    assert (caught.value.sent, caught.value.answered) == (True, answered)


@pytest.mark.promise("T24")
async def test_a_server_that_does_not_answer_is_given_up(setup):
    exchange = await setup.ask(first_byte=0.01)
    setup.hear(b"HTTP/1.1 100 Wait\r\n\r\n")
    with pytest.raises(ResponseTimedOut, match=r"peer\.example did not answer within 0\.01 s"):
        await exchange
    assert not setup.wire.open


@pytest.mark.promise("T24")
@pytest.mark.parametrize("before", [0.005, 60.0])
async def test_each_exchange_has_its_own_limit_whatever_the_one_before_it_had(setup, before):
    exchange = await setup.ask(first_byte=before)
    setup.hear(OK)
    await exchange
    with pytest.raises(ResponseTimedOut, match=r"did not answer within 0\.02 s"):
        await (await setup.ask(first_byte=0.02))


async def test_the_limit_of_an_exchange_that_is_over_ends_no_other(setup):
    exchange = await setup.ask(first_byte=0.005)
    setup.hear(OK)
    await exchange
    longer = await setup.ask(first_byte=5.0)
    await asyncio.wait([longer], timeout=0.02)
    setup.hear(OK)
    assert (await longer).status == 200


@pytest.mark.promise("T24")
async def test_an_exchange_that_begins_before_the_one_before_it_was_fetched_keeps_its_limit(setup):
    first = await setup.ask()
    second = asyncio.create_task(setup.link.exchange(b"request", 0.01))
    setup.hear(OK)  # the second begins before the first has its turn
    await first
    with pytest.raises(ResponseTimedOut, match=r"did not answer within 0\.01 s"):
        async with asyncio.timeout(5):
            await second


async def test_a_closed_connection_leaves_no_alarm_behind(setup):
    exchange = await setup.ask(first_byte=60.0)
    setup.hear(OK)
    await exchange
    setup.link.drop()
    assert setup.link._alarm is None


# ── the end of a body of which nothing more is wanted ──

STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nanswer\r\n"


@pytest.mark.promise("S5")
@pytest.mark.parametrize("rest", [b"0\r\n\r\n", b"1\r\n\n\r\n0\r\n\r\n"])
async def test_a_stream_whose_end_comes_after_the_answer_keeps_its_connection(setup, rest):
    response = await setup.asked(STREAM)
    response.linger()
    setup.hear(*(bytes([each]) for each in rest))
    assert (setup.holder.freed_count, setup.wire.open) == (1, True)
    assert (await setup.asked(OK)).status == 200


async def test_what_lingers_is_never_part_of_the_next_answer(setup):
    response = await setup.asked(STREAM)
    response.linger()
    setup.hear(b"4\r\nevil\r\n0\r\n\r\n")
    answer = await setup.asked(OK)
    assert await answer.read(100) == b"ok"


@pytest.mark.promise("T24")
async def test_an_end_that_does_not_come_soon_is_not_waited_for(setup, monkeypatch):
    monkeypatch.setattr("mcp_hub.egress.http1.LINGER", 0.01)
    response = await setup.asked(STREAM)
    response.linger()
    async with asyncio.timeout(5):
        while setup.wire.open:
            setup.hear(b"1\r\n.\r\n")  # however often a byte comes
            await asyncio.sleep(0.002)
    assert (setup.holder.freed_count, setup.holder.gone_count) == (0, 1)


@pytest.mark.promise("T23")
async def test_a_rest_that_is_large_is_not_waited_for(setup):
    response = await setup.asked(STREAM)
    response.linger()
    setup.hear(b"4001\r\n" + b"x" * 0x4001)
    assert (setup.holder.freed_count, setup.holder.gone_count) == (0, 1)


async def test_the_moment_of_lingering_ends_no_later_exchange(setup, monkeypatch):
    monkeypatch.setattr("mcp_hub.egress.http1.LINGER", 0.005)
    response = await setup.asked(STREAM)
    response.linger()
    setup.hear(b"0\r\n\r\n")
    longer = await setup.ask(first_byte=5.0)
    await asyncio.wait([longer], timeout=0.02)
    setup.hear(OK)
    assert (await longer).status == 200


# ── what is refused ──


@pytest.mark.parametrize(
    ("raw", "error", "reason"),
    [
        (b"<html>", NotHttp, "not HTTP/1.1"),
        (b"SSH-2.0-OpenSSH_9\r\n", NotHttp, "not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", NotHttp, "not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nabc", NotHttp, "not HTTP/1.1"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            NotHttp,
            "not HTTP/1.1",
        ),
        (b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n", NotHttp, "not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", NotHttp, "transfer coding"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", NotHttp, "transfer coding"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", NotHttp, "compressed"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: identity, br\r\nContent-Length: 0\r\n\r\n", NotHttp, "compressed"),
        (b"HTTP/1.1 101 Now\r\n\r\n", NotHttp, "another protocol"),
        (b"HTTP/1.1 101 Now\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", NotHttp, "another protocol"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * (MAX_HEADERS + 1) + b"\r\n", TooLarge, "more header"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * MAX_HEAD + b"\r\n\r\n", TooLarge, "more header"),
    ],
)
@pytest.mark.promise("T10", "T23")
async def test_what_the_hub_does_not_read_ends_the_connection(setup, raw, error, reason):
    with pytest.raises(error, match=reason) as caught:
        await setup.asked(raw)
    assert "OpenSSH" not in caught.value.public
    assert not setup.wire.open
    assert setup.holder.gone_count == 1


@pytest.mark.parametrize("status", [b"200", b"404"])
async def test_identity_is_not_a_compression(setup, status):
    response = await setup.asked(b"HTTP/1.1 %b X\r\nContent-Encoding: Identity\r\nContent-Length: 0\r\n\r\n" % status)
    assert response.status == int(status)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.promise("T23")
@pytest.mark.parametrize(
    ("start", "again"),
    [
        (b"HTTP/1.1 200 OK\r\nA: ", b"b" * 1000),
        (b"HTTP/1.1 200 OK\r\n" + b"b" * 10, b"b" * 1000),
        (b"HTTP/1.1 200 ", b"b" * 1000),
        (b"", b"HTTP/1.1 100 Wait\r\n\r\n" * 50),
        (b"\r\n", b"\r\n" * 500),
        (CHUNKED + b"1;", b"e" * 1000),
        (CHUNKED + b"0\r\nT: ", b"t" * 1000),
        (CHUNKED + b"1\r\nx\r\n0\r\nT: ", b"t" * 1000),
        (CHUNKED + b"0\r\n", b"T: t\r\n" * 10),
    ],
)
async def test_endless_anything_but_body_is_cut_off(setup, start, again):
    exchange = await setup.ask()
    setup.hear(start)
    fed = 0
    while setup.wire.open:
        setup.hear(again)
        fed += len(again)
        assert fed <= MAX_HEAD + 2000
    with pytest.raises(TooLarge):
        await (await exchange).read(10)


@pytest.mark.promise("T23")
async def test_an_endless_body_is_cut_off_at_the_limit(setup):
    response = await setup.asked(CHUNKED)
    reading = asyncio.create_task(response.read(5000))
    await asyncio.sleep(0)
    fed = 0
    while setup.wire.open:
        setup.hear(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        fed += 1000
    assert fed == 6000
    with pytest.raises(TooLarge):
        await reading


@pytest.mark.promise("T23")
async def test_a_body_that_nobody_reads_stops_being_received(setup):
    response = await setup.asked(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while setup.wire.reading:
        setup.hear(b"x" * 50_000)
    chunks = response.chunks(None)
    assert len(await anext(chunks)) == 300_000
    assert setup.wire.reading
    await chunks.aclose()


async def test_a_connection_paused_at_the_very_end_reads_again_for_the_next_exchange(setup):
    await setup.asked(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000)
    assert setup.holder.freed_count == 1
    assert setup.wire.reading


# ── large requests ──


async def test_a_large_request_waits_for_the_other_side_to_take_it(setup):
    request = bytes(range(256)) * (3 * SLICE // 256)
    exchange = await setup.ask(request)
    assert bytes(setup.wire.written) == request
    setup.hear(OK)
    await exchange
    setup.link.pause_writing()
    exchange = await setup.ask(request)
    assert len(setup.wire.written) == len(request)
    setup.link.resume_writing()
    await asyncio.sleep(0)
    assert bytes(setup.wire.written) == request * 2
    setup.hear(OK)
    await exchange
    assert setup.holder.freed_count == 2


async def test_a_refusal_in_the_middle_of_a_large_request_ends_it_and_the_connection(setup):
    setup.link.pause_writing()
    exchange = await setup.ask(b"x" * (SLICE + 1))
    setup.hear(b"HTTP/1.1 413 Too large\r\nContent-Length: 2\r\n\r\nno")
    response = await exchange
    assert (response.status, await response.read(10)) == (413, b"no")
    assert not setup.wire.written
    assert (setup.holder.freed_count, setup.holder.gone_count) == (0, 1)


async def test_a_refusal_that_streams_ends_a_large_request_and_can_be_read(setup):
    setup.link.pause_writing()
    exchange = await setup.ask(b"x" * (SLICE + 1))
    setup.hear(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\n")
    setup.link.resume_writing()
    response = await exchange
    setup.hear(b"no")
    assert (response.status, await response.read(10)) == (401, b"no")
    assert not setup.wire.written
    assert setup.holder.gone_count == 1


@pytest.mark.parametrize("early", [b"", CHUNKED])
async def test_a_large_request_that_is_not_taken_in_time_is_given_up(setup, early):
    setup.link.pause_writing()
    exchange = await setup.ask(b"x" * (SLICE + 1), first_byte=0.01)
    setup.hear(early)
    with pytest.raises((ResponseTimedOut, NotHttp)):
        await (await exchange).read(10)
    assert not setup.wire.open


async def test_a_large_request_cancelled_half_way_closes_the_connection(setup):
    setup.link.pause_writing()
    exchange = await setup.ask(b"x" * (SLICE + 1))
    exchange.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exchange
    assert not setup.wire.open


# ── the moment before reuse ──


async def test_what_the_event_loop_has_not_read_yet_is_seen_before_reuse():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        loop = asyncio.get_running_loop()
        address = listener.getsockname()
        _, link = await loop.create_connection(lambda: Link("peer", Holder()), *address)
        peer, _ = listener.accept()
        with peer:
            assert link.is_quiet()
            peer.close()  # nothing is awaited from here on
            assert not link.is_quiet()
        link.drop()
        assert not link.is_quiet()
        await asyncio.sleep(0)
