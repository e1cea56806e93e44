"""A tool that counts its runs, watched step by step, and clients that call it."""

import asyncio
import json
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import processes
from interaction.whole_hub import Client, Json, answer, modern, said

SERVER = Path(__file__).parent / "servers" / "counting.py"
CAPABILITIES = {"elicitation": {"form": {}}, "sampling": {}}
ANSWERS = {
    "elicitation/create": {"action": "accept", "content": {"sure": True}},
    "sampling/createMessage": {"role": "assistant", "model": "m", "content": {"type": "text", "text": "Paris"}},
}
SECONDS = 10
STEPS = ("before", "asked", "travelling", "answered", "done")
"""Before the question; the question is with the client; its answer is on the way; it has arrived; all is done."""
UNDER_WAY = ("before", "travelling", "answered")
"""The steps at which a request of the client's is being served."""
ASKED = STEPS[1:]
"""The steps at which the client has something to come back with."""

INTERRUPTED = "does not wait for this answer any more"
NOT_OF_THIS = "This requestState is not of this request"
STOPPING = "The hub stops and has ended this request, which may have had effects."
EFFECTS = "may have had effects"


def command(runs: Path, *, era: str = "legacy", port: int = 0) -> list[str | Path]:
    """How the counting server is started."""
    return [sys.executable, SERVER, "--runs", runs, "--era", era, "--port", str(port)]


def config(url: str, **settings: str) -> str:
    """A hub in front of it."""
    more = "".join(f", {key}: {value}" for key, value in settings.items())
    return f"network: {{allow_private: [127.0.0.0/8]}}\nupstreams: {{up: {{url: '{url}'{more}}}}}\n"


@dataclass
class Runs:
    """The file in which the tool counts."""

    path: Path

    def of(self, intent: str) -> tuple[int, int]:
        """How often the tool began, and ended, what was meant by `intent`."""
        lines = self.path.read_text("utf-8").splitlines() if self.path.exists() else []
        counts = Counter(lines)
        return counts[f"{intent} began"], counts[f"{intent} ended"]


@dataclass
class Held:
    """A run that waits at a step until it is told to go on."""

    step: str
    intent: str
    _writer: asyncio.StreamWriter

    def go(self) -> None:
        if not self._writer.is_closing():
            self._writer.write(b"go\n")


@dataclass
class Watcher:
    """Whoever the tool reports to. Runs stop at the step `holds`, and pass all others."""

    holds: str = ""
    port: int = 0
    _held: asyncio.Queue[Held] = field(default_factory=asyncio.Queue)
    _over: defaultdict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *failure: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def reached(self, step: str) -> Held:
        """The run that has come to this step; later ones are not held there."""
        async with asyncio.timeout(SECONDS):
            held = await self._held.get()
        assert held.step == step
        self.holds = ""
        return held

    async def over(self, intent: str) -> None:
        """Wait until the run of this intent is over, however it ended."""
        async with asyncio.timeout(SECONDS):
            await self._over[intent].wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        intent = ""
        try:
            while line := await reader.readline():
                told = json.loads(line)
                intent = told["intent"]
                held = Held(told["step"], intent, writer)
                if held.step == self.holds:
                    self._held.put_nowait(held)
                else:
                    held.go()
        except ConnectionError:
            pass  # so leaves a run that was killed
        finally:
            self._over[intent].set()
            writer.close()


@dataclass
class Caller:
    """A modern client that calls `up__count` for one intent, and answers what it is asked."""

    client: Client
    intent: str
    watcher: int
    questions: Sequence[str] = ("form",)
    headers: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    """The progress token of the next request."""

    def request(self, asked: Json | None = None, **altered: Any) -> tuple[Json, dict[str, str]]:
        """The call, or its repeat with the answers to what was asked; `altered` are other arguments than the first."""
        arguments = {"intent": self.intent, "questions": list(self.questions), "watcher": self.watcher, **altered}
        meta: Json = {"io.modelcontextprotocol/clientCapabilities": CAPABILITIES}
        meta |= {} if self.token is None else {"progressToken": self.token}
        params = {"name": "up__count", "arguments": arguments, "_meta": meta, **(answers_to(asked) if asked else {})}
        body, headers = modern("tools/call", params)
        return body, {**headers, **self.headers}

    async def send(self, asked: Json | None = None, **altered: Any) -> Json:
        """The whole message that comes back."""
        async with asyncio.timeout(SECONDS):
            return answer(await self.client.post(*self.request(asked, **altered)))

    async def asked(self, asked: Json | None = None) -> Json:
        """What the tool asks next."""
        found = (await self.send(asked))["result"]
        assert found["resultType"] == "input_required", found
        return found

    async def until_last_question(self) -> Json:
        """The last of the questions; all others have been answered."""
        asked = await self.asked()
        for _ in self.questions[1:]:
            asked = await self.asked(asked)
        return asked

    @property
    def answered(self) -> str:
        """The tool's step after the answer to the last question."""
        return f"answered {len(self.questions) - 1}"


def answers_to(asked: Json) -> Json:
    """The members by which a modern client's repeat differs from its request."""
    given = {key: ANSWERS[question["method"]] for key, question in asked["inputRequests"].items()}
    return {"inputResponses": given, "requestState": asked["requestState"]}


def text_of(found: Json) -> str:
    """What the caller of a tool is told: the text of the result, or the sentence of the error."""
    return said(found["result"]) if "result" in found else found["error"]["message"]


@dataclass
class Scene:
    """A call that has come to a step. `pending` is the request under way, `asked` what came before it."""

    step: str
    caller: Caller
    pending: asyncio.Task[Json] | None = None
    asked: Json | None = None
    held: Held | None = None

    def go(self) -> None:
        """Let the run go on."""
        if self.held is not None:
            self.held.go()

    async def told(self) -> str:
        """What the caller is told to the request under way."""
        assert self.pending is not None
        return text_of(await self.pending)

    async def repeated(self, **altered: Any) -> str:
        """What the caller is told when it comes with the same answers again, or with `altered` arguments."""
        assert self.asked is not None
        return text_of(await self.caller.send(self.asked, **altered))


async def brought_to(step: str, caller: Caller, watcher: Watcher) -> Scene:
    """Call, and answer all questions but the last, and then as far as `step` says, which is one of `STEPS`."""
    if step == "before":
        watcher.holds = "began"
        pending = asyncio.create_task(caller.send())
        return Scene(step, caller, pending, held=await watcher.reached("began"))
    asked = await caller.until_last_question()
    if step == "asked":
        return Scene(step, caller, asked=asked)
    if step == "done":
        assert "done" in text_of(await caller.send(asked))
        return Scene(step, caller, asked=asked)
    watcher.holds = "answering" if step == "travelling" else caller.answered
    pending = asyncio.create_task(caller.send(asked))
    return Scene(step, caller, pending, asked, await watcher.reached(watcher.holds))


@asynccontextmanager
async def counting(runs: Runs, *, era: str = "legacy", port: int = 0) -> AsyncIterator[processes.Running]:
    """The counting server as a process of its own. It may be killed meanwhile."""
    with ExitStack() as stack:
        started = await asyncio.to_thread(
            stack.enter_context, processes.running(command(runs.path, era=era, port=port))
        )
        try:
            yield started
        finally:
            await asyncio.to_thread(stack.close)
