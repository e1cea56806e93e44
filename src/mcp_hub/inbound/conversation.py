"""One client on one two-way stream: what it asks is served side by side and answered where all else is said.

Rule: taking a message never waits for its answer. How many requests are under way, and how many bytes they have, is
bounded; what cannot be served is answered at once, and what ends the conversation ends everything under way in it.
Source: MCP 2024-11-05, basic/lifecycle and basic/transports ("HTTP with SSE").

| message                               | what is done                                          |
|---------------------------------------|-------------------------------------------------------|
| `_meta` names a revision              | served as modern, where that era is served at all     |
| `initialize`                          | introduces the client, once                           |
| `ping`                                | answered                                              |
| any other request before              | refused: begin with `initialize`                      |
| any other request                     | served by a task of its own                           |
| a batch                               | the same, if the session's revision knows batches     |
| a response, a notification            | taken at once                                         |
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Final, final

from msgspec import Raw

from mcp_hub.errors import UnknownMethod
from mcp_hub.gateway.listener import Listener, Over
from mcp_hub.inbound.batch import serve_batch
from mcp_hub.inbound.encode import as_message
from mcp_hub.inbound.errors import contained, settled
from mcp_hub.inbound.flight import Ended
from mcp_hub.inbound.incoming import look_into
from mcp_hub.inbound.legacy import STRANGER, Legacy, key_of
from mcp_hub.inbound.modern import Modern
from mcp_hub.inbound.outcome import Failure, Outcome, Refused, Several
from mcp_hub.inbound.outlet import Outlet
from mcp_hub.inbound.sessions import Session, Stop
from mcp_hub.principal import Principal
from mcp_hub.wire.eras import META_VERSION, Era
from mcp_hub.wire.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    Malformed,
    Message,
    Reply,
    is_batch,
    notification,
    parse,
)

MOST: Final = 1000
"""Requests under way at once in one conversation; more are refused."""
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of these requests together."""

_CROWDED: Final = Failure(INTERNAL_ERROR, "Too many requests are under way; wait for some of them")


class Subject:
    """What a failure is about; see `inbound.errors.Subject`."""

    __slots__ = ("era", "method")

    def __init__(self, method: str | None, era: Era = Era.LEGACY) -> None:
        self.method = method
        self.era = era


Work = Callable[[Stop], Coroutine[Any, Any, None]]


@final
class Conversation:
    """Belongs to whoever reads the client's messages, who calls `aclose` in the end.

    `introduced` is set once the answer to `initialize` has been written.
    """

    def __init__(
        self, legacy: Legacy, session: Session, caller: Principal, outlet: Outlet, *, modern: Modern | None = None
    ) -> None:
        self.session = session
        self.introduced = asyncio.Event()
        self._legacy = legacy
        self._modern = modern
        self._caller = caller
        self._outlet = outlet
        self._tasks: set[asyncio.Task[None]] = set()
        self._recoveries: set[asyncio.Task[None]] = set()
        self._held = 0

    async def take(self, data: bytes) -> None:
        """Take one message of the client's. Waits only to refuse a request, until that has been said.

        Raises:
            Malformed: it is no message.
        """
        try:
            message = parse(data)
        except Malformed:
            if not is_batch(data):
                raise
            await self._begin(None, len(data), lambda stop: self._answer_all(data, stop))
            return
        if message.is_response:
            self.session.questions.answered(message)
        elif message.is_request:
            await self._begin(message.id, len(data), lambda stop: self._answer(message, stop))
        else:
            with suppress(Malformed):  # no error is owed to what is no request
                await self._legacy.post(self._outlet, self.session, self._caller, look_into(message), _nothing)

    async def relay(self, listener: Listener) -> Over | None:
        """Bring the client its notices until the listener is over, and say why. What changed before it was introduced
        is no news; where it is the listener's fleet that is over, it goes on in another one.
        """
        while True:
            while heard := await listener.heard():
                for method, params in heard:
                    if self.introduced.is_set():
                        await self._outlet.emit(notification(method, params or None))
            if listener.over is not Over.CUT:
                return listener.over
            listener = self._legacy.listener(self.session, self._caller)
            recovery = asyncio.ensure_future(contained(self._legacy.recover(self.session, self._caller, listener)))
            self._recoveries.add(recovery)
            recovery.add_done_callback(self._recoveries.discard)

    async def idle(self, within: float | None = None) -> None:
        """Wait until nothing is under way, or for so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self._tasks:
                    await asyncio.wait(self._tasks)

    async def aclose(self) -> None:
        """End what is under way."""
        tasks = (*self._tasks, *self._recoveries)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin(self, number: Raw | None, size: int, work: Work) -> None:
        if len(self._tasks) >= MOST or self._held + size > MOST_BYTES:
            await self._outlet.emit(as_message(_CROWDED, number))
            return

        def stop(why: Ended) -> None:
            del why
            task.cancel()  # no response is owed to what was cancelled, nor in a session that is over

        def over(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            self._held -= size
            if running.get(key) is stop:  # it was ended before it had begun
                del running[key]

        running = self.session.running
        key = None if number is None else key_of(number)
        if number is not None:
            running[key] = stop  # now, so that a message which follows at once can end it
        task = asyncio.ensure_future(work(stop))
        self._tasks.add(task)
        self._held += size
        task.add_done_callback(over)

    async def _answer(self, message: Message, stop: Stop) -> None:
        subject = Subject(message.method)
        outcome = await settled(self._served(message, subject, stop), subject)
        if isinstance(outcome, Reply | Failure):
            await self._outlet.emit(as_message(outcome, message.id))
        if message.method == "initialize" and self.session.client is not STRANGER:
            self.introduced.set()

    async def _answer_all(self, data: bytes, stop: Stop) -> None:
        post = partial(self._legacy.post, self._outlet, self.session, self._caller)
        work = serve_batch(post, self.session.client.revision, data, stop)
        match await settled(work, Subject(None)):
            case Several(answers=answers):
                await self._outlet.emit(b"[" + b",".join(answers) + b"]")
            case Reply() | Failure() as outcome:
                await self._outlet.emit(as_message(outcome, None))
            case _:
                pass

    async def _served(self, message: Message, subject: Subject, stop: Stop) -> Outcome:
        incoming = look_into(message)
        if incoming.meta is not None and META_VERSION in incoming.meta:
            if self._modern is None:
                raise UnknownMethod("This transport serves revisions with a handshake only; begin with initialize.")
            subject.era = Era.MODERN
            return await self._modern.serve(self._outlet, None, self._caller, incoming)
        if message.method == "initialize":
            return await self._legacy.introduce(self.session, self._caller, incoming)
        if self.session.client is STRANGER and message.method != "ping":
            raise Refused(INVALID_REQUEST, "Begin with initialize")
        return await self._legacy.post(self._outlet, self.session, self._caller, incoming, stop)


def _nothing(why: Ended) -> None:
    del why
