"""Calls of modern clients that a legacy upstream interrupts with a question: kept alive until the answer arrives.

Rule: nothing runs twice. The call at the upstream goes on in a task of its own; the client gets the questions and a
reference, and repeats its request with the answers, which continues the same call. A reference is good for one repeat:
whoever comes with it again learns that the call is not to be had any more, and nothing is called.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, final

from msgspec import Raw

from mcp_hub.errors import Forbidden
from mcp_hub.upstream.call import AskClient, Emit
from mcp_hub.wire.jsonrpc import Json, Reply

Work = Callable[[AskClient, Emit], Awaitable[Reply]]
"""A call at the upstream, given the ways to its client."""

LIFETIME: Final = 600.0
PER_PRINCIPAL: Final = 16
ALTOGETHER: Final = 1024
_REFERENCE_BYTES: Final = 24


class Asked(Reply, frozen=True):
    """A reply that the hub made itself, to ask a modern client: there is nothing of an upstream's era in it."""


@dataclass(frozen=True, slots=True)
class Questions:
    """What the client is asked before the call can go on: `requests` as `inputRequests` shows them."""

    reference: str
    requests: Json


@dataclass(slots=True)
class _Question:
    method: str
    params: Raw
    answer: asyncio.Future[Reply]


@dataclass(slots=True, eq=False)
class _Parked:
    principal: tuple[str, ...]
    reference: str = field(default_factory=lambda: secrets.token_urlsafe(_REFERENCE_BYTES))
    questions: dict[str, _Question] = field(default_factory=dict[str, _Question])
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[Reply] | None = None
    emit: Emit | None = None
    count: int = 0
    expiry: asyncio.TimerHandle | None = None

    async def ask(self, method: str, params: Raw) -> Reply:
        self.count += 1
        key = f"question-{self.count}"
        question = _Question(method, params, asyncio.get_running_loop().create_future())
        self.questions[key] = question
        self.asked.set()
        try:
            return await question.answer
        finally:
            del self.questions[key]
            self._look()

    async def tell(self, notification: bytes) -> None:
        if self.emit is not None:
            await self.emit(notification)

    def take(self, answers: Mapping[str, Raw]) -> None:
        for key, answer in answers.items():
            question = self.questions.get(key)
            if question is not None and not question.answer.done():
                question.answer.set_result(Reply(result=answer))
        self._look()

    def open(self) -> dict[str, _Question]:
        """What the client has still to answer."""
        return {key: each for key, each in self.questions.items() if not each.answer.done()}

    def _look(self) -> None:
        # A question may also go unanswered: then there is nothing to ask, and the call goes on.
        if not self.open():
            self.asked.clear()


@final
class Parking:
    """The parked calls of one process. `lifetime` is how long a question waits for its answer, in seconds."""

    def __init__(self, *, lifetime: float = LIFETIME, per_principal: int = PER_PRINCIPAL) -> None:
        self._lifetime = lifetime
        self._per_principal = per_principal
        self._parked: dict[str, _Parked] = {}
        self._tasks: set[asyncio.Task[Reply]] = set()

    def __len__(self) -> int:
        return len(self._parked)

    async def run(self, principal: tuple[str, ...], work: Work, emit: Emit) -> Reply | Questions | None:
        """Run a call until it is answered or asks something; `None` if it was ended from elsewhere.

        Cancellation ends the call.

        Raises:
            Forbidden: too many calls of this principal's, or of all, wait for answers; this one has not begun.
            Exception: whatever the call raises.
        """
        self._require_room(principal)
        parked = _Parked(principal)
        parked.task = task = asyncio.ensure_future(_begun(work, parked))
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return await self._next(parked, emit)

    async def resume(
        self, principal: tuple[str, ...], reference: str, answers: Mapping[str, Raw], emit: Emit
    ) -> Reply | Questions | None:
        """Go on with a parked call; `None` if there is none of this reference and principal any more.

        Raises and is cancelled as `run`.
        """
        parked = self._parked.get(reference)
        if parked is None or parked.principal != principal:
            return None
        self._leave(parked)
        parked.take(answers)
        return await self._next(parked, emit)

    async def aclose(self) -> None:
        """End every call, whether it is parked or not, and return once its upstream has been told."""
        for parked in list(self._parked.values()):
            self._leave(parked)
        tasks = list(self._tasks)
        for task in tasks:
            _stop(task)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _next(self, parked: _Parked, emit: Emit) -> Reply | Questions | None:
        task = parked.task
        if task is None:
            raise AssertionError("a call is parked only once it runs")
        parked.emit = emit
        try:
            while not task.done() and not parked.open():
                await _first(task, parked.asked)
        except asyncio.CancelledError:
            _stop(task)
            raise
        finally:
            parked.emit = None
        if task.done():
            return None if task.cancelled() else task.result()
        return self._park(parked)

    def _park(self, parked: _Parked) -> Questions:
        self._parked[parked.reference] = parked
        parked.expiry = asyncio.get_running_loop().call_later(self._lifetime, self._end, parked)
        requests = {key: {"method": one.method, "params": one.params} for key, one in parked.open().items()}
        return Questions(parked.reference, requests)

    def _require_room(self, principal: tuple[str, ...]) -> None:
        # Before anything runs: a call that has begun is not ended for want of a place, which it may take above these.
        mine = sum(each.principal == principal for each in self._parked.values())
        if mine >= self._per_principal or len(self._parked) >= ALTOGETHER:
            raise Forbidden(
                "Too many calls wait for your answers, so this one was not made. Answer some of them, or let them"
                f" expire, which takes {self._lifetime / 60:g} minutes; then try again."
            )

    def _leave(self, parked: _Parked) -> None:
        self._parked.pop(parked.reference, None)
        if parked.expiry is not None:
            parked.expiry.cancel()
            parked.expiry = None

    def _end(self, parked: _Parked) -> None:
        self._leave(parked)
        if parked.task is not None:
            _stop(parked.task)

    def _over(self, task: asyncio.Task[Reply]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # perhaps nobody waits for it any more


async def _begun(work: Work, parked: _Parked) -> Reply:
    return await work(parked.ask, parked.tell)


def _stop(task: asyncio.Task[Reply]) -> None:
    if not task.cancelling():  # else it is on its way out already, and telling its upstream
        task.cancel()


async def _first(task: asyncio.Task[Reply], asked: asyncio.Event) -> None:
    """Wait until the call is over or asks something; the call itself goes on if this wait is cancelled."""
    asking = asyncio.ensure_future(asked.wait())
    try:
        await asyncio.wait({task, asking}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asking.cancel()
