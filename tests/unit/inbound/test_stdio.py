"""One client on one pair of streams, with a small road behind: what is written, in which order, and how it ends."""

import asyncio
import gc
import json

import pytest

from mcp_hub.gateway.notices import Notices
from mcp_hub.gateway.view import Views
from mcp_hub.inbound import conversation
from mcp_hub.inbound.stdio import Stdio
from unit.inbound.hub import ALICE, META, Road

pytestmark = pytest.mark.promise("A4")


class Pipes:
    """The client's two pipes; `slow` lets other tasks run in the middle of each write."""

    def __init__(self, *lines, ends=True):
        self.written = bytearray()
        self.lines = [
            json.dumps({"jsonrpc": "2.0", **each}).encode() if isinstance(each, dict) else each for each in lines
        ]
        self.over = asyncio.Event()
        if ends:
            self.over.set()

    async def read(self):
        for line in self.lines:
            yield line
        await self.over.wait()

    async def write(self, line):
        for part in (line[:5], line[5:]):
            self.written += part
            await asyncio.sleep(0)

    @property
    def heard(self):
        return [json.loads(line) for line in self.written.splitlines()]


async def spoken(road, *lines):
    pipes, notices = Pipes(*lines), Notices(Views({}, {}, 0))
    async with asyncio.timeout(5):
        await Stdio(road, lambda _: notices, ALICE, pipes.write).serve(pipes.read())
    return pipes.heard


def opening(number=1):
    return {"id": number, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}}}


async def test_messages_are_whole_lines_however_many_are_written_at_once():
    pings = [{"id": n, "method": "ping"} for n in range(50)]
    assert sorted(each["id"] for each in await spoken(Road(), *pings)) == list(range(50))


async def test_a_session_opens_once_in_the_revision_asked_for_and_ends_with_the_input():
    road = Road()
    first, second = await spoken(road, opening(1), opening(2))
    assert first["result"]["protocolVersion"] == "2025-06-18"
    assert second["error"]["code"] == -32600
    assert len(road.ended) == 1


async def test_the_ladder_of_the_modern_era_holds_without_headers():
    wrong = {**META, "io.modelcontextprotocol/protocolVersion": "2031-01-01"}
    unsupported, removed = await spoken(
        Road(),
        {"id": 1, "method": "tools/list", "params": {"_meta": wrong}},
        {"id": 2, "method": "ping", "params": {"_meta": META}},
    )
    assert (unsupported["error"]["code"], removed["error"]["code"]) == (-32022, -32601)


async def test_too_many_requests_at_once_are_refused(monkeypatch):
    monkeypatch.setattr(conversation, "MOST", 2)
    heard = await spoken(Road(), *({"id": n, "method": "ping"} for n in range(5)))
    refused = [each["error"]["message"] for each in heard if "error" in each]
    assert refused
    assert set(refused) == {"Too many requests are under way; wait for some of them"}
    assert len(heard) == 5


async def test_what_cancels_nothing_changes_nothing():
    odd = [{}, {"requestId": 9}, {"requestId": None}, {"requestId": {"a": 1}}, []]
    told = [{"method": "notifications/cancelled", "params": each} for each in odd]
    assert await spoken(Road(), *told, b"", {"id": 1, "result": {}}, {"id": 2, "method": "ping"}) == [
        {"jsonrpc": "2.0", "id": 2, "result": {}}
    ]


@pytest.mark.promise("D33")
async def test_a_client_that_takes_no_more_ends_what_is_under_way_though_its_input_stays_open(caplog):
    road = Road()
    call = {"id": 2, "method": "tools/call", "params": {"name": "t", "arguments": {"wait": True}}}
    pipes = Pipes(opening(), call, {"id": 3, "method": "ping"}, ends=False)

    async def broken(line):
        await road.entered.wait()
        raise BrokenPipeError

    notices = Notices(Views({}, {}, 0))
    async with asyncio.timeout(5):
        await Stdio(road, lambda _: notices, ALICE, broken).serve(pipes.read())
    assert road.cancelled.is_set()
    assert len(road.ended) == 1
    gc.collect()
    assert not caplog.records
