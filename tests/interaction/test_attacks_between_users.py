"""Two people at one hub: what belongs to the one is nothing to the other, even with everything but the token in hand.

The hub runs, the people have tokens of their own, and the upstream counts the calls of each of its sessions.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from anyio.from_thread import start_blocking_portal

from interaction.test_attacks_sessions import Counting
from interaction.whole_hub import Client, answer, message, said
from mcp_hub.store.sqlite import SqliteStore
from rig import login_hub
from rig.browser import ADA, BOB, Person
from rig.login_hub import LoginHub

CONFIG = """\
version: 1
login: local
network:
  allow_private: [127.0.0.0/8]
upstreams:
  up: {{url: '{counting}'}}
  reference: {{url: '{reference}'}}
"""
ASKING = "reference__test_input_required_result_request_state"


class Place:
    """Two people at one hub, each with two tokens."""

    def __init__(self, hub: LoginHub) -> None:
        self.hub = hub
        self.tokens = {person: [self._token(person) for _ in range(2)] for person in (ADA, BOB)}

    def _token(self, person: Person) -> str:
        return self.hub.command("token", "create", "--user", person.email).strip()

    def client(self, person: Person, which: int = 0) -> Client:
        return Client(self.hub.url, _http({"Authorization": f"Bearer {self.tokens[person][which]}"}))


def _http(headers: dict[str, str]) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(trust_env=False, timeout=30, verify=False, headers=headers)


@pytest.fixture(scope="module")
def counting() -> Iterator[Counting]:
    """In a thread of its own, since it serves all tests of this file."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Counting()) as started:
        yield started


@pytest.fixture(scope="module")
def place(counting: Counting, reference: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    config = CONFIG.format(counting=counting.url, reference=reference)
    with login_hub.serving(config, tmp_path_factory.mktemp("hub"), people=[ADA, BOB]) as hub:
        yield Place(hub)
    assert hub.process.complaints() == []


@pytest.fixture
async def ada(place: Place) -> AsyncIterator[Client]:
    async with place.client(ADA) as client:
        yield client


@pytest.fixture
async def bob(place: Place) -> AsyncIterator[Client]:
    async with place.client(BOB) as client:
        yield client


async def _statuses(client: Client, headers: dict[str, str]) -> list[int]:
    """What POST, GET and DELETE answer to these headers."""
    async with asyncio.timeout(10):
        found = [await client.post(message("tools/list"), headers)]
        found += [await client.http.request(verb, client.url, headers=headers) for verb in ("GET", "DELETE")]
    return [response.status_code for response in found]


@pytest.mark.promise("T19", "B22")
async def test_a_session_is_its_owners_whoever_knows_its_id(place: Place, ada: Client, bob: Client):
    session = await ada.open()
    assert await _statuses(bob, session.headers) == [404, 404, 404]
    async with Client(place.hub.url, _http({})) as nobody:
        assert await _statuses(nobody, session.headers) == [401, 401, 401]
    async with place.client(ADA, which=1) as elsewhere:
        asked = await elsewhere.post(message("tools/list"), session.headers)
        assert answer(asked)["result"]["tools"], "a session belongs to a person, not to a token"
    assert (await session.ask("tools/list"))["tools"]


@pytest.mark.promise("T20", "B22")
async def test_a_stream_is_its_owners_and_nobody_takes_it_over(ada: Client, bob: Client):
    session = await ada.open()
    listening = {**session.headers, "Accept": "text/event-stream"}
    async with asyncio.timeout(10), ada.http.stream("GET", ada.url, headers=listening) as stream:
        assert stream.status_code == 200
        assert (await bob.http.get(bob.url, headers=listening)).status_code == 404
        await session.call("reference__test_trigger_tool_change")
        heard = b""
        async for part in stream.aiter_bytes():
            heard += part
            if b"list_changed" in heard:
                break


@pytest.mark.promise("T16", "T17", "T18", "B22")
async def test_what_an_upstream_keeps_of_one_person_is_not_kept_of_another(ada: Client, bob: Client):
    sessions = {"ada": await ada.open(), "bob": await bob.open(), "ada, modern": ada, "bob, modern": bob}

    async def called(owner: str, number: int) -> dict[str, object]:
        return json.loads(said(await sessions[owner].call("up__echo", owner=owner, number=number)))

    told = await asyncio.gather(*(called(owner, number) for number in range(25) for owner in sessions))
    kept: dict[str, set[object]] = {}
    for owner in sessions:
        own = [each for each in told if each["owner"] == owner]
        assert sorted(each["count"] for each in own) == list(range(1, 26)), "nobody else's calls are counted"
        kept[owner] = {each["session"] for each in own}
    assert all(len(each) == 1 for each in kept.values())
    assert len(set().union(*kept.values())) == len(sessions)


@pytest.mark.promise("T21", "B22")
async def test_an_open_question_is_answered_by_the_person_who_was_asked(place: Place, ada: Client, bob: Client):
    asked = await ada.ask("tools/call", _call({}))
    assert asked["resultType"] == "input_required"
    (key,) = asked["inputRequests"]
    given = {
        "inputResponses": {key: {"action": "accept", "content": {"ok": True}}},
        "requestState": asked["requestState"],
    }
    stolen = answer(await bob.modern("tools/call", _call(given)))
    assert "error" in stolen or stolen["result"].get("isError"), stolen
    async with place.client(ADA, which=1) as elsewhere:
        assert (await elsewhere.ask("tools/call", _call(given)))["resultType"] == "complete"


def _call(more: dict[str, object]) -> dict[str, object]:
    meta = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}
    return {"name": ASKING, "arguments": {}, "_meta": meta, **more}


@pytest.mark.promise("T18", "D32")
async def test_every_call_is_noted_under_the_person_who_made_it(reference: str, counting: Counting, tmp_path: Path):
    config = CONFIG.format(counting=counting.url, reference=reference)
    with login_hub.serving(config, tmp_path, people=[ADA, BOB]) as hub:
        tools = {ADA: "up__echo", BOB: "reference__test_simple_text"}
        tokens = {person: hub.command("token", "create", "--user", person.email).strip() for person in tools}
        await asyncio.gather(*(_calls(hub, tokens[person], tool) for person, tool in tools.items()))
        subjects = {each["email"]: each["subject"] for each in json.loads(hub.command("user", "list", "--json"))}
    store = SqliteStore.open(tmp_path / "data" / "hub.db")
    try:
        noted = Counter((call.issuer, call.subject, call.name) for call in await store.calls("default", limit=1000))
    finally:
        await store.aclose()
    own = {person: tool.partition("__")[2] for person, tool in tools.items()}
    assert noted == {("local", subjects[person.email], own[person]): 25 for person in tools}


async def _calls(hub: LoginHub, token: str, tool: str) -> None:
    """Calls at once, of which every second is nobody's."""
    async with Client(hub.url, _http({"Authorization": f"Bearer {token}"})) as client, Client(hub.url, _http({})) as no:
        calls = [each.modern("tools/call", {"name": tool, "arguments": {}}) for _ in range(25) for each in (client, no)]
        statuses = Counter(response.status_code for response in await asyncio.gather(*calls))
    assert statuses == {200: 25, 401: 25}
