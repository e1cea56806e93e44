"""Calls of modern clients that a legacy upstream interrupts with a question: kept alive until the answer arrives.

Rule: nothing runs twice. The call at the upstream goes on in a task of its own; the client gets the questions and a
reference, and repeats its request with the answers, which continues the same call.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, final

from msgspec import Raw

from mcp_hub.errors import Forbidden
from mcp_hub.wire.jsonrpc import Json, Reply

AskClient = Callable[[str, Raw], Awaitable[Reply]]
"""Asks the client behind a call: method and params of the question to its reply."""
Emit = Callable[[bytes], Awaitable[None]]
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

    async def tell(self, notification: bytes) -> None:
        if self.emit is not None:
            await self.emit(notification)

    def take(self, answers: Mapping[str, Raw]) -> None:
        for key, answer in answers.items():
            question = self.questions.get(key)
            if question is not None and not question.answer.done():
                question.answer.set_result(Reply(result=answer))
        if all(question.answer.done() for question in self.questions.values()):
            self.asked.clear()


@final
class Parking:
    """The parked calls of one process. `lifetime` is how long a question waits for its answer, in seconds."""

    def __init__(self, *, lifetime: float = LIFETIME, per_principal: int = PER_PRINCIPAL) -> None:
        self._lifetime = lifetime
        self._per_principal = per_principal
        self._parked: dict[str, _Parked] = {}

    def __len__(self) -> int:
        return len(self._parked)

    async def run(self, principal: tuple[str, ...], work: Work, emit: Emit) -> Reply | Questions:
        """Run a call until it is answered or asks something. Cancellation ends the call.

        Raises:
            Exception: whatever the call raises.
        """
        self._require_room(principal)
        parked = _Parked(principal)
        parked.task = asyncio.ensure_future(_begun(work, parked))
        return await self._next(parked, emit)

    async def resume(
        self, principal: tuple[str, ...], reference: str, answers: Mapping[str, Raw], emit: Emit
    ) -> Reply | Questions | None:
        """Go on with a parked call; `None` if there is none of this reference and principal any more."""
        parked = self._parked.get(reference)
        if parked is None or parked.principal != principal or parked.emit is not None:
            return None
        self._leave(parked)
        parked.take(answers)
        return await self._next(parked, emit)

    async def aclose(self) -> None:
        """End every parked call."""
        tasks = [parked.task for parked in self._parked.values() if parked.task is not None]
        for parked in list(self._parked.values()):
            self._end(parked)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _next(self, parked: _Parked, emit: Emit) -> Reply | Questions:
        if parked.task is None:
            raise AssertionError("a call is parked only once it runs")
        parked.emit = emit
        asked = asyncio.ensure_future(parked.asked.wait())
        try:
            await asyncio.wait({parked.task, asked}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            parked.task.cancel()
            parked.task.add_done_callback(_forgotten)
            raise
        finally:
            asked.cancel()
            parked.emit = None
        if parked.task.done():
            return parked.task.result()
        return self._park(parked)

    def _park(self, parked: _Parked) -> Questions:
        self._parked[parked.reference] = parked
        parked.expiry = asyncio.get_running_loop().call_later(self._lifetime, self._end, parked)
        open_questions = {key: each for key, each in parked.questions.items() if not each.answer.done()}
        return Questions(
            parked.reference, {key: {"method": one.method, "params": one.params} for key, one in open_questions.items()}
        )

    def _require_room(self, principal: tuple[str, ...]) -> None:
        # Before anything runs: a call that has begun is not ended for want of a place, which it may take above these.
        mine = sum(each.principal == principal for each in self._parked.values())
        if mine >= self._per_principal or len(self._parked) >= ALTOGETHER:
            raise Forbidden("Too many calls wait for your answers. Answer or drop some of them, then try again.")

    def _leave(self, parked: _Parked) -> None:
        self._parked.pop(parked.reference, None)
        if parked.expiry is not None:
            parked.expiry.cancel()
            parked.expiry = None

    def _end(self, parked: _Parked) -> None:
        self._leave(parked)
        if parked.task is not None:
            parked.task.cancel()
            parked.task.add_done_callback(_forgotten)


async def _begun(work: Work, parked: _Parked) -> Reply:
    return await work(parked.ask, parked.tell)


def _forgotten(task: asyncio.Task[Reply]) -> None:
    if not task.cancelled():
        task.exception()  # nobody waits for it any more
