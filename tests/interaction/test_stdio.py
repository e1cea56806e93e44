"""Local commands behind a whole hub: what they are given, and what is left of them."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client as SdkClient
from mcp.client.subscriptions import ResourceUpdated

from interaction.whole_hub import Client, command, killed, said, serving
from mcp_hub.vault.written import generated
from rig.commands import children, gone, is_alive, words

pytestmark = pytest.mark.promise("A3")


def configured(**commands: list[str | Path]) -> str:
    """A configuration with these commands as upstreams."""
    upstreams = {name: {"command": [str(part) for part in each]} for name, each in commands.items()}
    return json.dumps({"version": 1, "upstreams": upstreams})


async def where(client: Client, upstream: str = "small") -> int:
    return json.loads(said(await client.call(f"{upstream}__where")))["pid"]


@pytest.mark.promise("T63")
@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_command_sees_nothing_of_the_hubs_environment(tmp_path, era):
    hidden = {"MCP_HUB_CANARY": "canary", "SECRET_OF_OTHERS": "canary", "MCP_HUB_MASTER_KEY": generated()}
    async with serving(configured(small=words(era)), tmp_path, env=hidden) as hub, Client(hub.url) as client:
        found = said(await client.call("small__environment"))
        assert "canary" not in found
        assert hidden["MCP_HUB_MASTER_KEY"] not in found
        assert not [key for key in json.loads(found) if key.startswith("MCP_HUB")]


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_sessions_have_processes_of_their_own_which_end_with_them(tmp_path, era):
    async with serving(configured(small=words(era)), tmp_path) as hub, Client(hub.url) as client:
        first, second = await client.open(), await client.open()
        pids = [json.loads(said(await each.call("small__where")))["pid"] for each in (first, second)]
        assert pids[0] != pids[1]
        await client.http.delete(client.url, headers=first.headers)
        await gone(pids[0])
        assert is_alive(pids[1])
    assert not is_alive(pids[1])


@pytest.mark.promise("D26", "E38")
async def test_checking_a_command_says_which_step_fails_and_how_it_failed(tmp_path):
    leaves = [sys.executable, "-c", "import sys; sys.exit('the key is missing')"]
    file = tmp_path / "hub.yaml"
    file.write_text(configured(small=words("legacy"), absent=["no-such-program-here"], leaves=leaves), "utf-8")
    env = {"MCP_HUB_DATA": str(tmp_path)}
    small, absent, left = [
        await command("upstream", "check", name, "-c", file, env=env) for name in ("small", "absent", "leaves")
    ]
    assert (small.code, absent.code, left.code) == (0, 4, 4)
    assert "legacy era" in small.out
    assert "there is no command 'no-such-program-here'" in absent.out
    # It ends while it is being started or just after; which of the two is said depends on who is faster.
    assert re.search(r"The process of leaves has ended \(exit code 1\)|leaves has ended by itself", left.out)
    assert "the key is missing" in left.err


async def test_a_crash_costs_one_call_and_the_others_nothing(tmp_path):
    config = configured(small=words("legacy"), other=words("modern"))
    async with serving(config, tmp_path) as hub, Client(hub.url) as client:
        crashed = await client.call("small__crash")
        assert crashed["isError"]
        assert "exit code 3" in said(crashed)
        assert said(await client.call("other__echo")) == said(await client.call("small__echo")) == "{}"


@asynccontextmanager
async def updates(client: Client, era: str, uri: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Subscribe in the way of an era; what is given waits for the next update that is told."""
    if era == "modern":
        async with SdkClient(client.url) as modern, modern.listen(resource_subscriptions=[uri]) as subscription:
            assert list(subscription.honored.resource_subscriptions or ()) == [uri]

            async def heard() -> None:
                event = await anext(aiter(subscription))
                assert (type(event), event.uri) == (ResourceUpdated, uri)

            yield heard
        return
    session = await client.open()
    headers = {**session.headers, "Accept": "text/event-stream"}
    async with client.http.stream("GET", client.url, headers=headers, timeout=None) as stream:
        assert await session.ask("resources/subscribe", {"uri": uri}) == {}
        lines = stream.aiter_lines()

        async def told() -> None:
            while "notifications/resources/updated" not in (line := await anext(lines)):
                pass
            assert json.loads(line.removeprefix("data:"))["params"]["uri"] == uri

        yield told


@pytest.mark.promise("A5", "A7")
@pytest.mark.parametrize("server", ["legacy", "modern"])
@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_subscription_hears_of_changes_before_and_after_a_crash(tmp_path, era, server):
    async with (
        serving(configured(small=words(server)), tmp_path) as hub,
        Client(hub.url) as client,
        asyncio.timeout(30),
    ):
        await client.names()
        (first,) = children(hub.process.pid)
        async with updates(client, era, "small+x:1") as update:
            os.kill(first, signal.SIGUSR1)
            await update()
            os.kill(first, signal.SIGKILL)
            await update()  # one may have been missed
            (second,) = children(hub.process.pid)
            os.kill(second, signal.SIGUSR1)
            await update()


async def test_a_killed_hub_leaves_no_process_behind(tmp_path):
    async with serving(configured(small=words("legacy")), tmp_path) as hub, Client(hub.url) as client:
        pid = await where(client)
        mine = [int(each) for each in os.listdir("/proc") if each.isdigit() and _parent(int(each)) == hub.process.pid]
        assert pid in mine
        await killed(hub)
        await gone(*mine)


async def test_a_hub_that_ends_takes_a_stubborn_process_with_it(tmp_path):
    async with serving(configured(small=words("legacy", "stubborn")), tmp_path) as hub, Client(hub.url) as client:
        pid = await where(client)
    assert not is_alive(pid)


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
