"""The upstreams as one caller has them, and everything that is made of them together.

Rule: what is one caller's own in here is in no other fleet; what all share is the very same in all of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, final

from mcp_hub.catalog.parts import Exposure, Part
from mcp_hub.gateway.listing import Listing
from mcp_hub.gateway.notices import DELAY, Follow, Notices
from mcp_hub.gateway.places import Places
from mcp_hub.gateway.view import Views, Warned
from mcp_hub.principal import Principal
from mcp_hub.upstream.known import Known, Listener
from mcp_hub.upstream.known import Notices as Told
from mcp_hub.upstream.upstream import Upstream
from mcp_hub.wire.jsonrpc import Json


@dataclass(frozen=True, slots=True)
class Pattern:
    """What every fleet is made after. `exposures` are by upstream, in declaration order.

    `ttl_ms`, `deadline`, `page_size` and `cursor_key` are as `Views` and `Listing` say.
    """

    exposures: Mapping[str, Exposure]
    server_info: Json
    ttl_ms: int
    deadline: float
    page_size: int
    cursor_key: bytes
    delay: float = DELAY


@dataclass(frozen=True, slots=True)
class Ears:
    """Who is told of an upstream, and what is known of it before. `partition` says whose connections it uses."""

    listeners: Sequence[Listener]
    notices: Told
    prepare: Callable[[str, Part], Awaitable[None]]
    known: Known | None = None
    partition: bytes = b""


class Maker(Protocol):
    """Makes the way to an upstream: that of all callers with `None`, else one caller's own."""

    def __call__(self, name: str, caller: Principal | None, ears: Ears, /) -> Upstream: ...


@final
class Fleet:
    """One caller's upstreams by name, in declaration order; those of all callers with `None`.

    `own` are those of them that are nobody else's, and `runs` keep these. `used` is when it was asked for last.
    """

    __slots__ = (
        "_namespaces",
        "caller",
        "listing",
        "notices",
        "own",
        "partition",
        "runs",
        "upstreams",
        "used",
        "views",
    )

    def __init__(
        self, pattern: Pattern, places: Places, warned: Warned, caller: Principal | None = None, partition: bytes = b""
    ) -> None:
        self.caller = caller
        self.partition = partition
        self.upstreams: dict[str, Upstream] = {}
        self.own: dict[str, Upstream] = {}
        self.runs: list[asyncio.Task[None]] = []
        self.used = 0.0
        exposures = pattern.exposures
        self.views = Views(exposures, pattern.server_info, pattern.ttl_ms, own=self.own, warned=warned)
        self.notices = Notices(self.views, places=places, delay=pattern.delay)
        self.listing = Listing(
            self.upstreams,
            exposures,
            self.views,
            deadline=pattern.deadline,
            page_size=pattern.page_size,
            cursor_key=pattern.cursor_key,
        )
        self._namespaces = {name: each.namespace for name, each in exposures.items()}

    @property
    def is_used(self) -> bool:
        """Whether a call or a listener needs it now."""
        return self.notices.are_heard or any(each.under_way for each in self.own.values())

    def complete(self, follow: Follow | None) -> None:
        """Its upstreams are there, some of them perhaps in the place of others; `follow` is how tasks are followed."""
        self.views.watch(self.upstreams)
        self.notices.watch(self.upstreams, self._namespaces, self.listing.resource, follow)
