"""Attacks by streams: floods that never end, readers that never read, a thousand of them at once."""

import asyncio
import json
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from interaction.counted import CAPABILITIES
from interaction.test_attacks_upstream import GROWTH, peak_memory
from interaction.whole_hub import USUAL, Client, Json, events, modern, said, serving
from processes import Running
from rig.fake_upstream import Answer, FakeUpstream, Request, sse

ERAS = pytest.mark.parametrize("eras", ["modern", "legacy"])
MIB = 2**20
FLOOD = 200 * MIB
MOST_LISTENERS = 1024


def config(*fakes: FakeUpstream) -> str:
    declared = "".join(f"  {fake.name}: {{url: '{fake.url}'}}\n" for fake in fakes)
    return f"network: {{allow_private: [127.0.0.0/8]}}\nupstreams:\n{declared}"


class Flooding(FakeUpstream):
    """Answers `flood` with notifications without end; `sent` counts their bytes."""

    def __init__(self, **more: Any) -> None:
        super().__init__(name="up", tools=["flood", "echo"], **more)
        self.sent = 0
        self.over = asyncio.Event()
        self.handlers["tools/call"] = self.called

    async def called(self, request: Request) -> Answer | None:
        if request.message["params"]["name"] != "flood":
            return None
        given = request.message["params"]["_meta"].get("progressToken")
        kinds = [
            {
                "method": "notifications/progress",
                "params": {"progressToken": given, "progress": 1, "message": "x" * 999},
            },
            {"method": "notifications/message", "params": {"level": "info", "data": "x" * 999}},
            {"method": "notifications/tools/list_changed"},
            {"method": "notifications/resources/updated", "params": {"uri": "file:///x"}},
            {"method": "notifications/of/nobody"},
        ]
        flood = sse(*({"jsonrpc": "2.0", **each} for each in kinds)) * 20

        async def chunks() -> AsyncIterator[bytes]:
            while self.sent < FLOOD:
                self.sent += len(flood)
                yield flood
            yield sse({"jsonrpc": "2.0", "id": request.message["id"], "result": {"content": []}})

        self._leaving = asyncio.create_task(self._left(request))
        return Answer(content_type="text/event-stream", chunks=chunks())

    async def _left(self, request: Request) -> None:
        await request.until_hung_up()
        self.over.set()


def flooded() -> tuple[Json, dict[str, str]]:
    """A call that brings a flood of all that its caller may be told."""
    meta = {"progressToken": "p", "io.modelcontextprotocol/logLevel": "debug"}
    meta["io.modelcontextprotocol/clientCapabilities"] = CAPABILITIES
    return modern("tools/call", {"name": "up__flood", "_meta": meta})


@pytest.mark.promise("T23", "A8")
@ERAS
async def test_a_flood_that_nobody_reads_is_held_back_and_costs_the_others_nothing(eras: str, tmp_path: Path):
    async with (
        Flooding(eras=eras) as fake,
        FakeUpstream(name="other") as calm,
        serving(config(fake, calm), tmp_path) as hub,
        Client(hub.url) as attacked,
        Client(hub.url) as other,
    ):
        await other.call("other__echo")
        before = peak_memory(hub)
        body, headers = flooded()
        async with attacked.http.stream("POST", attacked.url, json=body, headers=headers) as unread:
            assert unread.status_code == 200
            held_at = -1
            while held_at != fake.sent:  # until the sockets on the way are full
                held_at = fake.sent
                for _ in range(20):
                    assert json.loads(said(await other.call("other__echo")))["tool"] == "echo"
                    assert json.loads(said(await other.call("up__echo")))["tool"] == "echo"
            assert fake.sent < FLOOD // 4
            assert peak_memory(hub) - before < GROWTH
        async with asyncio.timeout(10):
            await fake.over.wait()


@pytest.mark.promise("T23", "A8")
@ERAS
async def test_a_flood_that_is_read_takes_no_memory_and_lets_others_through(eras: str, tmp_path: Path):
    async with (
        Flooding(eras=eras) as fake,
        serving(config(fake), tmp_path) as hub,
        Client(hub.url) as attacked,
        Client(hub.url) as other,
    ):
        await other.call("up__echo")
        before = peak_memory(hub)
        body, headers = flooded()
        read = pieces = 0
        async with attacked.http.stream("POST", attacked.url, json=body, headers=headers) as stream:
            async for chunk in stream.aiter_raw():
                read, pieces = read + len(chunk), pieces + 1
                if read > 20 * MIB:
                    break
                if pieces % 50 == 0:
                    assert json.loads(said(await other.call("up__echo")))["tool"] == "echo"
        async with asyncio.timeout(10):
            await fake.over.wait()
        assert peak_memory(hub) - before < GROWTH
        assert len(fake.asked("tools/list")) < 60, "a change that is announced is followed once in a while"


