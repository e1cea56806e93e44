import asyncio
import socket
from ipaddress import ip_network

import pytest

from mcp_hub.egress.dial import Dialer, DialFailed, DialRefused, DialTimedOut
from mcp_hub.egress.errors import DialError, DialStep
from mcp_hub.wire.origin import Origin

pytestmark = pytest.mark.promise("D28")

SPELLINGS = (
    "2130706433 0x7f000001 0177.0.0.1 127.1 127.0.1 [::ffff:127.0.0.1] [::ffff:7f00:1] [::1] [::] "
    "127\u30020\u30020\u30021 \uff11\uff12\uff17.0.0.1 localhost LOCALHOST 0 0.0.0.0"
)


def fixed(*addresses):
    async def resolve(host, port):
        return addresses

    return resolve


async def end(dialed):
    transport, _ = dialed
    transport.abort()
    await asyncio.sleep(0)


@pytest.mark.promise("D28", "T4", "T6")
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("spelling", SPELLINGS.split())
async def test_no_spelling_of_this_machine_is_dialed(serve, spelling, scheme):
    canary = await serve()
    with pytest.raises(DialRefused, match=r"network\.allow_private") as caught:
        await Dialer().dial(Origin.from_url(f"{scheme}://{spelling}:{canary.port}/"), asyncio.Protocol)
    assert caught.value.step is DialStep.JUDGE
    assert canary.connections == 0


@pytest.mark.promise("T6")
async def test_a_final_dot_opens_no_way_in(serve):
    canary = await serve()
    with pytest.raises(DialError) as caught:  # some resolvers do not know the name in this spelling
        await Dialer().dial(canary.origin("localhost."), asyncio.Protocol)
    assert caught.value.step in (DialStep.JUDGE, DialStep.RESOLVE)
    assert canary.connections == 0


@pytest.mark.promise("D28", "T5")
async def test_a_name_that_changes_its_address_is_resolved_once_and_judged_each_time(serve, until):
    honest = await serve()
    canary = await serve(host="127.0.0.2", port=honest.port)
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    asked = []

    async def rebinding(host, port):
        asked.append(host)
        return next(answers)

    dialer = Dialer(allow_private=[ip_network("127.0.0.1/32")], resolve=rebinding)
    await end(await dialer.dial(honest.origin("rebind.example"), asyncio.Protocol))
    await until(lambda: honest.connections)
    assert asked == ["rebind.example"]
    with pytest.raises(DialRefused, match=r"rebind\.example"):
        await dialer.dial(honest.origin("rebind.example"), asyncio.Protocol)
    assert canary.connections == 0


@pytest.mark.promise("T5", "T10")
@pytest.mark.parametrize("addresses", [("93.184.216.34", "127.0.0.1"), ("127.0.0.1", "93.184.216.34")])
async def test_one_address_that_is_refused_refuses_the_name_and_is_not_told(serve, addresses):
    canary = await serve()
    with pytest.raises(DialRefused) as caught:
        await Dialer(resolve=fixed(*addresses)).dial(canary.origin("mixed.example", "https"), asyncio.Protocol)
    assert "127.0.0.1" not in caught.value.public
    assert canary.connections == 0


@pytest.mark.promise("D28")
async def test_plain_http_stays_inside_the_ranges_the_operator_allows(loopback):
    dialer = Dialer(allow_private=loopback, resolve=fixed("93.184.216.34"))
    with pytest.raises(DialRefused, match="Use an https URL"):
        await dialer.resolve_judged(Origin("http", "public.example", 80))
    assert await dialer.resolve_judged(Origin("https", "public.example", 443)) == ["93.184.216.34"]
    local = Dialer(allow_private=loopback, resolve=fixed("127.0.0.1", "::1"))
    assert await local.resolve_judged(Origin("http", "local.example", 80)) == ["127.0.0.1", "::1"]


async def test_the_next_address_is_tried_when_one_does_not_answer(serve, loopback):
    server = await serve(host="127.0.0.3")
    dialer = Dialer(allow_private=loopback, resolve=fixed("127.0.0.1", "127.0.0.2", "127.0.0.3"))
    transport, _ = dialed = await dialer.dial(server.origin("three.example"), asyncio.Protocol)
    assert transport.get_extra_info("peername")[0] == "127.0.0.3"
    await end(dialed)


async def test_small_packets_are_sent_at_once(serve, loopback):
    server = await serve()
    transport, _ = dialed = await Dialer(allow_private=loopback).dial(server.origin(), asyncio.Protocol)
    assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await end(dialed)


