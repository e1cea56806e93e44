import asyncio
import socket

import pytest

from mcp_hub.egress.resolve import SharedLookups

pytestmark = pytest.mark.promise("D28")


class Names:
    """A resolver that answers when it is told to; stands in for the loop's."""

    def __init__(self):
        self.asked = []
        self.go = asyncio.Event()

    async def getaddrinfo(self, host, port, **_):
        self.asked.append(host)
        await self.go.wait()
        if host == "missing":
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))
        return [address, (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", port, 0, 0)), address]


@pytest.fixture
async def names(monkeypatch):
    names = Names()
    monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", lambda _, *a, **k: names.getaddrinfo(*a, **k))
    return names


@pytest.fixture
def anyio_backend():
    return "asyncio"  # the other loop's own look-up cannot be replaced


async def test_the_system_resolves_localhost():
    assert set(await SharedLookups()("localhost", 80)) <= {"127.0.0.1", "::1"}


@pytest.mark.promise("A8", "T24")
async def test_many_callers_share_one_look_up_of_a_name_and_none_later_does(names, until):
    lookups = SharedLookups()
    callers = [asyncio.create_task(lookups("a", 80)) for _ in range(5)]
    await until(lambda: names.asked)
    callers[0].cancel()
    names.go.set()
    found = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1:] == [["192.0.2.1", "2001:db8::1"]] * 4
    assert names.asked == ["a"]
    await lookups("a", 80)
    assert names.asked == ["a", "a"]


async def test_a_look_up_that_fails_after_everybody_left_disturbs_nobody(names, until):
    lookups = SharedLookups()
    caller = asyncio.create_task(lookups("missing", 80))
    await until(lambda: names.asked)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    names.go.set()
    with pytest.raises(socket.gaierror):
        await lookups("missing", 80)
