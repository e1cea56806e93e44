"""How often somebody may have the hub ask others for them: what makes it ask once makes it ask a thousand times."""

from math import ceil
from typing import Protocol, final

from starlette.responses import Response

from mcp_hub.identity.limits import Limit
from mcp_hub.web.frame import Frame, try_again
from mcp_hub.web.lookers import Looker


class Limits(Protocol):
    """Where it is counted."""

    def take(self, name: Limit, key: str) -> float | None: ...


@final
class Pace:
    """Counts for each user by themselves, however many browsers they have."""

    def __init__(self, frame: Frame, limits: Limits) -> None:
        self._frame = frame
        self._limits = limits

    def too_often(self, looker: Looker) -> Response | None:
        """The page that says so, once it is; else it may go on."""
        wait = self._limits.take(Limit.CONNECT, "\0".join(looker.caller.key))
        if wait is None:
            return None
        sentence = "You had this hub ask other servers very often within a short time."
        next_step = f"Try again in {ceil(wait)} seconds."
        return try_again(self._frame.error("Please wait", sentence, next_step, status=429, visitor=looker.shown), wait)
