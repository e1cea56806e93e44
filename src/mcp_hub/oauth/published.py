"""Documents that servers publish of themselves at well-known places, fetched one at a time.

Rule: a redirect is followed within the same origin only, three times at most; what is not a JSON object is not there;
a server that has too much to do, or a fault, is asked again later, and never taken for one that publishes nothing.
Why something could not be fetched from a place that a stranger chose, is for the log: whoever chose it learns nothing
of the network that the hub is in.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urljoin

import structlog

from mcp_hub.egress.fetch import Document, Fetch, FetchFailed
from mcp_hub.wire.jsonrpc import Malformed, value
from mcp_hub.wire.origin import Origin

MOST_HOPS: Final = 3
SHORTEST: Final = 60.0
"""Seconds for which a document is kept though its server says that it may not be."""

_OK: Final = 200
_TOO_MANY: Final = 429
_FAULTS: Final = 500
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age=\"?([0-9]{1,9})")
_NOT_KEPT: Final = re.compile(r"(?:^|[,\s])no-(?:store|cache)(?:$|[,\s=])")

_log: Final = structlog.stdlib.get_logger("mcp_hub.oauth")


class NotNow(Exception):
    """It could not be found out whether it is there. The text is a part of a sentence, and safe to show."""


@dataclass(frozen=True, slots=True)
class Published:
    """What is at a place: `document` is `None` where there is none, and `detail` says why.

    `seconds` is how long it may be kept, `None` where its server does not say.
    """

    document: Mapping[str, Any] | None
    detail: str
    seconds: float | None = None


async def published(fetch: Fetch, url: str, headers: Mapping[str, str] | None = None) -> Published:
    """What is published there.

    Raises:
        NotNow: no answer, or one that says nothing.
    """
    if not _is_place(url):
        return Published(None, "it is no address that can be used")
    for _ in range(MOST_HOPS + 1):
        try:
            answer = await fetch.get(url, headers=headers)
        except FetchFailed as error:
            _log.warning("metadata could not be fetched", reason=str(error))
            raise NotNow("it could not be fetched; the hub's log says why") from error
        if answer.status == _TOO_MANY or answer.status >= _FAULTS:
            raise NotNow(f"it was answered with status {answer.status}")
        if answer.status not in _REDIRECTS:
            return _read(answer)
        onward = _within(url, answer.headers.get("location", ""))
        if onward is None:
            return Published(None, "it leads to another place, which is not followed")
        url = onward
    return Published(None, f"it leads on more than {MOST_HOPS} times")


def kept_for(said: Published, longest: float) -> float:
    """For how many seconds a document is used: as its server says, within bounds."""
    return longest if said.seconds is None else min(max(said.seconds, SHORTEST), longest)


def _read(answer: Document) -> Published:
    if answer.status != _OK:
        return Published(None, f"status {answer.status}")
    try:
        decoded = value(answer.body)
    except Malformed:
        return Published(None, "what is there is no JSON")
    if not isinstance(decoded, dict):
        return Published(None, "what is there is no JSON object")
    return Published(cast("Mapping[str, Any]", decoded), "found", _seconds(answer.headers.get("cache-control", "")))


def _seconds(said: str) -> float | None:
    said = said.lower()
    if _NOT_KEPT.search(said):
        return 0.0
    age = _MAX_AGE.search(said)
    return None if age is None else float(age[1])


def _is_place(url: str) -> bool:
    try:
        Origin.from_url(url)
    except ValueError:
        return False
    return True


def _within(url: str, location: str) -> str | None:
    try:
        onward = urljoin(url, location) if location else ""
        return onward if onward and Origin.from_url(onward) == Origin.from_url(url) else None
    except ValueError:
        return None
