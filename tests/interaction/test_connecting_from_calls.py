"""A whole hub, real clients, and users who have not connected: from the first call to the answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2
import mcp_types as types
import pytest
from mcp import Client, ClientSession, UrlElicitationRequiredError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from mcp_hub.principal import LOCAL
from mcp_hub.secret import Secret
from rig.fake_upstream import Answer, FakeUpstream, Request
from rig.hub_here import HubHere, serving

pytestmark = pytest.mark.promise("B20", "B14", "A8")
ERAS = pytest.mark.parametrize("eras", ["modern", "legacy"])
KEY = "key-of-ada-1234"


class Keyed(FakeUpstream):
    """An upstream that answers whoever brings the key. `runs` counts what was done."""

    def __init__(self, eras: str) -> None:
        super().__init__(eras=eras, name="notes")
        self.prompts = [{"name": "greet"}]
        self.resources = [{"uri": "file:///r", "name": "r"}]
        self.runs = 0
        self.before = self.judge
        self.handlers["tools/call"] = self.run

    async def judge(self, request: Request) -> Answer | None:
        return None if request.headers.get("x-api-key") == KEY else Answer(status=401)

    async def run(self, request: Request) -> Answer | None:
        self.runs += 1
        return None


@dataclass
class Person:
    """Pastes their key on the page that they are asked to open, `willing` times; from then on they do not want to."""

    hub: HubHere
    willing: int = 9
    pastes: str = KEY
    asked: list[types.ElicitRequestParams] = field(default_factory=list)

    async def answer(self, _: object, params: types.ElicitRequestParams) -> types.ElicitResult:
        self.asked.append(params)
        if len(self.asked) > self.willing:
            return types.ElicitResult(action="decline")
        await self.paste()
        return types.ElicitResult(action="accept")

    async def paste(self) -> None:
        await self.hub.app._running.connections.paste(LOCAL, "notes", Secret(self.pastes))

    @property
    def page(self) -> str:
        return f"{self.hub.base}/connect/notes"


@asynccontextmanager
async def scene(eras: str) -> AsyncIterator[tuple[Keyed, Person]]:
    """A hub before an upstream that takes a key of each user's own, and one that takes anybody."""
    async with asyncio.timeout(20), Keyed(eras) as notes, FakeUpstream(name="open", eras=eras) as free:
        config = (
            "network: {allow_private: [127.0.0.0/8]}\n"
            "upstreams:\n"
            f"  notes: {{url: '{notes.url}', auth: {{type: header, name: X-Api-Key, per_user: true}}}}\n"
            f"  open: {{url: '{free.url}'}}\n"
        )
        async with serving(config) as hub:
            yield notes, Person(hub)


@asynccontextmanager
async def modern(person: Person, *, asks: bool = True) -> AsyncIterator[Client]:
    async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
        callback = {"elicitation_callback": person.answer} if asks else {}
        async with Client(streamable_http_client(person.hub.url, http_client=http), cache=None, **callback) as client:
            yield client


@asynccontextmanager
async def legacy(person: Person, *, asks: bool = True) -> AsyncIterator[ClientSession]:
    async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
        callback = {"elicitation_callback": person.answer} if asks else {}
        async with (
            streamable_http_client(person.hub.url, http_client=http) as (read, write),
            read.clone(),
            ClientSession(read, write, **callback) as session,
        ):
            await session.initialize()
            yield session


@ERAS
async def test_the_first_call_of_a_modern_client_brings_its_user_to_the_page_and_goes_on(eras):
    async with scene(eras) as (notes, person), modern(person) as client:
        assert [each.name for each in (await client.list_tools()).tools] == ["open__echo"]
        result = await client.call_tool("notes__echo", {"n": 1})
        assert not result.is_error
        assert {each.name for each in (await client.list_tools()).tools} == {"notes__echo", "open__echo"}
    (asked,) = person.asked
    assert (asked.mode, asked.url) == ("url", person.page)
    assert notes.runs == 1


@ERAS
async def test_prompts_and_resources_bring_their_user_there_too(eras):
    async with scene(eras) as (_, person), modern(person) as client:
        assert (await client.get_prompt("notes__greet")).messages is not None
    async with scene(eras) as (_, other), modern(other) as client:
        assert (await client.read_resource("notes+file:///r")).contents
    assert [len(each.asked) for each in (person, other)] == [1, 1]


@ERAS
async def test_a_key_that_is_not_taken_is_asked_for_again_and_says_why(eras):
    async with scene(eras) as (notes, person), modern(person) as client:
        person.pastes, person.willing = "no-such-key-at-all", 1
        result = await client.call_tool("notes__echo", {})
    assert result.is_error
    assert "does not accept the key" in result.content[0].text
    assert notes.runs == 0
    assert [("not connected" in each.message) for each in person.asked] == [True, False]


@ERAS
async def test_who_declines_gets_the_sentence_and_everything_else_goes_on(eras):
    async with scene(eras) as (notes, person), modern(person) as client:
        person.willing = 0
        result = await client.call_tool("notes__echo", {})
        assert result.is_error
        assert person.page in result.content[0].text
        assert not (await client.call_tool("open__echo", {})).is_error
    assert (len(person.asked), notes.seen) == (1, [])


@ERAS
async def test_a_client_of_2025_11_25_gets_the_error_and_its_call_goes_on_afterwards(eras):
    async with scene(eras) as (notes, person), legacy(person) as session:
        with pytest.raises(MCPError) as caught:
            await session.call_tool("notes__echo", {})
        (wanted,) = UrlElicitationRequiredError.from_error(caught.value.error).elicitations
        assert wanted.url == person.page
        await person.paste()
        assert not (await session.call_tool("notes__echo", {})).is_error
    assert notes.runs == 1


@ERAS
@pytest.mark.parametrize("connect", [modern, legacy])
async def test_a_client_that_opens_no_addresses_gets_a_sentence_complete_in_itself(connect, eras):
    async with scene(eras) as (notes, person), connect(person, asks=False) as client:
        result = await client.call_tool("notes__echo", {})
        assert result.is_error
        assert f"Open {person.page}, then try again." in result.content[0].text
        told = result.meta["io.mcp-hub/upstreams"]["notes"]
        assert (told["state"], told["link"]) == ("not_connected", person.page)
        await person.paste()
        assert not (await client.call_tool("notes__echo", {})).is_error
    assert (notes.runs, person.asked) == (1, [])
