"""Clients that stay connected from test to test, since connecting costs more than what most tests do."""

import asyncio
from contextlib import AsyncExitStack
from itertools import count
from typing import Any, Self

from interaction.crossing.clients import Caller, Heard, Kind, connected

OWNERS = {"alice": "alice", "bob": "bob", "ally": "alice"}
"""What the marks of the three begin with, and whose clients they are: two principals, the first with two clients."""


class Crowd:
    """Groups of clients of the hub at `base`, each group of one kind. Each is kept by a task of its own."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._groups: dict[tuple[Any, ...], tuple[Caller, ...]] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._numbers = count(1)
        self._leave = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._leave.set()
        await asyncio.gather(*self._keepers)

    async def of(self, kind: Kind, **options: Any) -> tuple[Caller, ...]:
        """The group of this kind, under marks that nobody had before; `options` are those of `connected`."""
        if kind is not Kind.MODERN:
            options = {key: each for key, each in options.items() if key == "silent"}  # the rest is modern clients'
        key = (kind, *sorted(options.items()))
        if key not in self._groups:
            came: asyncio.Future[tuple[Caller, ...]] = asyncio.get_running_loop().create_future()
            self._keepers.append(asyncio.ensure_future(self._keep(kind, options, came)))
            self._groups[key] = await came
        number = next(self._numbers)
        for name, caller in zip(_owners(options), self._groups[key], strict=True):
            caller.mark, caller.heard = f"{name}-{number}", Heard()
        return self._groups[key]

    async def _keep(self, kind: Kind, options: dict[str, Any], came: "asyncio.Future[tuple[Caller, ...]]") -> None:
        async with AsyncExitStack() as stack:
            came.set_result(
                tuple(
                    [
                        await stack.enter_async_context(connected(self._base, kind, name, owner, **options))
                        for name, owner in _owners(options).items()
                    ]
                )
            )
            await self._leave.wait()


def _owners(options: dict[str, Any]) -> dict[str, str]:
    # Those who answer nothing have no answers to lose to each other: one of them is enough.
    return {"alice": OWNERS["alice"]} if options.get("silent") else OWNERS
