"""Before a request's head is complete it has passed no check, so it may neither grow nor wait for ever."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from uvicorn.server import ServerState

from mcp_hub.cli.transport import MOST_HEAD, BoundedProtocol

pytestmark = pytest.mark.promise("T23", "T24")
ASK = b"GET / HTTP/1.1\r\nHost: x\r\n"


async def hello(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hi"})


class Hurried(BoundedProtocol):
    head_seconds = 0.05


@asynccontextmanager
async def connected(kind: type[BoundedProtocol] = BoundedProtocol):
    config = uvicorn.Config(hello, ws="none", lifespan="off", log_config=None)
    config.load()
    state = ServerState()

    def protocol() -> BoundedProtocol:
        return kind(config=config, server_state=state, app_state={})

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        async with asyncio.timeout(5):
            yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        server.close()
        await server.wait_closed()


async def test_a_head_that_never_ends_is_cut_off():
    async with connected() as (reader, writer):
        writer.write(ASK)
        for _ in range(MOST_HEAD // 1024 + 1):
            writer.write(b"x: %b\r\n" % (b"y" * 1020))
            await writer.drain()
        assert (await reader.readline()).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("begun", [b"", ASK])
async def test_a_head_that_does_not_come_is_not_waited_for(begun):
    async with connected(Hurried) as (reader, writer):
        writer.write(begun)
        assert await reader.read() == b""


async def test_what_is_small_and_in_time_is_served_request_after_request():
    async with connected() as (reader, writer):
        for size in (0, 10, 3 * MOST_HEAD):
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
            await writer.drain()
            writer.write(b"z" * size)
            await writer.drain()
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(2) == b"hi"
