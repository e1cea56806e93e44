"""A process that asks for a credential as a worker of a hub does, and stops for ever at a named step if it is told to.

It says `ready`, waits for a word, and then says what each of its callers got: a token, or the state of their
connection. Instead of that it says `stopped`, where it has come to its step.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mcp_hub.errors import ConnectionNeeded
from rig.granted import keeping, token_in

STEPS = ("before the lease", "with the lease", "answered", "stored")


class Stopping:
    """A store at which this process stops."""

    def __init__(self, store: Any, step: str, told: Connection) -> None:
        self._store, self._step, self._told = store, step, told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def lease_grant(self, *args: Any, **more: Any) -> bool:
        await self._stop("before the lease")
        done = await self._store.lease_grant(*args, **more)
        await self._stop("with the lease")
        return done

    async def renew_grant(self, *args: Any) -> bool:
        await self._stop("answered")
        done = await self._store.renew_grant(*args)
        await self._stop("stored")
        return done

    async def _stop(self, step: str) -> None:
        if step == self._step:
            self._told.send("stopped")
            await asyncio.Event().wait()


def run(path: Path, told: Connection, callers: int, ahead: float, step: str) -> None:
    """What the process does. Its clock is `ahead` seconds ahead."""
    asyncio.run(_run(path, told, callers, ahead, step))


async def _run(path: Path, told: Connection, callers: int, ahead: float, step: str) -> None:
    def store_as(store: Any) -> Stopping:
        return Stopping(store, step, told)

    async with keeping(path, now=lambda: time.time() + ahead, store_as=store_as) as hub:
        told.send("ready")
        told.recv()
        told.send(await asyncio.gather(*(_got(hub.access().credential) for _ in range(callers))))


async def _got(ask: Callable[[], Awaitable[Any]]) -> str:
    try:
        return token_in(await ask())
    except ConnectionNeeded as needed:
        return needed.state
