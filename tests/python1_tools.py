"""The Python SDK 1.x lives in an environment of its own beside the one of the tests, since both are called `mcp`.

As a script it makes that environment and prints where its Python is.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

PACKAGE = Path(__file__).parent / "python1"
REQUIREMENTS = PACKAGE / "requirements.txt"
ENVIRONMENT = PACKAGE / ".venv"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
_DONE = ENVIRONMENT / "installed"


def install() -> Path:
    """Installs what the requirements name, unless that was done since they changed. Returns the path of Python.

    Raises: CalledProcessError if pip fails; what it said is on standard error.
    """
    if not _DONE.exists() or _DONE.stat().st_mtime < REQUIREMENTS.stat().st_mtime:
        venv.create(ENVIRONMENT, clear=True, with_pip=False, symlinks=os.name != "nt")
        pip = [sys.executable, "-m", "pip", "--python", PYTHON, "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "--requirement", REQUIREMENTS], stdout=sys.stderr, check=True)
        _DONE.touch()
    return PYTHON


if __name__ == "__main__":
    print(install())
