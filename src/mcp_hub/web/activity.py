"""What was called in somebody's name, for them to look over.

Rule: everybody sees their own calls alone, and of a call neither arguments nor results, which the hub does not keep.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mcp_hub.store.base import CallRecord
from mcp_hub.web.connections import Upstreams
from mcp_hub.web.frame import Frame
from mcp_hub.web.lookers import Doorway, Looker

PATH: Final = "/activity"
MOST: Final = 100
"""Calls on the page, the last ones."""

_SECOND: Final = 1000.0
_RESULTS: Final[Mapping[str, tuple[str, str]]] = {
    "ok": ("Done", "good"),
    "tool_error": ("The tool reported an error", "warn"),
    "error": ("Failed", "bad"),
    "refused": ("Refused", "bad"),
    "not_connected": ("Not connected", "warn"),
    "unreachable": ("Unreachable", "bad"),
    "timeout": ("Took too long", "bad"),
    "cancelled": ("Cancelled", "warn"),
}


class Calls(Protocol):
    """The log of calls."""

    async def calls_of(self, tenant: str, issuer: str, subject: str, *, limit: int) -> list[CallRecord]: ...


@dataclass(frozen=True, slots=True)
class CallShown:
    """A call, as the page shows it."""

    at: float
    client: str
    upstream: str
    what: str
    result: str
    kind: str
    took: str


@final
class ActivityPage:
    """Draws it."""

    def __init__(self, frame: Frame, doorway: Doorway, *, calls: Calls, upstreams: Upstreams) -> None:
        self._frame = frame
        self._doorway = doorway
        self._calls = calls
        self._titles = {each.name: each.title for each in upstreams.declared}

    def routes(self) -> list[BaseRoute]:
        """The page."""
        return [Route(PATH, self._doorway.looked_at(self._show), methods=["GET"])]

    async def _show(self, looker: Looker, request: Request) -> Response:
        del request
        records = await self._calls.calls_of(*looker.caller.key, limit=MOST)
        shown = [_shown(each, self._titles) for each in records]
        return self._frame.page("activity.html", visitor=looker.shown, here=PATH, calls=shown, most=MOST)


def _shown(call: CallRecord, titles: Mapping[str, str]) -> CallShown:
    result, kind = _RESULTS.get(call.outcome, (call.outcome, "warn"))
    upstream = titles.get(call.upstream, call.upstream)
    return CallShown(call.at, call.client, upstream, call.name or call.method, result, kind, _took(call.milliseconds))


def _took(milliseconds: float) -> str:
    return f"{milliseconds / _SECOND:.1f} s" if milliseconds >= _SECOND else f"{milliseconds:.0f} ms"
