"""Documents from addresses that strangers may have chosen: metadata, keys, client documents, token answers.

Rule: the address is judged where it is dialed, a redirect is an answer, a body ends at its limit, and the whole takes
no longer than it may. Nothing of a body or of a query stands in an error.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, final

import httpx2

from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.guarded_httpx import guarded_client

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
        self._client = guarded_client(dialer, timeout=MOST_SECONDS)

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        most: int = MOST_BYTES,
        seconds: float = MOST_SECONDS,
    ) -> Document:
        """See `Fetch`."""
        return await self._answer(_request("GET", url, headers=headers), most, seconds)

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
        return await self._answer(_request("POST", url, form, headers), most, seconds)

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
        return await self._answer(_request("POST", url, body, said), most, seconds)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def _answer(self, request: httpx2.Request, most: int, seconds: float) -> Document:
        try:
            async with asyncio.timeout(seconds):
                answer = await self._client.send(request, stream=True)
                try:
                    body = await _body(answer, most)
                finally:
                    await answer.aclose()
        except TimeoutError as error:
            raise FetchFailed(f"{request.url.host} did not answer within {seconds:g} s") from error
        except httpx2.HTTPError as error:
            raise FetchFailed(f"{request.url.host} could not be asked: {_why(error)}") from error
        return Document(answer.status_code, dict(answer.headers.items()), body)


def _request(
    method: str,
    url: str,
    sent: Mapping[str, str] | bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> httpx2.Request:
    # Nothing is asked to be compressed, so that the limit counts what was really sent.
    asked = {"accept": "application/json", "accept-encoding": "identity", **(headers or {})}
    try:
        if isinstance(sent, bytes):
            return httpx2.Request(method, url, content=sent, headers=asked)
        return httpx2.Request(method, url, data=sent, headers=asked)
    except (httpx2.InvalidURL, ValueError) as error:
        raise FetchFailed("the address is no URL") from error


async def _body(answer: httpx2.Response, most: int) -> bytes:
    body = bytearray()
    async for part in answer.aiter_raw():
        body += part
        if len(body) > most:
            raise FetchFailed(f"{answer.request.url.host} sent more than {most} bytes")
    return bytes(body)


def _why(error: httpx2.HTTPError) -> str:
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return str(error) or "no connection"  # the dialer's own sentence, or the system's
    return "the connection broke"
