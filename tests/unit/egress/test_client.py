import asyncio
import json
from ipaddress import ip_network

import pytest

from mcp_hub.egress.client import HttpClient, Request, header_lines
from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.errors import (
    ConnectFailed,
    ConnectionLost,
    ConnectTimedOut,
    NotHttp,
    Refused,
    ResponseTimedOut,
    TooLarge,
)
from mcp_hub.egress.http1 import MAX_HEAD, SLICE
from mcp_hub.egress.response import HIGH_WATER
from mcp_hub.wire.origin import Origin

pytestmark = pytest.mark.promise("D28")


def post(server, body=b"{}", **options) -> Request:
    options.setdefault("first_byte", 5.0)
    return Request(b"POST", server.origin(), b"/mcp", body=body, **options)


async def text(client: HttpClient, request: Request) -> bytes:
    response = await client.send(request)
    return await response.read(10**8, within=5)


async def echo(peer):
    while heard := await peer.hear():
        await peer.answer(heard.body)


async def silent(peer):
    await peer.hear()
    await peer.until_closed()


async def test_a_request_arrives_as_it_was_meant_and_the_answer_comes_back(serve, connect):
    async def answer(peer):
        while await peer.hear():
            await peer.answer(b'{"a":1}', b"Content-Type: application/json\r\nX-One: 1\r\n", b"201 Made")

    server = await serve(answer)
    head = header_lines([(b"Accept", b"application/json")])
    response = await connect().send(
        Request(b"POST", server.origin(), b"/mcp?q=1", [(b"X-Key", b"k")], b"{}", first_byte=5, head=head)
    )
    assert (response.status, response.headers[b"content-type"]) == (201, b"application/json")
    assert await response.read(100) == b'{"a":1}'
    heard = server.heard[0]
    assert (heard.line, heard.body) == (b"POST /mcp?q=1 HTTP/1.1", b"{}")
    assert heard.headers == {
        b"host": b"127.0.0.1:%d" % server.port,
        b"accept-encoding": b"identity",
        b"accept": b"application/json",
        b"x-key": b"k",
        b"content-length": b"2",
    }


async def test_connections_are_kept_and_shown(serve, connect):
    server, client = await serve(), connect()
    assert repr(client) == "<HttpClient: 0 active, 0 idle, 0 waiting>"
    for _ in range(5):
        assert await text(client, post(server)) == b"ok"
    assert server.connections == 1
    assert repr(client) == "<HttpClient: 0 active, 1 idle, 0 waiting>"


async def test_https_is_spoken_with_the_origins_name(serve, connect, authority, loopback):
    async def local(host, port):
        return ["127.0.0.1"]

    server = await serve(echo, tls=authority.server("named.example"))
    client = connect(dialer=Dialer(allow_private=loopback, resolve=local, tls=authority.client()))
    request = Request(b"POST", server.origin("named.example", "https"), b"/", body=b"x" * 1_000_000, first_byte=5)
    for _ in range(3):
        assert await text(client, request) == request.body
    assert server.connections == 1
    assert server.heard[0].headers[b"host"] == b"named.example:%d" % server.port


@pytest.mark.promise("B22", "T16")
async def test_two_hundred_callers_at_once_each_get_their_own_answer(serve, connect):
    async def in_pieces(peer):
        while heard := await peer.hear():
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(heard.body), heard.body)
            for start in range(0, len(answer), 17):
                await peer.say(answer[start : start + 17])
                await asyncio.sleep(0)

    server, client = await serve(in_pieces), connect(per_origin=20)

    async def call(number):
        body = json.dumps({"id": number, "pad": "x" * (number % 50)}).encode()
        return await text(client, post(server, body, first_byte=30)) == body

    assert all(await asyncio.gather(*(call(number) for number in range(200))))
    assert server.connections <= 20
    assert client.load.active == client.load.waiting == 0


