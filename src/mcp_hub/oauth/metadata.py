"""What an issuer publishes of itself: where its keys and its endpoints are.

Rule: metadata count only if they name the identical issuer that was asked for, character by character, and the
addresses in them only if they are as well protected as the issuer itself. What was fetched is used for an hour, and a
day longer while the issuer does not answer. Sources: RFC 8414 section 3; OpenID Connect Discovery 1.0 section 4; MCP
2026-07-28 basic/authorization "Authorization Server Metadata Discovery".
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, cast, final
from urllib.parse import urlsplit

from mcp_hub.egress.fetch import Fetch, FetchFailed
from mcp_hub.wire.jsonrpc import Malformed, value
from mcp_hub.wire.origin import Origin

FRESH: Final = 3600.0
"""Seconds after which metadata are fetched again before they are used."""
LONGEST: Final = 25 * 3600.0
"""Seconds for which metadata are used that cannot be fetched again."""
APART: Final = 60.0
"""Seconds between two attempts while there are old metadata."""
RETRY: Final = 5.0
"""Seconds between two attempts while there are none."""

Metadata = Mapping[str, Any]

_OK: Final = 200
_TOO_MANY: Final = 429
_FAULTS: Final = 500
_LONGEST_URL: Final = 2048
_OPENID: Final = "/.well-known/openid-configuration"
_OAUTH: Final = "/.well-known/oauth-authorization-server"
_NEVER: Final = float("-inf")


class IssuerUnavailable(Exception):
    """The issuer's metadata cannot be had, or are not what they should be. The text is safe to show."""


def openid_urls(issuer: str) -> list[str]:
    """Where an OpenID Connect provider publishes its metadata."""
    return [issuer.rstrip("/") + _OPENID]


def metadata_urls(issuer: str) -> list[str]:
    """Where an authorization server may publish its metadata, in the order in which they are tried."""
    parts = urlsplit(issuer)
    host, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    if not path:
        return [host + _OAUTH, host + _OPENID]
    return [host + _OAUTH + path, host + _OPENID + path, host + path + _OPENID]


def safe_url(metadata: Metadata, name: str, issuer: str) -> str | None:
    """An address in metadata, or `None` where there is none.

    Raises:
        IssuerUnavailable: it is not https though the issuer is, or no address at all.
    """
    url = metadata.get(name)
    if url is None:
        return None
    if not isinstance(url, str) or not _is_safe(url, issuer):
        raise IssuerUnavailable(f"its metadata name a {name} that cannot be used")
    return url


def _is_safe(url: str, issuer: str) -> bool:
    allowed = ("https://",) if issuer.startswith("https://") else ("https://", "http://")
    if len(url) > _LONGEST_URL or not url.isascii() or not url.startswith(allowed):
        return False
    try:
        Origin.from_url(url)
    except ValueError:
        return False
    return True


@final
class Discovery:
    """The metadata of one issuer, from the first of `urls` that has them. Belongs to one event loop."""

    def __init__(self, fetch: Fetch, now: Callable[[], float], issuer: str, urls: list[str]) -> None:
        self._fetch = fetch
        self._now = now
        self._issuer = issuer
        self._urls = urls
        self._found: Metadata | None = None
        self._fetched_at = _NEVER
        self._tried_at = _NEVER
        self._reason = ""
        self._under_way: asyncio.Task[None] | None = None

    async def metadata(self) -> Metadata:
        """The metadata. A caller that is cancelled leaves the fetch to those who wait for it too.

        Raises:
            IssuerUnavailable: there are none that count.
        """
        age, waited = self._now() - self._fetched_at, self._now() - self._tried_at
        due = age >= FRESH and waited >= (APART if age < LONGEST else RETRY)
        if self._under_way is None and due:
            self._tried_at = self._now()
            self._under_way = asyncio.ensure_future(self._load())
            self._under_way.add_done_callback(self._landed)
        if self._under_way is not None and (due or age >= LONGEST):
            await asyncio.shield(self._under_way)
        if self._found is None or self._now() - self._fetched_at >= LONGEST:
            raise IssuerUnavailable(self._reason or "its metadata could not be fetched")
        return self._found

    async def aclose(self) -> None:
        """End the fetch that is under way."""
        if self._under_way is not None:
            self._under_way.cancel()
            await asyncio.gather(self._under_way, return_exceptions=True)

    def _landed(self, task: "asyncio.Task[None]") -> None:
        self._under_way = None
        if not task.cancelled():
            task.exception()  # whoever still waits gets it; nobody waiting is no reason to complain

    async def _load(self) -> None:
        try:
            self._found = await self._first()
            self._fetched_at = self._now()
        except FetchFailed as error:
            self._reason = f"its metadata could not be fetched: {error}"
        except IssuerUnavailable as error:
            self._reason = str(error)

    async def _first(self) -> Metadata:
        for url in self._urls:
            answer = await self._fetch.get(url)
            if answer.status == _TOO_MANY or answer.status >= _FAULTS:
                raise IssuerUnavailable(f"its metadata were answered with status {answer.status}")
            metadata = _object(answer.body) if answer.status == _OK else None
            if metadata is not None:
                return self._checked(metadata)
        raise IssuerUnavailable("it publishes no metadata where they should be")

    def _checked(self, metadata: Metadata) -> Metadata:
        if metadata.get("issuer") != self._issuer:
            raise IssuerUnavailable("its metadata name another issuer than is configured, or spell it differently")
        return metadata


def _object(body: bytes) -> Metadata | None:
    try:
        decoded = value(body)
    except Malformed:
        return None
    return cast("Metadata", decoded) if isinstance(decoded, dict) else None
