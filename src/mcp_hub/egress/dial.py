"""The guarded dialer. Rule: a name is resolved once, all its addresses are judged, and only those are dialed."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Final, TypeVar

from mcp_hub.egress.errors import DialError, DialFailed, DialRefused, DialStep, DialTimedOut
from mcp_hub.egress.judge import Network, Verdict, judge
from mcp_hub.egress.resolve import Resolve, SharedLookups
from mcp_hub.wire.origin import Origin

__all__ = ["DialFailed", "DialRefused", "DialTimedOut", "Dialer", "Origin"]

P = TypeVar("P", bound=asyncio.BaseProtocol)

_NO_ADDRESS: Final = "{host} does not resolve to an address. Check the host name in the URL and the hub's DNS."
_REFUSED: Final = (
    "{host} resolves to an address that is not public, and the hub does not connect to those by itself. "
    "If it should, the operator adds the address's network to network.allow_private."
)
_NEEDS_TLS: Final = (
    "{host} is a public address, and plain http is only used inside networks that the operator allows. "
    "Use an https URL, or add the address's network to network.allow_private."
)
_SLOW: Final = "No connection to {host} within {seconds:g} s. Check that the server is up and reachable from the hub."
_NO_CONNECTION: Final = "No connection to {host} port {port}. Check that the server is up and reachable from the hub."
_NO_TRUST: Final = "The certificate of {host} cannot be trusted: {reason}."
_NO_TLS: Final = "{host} port {port} did not complete a TLS handshake. Check whether it speaks https."


class Dialer:
    """Opens connections. Keeps one TLS context and no connection, name or address.

    `allow_private` holds the networks that may be reached although they are not public, and over plain http.
    `connect_timeout` covers resolving, connecting and TLS together, in seconds.
    """

    __slots__ = ("_allow_private", "_resolve", "_timeout", "tls")

    def __init__(
        self,
        *,
        allow_private: Sequence[Network] = (),
        resolve: Resolve | None = None,
        connect_timeout: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private = tuple(allow_private)
        self._resolve = resolve or SharedLookups()
        self._timeout = connect_timeout
        self.tls = tls or ssl.create_default_context()

    async def dial(self, origin: Origin, protocol_factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        """A connection to `origin`, TLS included; the caller owns it. Cancellation leaves nothing open.

        The judged addresses are tried in turn, each with a fair share of the time that is left. TLS checks the
        certificate against the origin's name, not against the address.

        Raises:
            DialRefused, DialFailed, DialTimedOut: with a sentence that is safe to show.
        """
        end = asyncio.get_running_loop().time() + self._timeout
        addresses = await self._judged(origin, end)
        failed: OSError = TimeoutError()
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                return await self._connect(origin, address, end, left, protocol_factory)
            except ssl.SSLCertVerificationError as error:
                raise _explained(error, origin, self._timeout) from error
            except OSError as error:
                failed = error
        raise _explained(failed, origin, self._timeout) from failed

    async def resolve_judged(self, origin: Origin) -> list[str]:
        """The addresses of `origin`, numeric, at least one, all of which the hub may connect to now.

        Raises:
            DialRefused, DialFailed, DialTimedOut: with a sentence that is safe to show.
        """
        return await self._judged(origin, asyncio.get_running_loop().time() + self._timeout)

    async def _judged(self, origin: Origin, end: float) -> list[str]:
        try:
            async with asyncio.timeout_at(end):
                found = await self._resolve(origin.host, origin.port)
            # What is judged is what is dialed: the parsed address, never the resolver's spelling of it.
            addresses = [ip_address(text) for text in found]
        except TimeoutError as error:
            raise DialTimedOut(_SLOW.format(host=origin.host, seconds=self._timeout), DialStep.RESOLVE) from error
        except (OSError, ValueError) as error:
            raise DialFailed(_NO_ADDRESS.format(host=origin.host), DialStep.RESOLVE) from error
        if not addresses:
            raise DialFailed(_NO_ADDRESS.format(host=origin.host), DialStep.RESOLVE)
        verdicts = {judge(address, self._allow_private) for address in addresses}
        if Verdict.REFUSED in verdicts:
            raise DialRefused(_REFUSED.format(host=origin.host), DialStep.JUDGE)
        if origin.scheme == "http" and Verdict.PUBLIC in verdicts:
            raise DialRefused(_NEEDS_TLS.format(host=origin.host), DialStep.JUDGE)
        return [str(address) for address in addresses]

    async def _connect(
        self, origin: Origin, address: str, end: float, left: int, protocol_factory: Callable[[], P]
    ) -> tuple[asyncio.Transport, P]:
        loop = asyncio.get_running_loop()
        secure = origin.scheme == "https"
        async with asyncio.timeout((end - loop.time()) / left):
            return await loop.create_connection(
                protocol_factory,
                address,
                origin.port,
                ssl=self.tls if secure else None,
                server_hostname=origin.server_name if secure else None,
            )


def _explained(error: OSError, origin: Origin, seconds: float) -> DialError:
    host, port = origin.host, origin.port
    if isinstance(error, ssl.SSLCertVerificationError):
        return DialFailed(_NO_TRUST.format(host=host, reason=error.verify_message.rstrip(".")), DialStep.TLS)
    if isinstance(error, ssl.SSLError):
        return DialFailed(_NO_TLS.format(host=host, port=port), DialStep.TLS)
    if isinstance(error, TimeoutError):
        return DialTimedOut(_SLOW.format(host=host, seconds=seconds), DialStep.CONNECT)
    return DialFailed(_NO_CONNECTION.format(host=host, port=port), DialStep.CONNECT)
