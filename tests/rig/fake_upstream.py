"""An MCP server of either era in a hundred lines, that remembers what it was asked and can be told to misbehave."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

Json = dict[str, Any]
MODERN = "2026-07-28"
LEGACY = "2025-11-25"


@dataclass
class Request:
    """One HTTP request as it arrived; `message` is its decoded body."""

    verb: str
    path: str
    headers: dict[str, str]
    lines: list[tuple[str, str]]
    body: bytes
    reader: asyncio.StreamReader

    @property
    def message(self) -> Json:
        return json.loads(self.body) if self.body else {}

    async def until_hung_up(self) -> None:
        """Return when the caller has closed the connection; it sends nothing else while it waits for an answer."""
        with contextlib.suppress(ConnectionError):
            await self.reader.read()

    @property
    def method(self) -> str:
        return str(self.message.get("method", ""))


@dataclass
class Answer:
    """What goes back: `chunks` of a body, sent one by one, in place of `body`; or `raw`, the bytes of it all.

    With `hangs_up` the connection is closed behind it.
    """

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    chunks: AsyncIterator[bytes] | None = None
    raw: bytes | None = None
    hangs_up: bool = False


Handler = Callable[[Request], Awaitable[Answer | None]]


class FakeUpstream:
    """Speaks `eras`; offers `tools`, `prompts`, `resources`, `templates`. `handlers` by method come first.

    Resources in `refused` are not subscribed to. `gone` is the body of the 404 for an unknown session. A tool answers
    with its own name and its arguments. `seen` holds every request.
    """

    def __init__(self, *, eras: str = "modern", tools: list[str] | None = None, name: str = "fake") -> None:
        self.eras = eras
        self.name = name
        self.tools: list[Json] = [tool(each) for each in (tools if tools is not None else ["echo"])]
        self.prompts: list[Json] = []
        self.resources: list[Json] = []
        self.templates: list[Json] = []
        self.capabilities: Json = {"tools": {}, "prompts": {}, "resources": {}, "completions": {}, "logging": {}}
        self.instructions = ""
        self.hints: Json = {"ttlMs": 60_000, "cacheScope": "public"}
        self.gone = b""
        self.page_size = 0
        self.handlers: dict[str, Handler] = {}
        self.before: Handler | None = None
        self.sessions: dict[str, Json] = {}
        self._numbers = itertools.count()  # an ended session's name never comes again
        self.seen: list[Request] = []
        self.streams: list[asyncio.Queue[bytes]] = []
        self.refused: set[str] = set()
        self._wants: dict[asyncio.Queue[bytes], set[str]] = {}
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._heard = asyncio.Condition()

    # life

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Close the port and every connection, as a killed process would."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    def asked(self, method: str) -> list[Request]:
        """The requests for a method, in their order."""
        return [each for each in self.seen if each.method == method]

    def announce(self, method: str) -> None:
        """Send a notification on every open stream of change notices."""
        for stream in self.streams:
            stream.put_nowait(sse({"jsonrpc": "2.0", "method": method}))

    def update(self, uri: str, *, subscribed: str | None = None, **more: Any) -> None:
        """Say that a resource changed, on the streams that are for it, or for the one it is a part of."""
        told = {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri, **more}}
        for stream in self.streams:
            if (subscribed or uri) in self._wants[stream]:
                stream.put_nowait(sse(told))

    @property
    def subscribed(self) -> set[str]:
        """The resources that some open stream is for."""
        return {uri for stream in self.streams for uri in self._wants[stream]}

    async def until_subscribed(self, *uris: str) -> None:
        """Wait until the open streams are for these resources and no others."""
        async with asyncio.timeout(5), self._heard:
            await self._heard.wait_for(lambda: self.subscribed == set(uris))

    def cut_streams(self) -> None:
        """End every open stream of change notices."""
        for stream in self.streams:
            stream.put_nowait(b"")
        self.streams.clear()

    async def until(self, method: str, times: int = 1) -> None:
        """Wait until a method has been asked for so many times; the verb counts as the method of what has none."""
        async with asyncio.timeout(5), self._heard:
            await self._heard.wait_for(lambda: self._times(method) >= times)

    async def until_listening(self) -> None:
        """Wait until a stream of change notices is open."""
        async with asyncio.timeout(5), self._heard:
            await self._heard.wait_for(lambda: self.streams)

    def _times(self, method: str) -> int:
        return sum(method in (each.method, each.verb) for each in self.seen)

    # HTTP

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._exchange(reader, writer):
                pass
        self._writers.discard(writer)
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        start = (await reader.readline()).decode("latin-1").split()
        if not start:
            return False
        if len(start) != 3 or not start[2].startswith("HTTP/1"):
            writer.write(b"HTTP/1.1 400 X\r\n\r\n")
            return False
        lines: list[tuple[str, str]] = []
        while line := (await reader.readline()).decode("latin-1").rstrip("\r\n"):
            key, _, value = line.partition(":")
            lines.append((key.lower(), value.strip()))
        headers = dict(lines)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(start[0], start[1], headers, lines, body, reader)
        self.seen.append(request)
        async with self._heard:
            self._heard.notify_all()
        answer = await self._answer(request)
        async with self._heard:
            self._heard.notify_all()
        await self._send(writer, answer)
        return not answer.hangs_up

    async def _send(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        if writer.is_closing():
            return
        if answer.raw is not None:
            writer.write(answer.raw)
            await writer.drain()
            return
        head = {"content-type": answer.content_type, **answer.headers}
        head |= {"transfer-encoding": "chunked"} if answer.chunks else {"content-length": str(len(answer.body))}
        text = f"HTTP/1.1 {answer.status} X\r\n" + "".join(f"{key}: {value}\r\n" for key, value in head.items())
        writer.write(text.encode() + b"\r\n" + answer.body)
        if answer.chunks is not None:
            async for chunk in answer.chunks:
                if writer.is_closing():
                    return
                writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    # MCP

    async def _answer(self, request: Request) -> Answer:
        for handler in (self.before, self.handlers.get(request.method)):
            answer = await handler(request) if handler is not None else None
            if answer is not None:
                return answer
        if request.verb != "POST":
            return self._stream(request)
        if "id" not in request.message:
            return Answer(status=202)
        modern = request.headers.get("mcp-protocol-version") == MODERN
        if modern and "modern" not in self.eras:
            return Answer(b'{"error": "no valid session"}', 400)
        if not modern and "legacy" not in self.eras:
            return error(request, -32022, "unsupported", {"supported": [MODERN], "requested": "?"}, status=400)
        return self._modern(request) if modern else self._legacy(request)

    def _modern(self, request: Request) -> Answer:
        if request.method == "server/discover":
            found = {
                "supportedVersions": [MODERN],
                "capabilities": self.capabilities,
                "instructions": self.instructions,
            }
            return result(request, self._stamped({**found, **self.hints}))
        if request.method == "subscriptions/listen":
            return self._acknowledged(request)
        answer = self._served(request)
        return result(request, self._stamped(answer)) if answer is not None else unknown(request, 404)

    def _legacy(self, request: Request) -> Answer:
        session = request.headers.get("mcp-session-id")
        if request.method == "initialize":
            session = f"session-{next(self._numbers)}"
            self.sessions[session] = request.message["params"]
            opened = {
                "protocolVersion": request.message["params"]["protocolVersion"],
                "capabilities": self.capabilities,
                "serverInfo": {"name": self.name, "version": "1"},
                "instructions": self.instructions,
            }
            return result(request, opened, headers={"mcp-session-id": session})
        if session not in self.sessions:
            return Answer(self.gone, 404)
        if request.method in ("resources/subscribe", "resources/unsubscribe"):
            return self._subscription(request, session)
        answer = {} if request.method in ("ping", "logging/setLevel") else self._served(request)
        return result(request, answer) if answer is not None else unknown(request, 200)

    def _acknowledged(self, request: Request) -> Answer:
        wanted: Json = request.message["params"]["notifications"]
        uris = [uri for uri in wanted.get("resourceSubscriptions", []) if uri not in self.refused]
        granted = {**wanted, "resourceSubscriptions": uris} if uris else wanted
        meta = {"io.modelcontextprotocol/subscriptionId": request.message["id"]}
        told = {"notifications": granted, "_meta": meta}
        first = sse({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": told})
        return self._open_stream(first, request, set(uris))

    def _subscription(self, request: Request, session: str) -> Answer:
        uri = request.message["params"]["uri"]
        if uri in self.refused:
            return error(request, -32002, "no such resource")
        uris = self.sessions[session].setdefault("subscribed", set())
        (uris.add if request.method == "resources/subscribe" else uris.discard)(uri)
        return result(request, {})

    def _served(self, request: Request) -> Json | None:
        params: Json = request.message.get("params", {})
        lists = {
            "tools/list": ("tools", self.tools),
            "prompts/list": ("prompts", self.prompts),
            "resources/list": ("resources", self.resources),
            "resources/templates/list": ("resourceTemplates", self.templates),
        }
        if request.method in lists:
            return self._page(*lists[request.method], params.get("cursor"))
        match request.method:
            case "tools/call":
                said = json.dumps({"tool": params["name"], "arguments": params.get("arguments")})
                return {"content": [{"type": "text", "text": said}], "futureField": {"n": 2**70}}
            case "prompts/get":
                return {"messages": [{"role": "user", "content": {"type": "text", "text": params["name"]}}]}
            case "resources/read":
                return {"contents": [{"uri": params["uri"], "text": "read"}]}
            case "completion/complete":
                return {"completion": {"values": [json.dumps(params["ref"])]}}
        return None

    def _page(self, member: str, items: list[Json], cursor: str | None) -> Json:
        start = int(cursor or 0)
        end = start + self.page_size if self.page_size else len(items)
        following = {"nextCursor": str(end)} if end < len(items) else {}
        return {member: items[start:end], **following, **(self.hints if "modern" in self.eras else {})}

    def _stamped(self, answer: Json) -> Json:
        info = {"io.modelcontextprotocol/serverInfo": {"name": self.name, "version": "1"}}
        return {"resultType": "complete", **answer, "_meta": info}

    def _stream(self, request: Request) -> Answer:
        if request.verb == "DELETE":
            self.sessions.pop(request.headers.get("mcp-session-id", ""), None)
            return Answer(status=200)
        if "legacy" not in self.eras:
            return Answer(status=405)
        session = self.sessions.get(request.headers.get("mcp-session-id", ""), {})
        return self._open_stream(b": open\n\n", request, session.setdefault("subscribed", set()))

    def _open_stream(self, first: bytes, request: Request, wants: set[str] | None = None) -> Answer:
        queue = asyncio.Queue[bytes]()
        queue.put_nowait(first)
        self.streams.append(queue)
        self._wants[queue] = set() if wants is None else wants

        async def leave() -> None:
            await request.until_hung_up()
            if queue in self.streams:
                self.streams.remove(queue)
            async with self._heard:
                self._heard.notify_all()
            queue.put_nowait(b"")

        async def chunks() -> AsyncIterator[bytes]:
            leaving = asyncio.ensure_future(leave())
            while chunk := await queue.get():
                yield chunk
                queue.task_done()
            leaving.cancel()
            await asyncio.wait([leaving])  # else it still reads from the connection when the next request comes

        return Answer(content_type="text/event-stream", chunks=chunks())


def tool(name: str, **more: Any) -> Json:
    """A tool that takes anything."""
    return {"name": name, "description": f"does {name}", "inputSchema": {"type": "object"}, **more}


def result(request: Request, answer: Json, *, headers: dict[str, str] | None = None) -> Answer:
    """A response to a request."""
    body = {"jsonrpc": "2.0", "id": request.message["id"], "result": answer}
    return Answer(json.dumps(body).encode(), headers=headers or {})


def error(request: Request, code: int, message: str, data: Any = None, *, status: int = 200) -> Answer:
    """An error response to a request."""
    problem = {"code": code, "message": message} | ({"data": data} if data is not None else {})
    return Answer(json.dumps({"jsonrpc": "2.0", "id": request.message["id"], "error": problem}).encode(), status)


def unknown(request: Request, status: int) -> Answer:
    """The answer to a method that is not served."""
    return error(request, -32601, "Method not found", status=status)


def sse(*messages: Json) -> bytes:
    """Messages as events of a stream."""
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in messages)