@pytest.mark.promise("T23", "T26")
async def test_a_flood_around_a_question_waits_with_it(tmp_path: Path):
    fake = Flooding(eras="legacy")
    question = {"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {"message": "?"}}
    flood = fake.called

    async def asking(request: Request) -> Answer | None:
        answer = await flood(request)
        if answer is not None and answer.chunks is not None:
            answer.chunks = _after(sse(question), answer.chunks)
        return answer

    fake.handlers["tools/call"] = asking
    async with fake, serving(config(fake), tmp_path) as hub, Client(hub.url) as attacked, Client(hub.url) as other:
        await other.call("up__echo")
        before = peak_memory(hub)
        body, headers = flooded()
        (parked,) = [each["result"] for each in _messages(await attacked.post(body, headers)) if "result" in each]
        assert parked["resultType"] == "input_required"
        held_at = -1
        while held_at != fake.sent:
            held_at = fake.sent
            for _ in range(20):
                assert json.loads(said(await other.call("up__echo")))["tool"] == "echo"
        assert fake.sent < FLOOD // 4
        assert peak_memory(hub) - before < GROWTH


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def _messages(response: Any) -> list[Json]:
    is_stream = response.headers["content-type"] == "text/event-stream"
    return events(response.content) if is_stream else [response.json()]


# Many at once


class Opened:
    """One stream that is open, on a connection of its own; reads no more than its beginning."""

    def __init__(self, status: int, writer: asyncio.StreamWriter) -> None:
        self.status = status
        self._writer = writer

    @classmethod
    async def at(cls, url: str, verb: str, headers: dict[str, str], body: Json | None = None) -> "Opened":
        port = int(url.split(":")[2].partition("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        content = b"" if body is None else json.dumps(body).encode()
        lines = {**headers, "Host": "127.0.0.1", "Content-Length": str(len(content))}
        head = f"{verb} /mcp HTTP/1.1\r\n" + "".join(f"{key}: {value}\r\n" for key, value in lines.items())
        writer.write(head.encode() + b"\r\n" + content)
        async with asyncio.timeout(30):
            status = (await reader.readline()).split()[1]
        return cls(int(status), writer)

    async def close(self) -> None:
        self._writer.close()


def _listen(number: int) -> tuple[Json, dict[str, str]]:
    return modern("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, number=number)


def descriptors(hub: Running) -> int:
    """How many files and connections the process has open."""
    return len(list(Path(f"/proc/{hub.process.pid}/fd").iterdir()))


@pytest.mark.promise("T23", "D33")
async def test_a_thousand_streams_are_the_most_and_whoever_opens_more_is_told(tmp_path: Path):
    async with (
        FakeUpstream(name="up") as fake,
        serving(config(fake), tmp_path) as hub,
        AsyncExitStack() as streams,
        Client(hub.url) as other,
    ):
        await other.call("up__echo")
        session = await other.open()
        before, files = peak_memory(hub), descriptors(hub)
        statuses: list[int] = []
        for start in range(0, MOST_LISTENERS + 50, 50):
            for opened in await asyncio.gather(
                *(Opened.at(hub.url, "POST", headers, body) for body, headers in map(_listen, range(start, start + 50)))
            ):
                streams.push_async_callback(opened.close)
                statuses.append(opened.status)
        assert statuses.count(200) == MOST_LISTENERS
        assert set(statuses) == {200, 403}
        opened = await Opened.at(hub.url, "GET", {**USUAL, **session.headers})
        await opened.close()
        assert opened.status == 403, "it is one listener more, of the same user"
        assert json.loads(said(await other.call("up__echo")))["tool"] == "echo"
        assert json.loads(said(await session.call("up__echo")))["tool"] == "echo"
        assert peak_memory(hub) - before < GROWTH
        await streams.aclose()
        async with asyncio.timeout(20):
            while descriptors(hub) > files + 20:
                assert json.loads(said(await other.call("up__echo")))["tool"] == "echo"
        again = await Opened.at(hub.url, "POST", *reversed(_listen(1)))
        assert again.status == 200, "whose places are free again"
        await again.close()


@pytest.mark.promise("D33")
async def test_a_hub_may_have_as_many_connections_open_as_the_system_lets_it(tmp_path: Path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        async with FakeUpstream(name="up") as fake, serving(config(fake), tmp_path) as hub:
            allowed = resource.prlimit(hub.process.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert allowed == (min(hard, 65536), hard)
