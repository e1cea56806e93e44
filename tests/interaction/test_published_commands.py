"""Twelve published servers, started as their READMEs say, give through one hub what they give to their own clients.

The clients are real ones, of both eras. They raise whatever the protocol calls an error, so none may occur.
"""

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import py_sdk_2x
import pytest
import yaml
from click.testing import CliRunner
from mcp import Client, StdioServerParameters

import node_tools
from interaction import plans, published
from interaction.published import SERVERS, Json, Server, World
from interaction.whole_hub import LEGACY, MODERN, serving
from interaction.whole_hub import Client as PlainClient
from mcp_hub.cli.main import cli
from rig.commands import descendants, gone

pytestmark = pytest.mark.promise("F2")
WITHOUT_TEMPLATES = {"sqlite"}
"""Those with resources that answer the question for templates with an error; the hub takes that for none."""
AT_ONCE = 3
"""Servers that are visited at the same time."""
LISTS = {"tools": "tools", "prompts": "prompts", "resources": "resources", "resource_templates": "resourceTemplates"}


def imported(server: Server, world: World) -> tuple[Json, str]:
    """What `mcp-hub import` makes of the README's JSON, with our own places in it, and what it says besides."""
    said = re.escape(published.in_our_places(server.start, server, world))
    wanted = re.sub(r"YOUR_API_KEY|\\\$\\\{.*?\\\}", r"\\S+", said)
    for text in published.snippets(server):
        result = CliRunner().invoke(cli, ["import", "-"], input=published.in_our_places(text, server, world))
        found = yaml.safe_load(result.stdout)["upstreams"] if result.exit_code == 0 else {}
        if any(re.fullmatch(wanted, " ".join(one["command"])) for one in found.values()):
            return found, result.stderr
    raise AssertionError(f"the README of {server.package} does not say {server.start}")


@dataclass
class Everyone:
    """The servers as the import has made them upstreams, and what the hub's environment holds for them."""

    world: World
    env: dict[str, str]
    upstreams: Json = field(default_factory=dict[str, Any])

    def add(self, name: str, server: Server) -> None:
        found, remarks = imported(server, self.world)
        (one,) = [each for each in found.values() if each["command"][0] == server.start.split()[0]]
        listed = [line.split()[0] for line in remarks.partition("Set these")[2].splitlines()[1:]]
        assert (list(found), sorted(listed)) == ([name], sorted(server.variables))
        self.env |= self.world.filled(server.variables)
        one["command"] += self.world.filled(server.more)
        one["env"] = {**one.get("env", {}), **self.world.filled(server.env)}
        self.upstreams[name] = one

    def direct(self, name: str) -> StdioServerParameters:
        """The same command for a client of its own."""
        one = json.loads(re.sub(r"\$\{(\w+)\}", lambda found: self.env[found[1]], json.dumps(self.upstreams[name])))
        path = {"PATH": self.env["PATH"]}
        return StdioServerParameters(command=one["command"][0], args=one["command"][1:], env={**path, **one["env"]})


@pytest.fixture(scope="module")
def everyone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everyone]:
    root = tmp_path_factory.mktemp("published")
    path = os.pathsep.join((str(published.shims(root / "bin")), os.environ["PATH"]))
    with published.library() as library:
        world = World(root, library)
        world.fresh()
        # What Playwright remembers of sessions, and a proxy for addresses on this machine, would be no part of it.
        found = Everyone(world, {"PATH": path, "HOME": str(root)})
        for name, server in SERVERS.items():
            found.add(name, server)
        yield found


async def _lists(client: Client, *, without_templates: bool = False) -> Json:
    """Everything that is listed, page by page."""
    found: Json = {}
    able = client.server_capabilities
    for kind, member in LISTS.items():
        found[kind], cursor = [], None
        is_offered = getattr(able, "resources" if "resource" in kind else kind) is not None
        while is_offered and not (kind == "resource_templates" and without_templates):
            page = py_sdk_2x.plain(await getattr(client, f"list_{kind}")(cursor=cursor))
            found[kind] += page[member]
            cursor = page.get("nextCursor")
            if cursor is None:
                break
    return found


async def _calls(client: Client, server: Server, world: World, prefix: str = "") -> list[Json]:
    return [
        py_sdk_2x.plain(await client.call_tool(prefix + tool, world.filled(arguments)))
        for tool, arguments in server.calls
    ]


async def _directly(everyone: Everyone, name: str) -> Json:
    async with Client(everyone.direct(name)) as client:
        lists = await _lists(client, without_templates=name in WITHOUT_TEMPLATES)
        return {**lists, "called": await _calls(client, SERVERS[name], everyone.world)}


async def _through(url: str, mode: str, revision: str, world: World) -> dict[str, Json]:
    async with Client(url, mode=mode) as client:
        assert client.protocol_version == revision
        lists = await _lists(client)

        async def called(name: str) -> Json:
            return {**lists, "called": await _calls(client, SERVERS[name], world, f"{name}__")}

        return await _each(called)


