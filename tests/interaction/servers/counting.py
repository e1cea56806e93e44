"""An upstream whose one tool writes each of its runs to a file, and asks its caller in the middle of it.

    python tests/interaction/servers/counting.py --runs FILE --era legacy --port 0

`count` takes an `intent`, the `questions` to ask one after the other (`form` or `prompt`), and the port of whoever
watches: it says there which step it has reached, and goes on when it is told to. A line of the file is an intent and
`began` or `ended`. An answer that arrives here is a step too, before anything has read it.
"""

import argparse
import asyncio
import json
import signal
import socket
import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))

import samples
import uvicorn
from call import Call, form, prompt
from eras import OneEra
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPDeprecationWarning
from server import Announcing
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from toolbox import Toolbox

QUESTIONS = {
    "form": form("Shall I?", sure={"type": "boolean"}),
    "prompt": prompt("What is the capital of France?"),
}


class Watch:
    """The connection to whoever watches one run; there may be none."""

    latest = 0
    """The port of the last run's watcher, who is asked about answers too."""

    def __init__(self, port: int) -> None:
        Watch.latest = self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def reach(self, intent: str, step: str) -> None:
        """Say which step was reached, and wait for the word to go on."""
        if not self._port:
            return
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(json.dumps({"intent": intent, "step": step}).encode() + b"\n")
        await reader.readline()

    def leave(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


def build(runs: Path) -> Server[Any]:
    """The server, which adds its runs to this file."""
    tools = Toolbox()

    def note(intent: str, what: str) -> None:
        with runs.open("a", encoding="utf-8") as file:
            file.write(f"{intent} {what}\n")

    @tools.tool("count", "Counts its runs.", {"type": "object"})
    async def count(call: Call) -> list[Any]:
        intent = call.arguments["intent"]
        watch = Watch(call.arguments.get("watcher", 0))
        note(intent, "began")
        try:
            await call.context.session.report_progress(0, 9)
            await watch.reach(intent, "began")
            answers = await _asked(call, watch)
            note(intent, "ended")
            await watch.reach(intent, "ended")
        finally:
            watch.leave()
        return [samples.text(f"{intent} done: {answers}")]

    return Server("counting", version="1", on_list_tools=tools.list, on_call_tool=tools.call)


async def _asked(call: Call, watch: Watch) -> list[Any]:
    answers: list[Any] = []
    for number, kind in enumerate(call.arguments.get("questions", ["form"])):
        answer = (await call.ask({f"q{number}": QUESTIONS[kind]}, with_state=True))[f"q{number}"]
        answers.append(answer.model_dump(mode="json", by_alias=True, exclude_none=True).get("content"))
        await call.context.session.report_progress(number + 1, 9)
        await watch.reach(call.arguments["intent"], f"answered {number}")
    return answers


class AnswersAreSteps:
    """Lets the watcher hold an answer of a client's before the server has read it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if body and "method" not in json.loads(body):
            watch = Watch(Watch.latest)
            await watch.reach("", "answering")
            watch.leave()
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, again, send)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--era", choices=("modern", "legacy"), default="legacy")
    options = parser.parse_args()
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    app = AnswersAreSteps(OneEra(build(options.runs).streamable_http_app(), options.era))
    config = uvicorn.Config(app, http="h11", log_level="warning", timeout_graceful_shutdown=1)
    bound = socket.create_server(("127.0.0.1", options.port), backlog=128)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Announcing(config).run(sockets=[bound])


if __name__ == "__main__":
    main()
