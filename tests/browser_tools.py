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
MISSING = (
    "No Chromium or Chrome was found. Install one (Debian: apt install chromium), or name it: CHROME=/path/to/chrome"
)


class NoBrowser(Exception):
    """There is no browser to try the pages in; the message says what to do."""


def find() -> Path:
    """The browser there is. Raises: NoBrowser."""
    named = (os.environ.get("CHROME"), *map(shutil.which, NAMES))
    found = next((path for path in named if path), None)
    if found is None:
        raise NoBrowser(MISSING)
    return Path(found)


def flags() -> list[str]:
    """How it is started: it asks nobody for anything, and as root it does without its sandbox, which needs another."""
    return [*FLAGS, "--no-sandbox"] if _is_root() else [*FLAGS]


def install() -> Path:
    """Installs Debian's if there is none. Returns where the browser is.

    Raises:
        NoBrowser: there is none, and it cannot be installed: that needs root and apt-get.
        CalledProcessError: apt-get fails; what it said is on standard error.
    """
    try:
        return find()
    except NoBrowser:
        if not (_is_root() and shutil.which("apt-get")):
            raise
    if _apt("install", "--no-install-recommends", "chromium"):
        subprocess.run(["apt-get", "update", "-qq"], stdout=sys.stderr, check=True)
        _apt("install", "--no-install-recommends", "chromium", check=True)
    return find()


def _apt(*words: str, check: bool = False) -> int:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-y", "-qq", *words]
    return subprocess.run(command, env=environment, stdout=sys.stderr, check=check).returncode


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


if __name__ == "__main__":
    try:
        print(install())
    except NoBrowser as none:
        sys.exit(f"browser_tools: {none}")
