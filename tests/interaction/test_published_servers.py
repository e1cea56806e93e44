"""Servers of other makers give through the hub what they give directly, apart from names and URIs.

Spoken to in plain HTTP, so that nothing between the two answers can hide a difference.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import node_tools
import processes
import python1_tools
from interaction import plans, published
from interaction.whole_hub import Client, Json, Session, answer, events

pytestmark = pytest.mark.promise("F2")
SERVERS = Path(__file__).parent / "servers"
ERAS = {"python-1x": "legacy", "typescript-2x": "modern", "context7": "modern", "playwright": "legacy"}
"""The newest era that each of them speaks."""


@contextmanager
def _context7() -> Iterator[str]:
    program = node_tools.MODULES / "@upstash" / "context7-mcp" / "dist" / "index.js"
    command = [node_tools.install(), program, "--transport", "http", "--port", str(processes.free_port())]
    announcement = re.compile(r"running on HTTP at (http://localhost:\d+/mcp)")
    with published.library() as library:
        env = {"CONTEXT7_API_URL": library, "OTEL_SDK_DISABLED": "true", "HTTP_PROXY": "", "http_proxy": ""}
        with processes.running(command, env=env, announcement=announcement) as started:
            yield started.url.replace("localhost", "127.0.0.1")


@contextmanager
def _playwright(directory: Path) -> Iterator[str]:
    """Without a browser: that it finds none is what its tools then say, in a text of several lines."""
    program = node_tools.MODULES / "@playwright" / "mcp" / "cli.js"
    port = processes.free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--headless", "--isolated"]
    nowhere = ["--executable-path", str(directory / "no-browser"), "--output-dir", str(directory)]
    announcement = re.compile(r"Listening on (http://localhost:\d+)")
    command = [node_tools.install(), program, *options, *nowhere]
    with processes.running(command, env={"HOME": str(directory)}, announcement=announcement) as started:
        yield f"{started.url}/mcp"


@contextmanager
def _own(command: list[str | Path]) -> Iterator[str]:
    with processes.running(command) as started:
        yield started.url


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The addresses of the servers themselves."""
    with ExitStack() as stack:
        yield {
            "python-1x": stack.enter_context(_own([python1_tools.install(), SERVERS / "py_server_1x.py"])),
            "typescript-2x": stack.enter_context(_own([node_tools.install(), SERVERS / "ts_server_2x.mjs"])),
            "context7": stack.enter_context(_context7()),
            "playwright": stack.enter_context(_playwright(tmp_path_factory.mktemp("playwright"))),
        }


@pytest.fixture(scope="module")
def at_hub(direct: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one hub in front of them all."""
    declared = "".join(f"  {name}: {{url: '{url}'}}\n" for name, url in direct.items())
    config = f"version: 1\nnetwork: {{allow_private: [127.0.0.0/8]}}\nupstreams:\n{declared}"
    with processes.hub(config, tmp_path_factory.mktemp("hub")) as started:
        yield started.url
    assert started.complaints() == []


async def _visit(url: str, era: str, plan: Json) -> Json:
    """Lists everything and follows the plan; what came back, errors included."""
    async with Client(url) as client:
        speaker = client if era == "modern" else await client.open()

        async def ask(method: str, params: Json) -> Json:
            asked = speaker.post(method, params) if isinstance(speaker, Session) else speaker.modern(method, params)
            told = answer(await asked)
            return told.get("result", {"error": told.get("error")})

        kinds = {
            "tools": ("tools/list", "tools"),
            "prompts": ("prompts/list", "prompts"),
            "resources": ("resources/list", "resources"),
            "templates": ("resources/templates/list", "resourceTemplates"),
        }
        return {
            **{kind: (await ask(method, {})).get(member, []) for kind, (method, member) in kinds.items()},
            "called": [await ask("tools/call", call) for call in plan["calls"]],
            "read": [await ask("resources/read", {"uri": uri}) for uri in plan["reads"]],
            "got": [await ask("prompts/get", prompt) for prompt in plan["prompts"]],
            "completed": [await ask("completion/complete", completion) for completion in plan["completions"]],
        }


def _plain(outcome: Json) -> Any:
    return plans.without_other_era(plans.without_way(outcome))


@pytest.mark.promise("A1", "A3", "A5")
@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.parametrize("name", list(plans.SERVERS))
async def test_a_server_gives_through_the_hub_what_it_gives_directly(
    name: str, era: str, direct: dict[str, str], at_hub: str
):
    plan = plans.SERVERS[name]
    directly = await _visit(direct[name], ERAS[name], plan)
    through = await _visit(at_hub, era, plans.through_hub(plan, name))
    assert _plain(plans.as_if_direct(through, name)) == _plain(directly)
    assert directly["tools"], "there was something to compare"
    assert len(directly["called"]) == len(plan["calls"])
    if name == "context7":
        assert "Counts, ¡sí!" in directly["called"][0]["content"][0]["text"], "it was our library that it asked"


@pytest.mark.promise("A3")
async def test_each_is_spoken_to_in_the_newest_era_it_speaks(direct: dict[str, str], at_hub: str):
    async with Client(at_hub) as client:
        await client.names()
        status = await client.status()
    assert {name: (each["state"], each["era"], each["warnings"]) for name, each in status.items()} == {
        name: ("ready", era, []) for name, era in ERAS.items()
    }
    assert list(direct) == list(status)


@pytest.mark.promise("A5")
@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_progress_and_log_messages_arrive_as_from_the_server_itself(
    era: str, direct: dict[str, str], at_hub: str
):
    async def told(url: str, name: str, era: str) -> list[Json]:
        meta = {"progressToken": "mine", "io.modelcontextprotocol/logLevel": "info"}
        async with Client(url) as client:
            params = {"name": name, "arguments": {"steps": 3}, "_meta": meta}
            speaker = client.modern if era == "modern" else (await client.open()).post
            return events((await speaker("tools/call", params)).content)

    through, directly = await told(at_hub, "python-1x__work", era), await told(direct["python-1x"], "work", "legacy")
    assert [each["method"] for each in directly[:-1]] == ["notifications/progress", "notifications/message"] * 3
    assert [(each["method"], each["params"]) for each in through[:-1]] == [
        (each["method"], each["params"]) for each in directly[:-1]
    ]
    assert through[-1]["result"]["content"] == directly[-1]["result"]["content"]
