"""httpx2 through the guarded dialer, for what is not on the forwarding path. Rule: no connection leaves unjudged.

The environment is not read (proxies, certificate paths), redirects are answers, and a name's address is judged and
dialed in one step; TLS still checks the certificate against the name.
"""

from collections.abc import Iterable
from typing import Literal, cast

import httpcore2
import httpx2

from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.errors import DialError, DialTimedOut
from mcp_hub.wire.origin import Origin

Scheme = Literal["http", "https"]


def guarded_client(dialer: Dialer, *, timeout: float = 10.0) -> httpx2.AsyncClient:
    """A client of its own, which the caller closes. `timeout` in seconds for each of connect, write, read and pool.

    Its requests fail with `httpx2.ConnectError` or `httpx2.ConnectTimeout` where the dialer refuses or fails; the
    text is the dialer's and safe to show.
    """
    return httpx2.AsyncClient(
        mounts={f"{scheme}://": _Transport(dialer, scheme) for scheme in ("http", "https")},
        transport=_Transport(dialer, "https"),
        timeout=timeout,
        follow_redirects=False,
        trust_env=False,
    )


class _Transport(httpx2.AsyncHTTPTransport):
    """httpx2's own transport over a pool that can only connect through the dialer, and only for one scheme."""

    def __init__(self, dialer: Dialer, scheme: Scheme) -> None:
        super().__init__(verify=dialer.tls, trust_env=False)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=dialer.tls, max_connections=100, network_backend=_Backend(dialer, scheme)
        )


class _Backend(httpcore2.AsyncNetworkBackend):
    """Dials judged addresses; TLS is started by the pool, with the name of the URL."""

    def __init__(self, dialer: Dialer, scheme: Scheme) -> None:
        self._dialer = dialer
        self._scheme = scheme
        self._tcp = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to the first judged address that takes one."""
        try:
            addresses = await self._dialer.resolve_judged(Origin(self._scheme, host, port))
        except DialTimedOut as error:
            raise httpcore2.ConnectTimeout(error.public) from error
        except DialError as error:
            raise httpcore2.ConnectError(error.public) from error
        except ValueError as error:
            raise httpcore2.ConnectError(str(error)) from error
        share = None if timeout is None else timeout / len(addresses)
        failed: httpcore2.ConnectError | httpcore2.ConnectTimeout | None = None
        for address in addresses:
            try:
                return await self._tcp.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        raise failed or httpcore2.ConnectError("no address to connect to")
