"""What a response is written in: as few writes as there can be, and always in order."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.cli.transport import SMALL, Joining

pytestmark = pytest.mark.promise("E38")


class Wire(asyncio.Transport):
    """A transport that remembers each write."""

    def __init__(self):
        super().__init__()
        self.writes: list[bytes] = []
        self.open = True

    def write(self, data):
        assert self.open, "nothing is written to a closed transport"
        self.writes.append(bytes(data))

    def writelines(self, list_of_data):
        self.write(b"".join(list_of_data))

    def is_closing(self):
        return not self.open

    def close(self):
        self.open = False

    def get_extra_info(self, name, default=None):
        return {"peername": "somebody"}.get(name, default)


@pytest.fixture
def anyio_backend():
    return "asyncio"  # no transport of either loop is involved here


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def joining(wire) -> Joining:
    return Joining(wire, asyncio.get_running_loop())


@pytest.mark.promise("S1")
@pytest.mark.parametrize("size", [2, SMALL, SMALL + 1, 100_000])
async def test_a_head_goes_out_with_the_body_that_follows_it(wire, joining, size):
    joining.write(b"head")
    joining.write(b"x" * size)
    await asyncio.sleep(0)
    assert wire.writes == [b"head" + b"x" * size]


@pytest.mark.promise("S5")
async def test_events_that_come_together_go_out_together(wire, joining):
    for number in range(5):
        joining.write(b"event %d" % number)
    await asyncio.sleep(0)
    assert wire.writes == [b"event 0event 1event 2event 3event 4"]


async def test_no_more_than_a_little_is_held_back(wire, joining):
    for _ in range(3):
        joining.write(b"x" * (SMALL // 2))
    assert wire.writes == [b"x" * (SMALL // 2 * 3)]
    await asyncio.sleep(0)
    assert len(wire.writes) == 1


async def test_a_head_that_nothing_follows_goes_out_at_the_end_of_the_turn(wire, joining):
    joining.write(b"head")
    assert wire.writes == []
    await asyncio.sleep(0)
    assert wire.writes == [b"head"]
    joining.write(b"event")
    await asyncio.sleep(0)
    assert wire.writes == [b"head", b"event"]


async def test_what_is_large_waits_for_nothing(wire, joining):
    joining.write(b"x" * (SMALL + 1))
    assert len(wire.writes) == 1


async def test_closing_sends_first_what_was_held_back(wire, joining):
    joining.write(b"last words")
    joining.close()
    assert (wire.writes, wire.open) == ([b"last words"], False)
    await asyncio.sleep(0)


async def test_nothing_is_written_once_the_client_has_gone(wire, joining):
    joining.write(b"head")
    wire.open = False
    await asyncio.sleep(0)
    assert wire.writes == []


async def test_everything_else_is_the_transports_own(joining, wire):
    assert joining.get_extra_info("peername") == "somebody"
    assert not joining.is_closing()
    wire.open = False
    assert joining.is_closing()


@given(st.lists(st.one_of(st.just(None), st.integers(1, 3), st.integers(SMALL, SMALL + 2))))
def test_bytes_arrive_in_the_order_in_which_they_were_written(steps):
    async def run():
        wire = Wire()
        joining = Joining(wire, asyncio.get_running_loop())
        sent = b""
        for number, size in enumerate(steps):
            if size is None:
                await asyncio.sleep(0)
            else:
                joining.write(bytes([number % 256]) * size)
                sent += bytes([number % 256]) * size
        await asyncio.sleep(0)
        assert b"".join(wire.writes) == sent

    asyncio.run(run())
