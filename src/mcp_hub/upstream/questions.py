"""Questions of an upstream's that come on a stream beside the calls they are about, while the client answers them.

Rule: a question belongs to every call that it may be about. None of these runs out of time meanwhile, and the question
ends with the last of them. Every question is answered once, or withdrawn.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar, final

from mcp_hub.upstream.call import AskClient, Call
from mcp_hub.upstream.dialect import asked_of
from mcp_hub.wire.jsonrpc import ABSENT, Malformed, Message, fields, response

MOST_QUESTIONS: Final = 16
"""Questions of one session that wait for the client at once; no more are asked meanwhile."""
CANCELLED: Final = "notifications/cancelled"


class Subject(Protocol):
    """A request under way that questions may be about. Told in the event loop; must not block."""

    @property
    def call(self) -> Call | None:
        """Whose client is asked; `None` where nobody is."""
        ...

    def asking(self) -> None:
        """One more question waits for the client."""
        ...

    def answered(self) -> None:
        """One of them does not wait any more."""
        ...


S = TypeVar("S", bound=Subject)


@dataclass(frozen=True, slots=True)
class _Open(Generic[S]):
    task: asyncio.Task[None]
    about: list[S]


@final
class Questions(Generic[S]):
    """The open questions of one session. `write` takes each answer to the upstream, and raises nothing."""

    def __init__(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        self._write = write
        self._open: dict[bytes, _Open[S]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def ask(self, asked: Message, about: Sequence[S], may_ask: frozenset[str]) -> bool:
        """Ask the client of the first of these calls that has a way to it; `False` if it cannot be asked this.

        What is open already under the same id is not asked again: one answer is for both.
        """
        number = bytes(asked.id)
        if number in self._open:
            return True
        ways = (each.call.ask_client for each in about if each.call is not None)
        ask_client = next((way for way in ways if way is not None), None)
        if ask_client is None or asked.method not in may_ask or len(self._open) >= MOST_QUESTIONS:
            return False
        task = asyncio.ensure_future(self._answer(ask_client, asked))
        self._open[number] = _Open(task, list(about))
        for each in about:
            each.asking()
        task.add_done_callback(lambda _: self._close(number))
        return True

    def join(self, subject: S) -> None:
        """A call has begun that waits, as likely as not, for what is open as well."""
        for question in self._open.values():
            question.about.append(subject)
            subject.asking()

    def leave(self, subject: S) -> None:
        """A call is over; questions that may be about others go on."""
        for question in self._open.values():
            if subject in question.about:
                question.about.remove(subject)
                if not question.about:
                    question.task.cancel()

    def withdraw(self, message: Message) -> None:
        """The upstream does not want the answer any more that this `notifications/cancelled` names."""
        try:
            number = bytes(fields(message.params).get("requestId", ABSENT))
        except Malformed:
            return
        question = self._open.get(number)
        if question is not None:
            question.task.cancel()

    async def _answer(self, ask_client: AskClient, asked: Message) -> None:
        await self._write(response(asked.id, await asked_of(ask_client, asked)))

    def _close(self, number: bytes) -> None:
        for each in self._open.pop(number).about:
            each.answered()
