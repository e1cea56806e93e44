"""The Python SDK 1.x lives in an environment of its own beside the one of the tests, since both are called `mcp`.

So do the published servers that the tests run as commands.

As a script it makes these environments and prints where their Pythons are.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

PACKAGE = Path(__file__).parent / "python1"
PUBLISHED = Path(__file__).parent / "published"


def install(package: Path = PACKAGE) -> Path:
    """Installs what the package's requirements name, unless that was done since they changed. Returns its Python.

    Raises: CalledProcessError if pip fails; what it said is on standard error.
    """
    requirements, environment = package / "requirements.txt", package / ".venv"
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = environment / "installed"
    if not done.exists() or done.stat().st_mtime < requirements.stat().st_mtime:
        venv.create(environment, clear=True, with_pip=False, symlinks=os.name != "nt")
        pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "--requirement", requirements], stdout=sys.stderr, check=True)
        done.touch()
    return python


if __name__ == "__main__":
    for each in (PACKAGE, PUBLISHED):
        print(install(each))
