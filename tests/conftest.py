"""What every test shares."""

import os

import pytest

# No test, and nothing that one starts, touches the keyring of whoever runs it.
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
pytest.register_assert_rewrite("interaction.crossing")  # whose assertions are not in its test file


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "promise(*ids): the promises, threats and targets this test shows")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
