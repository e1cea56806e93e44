"""Documents from addresses that strangers may have chosen: metadata, keys, client documents, token answers.

Rule: the address is judged where it is dialed, a redirect is an answer, a body ends at its limit, and the whole takes
no longer than it may. Nothing of a body or of a query stands in an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, final

from mcp_hub.egress.dial import Dialer

if TYPE_CHECKING:
    from mcp_hub.egress.documents import Client

MOST_BYTES: Final = 64 * 1024
MOST_SECONDS: Final = 10.0


class FetchFailed(Exception):
    """No complete answer. The text says why in words that are safe to show, without the body and the query."""


@dataclass(frozen=True, slots=True)
class Document:
    """One whole answer; header names are in lower case, of repeated headers the last."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetch(Protocol):
    """The door out, for documents."""

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        most: int = MOST_BYTES,
        seconds: float = MOST_SECONDS,
    ) -> Document:
        """The answer to a GET of at most `most` bytes, within `seconds` in all.

        Raises:
            FetchFailed: no connection, an address that is not allowed, too slow, too large.
        """
        ...

    async def post(
        self,
        url: str,
        form: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        most: int = MOST_BYTES,
        seconds: float = MOST_SECONDS,
    ) -> Document:
        """The answer to a form. Sent once, never again.

        Raises:
            FetchFailed: as with `get`.
        """
        ...


class Posts(Protocol):
    """The door out, for questions that are JSON."""

    async def post_json(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        most: int = MOST_BYTES,
        seconds: float = MOST_SECONDS,
    ) -> Document:
        """The answer to an encoded value. Sent once, never again.

        Raises:
            FetchFailed: as with `Fetch.get`.
        """
        ...


class Door(Fetch, Posts, Protocol):
    """Both."""


@final
class GuardedFetch:
    """A `Door` through the guarded dialer. `https` only, and `http` where the dialer allows that range."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._made: Client | None = None

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        most: int = MOST_BYTES,
        seconds: float = MOST_SECONDS,
    ) -> Document:
        """See `Fetch`."""
        return await self._client().answer("GET", url, None, headers, most=most, seconds=seconds)

    async def post(
        self,
        url: str,
        form: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        most: int = MOST_BYTES,
        seconds: float = MOST_SECONDS,
    ) -> Document:
        """See `Fetch`."""
        return await self._client().answer("POST", url, form, headers, most=most, seconds=seconds)

    async def post_json(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        most: int = MOST_BYTES,
        seconds: float = MOST_SECONDS,
    ) -> Document:
        """See `Posts`."""
        said = {"content-type": "application/json", **(headers or {})}
        return await self._client().answer("POST", url, body, said, most=most, seconds=seconds)

    async def aclose(self) -> None:
        """Close its connections."""
        if self._made is not None:
            await self._made.aclose()

    def _client(self) -> "Client":
        if self._made is None:
            # Loaded with the first document: most hubs need none, and start a tenth sooner without.
            from mcp_hub.egress.documents import Client  # noqa: PLC0415

            self._made = Client(self._dialer, MOST_SECONDS)
        return self._made
