import asyncio
import gzip
import traceback

import pytest

from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.fetch import Document, FetchFailed, GuardedFetch

pytestmark = pytest.mark.promise("T2")


@pytest.fixture
async def fetching(loopback):
    made = []

    def make(allowed=loopback):
        made.append(GuardedFetch(Dialer(allow_private=allowed, connect_timeout=5)))
        return made[-1]

    yield make
    for each in made:
        await each.aclose()


def url(server, path="/doc?secret=QUERY"):
    return f"http://127.0.0.1:{server.port}{path}"


async def test_a_document_comes_with_its_status_and_headers(serve, fetching):
    async def answer(peer):
        await peer.hear()
        await peer.answer(b"{}", b"Cache-Control: max-age=5\r\nX-A: 1\r\n", b"201 Created")

    server = await serve(answer)
    got = await fetching().get(url(server))
    assert got == Document(201, {"cache-control": "max-age=5", "x-a": "1", "content-length": "2"}, b"{}")
    assert server.heard[0].line == b"GET /doc?secret=QUERY HTTP/1.1"
    assert server.heard[0].headers[b"accept"] == b"application/json"
    assert server.heard[0].headers[b"accept-encoding"] == b"identity"


async def test_a_form_is_posted_once_with_its_headers(serve, fetching):
    server = await serve()
    await fetching().post(url(server), {"code": "a b&c"}, headers={"Authorization": "Basic eA=="})
    (heard,) = server.heard
    assert (heard.body, heard.headers[b"authorization"]) == (b"code=a+b%26c", b"Basic eA==")
    assert heard.headers[b"content-type"] == b"application/x-www-form-urlencoded"


async def test_a_question_in_json_is_posted_as_it_is(serve, fetching):
    server = await serve()
    await fetching().post_json(url(server), b'{"a":1}', headers={"accept": "text/event-stream"})
    (heard,) = server.heard
    assert (heard.body, heard.headers[b"content-type"]) == (b'{"a":1}', b"application/json")
    assert heard.headers[b"accept"] == b"text/event-stream"


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.promise("T2", "T3")
async def test_a_private_address_is_not_connected_to(serve, fetching, method):
    canary = await serve()
    for host in ("127.0.0.1", "localhost", "[::1]", "2130706433", "127.1"):
        for scheme in ("http", "https"):
            with pytest.raises(FetchFailed):
                await ask(fetching(()), method, f"{scheme}://{host}:{canary.port}/")
    assert canary.connections == 0


async def ask(fetch, method, address, **limits):
    return await (fetch.get(address, **limits) if method == "get" else fetch.post(address, {"a": "b"}, **limits))


@pytest.mark.promise("T8")
@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"307 Temporary Redirect", b"308 Permanent Redirect"])
async def test_a_redirect_is_an_answer(serve, fetching, status):
    canary = await serve()

    async def redirect(peer):
        await peer.hear()
        await peer.answer(b"", b"Location: %b\r\n" % url(canary).encode(), status)

    got = await fetching().get(url(await serve(redirect)))
    assert (got.status, canary.connections) == (int(status[:3]), 0)


@pytest.mark.promise("T23")
async def test_a_document_that_does_not_end_is_given_up_at_its_limit(serve, fetching):
    async def endless(peer):
        await peer.hear()
        await peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not peer.writer.is_closing():
            await peer.say(b"1000\r\n" + b"a" * 4096 + b"\r\n")

    server = await serve(endless)
    with pytest.raises(FetchFailed, match="sent more than 10000 bytes"):
        await fetching().get(url(server), most=10_000)
    await server.until_left()


async def test_a_document_of_just_the_limit_is_whole(serve, fetching):
    async def answer(peer):
        await peer.hear()
        await peer.answer(b"a" * 100)

    assert len((await fetching().get(url(await serve(answer)), most=100)).body) == 100


@pytest.mark.promise("T23")
async def test_what_is_compressed_though_nobody_asked_does_not_expand(serve, fetching):
    bomb = gzip.compress(b"0" * 10_000_000)

    async def answer(peer):
        await peer.hear()
        await peer.answer(bomb, b"Content-Encoding: gzip\r\n")

    assert (await fetching().get(url(await serve(answer)))).body == bomb


@pytest.mark.promise("T24")
@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na"])
async def test_a_slow_server_is_given_up_in_time_whatever_it_has_sent(serve, fetching, start):
    async def slow(peer):
        await peer.hear()
        await peer.say(start)
        await peer.until_closed()

    with pytest.raises(FetchFailed, match="did not answer within"):
        await fetching().get(url(await serve(slow)), seconds=0.05)


@pytest.mark.promise("T24")
async def test_a_server_that_drips_is_given_up_in_time(serve, fetching):
    async def drip(peer):
        await peer.hear()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        while not peer.writer.is_closing():
            await peer.say(b"a")
            await asyncio.sleep(0.01)

    with pytest.raises(FetchFailed, match="did not answer"):
        await fetching().get(url(await serve(drip)), seconds=0.1)


@pytest.mark.promise("T10", "T31")
@pytest.mark.parametrize("answer", [b"", b"SECRET\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nSECRET"])
async def test_nothing_of_a_query_or_a_body_stands_in_an_error(serve, fetching, answer):
    async def broken(peer):
        await peer.hear()
        await peer.say(answer)

    server = await serve(broken)
    with pytest.raises(FetchFailed) as failed:
        await fetching().get(url(server))
    assert str(failed.value) == "127.0.0.1 could not be asked: the connection broke"
    with pytest.raises(FetchFailed) as failed:
        await fetching(()).get(url(server))
    assert "QUERY" not in "".join(traceback.format_exception(failed.value))


@pytest.mark.parametrize(
    "address",
    ["", "no url", "ftp://a.example/", "//a.example", "http://", "https://[", "javascript:x", "https://a:b:c/"],
)
async def test_what_is_no_web_address_fails_as_any_other(fetching, address):
    with pytest.raises(FetchFailed):
        await fetching().get(address)


@pytest.mark.promise("T11")
async def test_a_header_cannot_be_split(serve, fetching):
    server = await serve()
    with pytest.raises(FetchFailed):
        await fetching().post(url(server), {}, headers={"Authorization": "a\r\nX-Evil: 1"})
    assert not server.heard
