"""Scheme, host and port of a server. Rule: an `Origin` that exists is safe to put into a `Host` header."""

import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import urlsplit

import idna

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_MAX_PORT: Final = 65_535
_MAX_NAME: Final = 254
_NAME: Final = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?")
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a connection goes. `host` is lower-case ASCII: a name, an IPv4 or an IPv6 address without brackets.

    Raises:
        ValueError: a sentence saying which part cannot be used.
    """

    scheme: str
    host: str
    port: int
    authority: bytes = field(init=False, repr=False, compare=False)
    """What belongs into the `Host` header: the port only where it is not the scheme's own."""
    key: bytes = field(init=False, repr=False, compare=False)
    """The same for equal origins and different for others; looked up faster than the origin itself."""

    def __post_init__(self) -> None:
        if self.scheme not in _DEFAULT_PORTS:
            raise ValueError("a URL has to start with http:// or https://")
        if not 0 < self.port <= _MAX_PORT:
            raise ValueError(f"the port has to be between 1 and {_MAX_PORT}")
        bracketed = f"[{_ipv6(self.host)}]" if ":" in self.host else _checked_name(self.host)
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        object.__setattr__(self, "authority", f"{bracketed}{port}".encode())
        object.__setattr__(self, "key", str(self).encode())

    @classmethod
    def from_url(cls, url: str) -> "Origin":
        """The origin of an absolute `http` or `https` URL; path and query are ignored.

        Raises:
            ValueError: a sentence saying what is wrong; it never repeats the URL, which may hold a secret.
        """
        if _UNSAFE.search(url):
            raise ValueError("the URL contains a space, a backslash or a control character")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError("the host or the port in the URL cannot be read") from None
        if parts.scheme not in _DEFAULT_PORTS:
            raise ValueError("the URL has to start with http:// or https://")
        if "@" in parts.netloc:
            raise ValueError("the URL contains a user name or password; put credentials into a header instead")
        if "#" in url:
            raise ValueError("the URL contains a fragment (#), which is never sent to a server")
        if not host:
            raise ValueError("the URL has no host")
        return cls(parts.scheme, _ascii(host), _DEFAULT_PORTS[parts.scheme] if port is None else port)

    @property
    def server_name(self) -> str:
        """The name a certificate has to carry: the host without the dot that ends an absolute name."""
        return self.host.rstrip(".")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority.decode()}"


def _ascii(host: str) -> str:
    if ":" in host:
        return _ipv6(host)
    if host.isascii():
        return host.lower()
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise ValueError("the host in the URL is not a valid internationalised name") from None


def _ipv6(host: str) -> str:
    # A zone such as %eth0 means something on this machine only and has no place in a Host header.
    try:
        return str(IPv6Address("" if "%" in host else host))
    except ValueError:
        raise ValueError("the host is not a valid IPv6 address") from None


def _checked_name(host: str) -> str:
    if len(host) > _MAX_NAME or not _NAME.fullmatch(host):
        raise ValueError("the host contains a character that no host name has")
    return host
