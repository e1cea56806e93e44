from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.egress.judge import Verdict, judge

pytestmark = pytest.mark.promise("D28")

REFUSED = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 169.254.169.254 169.254.170.2
172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.9 192.0.0.10 192.0.0.170 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1
198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.7 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:7f00:1
64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 64:ff9b:1::808:808 100::1 100:0:0:1::1
2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:1::1 2001:2::1 2001:4:112::1 2001:10::1 2001:20::1 2001:30::1
2001:db8::1 2002:7f00:1::1 2002:808:808::1 3ffe::1 3fff::1 3fff:fff::1 4000::1 5f00::1
fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 feff::1 ff02::1 ff0e::1
"""
PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 93.184.216.34 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0
169.253.255.255 172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.167.255.255 198.17.255.255 198.20.0.0
223.255.255.255 ::ffff:8.8.8.8 2000::1 2001:200::1 2001:4860:4860::8888 2606:4700::1111 2a00::1
"""


@pytest.mark.promise("D28", "T7")
@pytest.mark.parametrize("text", REFUSED.split())
def test_an_address_that_is_not_everybodys_is_refused(text):
    assert judge(ip_address(text), ()) is Verdict.REFUSED


@pytest.mark.promise("D28", "T7")
@pytest.mark.parametrize("text", PUBLIC.split())
def test_an_ordinary_address_is_public(text):
    assert judge(ip_address(text), ()) is Verdict.PUBLIC


@pytest.mark.promise("D28")
@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.1.2.3", "10.0.0.0/8"),
        ("127.0.0.1", "127.0.0.0/8"),
        ("::1", "::1/128"),
        ("::ffff:127.0.0.1", "127.0.0.0/8"),
        ("fd00:ec2::254", "fd00::/8"),
        ("8.8.8.8", "8.8.8.0/24"),
    ],
)
def test_a_range_the_operator_allows_is_allowed(text, network):
    assert judge(ip_address(text), [ip_network(network)]) is Verdict.ALLOWED


@pytest.mark.promise("T7")
@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("::ffff:127.0.0.1", "::ffff:0:0/96"),
        ("2002:7f00:1::1", "2002::/16"),
        ("64:ff9b::7f00:1", "64:ff9b::/96"),
        ("64:ff9b:1::a00:1", "64:ff9b:1::/48"),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", "2001::/32"),  # Teredo client 127.0.0.1
        ("2001:0:7f00:1:8000:63bf:3fff:fdd2", "2001::/32"),  # Teredo server 127.0.0.1
    ],
)
def test_allowing_the_wrapping_does_not_allow_what_is_wrapped(text, network):
    assert judge(ip_address(text), [ip_network(network)]) is Verdict.REFUSED


def test_a_public_address_behind_an_allowed_wrapping_still_needs_tls():
    assert judge(ip_address("64:ff9b::808:808"), [ip_network("64:ff9b::/96")]) is Verdict.PUBLIC


@given(st.ip_addresses(v=4))
def test_no_wrapping_makes_an_ipv4_address_better(address: IPv4Address):
    low = int(address)
    bare = judge(address, ())
    assert judge(IPv6Address((0xFFFF << 32) | low), ()) is bare
    everything = [IPv6Network("::/0")]
    wrapped = [
        IPv6Address((0x2002 << 112) | (low << 80) | 1),
        IPv6Address((0x0064_FF9B << 96) | low),
        IPv6Address((0x2001_0000 << 96) | (0x0808_0808 << 64) | (low ^ 0xFFFF_FFFF)),
    ]
    for outer in wrapped:
        assert judge(outer, ()) is Verdict.REFUSED
        assert judge(outer, everything) is bare


@given(st.ip_addresses())
def test_the_second_opinion_of_the_standard_library_never_differs_on_what_is_public(address):
    if judge(address, ()) is Verdict.PUBLIC:
        inner = getattr(address, "ipv4_mapped", None) or address
        assert inner.is_global
        assert not inner.is_multicast


@given(st.ip_addresses())
def test_allowing_everything_refuses_nothing(address):
    assert judge(address, [ip_network("0.0.0.0/0"), ip_network("::/0")]) is Verdict.ALLOWED
