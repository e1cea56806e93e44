"""Servers on the SDKs 1.x that ask and log without saying for which call, through a hub, for clients of both eras."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import node_tools
import processes
import python1_tools
from interaction.crossing.clients import Caller, Kind, connected

pytestmark = [
    pytest.mark.promise("A5", "F2"),
    # What the newest revision deprecates is what these servers do.
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]
SERVERS = Path(__file__).parent / "servers"
TYPESCRIPT = SERVERS / "ts_beside_1x.mjs"
SECONDS = 20


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a hub in front of them all."""
    commands = {
        "typescript": [node_tools.install(), TYPESCRIPT],
        "json": [node_tools.install(), TYPESCRIPT, "json"],
        "python": [python1_tools.install(), SERVERS / "py_beside_1x.py"],
    }
    with ExitStack() as stack:
        urls = {name: stack.enter_context(processes.running(command)).url for name, command in commands.items()}
        declared = "".join(f"  {name}: {{url: '{url}'}}\n" for name, url in urls.items())
        config = f"version: 1\nnetwork: {{allow_private: [127.0.0.0/8]}}\nupstreams:\n{declared}"
        hub = stack.enter_context(processes.hub(config, tmp_path_factory.mktemp("hub")))
        yield hub.url.removesuffix("/mcp")
        assert hub.complaints() == []


@pytest.mark.promise("T26")
@pytest.mark.parametrize("server", ["typescript", "json", "python"])
@pytest.mark.parametrize("kind", [Kind.MODERN, Kind.LEGACY, Kind.SSE])
async def test_a_question_that_names_no_call_reaches_the_client_of_the_call_with_the_first_one(
    kind: Kind, server: str, base: str
):
    async with asyncio.timeout(SECONDS), connected(base, kind, "ann", "ann", log_level="debug") as ann:
        if kind is not Kind.MODERN:
            await ann.session.set_logging_level("debug")
        for tool in ("elicits", "samples", "roots", "logs"):
            assert await ann.says(f"{server}__{tool}") == "ann"
        assert [type(each).__name__ for each in ann.heard.asked] == [
            "ElicitRequestFormParams",
            "CreateMessageRequestParams",
        ]
        assert ann.heard.logs == [("error", "ann")]


@pytest.mark.promise("T16", "B22")
@pytest.mark.parametrize("server", ["typescript", "python"])
async def test_two_clients_at_once_are_each_asked_what_their_own_calls_ask(server: str, base: str):
    async def often(caller: Caller) -> None:
        for tool in ("elicits", "samples", "logs") * 5:
            assert await caller.says(f"{server}__{tool}") == caller.mark

    async with (
        asyncio.timeout(SECONDS),
        connected(base, Kind.LEGACY, "amber", "amber") as amber,
        connected(base, Kind.LEGACY, "cyril", "cyril") as cyril,
    ):
        await asyncio.gather(often(amber), often(cyril))
        for caller, other in ((amber, cyril), (cyril, amber)):
            assert len(caller.heard.asked) == 10
            assert other.mark not in repr((caller.heard.asked, caller.heard.logs))
