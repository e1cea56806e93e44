"""Attacks by headers: an upstream gets the headers that are documented for it, and not one byte of a client's."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from interaction.whole_hub import Client, header_value, modern, serving
from rig.fake_upstream import FakeUpstream, Request, tool

PLANTED = "planted-c0ffee"
TRICKS = {
    "Authorization": f"Bearer {PLANTED}",
    "Cookie": f"session={PLANTED}",
    "Proxy-Authorization": f"Basic {PLANTED}",
    "X-API-Key": PLANTED,
    "X-Forwarded-For": f"{PLANTED}, 10.0.0.1",
    "X-Forwarded-Host": PLANTED,
    "X-Forwarded-Proto": PLANTED,
    "X-Real-IP": PLANTED,
    "Forwarded": f"for={PLANTED}",
    "Via": PLANTED,
    "User-Agent": PLANTED,
    "Accept-Language": PLANTED,
    "Traceparent": PLANTED,
    "Last-Event-ID": PLANTED,
    "Mcp-Param-Secret": PLANTED,
    "Mcp-Other": PLANTED,
    "X-Hub-Key": "a%0d%0aX-Evil: 1",
}
ALWAYS = {"host", "accept-encoding", "content-type", "accept", "content-length", "mcp-protocol-version"}
DOCUMENTED = {
    "modern": ALWAYS | {"mcp-method", "mcp-name", "mcp-param-region", "x-configured", "authorization"},
    "legacy": ALWAYS | {"mcp-session-id", "x-configured", "authorization"},
}
"""What the specification lets a client of that era send, and what the configuration says."""
SCHEMA = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}


@pytest.fixture(params=["modern", "legacy"])
async def fake(request: pytest.FixtureRequest) -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream(eras=request.param, tools=[]) as started:
        started.tools = [tool("echo", inputSchema=SCHEMA)]
        started.resources = [{"uri": "note://1", "name": "n"}]
        yield started


def _config(fake: FakeUpstream) -> str:
    return f"""\
network: {{allow_private: [127.0.0.0/8]}}
upstreams:
  up:
    url: {fake.url}?own=query
    headers: {{X-Configured: "of the operator"}}
    auth: {{type: api_key, value: key-of-the-operator}}
"""


def _bytes(request: Request) -> bytes:
    """All that an upstream could have read of a request."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.lines)
    return f"{request.verb} {request.path}\r\n{lines}\r\n".encode() + request.body


@pytest.mark.promise("B12", "B13", "T12", "T13")
@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_an_upstream_gets_the_documented_headers_and_nothing_of_the_clients(
    fake: FakeUpstream, era: str, tmp_path: Path
):
    params = {"name": "up__echo", "arguments": {"region": "eu"}}
    async with serving(_config(fake), tmp_path) as hub, Client(f"{hub.url}?access_token={PLANTED}") as client:
        if era == "modern":
            body, headers = modern("tools/call", params)
            response = await client.post(
                body, {**headers, **TRICKS, "Mcp-Param-Region": "eu", "Mcp-Session-Id": PLANTED}
            )
        else:
            session = await client.open(**{name.replace("-", "_"): value for name, value in TRICKS.items()})
            session.headers |= TRICKS
            response = await session.post("tools/call", params)
        assert response.status_code == 200, response.text
        assert not response.json()["result"].get("isError"), response.text
    (called,) = fake.asked("tools/call")
    names = [name for name, _ in called.lines]
    assert len(names) == len(set(names)), "no header stands twice"
    assert set(names) == DOCUMENTED[fake.eras]
    assert called.headers["authorization"] == "Bearer key-of-the-operator"
    assert called.headers["x-configured"] == "of the operator"
    assert called.headers["host"] == f"127.0.0.1:{fake.port}"
    for request in fake.seen:
        assert PLANTED.encode() not in _bytes(request)
        assert request.path == "/mcp?own=query"
        assert set(request.headers) <= DOCUMENTED[fake.eras] | {"mcp-name", "mcp-method"}