async def _each(visit: Callable[[str], Awaitable[Json]]) -> dict[str, Json]:
    """What becomes of each server, some at once."""
    some = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> Json:
        async with some:
            return await visit(name)

    return dict(zip(SERVERS, await asyncio.gather(*map(one, SERVERS)), strict=True))


@dataclass(frozen=True)
class Visits:
    """What came back to three clients; and what the hub said of its upstreams, in its status and in its log."""

    direct: dict[str, Json]
    through: dict[str, dict[str, Json]]
    status: dict[str, Json]
    log: str


async def _visit(everyone: Everyone, directory: Path) -> Visits:
    direct = await _each(lambda name: _directly(everyone, name))
    config = json.dumps({"version": 1, "defaults": {"list_timeout": "60s"}, "upstreams": everyone.upstreams})
    through: dict[str, dict[str, Json]] = {}
    async with serving(config, directory, env=everyone.env) as hub:
        for mode, revision in (("auto", MODERN), ("legacy", LEGACY)):
            everyone.world.fresh()
            through[mode] = await _through(hub.url, mode, revision, everyone.world)
        async with PlainClient(hub.url) as client:
            status = await client.status()
    return Visits(direct, through, status, hub.log)


@pytest.fixture(scope="module")
def visits(everyone: Everyone, tmp_path_factory: pytest.TempPathFactory) -> Visits:
    async def within() -> Visits:
        async with asyncio.timeout(180):
            return await _visit(everyone, tmp_path_factory.mktemp("hub"))

    return asyncio.run(within())


def _plain(outcome: Json) -> Json:
    """Without what says something of the way, and without moments."""
    lists = {"templates": outcome["resource_templates"], **{kind: outcome[kind] for kind in LISTS if "_" not in kind}}
    called = [{k: v for k, v in each.items() if k not in plans.OF_THE_WAY} for each in outcome["called"]]
    found = plans.without_other_era({**lists, "called": called})
    return json.loads(re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+", "then", json.dumps(found)))


def test_there_are_at_least_ten_of_them_from_both_registries_and_of_both_eras():
    assert len({each.package for each in SERVERS.values()}) >= 10
    assert {each.registry for each in SERVERS.values()} == {"npm", "PyPI"}
    assert {each.era for each in SERVERS.values()} == {"legacy", "modern"}


@pytest.mark.promise("A1", "A3", "A5")
@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("name", SERVERS)
def test_a_published_server_gives_through_the_hub_what_it_gives_directly(name: str, mode: str, visits: Visits):
    through, direct = visits.through[mode][name], visits.direct[name]
    own = plans.as_if_direct({**through, "templates": through["resource_templates"]}, name)
    assert _plain({**own, "resource_templates": own["templates"]}) == _plain(direct)
    assert direct["tools"], "there was something to compare"
    assert SERVERS[name].says in published.text_of(direct["called"])


@pytest.mark.promise("A3")
def test_each_is_spoken_to_in_the_newest_era_it_speaks_and_nothing_is_wrong_with_it(visits: Visits):
    found = {name: (each["state"], each["era"], each["warnings"]) for name, each in visits.status.items()}
    assert found == {name: ("ready", server.era, []) for name, server in SERVERS.items()}
    assert [line for line in visits.log.splitlines() if "level=warning" in line or "level=error" in line] == []


@pytest.mark.promise("E40")
@pytest.mark.parametrize("name", SERVERS)
def test_the_json_that_its_page_tells_users_of_clients_to_paste_can_be_imported(name: str):
    lists = re.compile(r'"(amp\.)?(mcpServers|servers|context_servers)"\s*:\s*\{')
    found = [each for each in published.snippets(SERVERS[name]) if lists.search(each)]
    assert found
    for text in found:
        result = CliRunner().invoke(cli, ["import", "-"], input=text)
        assert (result.exit_code, "left out" in result.stderr) == (0, False), (text, result.stderr)


@pytest.mark.promise("A3")
async def test_what_npx_starts_ends_with_the_hub_although_three_processes_lie_between(tmp_path: Path):
    """The real `npx`, without the internet: it runs what is installed where it is started."""
    node_tools.install()
    memory = {
        "command": [str(published.npx(tmp_path)), "-y", "@modelcontextprotocol/server-memory"],
        "cwd": str(node_tools.PACKAGE),
        "env": {"MEMORY_FILE_PATH": str(tmp_path / "memory.jsonl"), "npm_config_offline": "true"},
    }
    config = json.dumps({"version": 1, "upstreams": {"memory": memory}})
    path = os.pathsep.join((str(node_tools.NODE.parent), os.environ["PATH"]))
    async with serving(config, tmp_path, env={"PATH": path}) as hub, PlainClient(hub.url) as client:
        assert "relations" in (await client.call("memory__read_graph"))["content"][0]["text"]
        started = descendants(hub.process.pid)
        assert len(started) >= 4, "npx and the server, for the catalog and for the caller"
    await gone(*started)
