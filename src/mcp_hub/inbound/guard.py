"""Who may be addressed, and from which pages: the defence against DNS rebinding.

Rule: `Host` and `Origin` are judged before anything else of a request is read. A page of a foreign site that makes a
browser speak to this hub is recognised by its `Origin`, or, once its name resolves to the hub's own address, by the
name it left in `Host`.
Source: MCP 2026-07-28 basic/transports/streamable-http "Security & Endpoint"; RFC 9110 section 15.5.20 (421).
"""

import re
from collections.abc import Iterable
from typing import Final

from mcp_hub.inbound.head import HOST, ORIGIN, Head
from mcp_hub.inbound.outcome import Refused
from mcp_hub.wire.jsonrpc import INVALID_REQUEST

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Names that always mean this machine, and are therefore allowed with any port once they are allowed."""

_AUTHORITY: Final = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)(?::[0-9]{1,5})?")
_KEPT: Final = 256


class Guard:
    """Lets through what is addressed to `hosts`, and comes from no page or from one of `hosts` or `origins`.

    A host is `name` or `name:port`, as it stands in `Host`; an origin is `scheme://name[:port]`.
    """

    def __init__(self, hosts: Iterable[str], origins: Iterable[str]) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origin.lower() for origin in origins)
        self._good: set[bytes] = set()

    def check(self, head: Head) -> None:
        """Return if the request may go on.

        Raises:
            Refused: 421 for a `Host` that is not ours, 403 for an `Origin` that is not allowed.
        """
        host = head.raw(HOST)
        if host not in self._good:  # not by `check_host`: this is asked at every call
            self._check_host(host)
        origin = head.raw(ORIGIN)
        if origin is not None and not self._allows_origin(origin):
            raise Refused(INVALID_REQUEST, "Requests from this web page's origin are not allowed here", status=403)

    def check_host(self, head: Head) -> None:
        """The same for what any page may read: only the name counts.

        Raises:
            Refused: 421, as above.
        """
        host = head.raw(HOST)
        if host not in self._good:
            self._check_host(host)

    def _check_host(self, host: bytes | None) -> None:
        # Lines that stand twice arrive joined by a comma, which is in no name and no origin.
        if host is None or not self._allows_host(host.decode("latin-1").lower()):
            message = "This hub does not answer to the name in the Host header; ask its operator to allow it"
            raise Refused(INVALID_REQUEST, message, status=421)
        if len(self._good) < _KEPT:
            self._good.add(host)

    def _allows_host(self, host: str) -> bool:
        match = _AUTHORITY.fullmatch(host)
        if match is None:
            return False
        return host in self._hosts or (match["name"] in LOOPBACK and match["name"] in self._hosts)

    def _allows_origin(self, origin: bytes) -> bool:
        text = origin.decode("latin-1").lower()
        if text in self._origins:
            return True
        scheme, found, host = text.partition("://")
        return bool(found) and scheme in ("http", "https") and self._allows_host(host)
