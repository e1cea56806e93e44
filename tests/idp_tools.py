"""The identity provider made with Django lives in an environment of its own: nothing else here needs Django.

As a script it makes this environment and prints where its Python is.
"""

from pathlib import Path

import python1_tools

PACKAGE = Path(__file__).parent / "idp"


def install() -> Path:
    """Its Python. Raises: CalledProcessError if pip fails; what it said is on standard error."""
    return python1_tools.install(PACKAGE)


if __name__ == "__main__":
    print(install())