@pytest.mark.promise("T16")
async def test_cancelling_some_of_many_never_gives_their_answers_to_others(serve, connect):
    server, client = await serve(echo), connect(per_origin=5)

    async def call(number):
        body = b"%d" % number
        return await text(client, post(server, body)) == body

    calls = [asyncio.create_task(call(number)) for number in range(100)]
    for turn in range(60):
        calls[turn if turn % 3 else -1 - turn // 3].cancel()
        await asyncio.sleep(0)
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert {result for result in results if not isinstance(result, asyncio.CancelledError)} == {True}
    assert client.load.active == client.load.waiting == 0
    assert await call(1000)


# ── where it may not go ──


@pytest.mark.promise("D28", "T4")
async def test_a_refused_address_is_not_connected_to(serve, connect):
    canary = await serve()
    with pytest.raises(Refused, match=r"network\.allow_private"):
        await connect(dialer=Dialer()).send(post(canary))
    assert canary.connections == 0


@pytest.mark.promise("T8")
@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"303 See", b"307 Again", b"308 For good"])
async def test_a_redirect_is_an_answer_and_is_not_followed(serve, connect, status):
    canary = await serve()

    async def redirect(peer):
        while await peer.hear():
            await peer.answer(b"", b"Location: http://127.0.0.1:%d/secret\r\n" % canary.port, status)

    server = await serve(redirect)
    response = await connect().send(post(server, repeatable=True))
    assert response.status == int(status[:3])
    assert await response.read(10) == b""
    assert (len(server.heard), canary.connections) == (1, 0)


@pytest.mark.promise("T9")
async def test_a_proxy_in_the_environment_is_not_used(serve, connect, monkeypatch):
    canary, server = await serve(), await serve()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
        monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{canary.port}")
    assert await text(connect(), post(server)) == b"ok"
    assert canary.connections == 0


@pytest.mark.promise("T11")
@pytest.mark.parametrize(
    "options",
    [
        {"headers": [(b"X-Key", b"a\r\nX-Evil: 1")]},
        {"headers": [(b"X-Key\r\nX-Evil", b"1")]},
        {"headers": [(b"X-Key", b"a\0")]},
        {"headers": [(b"Transfer-Encoding", b"chunked")]},
        {"target": b"/ HTTP/1.1\r\nX-Evil: 1\r\n\r\n"},
        {"method": b"GET / HTTP/1.1\r\nX-Evil: 1\r\n\r\nGET"},
    ],
)
async def test_nothing_is_written_of_a_request_that_would_break_out(serve, connect, options):
    server = await serve()
    request = {"method": b"POST", "origin": server.origin(), "target": b"/", **options}
    client = connect()
    with pytest.raises(ValueError, match=r"header|path|method"):
        await client.send(Request(**request))
    assert server.connections == 0
    assert client.load == (0, 0, 0)


# ── what comes back too large, too slow or not at all ──


@pytest.mark.promise("T23")
@pytest.mark.parametrize("framing", [b"Transfer-Encoding: chunked", b"Content-Length: 200000000", b"X-None: 1"])
async def test_an_endless_body_is_cut_off_while_it_streams(serve, connect, framing):
    sent = 0

    async def endless(peer):
        nonlocal sent
        await peer.hear()
        await peer.say(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing)
        piece = b"10000\r\n%b\r\n" % (b"x" * 65536) if b"chunked" in framing else b"x" * 65536
        while not peer.writer.is_closing():
            await peer.say(piece)
            sent += len(piece)

    server, client = await serve(endless), connect()
    response = await client.send(post(server))
    with pytest.raises(TooLarge):
        await response.read(1_000_000, within=5)
    await server.until_left()
    assert sent < 20_000_000
    assert client.load == (0, 0, 0)


@pytest.mark.promise("T23")
@pytest.mark.parametrize("line", [b"A: b\r\n" * 100, b"A: " + b"b" * 10_000 + b"\r\n", b"b" * 10_000])
async def test_an_endless_header_is_cut_off(serve, connect, line):
    sent = 0

    async def endless(peer):
        nonlocal sent
        await peer.hear()
        await peer.say(b"HTTP/1.1 200 OK\r\n")
        while not peer.writer.is_closing():
            await peer.say(line)
            sent += len(line)

    server = await serve(endless)
    with pytest.raises(TooLarge, match=f"more header than the {MAX_HEAD} bytes"):
        await connect().send(post(server))
    await server.until_left()
    assert sent < 20_000_000


