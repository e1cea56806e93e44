"""Adds one header to every request, for clients that cannot be told to send it; every other byte passes as it came.

Usage: BEARER=token python bearer_proxy.py URL. Prints `Endpoint <url>`, the same path on a port of its own.
Of HTTP/1.1 it reads only what it must, to find where each request of a connection begins: heads, lengths and chunks.
"""

import asyncio
import os
import re
import sys
from contextlib import suppress
from urllib.parse import urlsplit

LONGEST = 2**20
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked", re.IGNORECASE)


async def requests(source: asyncio.StreamReader, target: asyncio.StreamWriter, line: bytes) -> None:
    """Pass on the requests of one connection, each with the line added to its head."""
    while True:
        head = await source.readuntil(b"\r\n\r\n")
        target.write(head[:-2] + line + b"\r\n")
        if CHUNKED.search(head):
            await _chunks(source, target)
        elif found := LENGTH.search(head):
            target.write(await source.readexactly(int(found[1])))
        await target.drain()


async def _chunks(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    size = -1
    while size != 0:
        line = await source.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        target.write(line + await source.readexactly(size + 2))
        await target.drain()


async def responses(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Pass on whatever comes back, at once."""
    while part := await source.read(2**16):
        target.write(part)
        await target.drain()


async def serve(host: str, port: int, line: bytes) -> asyncio.Server:
    """Listen on a free port in front of this one."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, onward = await asyncio.open_connection(host, port, limit=LONGEST)
        ways = [
            asyncio.ensure_future(requests(reader, onward, line)),
            asyncio.ensure_future(responses(behind, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, onward):
                end.close()
                with suppress(OSError):
                    await end.wait_closed()

    return await asyncio.start_server(connected, "127.0.0.1", 0, limit=LONGEST)


async def main() -> None:
    parts = urlsplit(sys.argv[1])
    assert parts.hostname is not None
    assert parts.port is not None
    server = await serve(parts.hostname, parts.port, f"Authorization: Bearer {os.environ['BEARER']}\r\n".encode())
    print(f"Endpoint http://127.0.0.1:{server.sockets[0].getsockname()[1]}{parts.path}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
