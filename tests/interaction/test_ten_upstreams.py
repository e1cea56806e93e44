"""Ten upstreams, half of them sick: the list arrives in time, holds everything healthy, and says what is missing."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from interaction import sick
from interaction.whole_hub import META_UPSTREAMS, Client, Json, command, killed, said, serving
from processes import free_port
from rig.fake_upstream import FakeUpstream, tool

LIST_SECONDS = 2.0
MARGIN = 1.5
"""Seconds of slack for a machine that does other things, too."""
HEALTHY = ("modern-one", "modern-two", "old-one", "old-two", "broken")
MISSING = ("dead", "dripping", "html", "silent", "refusing")
TOOLS = [
    "modern-one__echo", "modern-two__first", "modern-two__second", "modern-two__third", "old-one__echo",
    "old-two__echo", "broken__good", "broken__better",
]  # fmt: skip


def config(urls: dict[str, str]) -> str:
    """A configuration of these upstreams, all of them on loopback."""
    # One that refuses, and has nobody sign in: else it would be asked how, and each caller told where.
    says = {"refusing": ", auth: none"}
    declared = "\n".join(f"  {name}: {{url: {url!r}{says.get(name, '')}}}" for name, url in urls.items())
    return f"version: 1\nnetwork: {{allow_private: [127.0.0.0/8]}}\nupstreams:\n{declared}\n"


@dataclass
class Ten:
    """Ten upstreams as they are declared, and the fakes among them by name."""

    urls: dict[str, str] = field(default_factory=dict[str, str])
    fakes: dict[str, FakeUpstream] = field(default_factory=dict[str, FakeUpstream])

    def config(self, seconds: float = LIST_SECONDS) -> str:
        return f"defaults: {{list_timeout: {seconds:g}s}}\n{config(self.urls)}"


@pytest.fixture
async def ten() -> AsyncIterator[Ten]:
    found = Ten()
    async with AsyncExitStack() as stack:

        async def fake(name: str, eras: str, tools: list[str] | None = None) -> FakeUpstream:
            started = await stack.enter_async_context(FakeUpstream(name=name, eras=eras, tools=tools))
            found.fakes[name] = started
            found.urls[name] = started.url
            return started

        async def server(name: str, serve: sick.Serve) -> None:
            found.urls[name] = f"http://127.0.0.1:{await stack.enter_async_context(sick.listening(serve))}/mcp"

        await fake("modern-one", "modern")
        found.urls["dead"] = f"http://127.0.0.1:{free_port()}/mcp"
        (await fake("modern-two", "modern", ["first", "second", "third"])).page_size = 1
        await server("dripping", sick.dripping)
        await fake("old-one", "legacy")
        (await fake("html", "modern")).before = sick.html
        await fake("old-two", "legacy")
        broken = await fake("broken", "modern", ["good"])
        broken.tools += [{"name": "bad", "inputSchema": "none"}, tool("better")]
        await server("silent", sick.silent)
        (await fake("refusing", "modern")).before = sick.refusing
        yield found


async def _listed_in_time(client: Client) -> Json:
    async with asyncio.timeout(LIST_SECONDS + MARGIN):
        return await client.ask("tools/list")


def _names(listed: Json) -> list[str]:
    return [each["name"] for each in listed["tools"]]


@pytest.mark.promise("A7", "A8", "T24", "D33")
async def test_the_first_list_arrives_in_time_with_everything_healthy_and_names_the_rest(ten: Ten, tmp_path: Path):
    async with serving(ten.config(), tmp_path) as hub, Client(hub.url) as client:
        started = time.monotonic()
        modern, session = await asyncio.gather(_listed_in_time(client), client.open())
        assert time.monotonic() - started < LIST_SECONDS + MARGIN
        assert _names(modern) == TOOLS
        assert sorted(modern["_meta"][META_UPSTREAMS]) == sorted(MISSING)
        old = await session.ask("tools/list")
        assert _names(old) == TOOLS
        assert sorted(old["_meta"][META_UPSTREAMS]) == sorted(MISSING)
        assert all(f"- {name} (" in session.opened["instructions"] for name in MISSING)
        broken = (await client.status())["broken"]
        assert (broken["state"], broken["counts"]["tools"]) == ("ready", 2)
        assert ['"bad"' in each for each in broken["warnings"]] == [True]
    assert [line for line in hub.lines if "level=warning" in line and "bad" in line], "the broken tool is in the log"


@pytest.mark.promise("A8", "T24")
async def test_calls_to_the_healthy_ones_work_while_the_others_are_still_being_waited_for(ten: Ten, tmp_path: Path):
    async with serving(ten.config(), tmp_path) as hub, Client(hub.url) as client:
        # The sick ones take up all of the first two seconds; these calls take none of it.
        async with asyncio.timeout(LIST_SECONDS / 2):
            while {(status := await client.status())[name]["state"] for name in HEALTHY} != {"ready"}:
                pass
            for name in ("modern-one__echo", "old-one__echo", "broken__better"):
                assert name.partition("__")[2] in said(await client.call(name))
        assert status["silent"]["reason"] == "The first contact with silent is still under way."


@pytest.mark.promise("A8", "E38", "E38")
async def test_commands_and_instructions_say_who_is_missing_and_why(ten: Ten, tmp_path: Path):
    seconds = 1.0
    why = {
        "dead": ("unreachable", "No connection to 127.0.0.1"),
        "dripping": ("unreachable", "dripping did not introduce itself within 1 s."),
        "html": ("unreachable", "html answered with text/html instead of an MCP message."),
        "silent": ("unreachable", "silent did not introduce itself within 1 s."),
        "refusing": ("reconnect_needed", "refusing rejected the credential (HTTP 401). Ask whoever runs this hub."),
    }
    async with serving(ten.config(seconds), tmp_path) as hub, Client(hub.url) as client:
        await asyncio.gather(*(client.refreshed(name) for name in MISSING))
        absences = (await client.ask("tools/list"))["_meta"][META_UPSTREAMS]
        tools, status = await asyncio.gather(command("tools", "--url", hub.url), command("status", "--url", hub.url))
        discovered = (await client.ask("server/discover"))["instructions"]
        for name, (state, reason) in why.items():
            assert (absences[name]["state"], absences[name]["stale"]) == (state, False)
            assert reason in absences[name]["message"]
            line = f"{name} ({state}): {absences[name]['message']}"
            assert line in tools.err
            assert f"- {line}" in discovered
            assert f"{name}: {absences[name]['message']}" in status.out
            assert any(row.split()[:2] == [name, state] for row in status.out.splitlines())
        assert [line.split()[0] for line in tools.out.splitlines()] == TOOLS
        assert (tools.code, status.code) == (0, 0)


async def _until_listed(client: Client, names: list[str]) -> Json:
    async with asyncio.timeout(10):
        while _names(listed := await client.ask("tools/list")) != names or META_UPSTREAMS in listed.get("_meta", {}):
            pass
    return listed


@pytest.mark.promise("A8", "D33")
@pytest.mark.parametrize("eras", ["modern", "legacy"])
async def test_an_upstream_that_starts_after_the_hub_appears_by_itself(eras: str, tmp_path: Path):
    late = FakeUpstream(name="late", eras=eras)
    late.port = free_port()
    async with (
        FakeUpstream() as early,
        serving(config({"early": early.url, "late": late.url}), tmp_path) as hub,
        Client(hub.url) as client,
    ):
        listed = await client.ask("tools/list")
        assert (_names(listed), list(listed["_meta"][META_UPSTREAMS])) == (["early__echo"], ["late"])
        async with late:
            await _until_listed(client, ["early__echo", "late__echo"])
            assert said(await client.call("late__echo", n=1)) == '{"tool": "echo", "arguments": {"n": 1}}'


@pytest.mark.promise("A8")
@pytest.mark.parametrize("eras", ["modern", "legacy"])
async def test_an_upstream_that_is_killed_and_restarted_comes_back_by_itself(eras: str, tmp_path: Path):
    async with (
        FakeUpstream() as other,
        FakeUpstream(eras=eras) as mortal,
        serving(config({"other": other.url, "mortal": mortal.url}), tmp_path) as hub,
        Client(hub.url) as client,
    ):
        session = await client.open()
        assert not (await session.call("mortal__echo")).get("isError")
        await mortal.stop()
        failed = await session.call("mortal__echo")
        assert failed["isError"]
        assert "mortal could not be reached" in said(failed)
        assert not (await session.call("other__echo")).get("isError"), "the neighbour notices nothing"
        listed = await client.ask("tools/list")
        assert _names(listed) == ["other__echo", "mortal__echo"], "the last good list stays"
        assert listed["_meta"][META_UPSTREAMS]["mortal"]["stale"]
        mortal.sessions.clear()
        mortal.tools.append(tool("reborn"))
        async with mortal:
            await _until_listed(client, ["other__echo", "mortal__echo", "mortal__reborn"])
            assert not (await session.call("mortal__reborn")).get("isError"), "in the same session of the client"


@pytest.mark.promise("A8", "D33")
@pytest.mark.parametrize("ended", ["told to stop", "killed"])
async def test_a_hub_that_starts_with_every_upstream_down_lists_what_it_knew_at_once(ended: str, tmp_path: Path):
    async with FakeUpstream() as new, FakeUpstream(eras="legacy") as old:
        both = config({"new": new.url, "old": old.url})
        async with serving(both, tmp_path) as hub, Client(hub.url) as client:
            before = await client.ask("tools/list")
            if ended == "killed":
                await _until_stored(client, tmp_path / "data" / "hub.db", 2)
                await killed(hub)
    async with serving(both, tmp_path) as hub, Client(hub.url) as client:
        async with asyncio.timeout(1):
            after = await client.ask("tools/list")
        assert after["tools"] == before["tools"]
        assert [each["stale"] for each in after["_meta"][META_UPSTREAMS].values()] == [True, True]
        assert list(after["_meta"][META_UPSTREAMS]) == ["new", "old"]
        assert (await client.call("new__echo"))["isError"]


async def _until_stored(client: Client, file: Path, rows: int) -> None:
    """Wait until so many lists are in the store, which the hub tells nobody."""
    async with asyncio.timeout(5):
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as store:
            while store.execute("SELECT count(*) FROM remembered WHERE catalog IS NOT NULL").fetchone() != (rows,):
                await client.status()