@pytest.mark.promise("T23")
async def test_a_compressed_answer_is_not_unpacked(serve, connect):
    async def bomb(peer):
        await peer.hear()
        await peer.answer(b"\x1f\x8b\x08", b"Content-Encoding: gzip\r\n")

    with pytest.raises(NotHttp, match="compressed"):
        await connect().send(post(await serve(bomb)))


async def drip_header(peer):
    await peer.hear()
    for byte in b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100:
        await peer.say(bytes([byte]))
        await asyncio.sleep(0)
    await peer.until_closed()


@pytest.mark.promise("A8", "T24")
@pytest.mark.parametrize("behaviour", [silent, drip_header])
async def test_a_server_that_does_not_come_to_the_point_is_given_up(serve, connect, behaviour):
    server, client = await serve(behaviour), connect()
    with pytest.raises(ResponseTimedOut, match=r"127\.0\.0\.1 did not answer within 0\.05 s"):
        await client.send(post(server, first_byte=0.05))
    assert client.load == (0, 0, 0)
    await server.until_left()


async def drip_body(peer):
    await peer.hear()
    await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    for _ in range(1000):
        await peer.say(b"x")
        await asyncio.sleep(0)
    await peer.until_closed()


@pytest.mark.promise("A8", "T24")
async def test_a_body_that_drips_is_given_up_and_does_not_delay_others(serve, connect):
    slow, quick, client = await serve(drip_body), await serve(), connect()
    response = await client.send(post(slow))
    reading = asyncio.create_task(response.read(10**7, within=0.1))
    assert await text(client, post(quick)) == b"ok"
    with pytest.raises(ResponseTimedOut):
        await reading
    await slow.until_left()


@pytest.mark.promise("A8", "T24")
async def test_a_stream_that_falls_silent_is_given_up(serve, connect):
    async def stream(peer):
        await peer.hear()
        await peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await peer.until_closed()

    server = await serve(stream)
    chunks = (await connect().send(post(server))).chunks(0.05)
    assert await anext(chunks) == b"hello"
    with pytest.raises(ResponseTimedOut):
        await anext(chunks)
    await server.until_left()


async def test_a_handshake_that_hangs_is_told_apart_from_a_closed_port(serve, connect, loopback):
    server = await serve(silent)
    client = connect(dialer=Dialer(allow_private=loopback, connect_timeout=0.05))
    with pytest.raises(ConnectTimedOut):
        await client.send(Request(b"GET", server.origin(scheme="https"), b"/"))
    with pytest.raises(ConnectFailed):
        await client.send(Request(b"GET", Origin("http", "127.0.0.1", 1), b"/"))
    assert client.load == (0, 0, 0)


# ── large bodies ──


