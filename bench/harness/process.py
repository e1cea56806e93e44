"""Processes under test: every one is started in its own group on one core, and ends with the `with` that started it."""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_TICK = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """Something that was to be measured cannot be. The text is one sentence for the report."""


class Process:
    """A started program and its children: what they cost, what they print."""

    def __init__(self, child: subprocess.Popen[str], output: Path, not_counted: str = "") -> None:
        """`not_counted` is the file name of a child program whose work is not this program's."""
        self._child = child
        self._output = output
        self._not_counted = not_counted
        self.started = time.monotonic()

    @property
    def pid(self) -> int:
        return self._child.pid

    def said(self) -> str:
        """All that it printed so far."""
        return self._output.read_text(errors="replace")

    def wait_for_line(self, pattern: str, seconds: float) -> re.Match[str]:
        """The first line that matches. Raises: Failed if the program ends or the time is over."""
        until = time.monotonic() + seconds
        while True:
            ended = self._child.poll() is not None
            if found := re.search(pattern, self.said(), re.MULTILINE):
                return found
            if ended:
                raise Failed(f"{self._name} ended with code {self._child.returncode}: {self.last_words()}")
            if time.monotonic() > until:
                raise Failed(f"{self._name} was not ready after {seconds:.0f} s: {self.last_words()}")
            time.sleep(0.002)

    def check_alive(self) -> None:
        """Raises: Failed if it has ended by itself."""
        if self._child.poll() is not None:
            raise Failed(f"{self._name} ended with code {self._child.returncode}: {self.last_words()}")

    def interrupt(self) -> None:
        """What Ctrl-C does to it."""
        self._child.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it without a word."""
        self._child.kill()
        self._child.wait(5)

    def tell(self) -> dict[str, int]:
        """What a watched hub counts of itself (watched_hub.py). Raises: Failed"""
        before = len(self.said())
        self._child.send_signal(signal.SIGUSR1)
        until = time.monotonic() + 10
        while not (found := re.search(r"^COUNTED (.+)$", self.said()[before:], re.MULTILINE)):
            self.check_alive()
            if time.monotonic() > until:
                raise Failed(f"{self._name} does not tell what it holds: {self.last_words()}")
            time.sleep(0.01)
        return {name: int(value) for name, value in (pair.split("=") for pair in found.group(1).split())}

    def descriptors(self) -> int:
        """Open files and sockets, summed over its processes."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self._counted())

    def cpu_seconds(self) -> float:
        """What it and its counted children have used so far, user and system, from /proc/PID/stat."""
        return sum(self._ticks(pid) for pid in self._counted()) / _TICK

    def forget_peak(self) -> None:
        """Starts the measurement of the peak memory anew. Raises: Failed where the system does not offer that."""
        for pid in self._counted():
            try:
                Path(f"/proc/{pid}/clear_refs").write_text("5")
            except OSError as problem:
                raise Failed(f"peak memory cannot be measured here: {problem.strerror}") from problem

    def peak_bytes(self) -> int:
        """The most memory each process had resident since `forget_peak`, summed."""
        return sum(_status_bytes(pid, "VmHWM") for pid in self._counted())

    def resident_bytes(self) -> int:
        """The memory resident now, summed over its processes."""
        return sum(_status_bytes(pid, "VmRSS") for pid in self._counted())

    @property
    def _name(self) -> str:
        words = self._child.args
        return Path(words[0] if isinstance(words, list) else str(words)).name

    def last_words(self) -> str:
        """The end of what it printed, on one line."""
        lines = [line.strip() for line in self.said().splitlines() if line.strip()]
        return " / ".join(lines[-3:])[-400:] or "it printed nothing"

    def _ticks(self, pid: int) -> int:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0
        return int(fields[11]) + int(fields[12])

    def move_uncounted(self, core: int) -> None:
        """Puts the children that are not counted on another core."""
        for pid, program in _tree(self.pid):
            if program == self._not_counted:
                os.sched_setaffinity(pid, {core})

    def _counted(self) -> list[int]:
        return [pid for pid, program in _tree(self.pid) if program != self._not_counted]


def _tree(root: int) -> list[tuple[int, str]]:
    """A process and all below it, each with its program's name."""
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        try:
            program = Path(f"/proc/{pid}/comm").read_text().strip()
            todo += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        except OSError:
            continue
        found.append((pid, program))
    return found


def _status_bytes(pid: int, field: str) -> int:
    try:
        value = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(value.group(1)) * 1024 if value else 0


@contextmanager
def started(
    words: Sequence[str],
    core: int,
    home: Path,
    env: Mapping[str, str] | None = None,
    not_counted: str = "",
) -> Iterator[Process]:
    """Runs a program on one core, its output in a file under `home`; ends it and its children on the way out."""
    output = home / f"output-{time.monotonic_ns()}.txt"
    with output.open("w") as sink:
        child = _spawn(words, core, sink, {**os.environ, **(env or {})})
    try:
        yield Process(child, output, not_counted)
    finally:
        _end(child)


def _spawn(words: Sequence[str], core: int, sink: IO[str], env: Mapping[str, str]) -> subprocess.Popen[str]:
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})  # inherited by the child, so that not even its start runs elsewhere
    try:
        return subprocess.Popen(
            list(words), stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, text=True,
            env=env, start_new_session=True,
        )  # fmt: skip
    except OSError as problem:
        raise Failed(f"{Path(words[0]).name} cannot be started: {problem.strerror}") from problem
    finally:
        os.sched_setaffinity(0, here)


def _end(child: subprocess.Popen[str]) -> None:
    """Asks the group to end, then insists. The group was made for this child, so nobody else is in it."""
    for number, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 5)):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            break
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            continue
    child.wait(1)


def end_on_signals() -> None:
    """Makes SIGTERM and SIGHUP unwind every `with`, as Ctrl-C does."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
