"""The browser that the pages are tried in: a Chromium of the system, never one that a test tool downloads.

It is the one that `CHROME` names, else the first on PATH. As a script it installs Debian's if there is none, for which
it needs root and apt-get, and prints where the browser is.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)
MISSING = """\
browser_tools: no Chromium or Chrome was found, and it cannot be installed from here (that needs root and apt-get).
Install one, or name it: CHROME=/path/to/chrome"""


def find() -> Path | None:
    """The browser there is."""
    named = os.environ.get("CHROME")
    if named:
        return Path(named)
    found = next((path for path in map(shutil.which, NAMES) if path is not None), None)
    return None if found is None else Path(found)


def flags() -> list[str]:
    """How it is started: it asks nobody for anything, and as root it does without its sandbox, which needs another."""
    return [*FLAGS, "--no-sandbox"] if _is_root() else [*FLAGS]


def install() -> Path:
    """Installs Debian's if there is none. Returns where the browser is.

    Raises:
        SystemExit: there is none, and it cannot be installed.
        CalledProcessError: apt-get fails; what it said is on standard error.
    """
    if find() is None and _is_root() and shutil.which("apt-get"):
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]
        if _apt(command).returncode:
            _apt(["apt-get", "update", "-qq"]).check_returncode()
            _apt(command).check_returncode()
    found = find()
    if found is None:
        sys.exit(MISSING)
    return found


def _apt(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, env=environment, stdout=sys.stderr, check=False)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


if __name__ == "__main__":
    print(install())