async def test_a_large_request_and_a_large_answer_pass_whole(serve, connect):
    server, client = await serve(echo), connect()
    body = bytes(range(256)) * (8 * SLICE // 256)
    for _ in range(2):
        assert await text(client, post(server, body)) == body
    assert server.connections == 1


@pytest.mark.promise("T23")
async def test_a_reader_that_does_not_read_stops_the_sender(serve, connect, until):
    size = 64 * HIGH_WATER

    async def large(peer):
        await peer.hear()
        await peer.answer(b"x" * size)
        await peer.until_closed()

    server = await serve(large)
    response = await connect().send(post(server))
    await until(lambda: response._body._paused)
    assert sum(map(len, response._body._parts)) <= 3 * HIGH_WATER
    assert sum([len(chunk) async for chunk in response.chunks(5)]) == size


async def test_a_server_that_refuses_in_the_middle_of_a_large_request_is_heard(serve, connect):
    async def refuse(peer):
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.answer(b"no", status=b"413 Too large")
        await peer.until_closed()

    server, client = await serve(refuse), connect()
    response = await client.send(post(server, b"x" * 50_000_000))
    assert (response.status, await response.read(10)) == (413, b"no")
    assert client.load == (0, 0, 0)


# ── connections that die between two requests ──


async def close_after_each(peer):
    await peer.hear()
    await peer.answer()


async def test_a_connection_that_was_closed_while_idle_is_not_used(serve, connect, until):
    server, client = await serve(close_after_each), connect()
    for number in range(1, 4):
        assert await text(client, post(server)) == b"ok"
        await until(lambda: client.load.idle == 0)
        assert server.connections == len(server.heard) == number


def dies_on_reuse(answers_fresh: int, breath: bytes = b""):
    """Answers the first request on the first connections; dies on hearing any other, after `breath`."""

    async def behave(peer):
        if peer.number <= answers_fresh:
            await peer.hear()
            await peer.answer()
        await peer.hear()
        await peer.say(breath)

    return behave


async def test_a_request_that_may_have_arrived_is_never_sent_again(serve, connect):
    server, client = await serve(dies_on_reuse(1)), connect()
    await text(client, post(server))
    with pytest.raises(ConnectionLost, match="without an answer") as caught:
        await client.send(post(server, b"once"))
    assert (caught.value.sent, caught.value.answered) == (True, False)
    assert [heard.body for heard in server.heard].count(b"once") == 1
    assert server.connections == 1


async def test_a_repeatable_request_is_sent_again_on_a_fresh_connection(serve, connect):
    server, client = await serve(dies_on_reuse(2)), connect()
    await text(client, post(server))
    assert await text(client, post(server, b"twice", repeatable=True)) == b"ok"
    assert [heard.body for heard in server.heard] == [b"{}", b"twice", b"twice"]
    assert server.connections == 2


async def test_a_repeatable_request_is_sent_again_once_only(serve, connect):
    server, client = await serve(dies_on_reuse(1)), connect()
    await text(client, post(server))
    with pytest.raises(ConnectionLost):
        await client.send(post(server, b"twice", repeatable=True))
    assert [heard.body for heard in server.heard] == [b"{}", b"twice", b"twice"]


async def test_a_repeatable_request_is_not_sent_again_where_the_connection_was_fresh(serve, connect):
    server, client = await serve(dies_on_reuse(0)), connect()
    with pytest.raises(ConnectionLost):
        await client.send(post(server, repeatable=True))
    assert len(server.heard) == 1


@pytest.mark.parametrize(
    "breath", [b"H", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal", b"HTTP/1.1 100 Wait\r\n\r\n"]
)
async def test_a_repeatable_request_is_not_sent_again_once_an_answer_had_begun(serve, connect, breath):
    server, client = await serve(dies_on_reuse(1, breath)), connect()
    await text(client, post(server))
    with pytest.raises(ConnectionLost) as caught:
        await text(client, post(server, b"once", repeatable=True))
    assert caught.value.answered
    assert [heard.body for heard in server.heard].count(b"once") == 1


async def test_a_retry_passes_other_kept_connections_by(serve, connect):
    server, client = await serve(dies_on_reuse(10)), connect()
    await asyncio.gather(*(text(client, post(server)) for _ in range(3)))
    assert client.load.idle == 3
    assert await text(client, post(server, b"again", repeatable=True)) == b"ok"
    assert server.connections == 4


async def test_an_early_end_is_not_taken_for_the_whole(serve, connect):
    async def half(peer):
        await peer.hear()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    response = await connect().send(post(await serve(half)))
    with pytest.raises(ConnectionLost, match="before its answer was complete"):
        await response.read(100)


# ── cancellation and closing ──


async def _hang(host, port):
    await asyncio.Event().wait()


async def test_cancelling_while_resolving_leaves_nothing(connect):
    client = connect(dialer=Dialer(resolve=_hang))
    await _cancelled(client, asyncio.create_task(client.send(Request(b"GET", Origin("https", "a", 443), b"/"))))


async def test_cancelling_while_connecting_leaves_nothing(serve, connect, until):
    server, client = await serve(silent), connect()
    sending = asyncio.create_task(client.send(Request(b"GET", server.origin(scheme="https"), b"/")))
    await until(lambda: server.peers)
    await _cancelled(client, sending)
    await server.until_left()


async def test_cancelling_while_writing_leaves_nothing(serve, connect, until):
    async def deaf(peer):
        await peer.reader.readuntil(b"\r\n\r\n")
        await asyncio.Event().wait()

    server, client = await serve(deaf), connect()
    sending = asyncio.create_task(client.send(post(server, b"x" * 100_000_000)))
    await until(lambda: server.peers)
    await _cancelled(client, sending)


async def test_cancelling_while_waiting_for_the_answer_closes_the_connection(serve, connect, until):
    server, client = await serve(silent), connect()
    sending = asyncio.create_task(client.send(post(server)))
    await until(lambda: server.heard)
    await _cancelled(client, sending)
    await server.until_left()


@pytest.mark.parametrize("way", ["read", "chunks"])
async def test_cancelling_while_reading_closes_the_connection(serve, connect, way):
    server, client = await serve(drip_body), connect()
    response = await client.send(post(server))

    async def read():
        if way == "read":
            return await response.read(10**7)
        return [chunk async for chunk in response.chunks(None)]

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    await _cancelled(client, reading)
    await server.until_left()


async def _cancelled(client, task):
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.load == (0, 0, 0)


async def test_a_response_closed_early_drops_its_connection(serve, connect):
    server, client = await serve(drip_body), connect()
    response = await client.send(post(server))
    response.close()
    assert client.load == (0, 0, 0)
    with pytest.raises(ConnectionLost):
        await response.read(10**7)
    await server.until_left()


async def test_closing_the_client_ends_everything(serve, connect, until):
    server, quick, client = await serve(silent), await serve(), connect(per_origin=1)
    await text(client, post(quick))
    sending = [asyncio.create_task(client.send(post(server))) for _ in range(3)]
    await until(lambda: server.heard)
    assert str(client.load) == "1 active, 1 idle, 2 waiting"
    await client.aclose()
    failed = await asyncio.gather(*sending, return_exceptions=True)
    assert sorted(type(error).__name__ for error in failed) == ["ConnectFailed", "ConnectFailed", "ConnectionLost"]
    assert client.load == (0, 0, 0)
    for origin in (server, quick, await serve()):
        with pytest.raises(ConnectFailed, match="shutting down"):
            await client.send(post(origin))


async def test_a_connection_made_while_the_client_closes_is_closed(serve, connect, loopback, until):
    found = asyncio.Event()

    async def late(host, port):
        await found.wait()
        return ["127.0.0.1"]

    server, client = await serve(), connect(dialer=Dialer(allow_private=loopback, resolve=late))
    sending = asyncio.create_task(client.send(post(server)))
    await asyncio.sleep(0)
    await client.aclose()
    found.set()
    with pytest.raises(ConnectFailed):
        await sending
    assert not server.heard


# ── how long connections are kept ──


async def test_idle_connections_are_closed_and_unused_origins_forgotten(serve, connect, until):
    server, client = await serve(), connect(idle=0.02)
    await text(client, post(server))
    await until(lambda: server.peers[0].ended.is_set() and not client._lanes)
    assert client._sweeper is None


async def test_what_is_young_outlives_a_sweep(serve, connect):
    server, client = await serve(), connect()
    await text(client, post(server))
    client._sweep()
    assert client.load == (0, 1, 0)
    assert client._sweeper is not None
    assert await text(client, post(server)) == b"ok"
    assert server.connections == 1


@pytest.mark.parametrize(("told", "connections"), [(b"timeout=60", 1), (b"timeout=1", 2), (b"timeout=0", 2)])
async def test_a_servers_own_idle_limit_is_undercut(serve, connect, told, connections):
    async def answer(peer):
        while await peer.hear():
            await peer.answer(headers=b"Keep-Alive: %b\r\n" % told)

    server, client = await serve(answer), connect()
    for _ in range(2):
        await text(client, post(server))
    assert server.connections == connections


async def test_two_origins_do_not_share_connections(serve, connect):
    server, client = await serve(), connect()
    await text(client, post(server))
    by_name = Request(b"GET", server.origin("localhost"), b"/", first_byte=5)
    other = connect(dialer=Dialer(allow_private=[ip_network("127.0.0.0/8"), ip_network("::/0")], resolve=_local))
    await text(other, post(server))
    await text(other, by_name)
    assert server.connections == 3


async def _local(host, port):
    return ["127.0.0.1"]