async def test_a_closed_port_says_where(loopback):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(DialFailed, match=f"No connection to 127.0.0.1 port {port}") as caught:
            await Dialer(allow_private=loopback).dial(Origin("http", "127.0.0.1", port), asyncio.Protocol)
    assert caught.value.step is DialStep.CONNECT


async def _no_such_name(host, port):
    raise socket.gaierror(socket.EAI_NONAME, "unknown")


async def _unencodable(host, port):
    raise UnicodeError("label too long")


@pytest.mark.parametrize("resolve", [_no_such_name, _unencodable, fixed(), fixed("not an address"), fixed("127.1")])
async def test_a_name_without_an_address_says_so(resolve, loopback):
    with pytest.raises(DialFailed, match=r"missing\.example does not resolve") as caught:
        await Dialer(allow_private=loopback, resolve=resolve).resolve_judged(Origin("https", "missing.example", 443))
    assert caught.value.step is DialStep.RESOLVE


@pytest.mark.promise("A8", "T24")
async def test_a_resolver_that_hangs_is_given_up():
    async def hang(host, port):
        await asyncio.Event().wait()

    with pytest.raises(DialTimedOut, match=r"No connection to slow\.example within 0\.02 s") as caught:
        await Dialer(resolve=hang, connect_timeout=0.02).resolve_judged(Origin("https", "slow.example", 443))
    assert caught.value.step is DialStep.RESOLVE


@pytest.mark.promise("A8", "T24")
async def test_a_handshake_that_hangs_is_given_up_and_closed(serve, loopback):
    server = await serve(lambda peer: peer.until_closed())
    dialer = Dialer(allow_private=loopback, connect_timeout=0.1)
    with pytest.raises(DialTimedOut):
        await dialer.dial(server.origin(scheme="https"), asyncio.Protocol)
    await server.until_left()


@pytest.mark.promise("A8")
async def test_an_address_that_hangs_leaves_time_for_the_next(serve, loopback, authority):
    async def silent(peer):
        await peer.until_closed()

    hung = await serve(silent)
    await serve(host="127.0.0.2", port=hung.port, tls=authority.server("two.example"))
    dialer = Dialer(
        allow_private=loopback, resolve=fixed("127.0.0.1", "127.0.0.2"), connect_timeout=2, tls=authority.client()
    )
    transport, _ = dialed = await dialer.dial(hung.origin("two.example", "https"), asyncio.Protocol)
    assert transport.get_extra_info("peername")[0] == "127.0.0.2"
    await end(dialed)


async def test_tls_checks_the_certificate_against_the_name_not_the_address(serve, loopback, authority):
    server = await serve(tls=authority.server("named.example"))
    dialer = Dialer(allow_private=loopback, resolve=fixed("127.0.0.1"), tls=authority.client())
    await end(await dialer.dial(server.origin("named.example", "https"), asyncio.Protocol))
    await end(await dialer.dial(server.origin("named.example.", "https"), asyncio.Protocol))
    with pytest.raises(
        DialFailed, match=r"certificate of other\.example cannot be trusted: Hostname mismatch"
    ) as caught:
        await dialer.dial(server.origin("other.example", "https"), asyncio.Protocol)
    assert caught.value.step is DialStep.TLS


async def test_a_certificate_of_an_unknown_authority_is_not_trusted(serve, loopback, authority):
    server = await serve(tls=authority.server("named.example"))
    dialer = Dialer(allow_private=loopback, resolve=fixed("127.0.0.1"))
    with pytest.raises(DialFailed, match="cannot be trusted"):
        await dialer.dial(server.origin("named.example", "https"), asyncio.Protocol)


async def test_a_server_without_tls_is_told_apart_from_a_dead_one(serve, loopback):
    async def plain(peer):
        await peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = await serve(plain)
    with pytest.raises(DialFailed, match="did not complete a TLS handshake") as caught:
        await Dialer(allow_private=loopback).dial(server.origin(scheme="https"), asyncio.Protocol)
    assert caught.value.step is DialStep.TLS


async def test_cancelling_a_dial_closes_what_was_opened(serve, loopback, until):
    server = await serve(lambda peer: peer.until_closed())
    dial = asyncio.create_task(Dialer(allow_private=loopback).dial(server.origin(scheme="https"), asyncio.Protocol))
    await until(lambda: server.peers)
    dial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dial
    await server.until_left()
