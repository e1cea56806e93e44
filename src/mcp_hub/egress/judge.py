"""May the hub connect to this address? Rule: every address is judged after resolving, right before dialing.

The lists are the IANA special-purpose registries written out, because what `is_global` says of the odd ranges
changed between Python 3.11 and 3.14; `is_global` stays as a second opinion that can only refuse.
Sources: RFC 6890 and its registries, RFC 3056 (6to4), RFC 4380 (Teredo), RFC 6052 and RFC 8215 (NAT64).
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Verdict(StrEnum):
    """PUBLIC: anybody's to reach, over TLS. ALLOWED: in a range the operator allows. REFUSED: neither."""

    PUBLIC = "public"
    ALLOWED = "allowed"
    REFUSED = "refused"


_DENIED_V4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host, this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers; cloud metadata lives here too
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local; cloud metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # IETF assignments; cloud metadata
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_UNICAST_V6: Final = IPv6Network("2000::/3")
_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_DENIED_V6: Final = (
    *_NAT64,
    *(
        IPv6Network(text)
        for text in (
            "2001::/23",  # IETF assignments, Teredo among them
            "2001:db8::/32",
            "2002::/16",  # 6to4
            "3ffe::/16",  # handed back by the 6bone
            "3fff::/20",
            "fec0::/10",
        )
    ),
)


def judge(address: Address, allow_private: Sequence[Network]) -> Verdict:
    """The verdict on one resolved address.

    An address that carries another one (IPv4-mapped, 6to4, Teredo, NAT64) is only as good as the worse of the two.
    `allow_private` makes an address ALLOWED, public ones included; it has to hold the carried address as well.
    """
    verdicts = {_judge_one(each, allow_private) for each in _unwrapped(address)}
    for strictest in (Verdict.REFUSED, Verdict.PUBLIC):
        if strictest in verdicts:
            return strictest
    return Verdict.ALLOWED


def _judge_one(address: Address, allow_private: Sequence[Network]) -> Verdict:
    if any(address in network for network in allow_private):
        return Verdict.ALLOWED
    if _is_denied(address) or not address.is_global or address.is_multicast or address.is_unspecified:
        return Verdict.REFUSED
    return Verdict.PUBLIC


def _is_denied(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return any(address in network for network in _DENIED_V4)
    return address not in _UNICAST_V6 or any(address in network for network in _DENIED_V6)


def _unwrapped(address: Address) -> Iterator[Address]:
    """The address and those it carries. A mapped address is the IPv4 one: that is what the kernel connects to."""
    if isinstance(address, IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
        return
    yield address
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if any(address in network for network in _NAT64):
        yield IPv4Address(int(address) & 0xFFFF_FFFF)
