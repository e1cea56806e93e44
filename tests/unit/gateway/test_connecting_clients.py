"""Real clients of both eras whose user has to connect first: what they are asked, and what becomes of their call."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import mcp_types as types
import pytest
import uvicorn
from mcp import Client, ClientSession, UrlElicitationRequiredError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from mcp_hub.inbound.door import Open
from mcp_hub.inbound.endpoint import Endpoint
from mcp_hub.inbound.sessions import Limits, MemorySessions
from mcp_hub.principal import LOCAL
from rig.accesses import OwnAccess
from rig.fake_upstream import Answer, FakeUpstream, Request

pytestmark = pytest.mark.promise("B19", "B20", "A5")
ERAS = pytest.mark.parametrize("eras", ["modern", "legacy"])
LINK = "https://hub.test/connect/up"


class Guarded(FakeUpstream):
    """Takes the tokens in `takes`. `runs` counts what was done."""

    def __init__(self, eras: str) -> None:
        super().__init__(eras=eras, name="up")
        self.takes = {"old"}
        self.runs = 0
        self.before = self.judge
        self.handlers["tools/call"] = self.run

    async def judge(self, request: Request) -> Answer | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return None if token in self.takes else Answer(status=401, headers={"www-authenticate": "Bearer"})

    async def run(self, request: Request) -> Answer | None:
        self.runs += 1
        return None


@asynccontextmanager
async def served(hub) -> AsyncIterator[str]:
    """The road behind an endpoint of its own, on a port of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    sessions = MemorySessions(hub.road.end_session, Limits())
    endpoint = Endpoint(
        hub.road, sessions, hub.fleets.notices_of, door=Open(LOCAL), resource="", allowed_hosts={"127.0.0.1"}
    )
    settings = uvicorn.Config(endpoint, ws="none", lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(settings)
    running = asyncio.ensure_future(server._serve([listener]))
    try:
        yield f"http://{address}/mcp"
    finally:
        hub.notices.stop()
        server.should_exit = True
        await running


class Person:
    """Opens what they are asked to open, and connects there with a new token, unless they do not want to."""

    def __init__(self, fake: Guarded, access: OwnAccess, action: str = "accept", *, connects: bool = True) -> None:
        self.fake = fake
        self.access = access
        self.action = action
        self.connects = connects
        self.asked: list[types.ElicitRequestParams] = []

    async def answer(self, _: object, params: types.ElicitRequestParams) -> types.ElicitResult:
        self.asked.append(params)
        if self.action == "accept" and self.connects:
            # As in a browser: the client does not wait for it, and neither does the page for the client.
            asyncio.get_running_loop().call_soon(self.connect)
        return types.ElicitResult(action=self.action)

    def connect(self) -> None:
        self.fake.takes = {"new"}
        self.access.connect("new")


@asynccontextmanager
async def modern(url: str, person: Person | None) -> AsyncIterator[Client]:
    async with httpx2.AsyncClient(trust_env=False, timeout=5) as http:
        callback = {} if person is None else {"elicitation_callback": person.answer}
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, cache=None, **callback) as client:
            yield client


@asynccontextmanager
async def legacy(
    url: str, person: Person | None, done: asyncio.Queue[str] | None = None
) -> AsyncIterator[ClientSession]:
    async def on_message(message: object) -> None:
        if done is not None and isinstance(message, types.ElicitCompleteNotification):
            done.put_nowait(message.params.elicitation_id)

    streaming = asyncio.Event()

    async def on_response(response: httpx2.Response) -> None:
        if response.request.method == "GET" and response.status_code == 200:
            streaming.set()

    async with httpx2.AsyncClient(trust_env=False, timeout=5, event_hooks={"response": [on_response]}) as http:
        callback = {} if person is None else {"elicitation_callback": person.answer}
        async with (
            streamable_http_client(url, http_client=http) as (read, write),
            read.clone(),
            ClientSession(read, write, message_handler=on_message, **callback) as session,
        ):
            await session.initialize()
            await streaming.wait()
            yield session


@asynccontextmanager
async def lapsed(over, eras: str, **more) -> AsyncIterator[tuple[str, Person]]:
    """A hub whose upstream has ended its user's connection, and that user."""
    fake, access = Guarded(eras), OwnAccess("old", whose="ada@example.com")
    async with over(fake, access=access) as hub, served(hub) as url, asyncio.timeout(10):
        fake.takes = set()
        yield url, Person(fake, access, **more)


@ERAS
async def test_a_modern_client_has_its_user_connect_and_its_call_goes_on(over, eras):
    async with lapsed(over, eras) as (url, person), modern(url, person) as client:
        result = await client.call_tool("up__echo", {"n": 1})
    assert not result.is_error
    (asked,) = person.asked
    assert (asked.mode, asked.url) == ("url", LINK)
    assert "ada@example.com" in asked.message
    assert person.fake.runs == 1


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_modern_client_whose_user_does_not_want_to_gets_the_sentence(over, action):
    async with lapsed(over, "modern", action=action) as (url, person), modern(url, person) as client:
        result = await client.call_tool("up__echo", {})
    assert result.is_error
    assert LINK in result.content[0].text
    assert (len(person.asked), person.fake.runs) == (1, 0)


@ERAS
async def test_a_modern_client_that_cannot_ask_gets_the_sentence(over, eras):
    async with lapsed(over, eras) as (url, _), modern(url, None) as client:
        result = await client.call_tool("up__echo", {})
    assert result.is_error
    assert LINK in result.content[0].text
    told = result.meta["io.mcp-hub/upstreams"]["up"]
    assert (told["state"], told["link"]) == ("reconnect_needed", LINK)


@ERAS
async def test_a_client_of_2025_11_25_gets_the_error_and_is_told_when_it_may_go_on(over, eras):
    done: asyncio.Queue[str] = asyncio.Queue()
    async with lapsed(over, eras) as (url, person), legacy(url, person, done) as session:
        with pytest.raises(MCPError) as caught:
            await session.call_tool("up__echo", {})
        (wanted,) = UrlElicitationRequiredError.from_error(caught.value.error).elicitations
        assert (wanted.mode, wanted.url) == ("url", LINK)
        person.connect()
        assert await done.get() == wanted.elicitation_id
        assert not (await session.call_tool("up__echo", {})).is_error
    assert person.asked == [], "it opens the address itself"
    assert person.fake.runs == 1


@ERAS
async def test_a_client_of_2025_11_25_that_cannot_ask_gets_the_sentence(over, eras):
    async with lapsed(over, eras) as (url, person), legacy(url, None) as session:
        result = await session.call_tool("up__echo", {})
    assert result.is_error
    assert LINK in result.content[0].text
    assert person.asked == []
