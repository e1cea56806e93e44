"""What an address means for who can reach it, and whether the hub would.

Rule: this is advice to the operator, given early; what a name really resolves to is judged where it is dialed.
"""

import ipaddress

from mcp_hub.config.model import IPNetwork


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach what listens on `host`, an address or `localhost`."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def judge_address(scheme: str, host: str, allowed: tuple[IPNetwork, ...]) -> tuple[str, str]:
    """Why the hub would never connect there, and the next step; two empty texts if it might.

    A host name is only judged where no answer of the resolver could help it.
    """
    address = _address(host)
    if address is not None and any(address in network for network in allowed):
        return "", ""
    if address is not None and not address.is_global:
        return (
            "this address is not public",
            f"if it may be used, write  network: {{allow_private: [{_range(address)}]}}",
        )
    if scheme == "http" and address is not None:
        return "a public address needs https", "plain http is for ranges in network.allow_private only"
    if scheme == "http" and not allowed:
        return "plain http is for private networks, and none is allowed", "use https, or set network.allow_private"
    return "", ""


def private_range(host: str) -> IPNetwork | None:
    """What `network.allow_private` needs for an upstream at `host`; `None` for a public address or a name."""
    address = _address(host)
    return None if address is None or address.is_global else _range(address)


def _range(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> IPNetwork:
    if isinstance(address, ipaddress.IPv4Address) and address.is_loopback:
        return ipaddress.IPv4Network("127.0.0.0/8")
    return ipaddress.ip_network(address)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return ipaddress.IPv4Address("127.0.0.1")
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
