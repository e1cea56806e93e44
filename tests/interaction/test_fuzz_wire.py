"""Whatever bytes somebody writes to the hub's port: an answer below 500 or none, and the next caller is served.

Against a real process, so that its server is held to it, too. `MCP_HUB_FUZZ` sets how many examples it runs.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from interaction.whole_hub import Client, modern, said, serving
from rig.fake_upstream import FakeUpstream

pytestmark = pytest.mark.promise("T25")
many = settings(max_examples=int(os.environ.get("MCP_HUB_FUZZ", "300")), deadline=None)

BODY, HEADERS = modern("tools/call", {"name": "good__echo"})
CONTENT = json.dumps(BODY).encode()
PROPER = [f"{name}: {value}\r\n".encode() for name, value in {"Host": "localhost", **HEADERS}.items()]
LENGTH = b"Content-Length: %d\r\n" % len(CONTENT)
STARTS = (
    b"POST /mcp HTTP/1.1\r\n", b"POST /mcp HTTP/1.0\r\n", b"POST /mcp HTTP/2.0\r\n", b"POST  /mcp HTTP/1.1\r\n",
    b"POST http://evil.example/mcp HTTP/1.1\r\n", b"POST /%6dcp HTTP/1.1\r\n", b"POST /mcp/../mcp HTTP/1.1\r\n",
    b"POST /mcp?%00=\xff HTTP/1.1\r\n", b"POST \xff HTTP/1.1\r\n", b"POST * HTTP/1.1\r\n", b"CONNECT a:1 HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n", b"GET /mcp HTTP/1.1\r\n", b"HEAD / HTTP/1.1\r\n", b"GET /api/v1/status HTTP/1.1\r\n",
    b"GET /api/v1/upstreams/\xf0%9f/refresh HTTP/1.1\r\n", b"POST /api/v1/upstreams/%2e%2e/refresh HTTP/1.1\r\n",
    b"TRACE / HTTP/1.1\r\n", b"\r\n\r\nPOST /mcp HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00", b"",
)  # fmt: skip
LINES = (
    LENGTH, LENGTH, b"Content-Length: 0\r\n", b"Content-Length: -1\r\n", b"Content-Length: 9999999999999999999\r\n",
    b"Content-Length: 5,5\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n",
    b"Connection: close\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Upgrade: h2c\r\n",
    b"Expect: 100-continue\r\n", b"Host: evil.example\r\n", b"X: " + b"y" * 100_000 + b"\r\n", b"X: y\r\n" * 2_000,
    b": empty\r\n", b"no colon\r\n", b"\x00: \x00\r\n", b"Content-Type: text/plain\r\n",
    b"Mcp-Session-Id: a\r\n", b"MCP-Protocol-Version: 2025-11-25\r\n",
)  # fmt: skip
ENDS = (
    CONTENT, CONTENT, b"", CONTENT[:20], CONTENT + b"more", CONTENT + b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"%x\r\n%b\r\n0\r\n\r\n" % (len(CONTENT), CONTENT), b"5\r\n{}", b"ffffffffffffffff\r\n{}", b"-1\r\n\r\n",
    b"0\r\nTrailer: x\r\n\r\n", b"\x81\x05hello",
)  # fmt: skip
written = st.builds(
    lambda start, lines, end: b"".join([start, *lines, b"\r\n", end]),
    st.sampled_from(STARTS),
    st.lists(st.sampled_from([*PROPER, *LINES]), max_size=4).map(lambda some: [*PROPER, *some]),
    st.sampled_from(ENDS),
) | st.binary(max_size=60)


@dataclass
class Home:
    """A hub process, and the loop in which the fake behind it lives."""

    runner: asyncio.Runner
    client: Client

    @property
    def port(self) -> int:
        return int(self.client.url.split(":")[2].partition("/")[0])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    stack = AsyncExitStack()

    async def build() -> Client:
        good = await stack.enter_async_context(FakeUpstream())
        config = f"network: {{allow_private: [127.0.0.0/8]}}\nupstreams: {{good: {{url: '{good.url}'}}}}\n"
        hub = await stack.enter_async_context(serving(config, tmp_path_factory.mktemp("hub")))
        return await stack.enter_async_context(Client(hub.url))

    with asyncio.Runner() as runner:
        yield Home(runner, runner.run(build()))
        runner.run(stack.aclose())


async def _attack(home: Home, content: bytes, cuts: list[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", home.port)
    with contextlib.suppress(OSError):
        for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
            writer.write(content[start:end])
            await writer.drain()
        writer.write_eof()
    answered = b""
    async with asyncio.timeout(5):
        with contextlib.suppress(OSError):
            answered = await reader.read()
    writer.close()
    if answered:
        version, status = answered.split(maxsplit=2)[:2]
        assert version == b"HTTP/1.1"
        assert status < b"500", answered
    assert '"echo"' in said(await home.client.call("good__echo")), "the next one is served"


@many
@given(written, st.lists(st.integers(0, 400), max_size=2))
@example(b"".join([STARTS[0], *PROPER, LENGTH, b"\r\n", CONTENT]), [])
def test_no_bytes_on_a_connection_break_anything(home: Home, content: bytes, cuts: list[int]):
    cuts = sorted(min(cut, len(content)) for cut in cuts)
    home.runner.run(_attack(home, content, cuts))
