"""What every test shares."""

import os
from collections import Counter

import pytest

from rig.planted import left_below

# No test, and nothing that one starts, touches the keyring of whoever runs it.
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
pytest.register_assert_rewrite("interaction.crossing")  # whose assertions are not in its test file


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "promise(*ids): the promises, threats and targets this test shows")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On several workers, files that run whole programs come first, and the smallest last: so all end together."""
    if hasattr(config, "workerinput"):
        size = Counter(item.path for item in items)
        unit = config.rootpath / "tests" / "unit"
        items.sort(key=lambda item: (unit not in item.path.parents, size[item.path]), reverse=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """No database, write-ahead log or log of the whole run holds what any of its tests planted."""
    if not hasattr(session.config, "workerinput") and hasattr(session.config, "_tmp_path_factory"):
        left = left_below(session.config._tmp_path_factory.getbasetemp())
        if left:
            print("\nPlanted secrets were left in", *left, sep="\n  ")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
