"""What this machine is, and which of its cores does what."""

import importlib.metadata
import os
import platform
import re
import subprocess
import time
from pathlib import Path

_CORES = sorted(os.sched_getaffinity(0))
PROXY_CORE = _CORES[0]
"""Where whatever is measured runs, alone."""
LOAD_CORE = _CORES[1 % len(_CORES)]
"""Where the load generator and the upstream run."""


def describe() -> list[tuple[str, str]]:
    """The machine in a few lines of name and value, for the head of a report."""
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    shared = "" if PROXY_CORE != LOAD_CORE else " (only one usable: proxy and load share it, ratios are too kind)"
    return [
        ("processor", f"{model.group(1).strip() if model else platform.machine()}, {len(_CORES)} cores{shared}"),
        ("memory", f"{int(memory.group(1)) / 2**20:.0f} GiB" if memory else "unknown"),
        ("system", f"{_distribution()}, Linux {platform.release()}"),
        ("Python", platform.python_version()),
    ]


def busy_share(seconds: float = 1.0) -> float:
    """How much of the two cores something else uses right now, 0 to 1."""
    before = _idle_and_all()
    time.sleep(seconds)
    idle, everything = (now - then for now, then in zip(_idle_and_all(), before, strict=True))
    return 1 - idle / everything if everything else 0.0


def _idle_and_all() -> tuple[int, int]:
    """Ticks of the two cores so far: idle (or waiting for a disk), and all together."""
    idle = everything = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name in (f"cpu{PROXY_CORE}", f"cpu{LOAD_CORE}"):
            idle += int(ticks[3]) + int(ticks[4])
            everything += sum(map(int, ticks[:8]))
    return idle, everything


def package_version(name: str) -> str:
    """The installed version of a Python distribution beside this interpreter, or "not installed"."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def commit() -> str:
    """The checkout's commit, with a mark if files of the hub or the bench differ from it."""
    root = Path(__file__).resolve().parents[2]

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes" if git("status", "-s", "src") else "")


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"
