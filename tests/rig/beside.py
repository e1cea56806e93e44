"""A legacy upstream that asks and logs on the stream beside the calls of a session, and the clients behind them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Raw

from mcp_hub.wire.eras import Client, Era
from mcp_hub.wire.jsonrpc import Json, Reply
from rig.fake_upstream import LEGACY, MODERN, Answer, FakeUpstream, Request, result, sse
from rig.parts import LIMITS, NOTHING, Stream, tool_call, wires_to

ALICE, BOB, CAROL = ("session", "alice"), ("session", "bob"), ("session", "carol")
SESSION = "mcp-session-id"
SAID = Raw(b'{"elicitation":{}}')
ASKABLE = Client(Era.LEGACY, LEGACY, SAID)
MODERN_ASKABLE = Client(Era.MODERN, MODERN, SAID)


class Person:
    """A client that answers with its own name, as soon as it may."""

    def __init__(self, name: str = "alice") -> None:
        self.name = name
        self.asked: list[str] = []
        self.is_asked = asyncio.Event()
        self.withdrawn = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.hears = Stream()

    async def answer(self, method: str, params: Raw) -> Reply:
        self.asked.append(method)
        self.is_asked.set()
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.withdrawn.set()
            raise
        return Reply(result=json.dumps({"by": self.name}).encode())


class Beside(FakeUpstream):
    """Its tool ends when `done` says so. `say` puts messages on a session's stream beside its calls.

    `opens` is what a GET is answered with, if it is not a stream.
    """

    def __init__(self) -> None:
        super().__init__(eras="legacy")
        self.before = self.take
        self.handlers["tools/call"] = self.work
        self.done = asyncio.Event()
        self.opens: Answer | None = None
        self.begins_with = b": open\n\n"
        self.queues: dict[str, asyncio.Queue[bytes]] = {}
        self.answers: list[tuple[str, Json]] = []
        self.opened: list[str] = []
        self._news = asyncio.Event()

    def say(self, *messages: Json, session: str = "session-0") -> None:
        self.queues[session].put_nowait(sse(*({"jsonrpc": "2.0", **each} for each in messages)))

    def ask(self, number: object = "q", session: str = "session-0") -> None:
        self.say({"id": number, "method": "elicitation/create", "params": {}}, session=session)

    async def reach(self, reached) -> None:
        """Return when `reached()` holds, looking whenever something comes."""
        while not reached():
            self._news.clear()
            await self._news.wait()

    async def take(self, request: Request) -> Answer | None:
        session = request.headers.get(SESSION, "")
        self._news.set()
        if request.verb == "GET":
            self.opened.append(session)
            return self.opens or Answer(content_type="text/event-stream", chunks=self._chunks(request, session))
        if request.verb == "POST" and "method" not in request.message:
            self.answers.append((session, request.message))
            return Answer(status=202)
        return None

    async def _chunks(self, request: Request, session: str) -> AsyncIterator[bytes]:
        queue = self.queues[session] = asyncio.Queue[bytes]()
        yield self.begins_with
        leaving = asyncio.ensure_future(request.until_hung_up())
        leaving.add_done_callback(lambda _: queue.put_nowait(b""))
        while chunk := await queue.get():
            yield chunk
        if self.queues.get(session) is queue:
            del self.queues[session]
        self._news.set()
        leaving.cancel()
        await asyncio.wait([leaving])

    async def work(self, request: Request) -> Answer | None:
        if request.headers[SESSION] not in self.sessions:
            return None
        await self.done.wait()
        return result(request, {"content": []})


@asynccontextmanager
async def calls(fake: Beside, limits=LIMITS, **more):
    """A way to begin calls, each waiting at the upstream when it is handed back; none is left behind."""
    begun: list[asyncio.Task[Reply]] = []
    async with fake, wires_to(fake, limits, **more) as wires, asyncio.timeout(10):

        async def begin(person: Person, owner=ALICE, client=ASKABLE, **given) -> "asyncio.Task[Reply]":
            call = tool_call(owner=owner, client=client, emit=person.hears.emit, ask_client=person.answer, **given)
            begun.append(asyncio.ensure_future(wires.legacy.send(call, NOTHING)))
            await fake.until("tools/call", len(begun))
            return begun[-1]

        yield begin, wires.legacy
        fake.done.set()
        await asyncio.gather(*begun, return_exceptions=True)
