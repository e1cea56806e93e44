"""A hub with a hundred commands: started, crashed, restarted and stopped, it leaves no process and no descriptor."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from interaction.whole_hub import Client, killed, said, serving
from processes import Running
from rig.commands import children, descriptors, gone, is_alive, words

pytestmark = pytest.mark.promise("A3", "A8")
MANY = 100
AT_ONCE = 10
LIST_SECONDS = 2.0
LOOK = 0.2
FEW = 5
NAMES = [f"small{n}" for n in range(MANY)]


@asynccontextmanager
async def hundred(directory: Path) -> AsyncIterator[tuple[Running, Client]]:
    """A hub with all of them, half in each era, and a client whose one connection stays."""
    upstreams = {name: {"command": words("modern" if n % 2 else "legacy")} for n, name in enumerate(NAMES)}
    defaults = {"list_timeout": f"{LIST_SECONDS:g}s", "page_size": 1000}
    config = json.dumps({"version": 1, "defaults": defaults, "upstreams": upstreams})
    async with serving(config, directory) as hub, Client(hub.url) as client:
        yield hub, client


async def ready(client: Client) -> None:
    """Wait until every upstream is ready."""
    async with asyncio.timeout(60):
        while True:
            if {each["state"] for each in (await client.status()).values()} == {"ready"}:
                return
            await asyncio.sleep(LOOK)  # nobody tells


async def each(hub: Running, tool: str) -> list[str]:
    """What all of them say to a call, some asked at once, on connections that are closed afterwards."""
    crowd = asyncio.Semaphore(AT_ONCE)
    async with Client(hub.url) as client:

        async def one(name: str) -> str:
            async with crowd:
                return said(await client.call(f"{name}__{tool}"))

        return await asyncio.gather(*map(one, NAMES))


async def pids(hub: Running) -> list[int]:
    return [json.loads(text)["pid"] for text in await each(hub, "where")]


async def until(hub: Running, processes: int, open_descriptors: int | None = None) -> int:
    """Wait until the hub has so many children, none of them dead, and so many descriptors; how many those are.

    A few more or less are connections of the test's own, which the hub closes when they are idle.
    """
    pid = hub.process.pid
    async with asyncio.timeout(60):
        while True:
            found, opened = children(pid), descriptors(pid)
            flat = open_descriptors is None or abs(opened - open_descriptors) < FEW
            if flat and len(found) == processes and all(map(is_alive, found)):
                return opened
            await asyncio.sleep(LOOK)  # nobody tells


async def test_a_hundred_commands_started_crashed_restarted_and_stopped_leave_nothing(tmp_path: Path):
    async with hundred(tmp_path) as (hub, client):
        started = time.monotonic()
        await client.ask("tools/list")
        assert time.monotonic() - started < LIST_SECONDS + 3, "the list waits no longer than its deadline"
        await ready(client)
        assert len(await client.names()) >= 10 * MANY
        first = await pids(hub)
        before = await until(hub, 2 * MANY)
        assert all("exit code 3" in text for text in await each(hub, "crash"))
        second = await pids(hub)
        assert not set(first) & set(second)
        await until(hub, 2 * MANY, before)
        for pid in children(hub.process.pid):  # this time those by which the hub lists, too
            os.kill(pid, signal.SIGKILL)
        await until(hub, MANY)
        await ready(client)
        assert not set(second) & set(await pids(hub))
        await until(hub, 2 * MANY, before)
        left = children(hub.process.pid)
    assert [pid for pid in left if is_alive(pid)] == []
    assert hub.process.returncode == 0


async def test_a_hundred_commands_end_when_their_hub_is_killed(tmp_path: Path):
    async with hundred(tmp_path) as (hub, client):
        await ready(client)
        left = children(hub.process.pid)
        assert len(left) == MANY
        await killed(hub)
        await gone(*left)


async def test_one_that_ignores_the_end_of_its_input_outlives_a_hub_that_is_killed(tmp_path: Path):
    """As docs/operations.md says: nothing but the operating system's own means could end it then."""
    config = json.dumps({"version": 1, "upstreams": {"small": {"command": words("legacy", "stubborn")}}})
    async with serving(config, tmp_path) as hub, Client(hub.url) as client:
        pid = json.loads(said(await client.call("small__where")))["pid"]
        left = children(hub.process.pid)
        await killed(hub)
        assert pid in left
        assert all(map(is_alive, left))
        for each_left in left:
            os.kill(each_left, signal.SIGKILL)
        await gone(*left)
