"""A small honest ASGI server for one request at a time: it holds the application to the protocol it speaks."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field

BOUND = 5.0


@dataclass
class Response:
    """What the application wrote."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def events(self):
        """The messages of an event stream, in their order; comments are no events."""
        assert self.headers["content-type"] == "text/event-stream"
        blocks = self.body.decode().split("\n\n")
        data = ["\n".join(line[6:] for line in block.split("\n") if line.startswith("data: ")) for block in blocks]
        return [json.loads(each) for each in data if each]


@dataclass
class Exchange:
    """One request that the application is serving, and what has come of it so far.

    `taking` is cleared to play a client that reads nothing: writes then wait, as a server's do above its buffers.
    """

    incoming: list[bytes]
    ends: bool = True
    started: asyncio.Event = field(default_factory=asyncio.Event)
    written: asyncio.Condition = field(default_factory=asyncio.Condition)
    taking: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    complete: bool = False
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    task: asyncio.Task | None = None

    @property
    def is_stream(self) -> bool:
        """Whether the response that has begun is a stream of events."""
        return (b"content-type", b"text/event-stream") in self.headers

    async def receive(self):
        await asyncio.sleep(0)
        if self.incoming:
            part = self.incoming.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self.incoming) or not self.ends}
        await self.hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(self, event):
        await asyncio.sleep(0)
        await self.taking.wait()
        if self.hung_up.is_set():
            raise OSError("the client has gone")
        assert not self.complete, "nothing may follow the end of a response"
        async with self.written:
            if event["type"] == "http.response.start":
                self._start(event)
            else:
                self._body(event)
            self.written.notify_all()

    def _start(self, event):
        assert not self.started.is_set(), "a response starts once"
        self.status = event["status"]
        self.headers = list(event["headers"])
        assert all(type(part) is bytes and part.lower() for line in self.headers for part in line[:1])
        self.started.set()

    def _body(self, event):
        assert event["type"] == "http.response.body"
        assert self.started.is_set(), "a body follows a start"
        assert type(event["body"]) is bytes
        self.chunks.append(event["body"])
        self.complete = not event.get("more_body", False)
        if self.complete:
            declared = dict(self.headers).get(b"content-length")
            assert declared is None or int(declared) == len(b"".join(self.chunks)), "the length that was declared"
            self.hung_up.set()

    async def until(self, text: bytes, times: int = 1):
        """Wait until this much of the body has been written."""
        async with asyncio.timeout(BOUND), self.written:
            await self.written.wait_for(lambda: b"".join(self.chunks).count(text) >= times)

    async def response(self) -> Response:
        """Wait for the application to return."""
        assert self.task is not None
        async with asyncio.timeout(BOUND):
            await self.task
        assert self.complete, "the application returned without finishing its response"
        return Response(self.status, {k.decode(): v.decode() for k, v in self.headers}, b"".join(self.chunks))

    async def over(self):
        """Wait for the application to return, whatever it has written."""
        assert self.task is not None
        async with asyncio.timeout(BOUND):
            await self.task


def begin(
    app, method: str, headers: Iterable[tuple[str, str]], parts: list[bytes], *, ends: bool = True, **scope_of_it
) -> Exchange:
    """Hand a request to the application. Without `ends` the body goes on, and its rest never comes."""
    exchange = Exchange(list(parts) or [b""], ends)
    exchange.taking.set()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": "/mcp",
        "query_string": b"",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        **scope_of_it,
    }
    exchange.task = asyncio.ensure_future(app(scope, exchange.receive, exchange.send))
    return exchange
