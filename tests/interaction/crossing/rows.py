"""The rows of the grid: one per message that must cross, with the exchange that shows it.

Rule: the page *What crosses* is made of these rows and of nothing else. A row's docstring is its sentence there. Where
a combination cannot carry the message, the row says why, and what shows the refusal.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from interaction.crossing.clients import Caller, Kind
from interaction.crossing.hubs import ERAS, Ground, Upstream

EVERY_CLIENT = frozenset(Kind)
EVERY_UPSTREAM = frozenset(Upstream)


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Do all of it at once; when one fails, the others end with it, so that they disturb no later test."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class Cell:
    """One combination under test, with its callers: two principals, of whom the first has a second client."""

    ground: Ground
    upstream: Upstream
    callers: tuple[Caller, ...]

    @property
    def era(self) -> str:
        """The upstream's."""
        return ERAS[self.upstream]

    def tool(self, name: str) -> str:
        """A tool or prompt of the upstream as the hub calls it."""
        return f"{self.upstream}__{name}"

    def uri(self, original: str) -> str:
        """A resource of the upstream as the hub calls it."""
        return f"{self.upstream}+{original}"

    async def each(self, work: Callable[[Caller], Coroutine[Any, Any, None]]) -> None:
        """Let every caller do the same at once."""
        await together(*(work(caller) for caller in self.callers))

    async def principals(self, work: Callable[[Caller], Coroutine[Any, Any, None]]) -> None:
        """Let one client of every principal do the same at once."""
        await together(*(work(caller) for caller in self.callers[:2]))

    async def tell(self, **news: str) -> None:
        """Let the upstream know that something has changed there."""
        await self.ground.news.tell(self.upstream, **news)


Exchange = Callable[[Cell], Awaitable[None]]


@dataclass(frozen=True)
class No:
    """Combinations that do not carry a message: why, and the exchange that shows what comes of it instead."""

    reason: str
    shown: Exchange
    clients: Collection[Kind] = EVERY_CLIENT
    upstreams: Collection[Upstream] = EVERY_UPSTREAM


@dataclass(frozen=True)
class Row:
    """One message. `answered` are the combinations in which the hub answers it itself."""

    message: str
    carries: Exchange
    nos: Sequence[No] = ()
    answered: bool = False
    options: dict[str, object] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.carries.__name__

    @property
    def sentence(self) -> str:
        return " ".join((self.carries.__doc__ or "").split())

    def no(self, client: Kind, upstream: Upstream) -> No | None:
        """Why this combination does not carry the message, `None` if it does."""
        return next((no for no in self.nos if client in no.clients and upstream in no.upstreams), None)


def row(message: str, *nos: No, answered: bool = False, **options: object) -> Callable[[Exchange], Row]:
    """Makes a row of an exchange. `options` are those of `clients.connected` for its callers."""
    return lambda carries: Row(message, carries, nos, answered, options)
