"""An MCP server of the transport of 2024-11-05, that remembers what it was asked and can be told to misbehave."""

import asyncio
import json
from typing import Any

from rig.fake_upstream import Answer, FakeUpstream, Json, Request


class OldServer(FakeUpstream):
    """Streams open at `/mcp`; each names `address` with its own number. Methods in `silent` get no answer.

    A handler for a method answers its POST in place of the server, or lets it go on by `None`.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(eras="legacy", **more)
        self.address = "/messages?session={}"
        self.first = b"event: endpoint\ndata: %b\n\n"
        self.silent: set[str] = set()
        self.opened: list[asyncio.Queue[bytes]] = []
        self.told: list[Json] = []

    async def _answer(self, request: Request) -> Answer:
        for handler in (self.before, self.handlers.get(request.method)):
            answer = await handler(request) if handler is not None else None
            if answer is not None:
                return answer
        if request.verb == "GET" and request.path == "/mcp":
            return self._opened(request)
        if request.verb == "POST" and request.path.startswith("/messages"):
            return self._posted(request)
        return Answer(status=405 if request.path == "/mcp" else 404)

    def say(self, number: int, message: Json | bytes, event: bytes = b"message") -> None:
        """Write one message on one stream."""
        data = message if isinstance(message, bytes) else json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.opened[number].put_nowait(b"event: %b\ndata: %b\n\n" % (event, data))

    def cut(self, number: int) -> None:
        """End one stream, and with it its session."""
        self.opened[number].put_nowait(b"")

    async def until_left(self) -> None:
        """Wait until every stream has been closed by whoever opened it."""
        async with asyncio.timeout(5), self._heard:
            await self._heard.wait_for(lambda: not self.streams)

    def _opened(self, request: Request) -> Answer:
        self.opened.append(asyncio.Queue())
        answer = self._open_stream(self.first % self.address.format(len(self.opened) - 1).encode(), request)
        own, self.opened[-1] = self.opened[-1], self.streams[-1]
        assert own.empty()
        return answer

    def _posted(self, request: Request) -> Answer:
        number = int(request.path.partition("=")[2])
        if self.opened[number] not in self.streams:
            return Answer(status=404)
        message = request.message
        if "method" not in message:
            self.told.append(message)
        elif "id" in message and message["method"] not in self.silent:
            self.say(number, {"id": message["id"], "result": self._result(request)})
        return Answer(b"Accepted", 202, content_type="text/plain")

    def _result(self, request: Request) -> Json | None:
        if request.method == "initialize":
            server = {"name": self.name, "version": "1"}
            return {"protocolVersion": "2024-11-05", "capabilities": self.capabilities, "serverInfo": server}
        return {} if request.method in ("ping", "logging/setLevel") else self._served(request)