@pytest.mark.promise("T12", "T13")
async def test_the_hubs_own_requests_carry_nothing_of_any_client(fake: FakeUpstream, tmp_path: Path):
    async with serving(_config(fake), tmp_path) as hub, Client(hub.url) as client:
        for _ in range(2):
            await client.modern("tools/list", **{name.replace("-", "_"): value for name, value in TRICKS.items()})
            await client.refreshed("up")
    assert fake.asked("tools/list")
    assert PLANTED.encode() not in b"".join(map(_bytes, fake.seen))


@pytest.mark.promise("T11")
async def test_a_value_cannot_end_its_header(fake: FakeUpstream, tmp_path: Path):
    values = ["eu\r\nX-Evil: 1", "eu\nX-Evil: 1", "eu\rX-Evil: 1", "eu\0X-Evil", " eu", "=?base64?ZQ==?="]
    async with serving(_config(fake), tmp_path) as hub, Client(hub.url) as client:
        session = await client.open()
        for value in values:
            body, headers = modern("tools/call", {"name": "up__echo", "arguments": {"region": value}})
            read = {"uri": f"up+note://{value}"}
            responses = [
                await client.post(body, {**headers, "Mcp-Param-Region": header_value(value)}),
                await client.modern("resources/read", read),
                await session.post("resources/read", read),
            ]
            assert ["result" in response.json() for response in responses] == [True, True, True]
    assert {name for request in fake.seen for name in request.headers} <= DOCUMENTED[fake.eras] | {
        "mcp-name",
        "mcp-method",
    }
    for told, value in zip(fake.asked("tools/call"), values, strict=True):
        assert told.message["params"]["arguments"]["region"] == value
        assert told.headers.get("mcp-param-region", header_value(value)) == header_value(value)
    read = [request.message["params"]["uri"] for request in fake.asked("resources/read")]
    assert read == [f"note://{value}" for value in values for _ in range(2)]


BODY, PROPER = modern("tools/call", {"name": "up__echo", "arguments": {"region": "eu"}})
RAW_LINES = {
    b"X-Hub-gh-Key: a%0d%0aX-Evil: 1\r\n": 200,
    b"X-Hub-gh-Key: a\rX-Evil: 1\r\n": 400,
    b"X-Hub-gh-Key: a\0X-Evil: 1\r\n": 400,
    b"X-Hub gh-Key: a\r\n": 400,
    b"X-Hub-gh-Key\0: a\r\n": 400,
    b" X-Evil: 1\r\n": 400,
    b"Mcp-Param-Region: eu\r\n X-Evil: 1\r\n": 400,
    b"Mcp-Name: up__echo\r\n": 400,
    b"Content-Length: 3\r\n": 400,
    b"Transfer-Encoding: chunked\r\n": 400,
    b"Transfer-Encoding: identity, chunked\r\n": 400,
}
"""A line by which one tries to get further ones through, and what comes of the whole request."""


async def _raw(port: int, line: bytes) -> tuple[int, bytes]:
    """The status of a proper call with that line added, written as it is; and all that came back."""
    content = json.dumps(BODY).encode()
    usual = {"Host": f"localhost:{port}", **PROPER, "Mcp-Param-Region": "eu", "Content-Length": len(content)}
    head = "".join(f"{name}: {value}\r\n" for name, value in usual.items() if f"{name}: eu".encode() not in line)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /mcp HTTP/1.1\r\n" + head.encode() + line + b"Connection: close\r\n\r\n" + content)
    async with asyncio.timeout(5):
        answered = await reader.read()
    writer.close()
    return int(answered.split()[1]), answered


@pytest.mark.promise("T11")
async def test_no_line_on_the_wire_smuggles_another_one_through(fake: FakeUpstream, tmp_path: Path):
    async with serving(_config(fake), tmp_path) as hub, Client(hub.url) as client:
        await client.names()
        port = int(hub.url.split(":")[2].partition("/")[0])
        found = {line: (await _raw(port, line))[0] for line in RAW_LINES}
        assert found == RAW_LINES
    assert len(fake.asked("tools/call")) == 1
    assert not any(b"evil" in _bytes(request).lower() for request in fake.seen)
