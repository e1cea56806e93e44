import asyncio
import socket

import httpx2
import pytest

from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.guarded_httpx import guarded_client

pytestmark = pytest.mark.promise("D28")


@pytest.fixture
async def guarded():
    clients = []

    def make(dialer, **options):
        clients.append(guarded_client(dialer, **options))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


def url(server, scheme="http", host="127.0.0.1", path="/a"):
    return f"{scheme}://{host}:{server.port}{path}"


async def test_an_allowed_address_is_reached(serve, guarded, loopback):
    server = await serve()
    client = guarded(Dialer(allow_private=loopback))
    assert [(await client.get(url(server))).text for _ in range(2)] == ["ok", "ok"]
    assert server.connections == 1


@pytest.mark.promise("D28", "T4", "T6")
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "127.1", "[::ffff:127.0.0.1]", "[::1]"])
async def test_a_refused_address_is_not_connected_to(serve, guarded, scheme, host):
    canary = await serve()
    with pytest.raises(httpx2.ConnectError):
        await guarded(Dialer()).get(url(canary, scheme, host))
    assert canary.connections == 0


@pytest.mark.promise("D28")
async def test_plain_http_does_not_leave_the_allowed_ranges(guarded, loopback):
    async def public(host, port):
        return ["93.184.216.34"]

    with pytest.raises(httpx2.ConnectError, match="Use an https URL"):
        await guarded(Dialer(allow_private=loopback, resolve=public)).get("http://public.example/")


@pytest.mark.promise("T8")
async def test_a_redirect_is_an_answer_and_is_not_followed(serve, guarded, loopback):
    canary = await serve()

    async def redirect(peer):
        await peer.hear()
        await peer.answer(b"", b"Location: %b\r\n" % url(canary).encode(), b"302 Found")

    response = await guarded(Dialer(allow_private=loopback)).get(url(await serve(redirect)))
    assert (response.status_code, canary.connections) == (302, 0)


@pytest.mark.promise("T9")
async def test_a_proxy_in_the_environment_is_not_used(serve, guarded, loopback, monkeypatch):
    canary, server = await serve(), await serve()
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, url(canary, path=""))
        monkeypatch.setenv(name.upper(), url(canary, path=""))
    assert (await guarded(Dialer(allow_private=loopback)).get(url(server))).text == "ok"
    assert canary.connections == 0


async def test_the_certificate_is_checked_against_the_name(serve, guarded, loopback, authority):
    async def local(host, port):
        return ["127.0.0.1"]

    server = await serve(tls=authority.server("named.example"))
    client = guarded(Dialer(allow_private=loopback, resolve=local, tls=authority.client()))
    assert (await client.get(url(server, "https", "named.example"))).text == "ok"
    with pytest.raises(httpx2.ConnectError):
        await client.get(url(server, "https", "other.example"))


@pytest.mark.promise("T24")
async def test_a_resolver_that_hangs_is_given_up(guarded):
    async def hang(host, port):
        await asyncio.Event().wait()

    with pytest.raises(httpx2.ConnectTimeout):
        await guarded(Dialer(resolve=hang, connect_timeout=0.02)).get("https://slow.example/")


async def test_the_next_address_is_tried_when_one_does_not_answer(serve, guarded, loopback):
    async def two(host, port):
        return ["127.0.0.2", "127.0.0.1"]

    server = await serve()
    client = guarded(Dialer(allow_private=loopback, resolve=two))
    assert (await client.get(url(server, host="two.example"))).text == "ok"
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(httpx2.ConnectError):
            await client.get(f"http://two.example:{unused.getsockname()[1]}/")


async def test_a_host_that_no_header_can_carry_is_refused(guarded, loopback):
    with pytest.raises(httpx2.ConnectError, match="no host name has"):
        await guarded(Dialer(allow_private=loopback)).get("https://a..b/")
