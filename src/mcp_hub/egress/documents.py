"""How documents are fetched: one request, one whole answer. See `egress.fetch`, whose rule it keeps."""

import asyncio
from collections.abc import Mapping
from typing import final

import httpx2

from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.fetch import Document, FetchFailed
from mcp_hub.egress.guarded_httpx import guarded_client


@final
class Client:
    """Asks through the guarded dialer. A connection may take `connecting` seconds."""

    def __init__(self, dialer: Dialer, connecting: float) -> None:
        self._client = guarded_client(dialer, timeout=connecting)

    async def answer(
        self,
        method: str,
        url: str,
        sent: Mapping[str, str] | bytes | None,
        headers: Mapping[str, str] | None,
        *,
        most: int,
        seconds: float,
    ) -> Document:
        """The answer, of at most `most` bytes and within `seconds`. A mapping is sent as a form.

        Raises:
            FetchFailed: there is no complete one.
        """
        request = _request(method, url, sent, headers)
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

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.aclose()


def _request(
    method: str,
    url: str,
    sent: Mapping[str, str] | bytes | None,
    headers: Mapping[str, str] | None,
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
