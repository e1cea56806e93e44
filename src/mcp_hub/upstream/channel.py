"""One upstream's address on HTTP, and its trouble in the hub's words.

Rule: errors of the network become errors of an upstream here, once.
"""

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final, final
from urllib.parse import quote, urlsplit

from mcp_hub.credentials.credential import Credential
from mcp_hub.egress import errors as egress
from mcp_hub.egress.client import HttpClient
from mcp_hub.egress.request import HeaderLines, Request, header_lines
from mcp_hub.egress.response import Response
from mcp_hub.errors import BrokeProtocol, Busy, TimedOut, Unreachable, UpstreamError
from mcp_hub.wire.origin import Origin

_POST_LINES: Final = header_lines(
    [(b"content-type", b"application/json"), (b"accept", b"application/json, text/event-stream")]
)
_GET_LINES: Final = header_lines([(b"accept", b"text/event-stream")])
_PLAIN: Final = "/%:@!$&'()*+,;=?~"
"""What a path or a query may hold as it is (RFC 3986 section 3.3); the rest is percent-encoded."""
NO_LINES: Final = header_lines([])


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one answer: bytes of a result, bytes of a notification, seconds without a byte, seconds for lists."""

    result: int
    event: int
    first_byte: float
    listing: float


@final
class Channel:
    """Sends single HTTP requests to one upstream. Knows nothing of eras and sessions."""

    def __init__(self, name: str, url: str, http: HttpClient, limits: Limits, partition: bytes = b"") -> None:
        """`partition` says whose connections it uses, where these are somebody's own; see `Request`."""
        self.name = name
        self.url = url
        self.limits = limits
        self._http = http
        self._partition = partition
        self._origin = Origin.from_url(url)
        parts = urlsplit(url)
        query = f"?{quote(parts.query, safe=_PLAIN)}" if parts.query else ""
        self._target = f"{quote(parts.path or '/', safe=_PLAIN)}{query}".encode("ascii")

    def at(self, url: str) -> "Channel":
        """The same upstream at another address of the same origin.

        Raises:
            ValueError: it is of another origin, or no URL.
        """
        if Origin.from_url(url) != self._origin:
            raise ValueError("the address is at another origin")
        return Channel(self.name, url, self._http, self.limits, self._partition)

    def post(
        self,
        body: bytes,
        lines: HeaderLines,
        credential: Credential,
        *,
        wait: float | None = None,
        repeatable: bool = False,
    ) -> Coroutine[Any, Any, Response]:
        """POST one message. `lines` are encoded header lines of the protocol's.

        `repeatable` says that the upstream may see it twice: never for a tool call. The caller closes the response.

        Raises:
            Unreachable, TimedOut, Busy, BrokeProtocol: no response began.
        """
        head = HeaderLines(b"".join((_POST_LINES, lines, credential.open())))
        return self._send(b"POST", head, body, wait=wait, repeatable=repeatable)

    async def get(self, lines: HeaderLines, credential: Credential) -> Response:
        """Open a stream of events. The caller closes the response."""
        return await self._send(b"GET", joined(_GET_LINES, lines, credential.open()))

    async def delete(self, lines: HeaderLines, credential: Credential) -> Response:
        """End a session. The caller closes the response."""
        return await self._send(b"DELETE", joined(lines, credential.open()), wait=self.limits.listing)

    async def _send(
        self,
        method: bytes,
        head: HeaderLines,
        body: bytes = b"",
        *,
        wait: float | None = None,
        repeatable: bool = True,
    ) -> Response:
        request = Request(
            method=method,
            origin=self._origin,
            target=self._target,
            head=head,
            body=body,
            first_byte=self.limits.first_byte if wait is None else wait,
            repeatable=repeatable,
            partition=self._partition,
        )
        try:
            return await self._http.send(request)
        except egress.EgressError as error:
            raise translated(self.name, error) from error


def joined(*lines: HeaderLines) -> HeaderLines:
    """Header lines after header lines, which are header lines again."""
    return HeaderLines(b"".join(lines))


def translated(name: str, error: egress.EgressError) -> UpstreamError:
    """The same trouble in the words of whoever has to act."""
    match error:
        case egress.Refused():
            return Unreachable(name, f"{name} may not be contacted: {error.public}")
        case egress.ConnectTimedOut() | egress.ConnectFailed():
            return Unreachable(name, f"{name} could not be reached: {error.public}")
        case egress.ResponseTimedOut():
            return TimedOut(name, f"{name} did not answer in time. The call may have had effects.")
        case egress.ConnectionLost():
            effects = " The call may have had effects." if error.sent else ""
            return Unreachable(name, f"{name} hung up before its answer was complete.{effects}")
        case egress.PoolFull():
            return Busy(name, f"Too many calls to {name} are under way. Try again in a moment.")
        case egress.TooLarge():
            return BrokeProtocol(name, f"{name} sent more than the hub accepts: {error.public}")
        case _:
            return BrokeProtocol(name, f"{name} does not speak HTTP as it should: {error.public}")
