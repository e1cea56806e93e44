"""One piece of work at a time per key, shared by everybody who asks for it meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar, final

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@final
class SingleFlight(Generic[K, T]):
    """Runs the work for a key once, however many ask. A caller that is cancelled leaves the work running."""

    def __init__(self) -> None:
        self._under_way: dict[K, asyncio.Task[T]] = {}

    async def run(self, key: K, work: Callable[[], Awaitable[T]]) -> T:
        """The result of the work under way for `key`, started now if there is none.

        Raises:
            Exception: whatever the work raises, to everybody who waits for it.
        """
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.ensure_future(_started(work))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Cancel what is under way and wait until it has ended."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _landed(self, key: K, task: asyncio.Task[T]) -> None:
        self._under_way.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever still waits gets it; nobody waiting is no reason to complain


async def _started(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
