"""What supervisors ask: is the hub alive, may it get traffic. Rule: neither depends on an upstream or on a login."""

from typing import Final, final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

PROBES: Final = frozenset({"/healthz", "/readyz"})
"""Paths that a supervisor asks by whatever address it knows."""


@final
class Probes:
    """The two probes."""

    def routes(self) -> list[BaseRoute]:
        """Where they are asked."""
        return [Route("/healthz", self._alive), Route("/readyz", self._ready)]

    async def _alive(self, request: Request) -> Response:
        del request
        return PlainTextResponse("ok\n")

    async def _ready(self, request: Request) -> Response:
        # Ready as soon as it can answer: an upstream that is down is not the hub's readiness.
        del request
        return PlainTextResponse("ready\n")
