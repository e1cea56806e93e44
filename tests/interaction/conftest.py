"""Tests here run against real processes: hubs, the reference upstream, and published servers of other makers."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent / "clients"))

import processes

EVERYTHING_LISTENS = re.compile(r"(listening) on port \d+")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Starts a real hub on a configuration and gives its address; several may run in one test.

    Each ends by SIGTERM after the test, which fails if one did not end well or printed a traceback.
    """
    started: list[processes.Running] = []
    with ExitStack() as running:

        def start(config: str) -> str:
            directory = tmp_path / f"hub-{len(started)}"
            directory.mkdir()
            started.append(running.enter_context(processes.hub(config, directory)))
            return started[-1].url

        yield start
    assert [complaint for one in started for complaint in one.complaints()] == []


@pytest.fixture(scope="session")
def reference() -> Iterator[str]:
    """The address of the reference upstream, which speaks both eras."""
    with processes.running(processes.reference()) as started:
        yield started.url


@pytest.fixture(scope="session")
def everything() -> Iterator[str]:
    """The address of `@modelcontextprotocol/server-everything`, which speaks the legacy era only."""
    port = processes.free_port()
    with processes.running(processes.everything(), env={"PORT": str(port)}, announcement=EVERYTHING_LISTENS):
        yield f"http://127.0.0.1:{port}/mcp"


@pytest.fixture(scope="session")
def both_through_hub(reference: str, everything: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one hub in front of the two, which it calls `reference` and `everything`."""
    config = f"""\
version: 1
network:
  allow_private: [127.0.0.0/8]
upstreams:
  reference:
    url: {reference}
  everything:
    url: {everything}
"""
    with processes.hub(config, tmp_path_factory.mktemp("hub")) as started:
        yield started.url
    assert started.complaints() == []
