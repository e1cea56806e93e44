"""A server under test is a real process: it is used once it says where it listens, and asked to end by SIGTERM.

Every such process prints `Endpoint <url>` on a line of its own as soon as it accepts requests.
"""

import os
import re
import socket
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import node_tools

TESTS = Path(__file__).parent
SERVERS = (TESTS, TESTS.parent / "examples")
ENDPOINT = re.compile(r"\bEndpoint\s+(https?://\S+)")
COVERAGE = "COVERAGE_PROCESS_CONFIG"
"""What `coverage` has its child processes know it by."""
START_SECONDS = 30
STOP_SECONDS = 10


class DidNotStart(Exception):
    """The process ended, or said nothing of an endpoint in time; the message holds what it printed."""


@dataclass
class Running:
    """A process and all it printed so far, both streams together."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    url: str = ""
    _reader: threading.Thread | None = None
    _settled: threading.Event = field(default_factory=threading.Event)

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def complaints(self) -> list[str]:
        """What a healthy server would not have done; empty while nothing is wrong."""
        found = (
            [f"it printed a traceback:\n{self.log[-4000:]}"] if "Traceback (most recent call last)" in self.log else []
        )
        if self.process.poll() not in (None, 0):
            found.append(f"it ended with {self.process.returncode}:\n{self.log[-4000:]}")
        return found

    def read(self, announcement: re.Pattern[str]) -> None:
        """Starts reading, and returns once the announcement appeared. Raises: DidNotStart."""
        self._reader = threading.Thread(target=self._read, args=(announcement,), daemon=True)
        self._reader.start()
        self._settled.wait(START_SECONDS)
        if not self.url:
            self.stop()
            raise DidNotStart(f"{self.process.args} did not say where it listens. It printed:\n{self.log}")

    def _read(self, announcement: re.Pattern[str]) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as printed:
            for line in printed:
                self.lines.append(line)
                if not self.url and (found := announcement.search(line)):
                    self.url = found[1]
                    self._settled.set()
        self._settled.set()

    def stop(self) -> int:
        """The exit code after SIGTERM, or of the kill that followed when the process did not end in time."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self._reader is not None:
            self._reader.join(STOP_SECONDS)
        return self.process.returncode


def _environment(command: Sequence[str | Path]) -> dict[str, str]:
    """That of the tests; but servers for the hub hold nothing of the hub, so that measuring them only slows them."""
    serves_hub = any(place in Path(part).parents for part in command[:2] for place in SERVERS)
    return {name: each for name, each in os.environ.items() if not (serves_hub and name == COVERAGE)}


@contextmanager
def running(
    command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, announcement: re.Pattern[str] = ENDPOINT
) -> Iterator[Running]:
    """The process, from its announcement to the end of the block. Raises: DidNotStart."""
    process = subprocess.Popen(
        [str(part) for part in command],
        env={**_environment(command), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    started = Running(process)
    try:
        started.read(announcement)
        yield started
    finally:
        if process.poll() is None:
            started.stop()


def reference(era: str = "both") -> list[str | Path]:
    """The command of the reference upstream."""
    return [sys.executable, TESTS / "reference" / "server.py", "--port", "0", "--era", era]


def everything(transport: str = "streamableHttp") -> list[str | Path]:
    """The command of a published server of the legacy era; it listens where `PORT` says."""
    return [node_tools.install(), node_tools.EVERYTHING, transport]


def free_port() -> int:
    """A port that was free a moment ago, for servers that cannot choose one and say which."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@contextmanager
def hub(config: str, directory: Path) -> Iterator[Running]:
    """A real hub on a free port with this configuration; its file and its data are in `directory`.

    Raises: DidNotStart. When the block ends the hub has ended too, and `complaints` says whether it was healthy.
    """
    file = directory / "hub.yaml"
    file.write_text(config, "utf-8")
    data = directory / "data"
    data.mkdir()
    command = [Path(sysconfig.get_path("scripts")) / "mcp-hub", "serve", "-c", file, "--port", "0"]
    with running(command, env={"MCP_HUB_DATA": str(data)}) as started:
        yield started
