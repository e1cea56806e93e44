"""Servers that do what no server should: drip, keep silent, count who comes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rig.fake_upstream import Answer, Request

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """The port of a server that hands every connection to `serve`, and closes them all at its end."""
    writers: set[asyncio.StreamWriter] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(take, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


@dataclass
class Canary:
    """Nobody has any business here; `visits` counts those who came nevertheless."""

    port: int = 0
    visits: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/canary"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()


@asynccontextmanager
async def canary() -> AsyncIterator[Canary]:
    """A canary on a port of loopback."""
    bird = Canary()
    async with listening(bird.serve) as port:
        bird.port = port
        yield bird


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes everything, says nothing."""
    del writer
    while await reader.read(65536):
        pass


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begins a long answer at once and then sends a byte a second: the clock is what this server is about."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
    while not writer.is_closing():
        await writer.drain()
        await asyncio.sleep(1)
        writer.write(b" ")


async def html(request: Request) -> Answer:
    """A `before` of a fake upstream: a web page to everybody."""
    del request
    return Answer(b"<!doctype html><title>Welcome</title>", content_type="text/html; charset=utf-8")


async def refusing(request: Request) -> Answer:
    """A `before` of a fake upstream: nobody's credential is good enough."""
    del request
    return Answer(b'{"error": "who are you?"}', 401, headers={"www-authenticate": 'Bearer realm="up"'})
