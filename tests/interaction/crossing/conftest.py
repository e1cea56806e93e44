"""One hub and its upstreams for all tests of the grid; of their module, so that its event loop ends with them."""

from collections.abc import AsyncIterator

import pytest

from interaction.crossing.hubs import Ground, ground


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", name="ground")
async def _ground(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    del anyio_backend  # one loop for all of them
    async with ground(tmp_path_factory.mktemp("crossing")) as made:
        yield made
