"""A session whose caller gets a fleet of their own in the middle of it: it hears of what is theirs from then on."""

import asyncio
import json

import pytest
from msgspec import Raw

from mcp_hub.gateway.listener import Over
from mcp_hub.gateway.notices import Notices
from mcp_hub.gateway.view import Views
from mcp_hub.inbound.conversation import Conversation
from mcp_hub.inbound.legacy import Legacy
from mcp_hub.inbound.sessions import MemorySessions
from mcp_hub.inbound.streams import listener_of
from mcp_hub.wire.eras import Client, Era
from unit.inbound.hub import ALICE, Road

pytestmark = pytest.mark.promise("B22", "A7")
CLIENT = Client(Era.LEGACY, "2025-11-25", Raw(b"{}"))
TOOLS = "notifications/tools/list_changed"


class Outlet:
    """A client that reads what it is told."""

    takes_messages = True
    pause = None

    def __init__(self) -> None:
        self.told: asyncio.Queue[str] = asyncio.Queue()

    async def emit(self, message: bytes) -> None:
        self.told.put_nowait(json.loads(message)["method"])

    async def say(self, message: bytes) -> None:
        await self.emit(message)


@pytest.fixture
async def session():
    sessions = MemorySessions(Road().end_session)
    yield await sessions.open(ALICE, CLIENT)
    await sessions.settle()


async def test_a_session_listens_in_one_fleet_at_a_time_and_misses_nothing(session):
    common, own = Notices(Views({}, {}, 0)), Notices(Views({}, {}, 0))
    first = listener_of(common, session)
    assert listener_of(common, session) is first
    assert not session.missed
    second = listener_of(own, session)
    assert (first.over, second.over) == (Over.CUT, None)
    assert session.missed, "its next stream tells it to list again"
    assert (common._places.taken, own._places.taken) == (0, 1)


async def test_a_client_with_one_stream_for_everything_goes_on_in_its_callers_own_fleet(session):
    fleets = [Notices(Views({}, {}, 0)), Notices(Views({}, {}, 0))]
    where, road = [fleets[0]], Road()
    road.description = road.description.__class__({}, {"tools": {"listChanged": True}}, "", 0, "private")
    legacy, outlet = Legacy(road, MemorySessions(road.end_session), lambda _: where[0]), Outlet()
    conversation = Conversation(legacy, session, ALICE, outlet)
    conversation.introduced.set()
    relaying = asyncio.ensure_future(conversation.relay(legacy.listener(session, ALICE)))
    async with asyncio.timeout(5):
        fleets[0]._tell_all("tools")
        assert await outlet.told.get() == TOOLS
        where[0] = fleets[1]
        fleets[0].stop(Over.CUT)
        assert await outlet.told.get() == TOOLS, "it may be another list"
        fleets[1]._tell_all("tools")
        assert await outlet.told.get() == TOOLS
        fleets[1].stop()
        assert await relaying is Over.ENDED
        await conversation.aclose()
