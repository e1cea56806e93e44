"""Attacks by answers: endless, swollen, dripping, or written to look like something else."""

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from interaction.whole_hub import Client, events, message, modern, said, serving
from processes import Running
from rig.fake_upstream import Answer, FakeUpstream, Request, error, result, sse, tool

MIB = 2**20
GROWTH = 50 * MIB


def _config(*fakes: FakeUpstream, **defaults: str) -> str:
    declared = "".join(f"  {fake.name}: {{url: '{fake.url}'}}\n" for fake in fakes)
    said_too = "".join(f"  {key}: {value}\n" for key, value in defaults.items())
    head = "network: {allow_private: [127.0.0.0/8]}\n"
    return f"{head}{f'defaults:{chr(10)}{said_too}' if defaults else ''}upstreams:\n{declared}"


def peak_memory(hub: Running) -> int:
    """The most memory the process ever had, in bytes."""
    status = Path(f"/proc/{hub.process.pid}/status").read_text("ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


async def _spaces(size: int) -> AsyncIterator[bytes]:
    piece = b" " * MIB
    for _ in range(size // MIB):
        yield piece


async def _endless(first: bytes, piece: bytes) -> AsyncIterator[bytes]:
    yield first
    while True:
        yield piece


async def announced(request: Request) -> Answer:
    """200 MB of JSON, with its length."""
    del request
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 200000000\r\n\r\n"
    return Answer(raw=head + b'{"jsonrpc": "2.0"' + b" " * MIB, hangs_up=True)


async def unannounced(request: Request) -> Answer:
    """200 MB of JSON, of a length that nobody knows beforehand."""
    del request
    return Answer(chunks=_spaces(200 * MIB))


async def garbage(request: Request) -> Answer:
    """As much as a result may have, and nothing that could be read."""
    del request
    return Answer(b"[" * 7 * MIB)


async def endless_event(request: Request) -> Answer:
    """An event that never ends."""
    del request
    return Answer(content_type="text/event-stream", chunks=_endless(b'data: {"', b"x" * MIB))


async def endless_lines(request: Request) -> Answer:
    """An event of endlessly many lines."""
    del request
    return Answer(
        content_type="text/event-stream", chunks=_endless(b"data: {\n", (b"data: " + b"x" * 1000 + b"\n") * 1000)
    )


async def endless_notice(request: Request) -> Answer:
    """One notification, larger than any may be."""
    told = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x" * 2 * MIB}}
    return Answer(sse(told), content_type="text/event-stream")


async def gzip_bomb(request: Request) -> Answer:
    """A gigabyte of zeros in a megabyte, asked for by nobody."""
    assert request.headers["accept-encoding"] == "identity"
    return Answer(gzip.compress(bytes(MIB)) * 1000, headers={"content-encoding": "gzip"})


async def endless_head(request: Request) -> Answer:
    """A head that never ends."""
    del request
    return Answer(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500_000, hangs_up=True)


async def chunk_bomb(request: Request) -> Answer:
    """A chunk said to have more bytes than there are."""
    del request
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return Answer(raw=head + b"f" * 15 + b"\r\n{}", hangs_up=True)


Bomb = Callable[[Request], Awaitable[Answer]]
BOMBS: dict[Bomb, str] = {
    announced: "up sent more than the hub accepts: ",
    unannounced: "up sent more than the hub accepts: ",
    garbage: "up sent something that is not a JSON-RPC message.",
    endless_event: "up sent more than 33554432 bytes in one event.",
    endless_lines: "up sent more than 33554432 bytes in one event.",
    endless_notice: "up sent a notification of more than 1048576 bytes.",
    gzip_bomb: "up does not speak HTTP as it should: 127.0.0.1 answered compressed, which the hub did not ask for.",
    endless_head: "up sent more than the hub accepts: 127.0.0.1 answered with more header than",
    chunk_bomb: "up ",
}


@pytest.mark.promise("T23")
@pytest.mark.parametrize("bomb", [announced, unannounced, endless_event, gzip_bomb], ids=lambda bomb: bomb.__name__)
async def test_a_bomb_takes_little_memory_and_gets_a_sentence(bomb: Bomb, tmp_path: Path):
    async with (
        FakeUpstream(name="up") as fake,
        serving(_config(fake), tmp_path) as hub,
        Client(hub.url) as client,
    ):
        await client.call("up__echo")
        before = peak_memory(hub)
        fake.handlers["tools/call"] = bomb
        answered = await client.call("up__echo")
        assert answered["isError"]
        assert BOMBS[bomb] in said(answered)
        assert peak_memory(hub) - before < GROWTH


@pytest.mark.promise("T23", "A8")
@pytest.mark.parametrize("eras", ["modern", "legacy"])
async def test_bomb_after_bomb_takes_no_more_and_harms_nobody_else(eras: str, tmp_path: Path):
    first = {"modern": "server/discover", "legacy": "initialize"}[eras]
    async with (
        FakeUpstream(name="up", eras=eras) as fake,
        FakeUpstream(name="other") as other,
        serving(_config(fake, other, max_result="8MiB"), tmp_path) as hub,
        Client(hub.url) as client,
    ):
        session = await client.open()
        await asyncio.gather(*(session.call(name) for name in ("up__echo", "other__echo")))
        before = peak_memory(hub)
        for bomb in [*BOMBS, *[unannounced] * 8]:
            fake.handlers["tools/call"] = bomb
            assert (await session.call("up__echo"))["isError"], bomb
            for method in (first, "tools/list"):
                fake.handlers = {method: bomb}
                fake.sessions.clear()  # so that a legacy one is introduced to anew
                found = await client.refreshed("up")
                assert bomb is endless_notice or (found["state"], found["stale"]) == ("unreachable", True), bomb
                assert found["reason"].startswith("up ") or bomb is endless_notice
            fake.handlers.clear()
            assert (await client.refreshed("up"))["state"] == "ready", bomb
            assert not (await session.call("up__echo")).get("isError"), bomb
            assert not (await session.call("other__echo")).get("isError"), bomb
            assert peak_memory(hub) - before < GROWTH, bomb


@pytest.mark.promise("T23", "T25")
async def test_a_list_without_end_is_cut_and_said_to_be(tmp_path: Path):
    async with FakeUpstream(name="up") as fake:

        async def page(request: Request) -> Answer:
            number = int(request.message["params"].get("cursor", 0))
            return result(
                request, {"tools": [tool(f"t{number}")], "nextCursor": str(number + 1), "resultType": "complete"}
            )

        async def circle(request: Request) -> Answer:
            return result(request, {"prompts": [{"name": "p"}], "nextCursor": "again", "resultType": "complete"})

        fake.handlers |= {"tools/list": page, "prompts/list": circle}
        async with serving(_config(fake), tmp_path) as hub, Client(hub.url) as client:
            found = (await client.status())["up"] if len(await client.names()) == 1000 else {}
            assert found["counts"] == {"tools": 1000, "prompts": 1, "resources": 0, "resourceTemplates": 0}
            assert "up has more tools than the hub follows; the list is cut." in found["warnings"]
            assert "up repeats a cursor of prompts/list; the list ends there." in found["warnings"]


# Dripping


async def _a_drop_at_a_time(first: bytes, drop: bytes) -> AsyncIterator[bytes]:
    yield first
    while True:
        await asyncio.sleep(0.2)  # what this attack is about: never silent, never done
        yield drop


async def dripping_json(request: Request) -> Answer:
    del request
    return Answer(chunks=_a_drop_at_a_time(b"{", b" "))


async def dripping_comments(request: Request) -> Answer:
    del request
    return Answer(content_type="text/event-stream", chunks=_a_drop_at_a_time(b": hello\n\n", b":\n"))


async def dripping_event(request: Request) -> Answer:
    del request
    return Answer(content_type="text/event-stream", chunks=_a_drop_at_a_time(b"data: ", b"x"))


DRIPS = {"json": dripping_json, "comments": dripping_comments, "event": dripping_event}


@pytest.mark.promise("T24")
@pytest.mark.parametrize("eras", ["modern", "legacy"])
async def test_a_call_ends_in_its_time_however_busily_its_answer_does_not_come(eras: str, tmp_path: Path):
    async with FakeUpstream(name="up", eras=eras, tools=list(DRIPS)) as fake, FakeUpstream(name="other") as other:

        async def drip(request: Request) -> Answer:
            return await DRIPS[request.message["params"]["name"]](request)

        fake.handlers["tools/call"] = drip
        config = _config(fake, other, timeout="1s")
        async with serving(config, tmp_path) as hub, Client(hub.url) as client:
            session = await client.open()
            slow = asyncio.gather(*(session.call(f"up__{name}") for name in DRIPS))
            await fake.until("tools/call", len(DRIPS))
            assert not (await client.call("other__echo")).get("isError")
            assert not slow.done(), "the others do not wait for it"
            async with asyncio.timeout(5):
                told = dict(zip(DRIPS, map(said, await slow), strict=True))
            assert told == dict.fromkeys(DRIPS, "up did not answer in time. The call may have had effects.")
            assert (await client.status())["up"]["state"] == "ready", "slow is not unreachable"


@pytest.mark.promise("A5", "T24")
@pytest.mark.parametrize("eras", ["modern", "legacy"])
async def test_progress_gives_a_long_call_its_time_anew(eras: str, tmp_path: Path):
    async with FakeUpstream(name="up", eras=eras) as fake:

        async def working(request: Request) -> Answer:
            token = request.message["params"]["_meta"]["progressToken"]

            async def chunks() -> AsyncIterator[bytes]:
                for number in range(4):
                    params = {"progressToken": token, "progress": number}
                    yield sse({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
                    await asyncio.sleep(0.25)  # work: together more than the time that a silent call has
                done = {"resultType": "complete"} if eras == "modern" else {}
                yield sse({"jsonrpc": "2.0", "id": request.message["id"], "result": {"content": [], **done}})

            return Answer(content_type="text/event-stream", chunks=chunks())

        fake.handlers["tools/call"] = working
        async with serving(_config(fake, timeout="700ms"), tmp_path) as hub, Client(hub.url) as client:
            told = events(
                (await client.modern("tools/call", {"name": "up__echo", "_meta": {"progressToken": "p"}})).content
            )
        assert [each["params"]["progress"] for each in told[:-1]] == [0, 1, 2, 3]
        assert {each["params"]["progressToken"] for each in told[:-1]} == {"p"}
        assert told[-1]["result"]["content"] == []


# One event stays one event

LINES = 'a\nb\r\nc\rd\n\ndata: {"evil": 1}\n\nid: 7\nevent: x\nretry: 1\n\u2028\u2029\x85:\n\n\0'


@pytest.mark.promise("T64")
@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.parametrize("eras", ["modern", "legacy"])
async def test_line_breaks_in_an_answer_end_no_event(eras: str, era: str, tmp_path: Path):
    async with FakeUpstream(name="up", eras=eras) as fake:

        async def pretty(request: Request) -> Answer:
            """JSON over many lines, each ended in another way, and with all of them inside of strings."""
            done = {
                "content": [{"type": "text", "text": LINES}],
                **({"resultType": "complete"} if eras == "modern" else {}),
            }
            told = [
                {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": LINES}},
                {"jsonrpc": "2.0", "id": request.message["id"], "result": done},
            ]
            texts = [json.dumps(each, indent=1, ensure_ascii=False) for each in told]
            ends = zip(texts, ("\n", "\r\n"), strict=True)
            data = ["".join(f"data: {line}{end}" for line in text.split("\n")) + end for text, end in ends]
            return Answer("".join(data).encode(), content_type="text/event-stream")

        fake.handlers["tools/call"] = pretty
        async with serving(_config(fake), tmp_path) as hub, Client(hub.url) as client:
            if era == "modern":
                level = {"_meta": {"io.modelcontextprotocol/logLevel": "debug"}}
                response = await client.modern("tools/call", {"name": "up__echo", **level}, Accept_Encoding="gzip, br")
            else:
                response = await (await client.open(Accept_Encoding="gzip, br")).post(
                    "tools/call", {"name": "up__echo"}
                )
        assert response.headers["content-type"] == "text/event-stream"
        assert "content-encoding" not in response.headers
        notice, answered = events(response.content)
        assert notice["params"]["data"] == LINES
        assert said(answered["result"]) == LINES
        assert b"\r" not in response.content
        lines = response.content.split(b"\n")
        assert {line.partition(b":")[0] for line in lines} <= {b"data", b"id", b"retry", b""}, "no field but our own"
        assert {b"id: 7", b"event: x", b"retry: 1"}.isdisjoint(lines)


@pytest.mark.promise("T64")
async def test_line_breaks_in_an_error_or_a_name_end_no_event_and_no_header(tmp_path: Path):
    async with FakeUpstream(name="up", tools=["echo", "a\r\nX-Evil: 1\n\ndata: {}"]) as fake:

        async def failing(request: Request) -> Answer:
            return error(request, -32000, LINES, {"also": LINES})

        fake.handlers["tools/call"] = failing
        async with serving(_config(fake), tmp_path) as hub, Client(hub.url) as client:
            names = await client.names()
            assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,60}", name) for name in names)
            for name in names:
                body, headers = modern("tools/call", {"name": name})
                response = await client.post(body, {**headers, "Accept": "application/json, text/event-stream"})
                assert "x-evil" not in response.headers
                assert response.json()["error"]["message"] == LINES
            unknown = await client.post(message("tools/call", {"name": LINES}), (await client.open()).headers)
            assert LINES[:10] not in unknown.text
