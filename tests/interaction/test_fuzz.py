"""Whatever comes from a client or from an upstream, in either era: an answer, and nothing that happens to a neighbour.

Everything is real but the sockets of the clients: the whole hub in this process, with fake upstreams on loopback.
`MCP_HUB_FUZZ` sets how many examples each of these runs.
"""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interaction import fuzzed
from interaction.fuzzed import BATCHING, SESSION, Answered, Lines, Sent
from interaction.whole_hub import LEGACY, Json, message, modern
from mcp_hub.app import Hub, create_app
from mcp_hub.config.load import load
from rig.fake_upstream import Answer, FakeUpstream, Request, tool
from unit.inbound.asgi import BOUND, Response, begin

pytestmark = pytest.mark.promise("T25")
EXAMPLES = int(os.environ.get("MCP_HUB_FUZZ", "400"))
many = settings(max_examples=EXAMPLES, deadline=None)
# That nobody signs in there is said, since looking for where they do takes its time, and has tests of its own.
CONFIG = """\
version: 1
store: {{url: "sqlite:///:memory:"}}
network: {{allow_private: [127.0.0.0/8]}}
defaults: {{timeout: 500ms, list_timeout: 500ms}}
upstreams:
  good-new: {{url: "{good_new}"}}
  good-old: {{url: "{good_old}"}}
  evil-new: {{url: "{evil_new}", auth: none}}
  evil-old: {{url: "{evil_old}", prefix: false, auth: none}}
"""
FAKES = {"good_new": "modern", "good_old": "legacy", "evil_new": "modern", "evil_old": "legacy"}
LISTED = ["good-new__echo", "good-new__mirror", "good-old__echo", "good-old__mirror"]
EVIL = ["evil-new__echo", "evil-new__mirror", "echo", "mirror"]
MIRROR = {
    "a": {"x-mcp-header": "A", "type": "string"},
    "c": {"type": "object", "properties": {"d": {"x-mcp-header": "D", "type": "integer"}}},
}
USUAL = [
    ("host", "localhost"), ("content-type", "application/json"), ("accept", "application/json, text/event-stream")
]  # fmt: skip
T = TypeVar("T")


class Complaints(logging.Handler):
    """Collects what the hub calls a fault of its own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(self.format(record))


@dataclass
class House:
    """A hub of this process in front of four fakes, two of which do as they are told; and a neighbour's session."""

    hub: Hub
    fakes: dict[str, FakeUpstream]
    complaints: Complaints
    neighbour: str = ""
    own: dict[str, str] = field(default_factory=dict[str, str])
    lies: dict[str, Answered] = field(default_factory=dict[str, Answered])
    """What the evil ones answer, by method."""

    async def send(self, verb: str, lines: Lines, parts: list[bytes]) -> Response | None:
        """One exchange with the hub; `None` if it was a stream, which was hung up on."""
        exchange = begin(self.hub, verb, lines, parts)
        async with asyncio.timeout(BOUND):
            await exchange.started.wait()
        listens = verb == "GET" or (b"subscriptions/listen" in b"".join(parts) and exchange.is_stream)
        if listens and not exchange.complete:
            exchange.hung_up.set()
            await exchange.over()
            return None
        return await exchange.response()

    async def ask(self, told: tuple[Json, dict[str, str]], session: str | None = None) -> Json:
        """The message that answers a proper request."""
        body, said = told
        own = [] if session is None else [("mcp-session-id", session)]
        lines = [*(USUAL if session is not None else said.items()), ("host", "localhost"), *own]
        response = await begin(self.hub, "POST", dict(lines).items(), [json.dumps(body).encode()]).response()
        assert 200 <= response.status < 500, response.body
        while (place := paused_at(response)) is not None:  # as its upstream did, which the client takes up again
            again = {**dict(lines), "accept": "text/event-stream", "last-event-id": place}
            more = await begin(self.hub, "GET", again.items(), []).response()
            assert more.status == 200, more.body
            response = replace(response, body=response.body + more.body)
        return checked(response, body["id"])

    async def open(self, revision: str = LEGACY) -> str:
        params = {"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
        body = json.dumps(message("initialize", params)).encode()
        return (await begin(self.hub, "POST", USUAL, [body]).response()).headers["mcp-session-id"]

    async def call(self, tool: str, session: str | None = None) -> Json:
        params = {"name": tool, "arguments": {"n": tool}}
        told = modern("tools/call", params) if session is None else (message("tools/call", params), {})
        return (await self.ask(told, session)).get("result", {})

    async def refresh(self, name: str) -> None:
        transport = httpx2.ASGITransport(app=self.hub)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            response = await client.post(f"/api/v1/upstreams/{name}/refresh")
        assert response.status_code == 200

    async def lie(self, request: Request) -> Answer | None:
        lie = self.lies.get(request.method or request.verb)
        return None if lie is None else Answer(raw=lie.to(request.message.get("id")), hangs_up=True)

    def tasks(self) -> set[asyncio.Task[Any]]:
        """What is under way in the hub, but for the four that listen to the upstreams' announcements.

        Beside it there are the fakes, and this test itself.
        """
        others = ("FakeUpstream.", "StreamReaderProtocol.", "Watch._listen")
        named = {task: task.get_coro().__qualname__ for task in asyncio.all_tasks() - {asyncio.current_task()}}
        assert sum(name == "Watch._listen" for name in named.values()) <= len(FAKES) + 1, "one may be on its way out"
        return {task for task, name in named.items() if not name.startswith(others)}

    @asynccontextmanager
    async def unharmed(self) -> AsyncIterator[None]:
        """Afterwards nothing is left running, nobody has complained, and the neighbour is served as always."""
        before = self.tasks()
        yield
        assert json.loads(said(await self.call("good-new__echo")))["arguments"] == {"n": "good-new__echo"}
        assert json.loads(said(await self.call("good-old__echo", self.neighbour)))["tool"] == "echo"
        async with asyncio.timeout(BOUND):
            while self.tasks() - before:
                await asyncio.wait(self.tasks() - before, timeout=0.001)
        assert self.complaints.heard == []
        for fake in self.fakes.values():
            fake.seen.clear()


def said(result: Json) -> str:
    assert not result.get("isError"), result
    return result["content"][0]["text"]


def told_in(response: Response) -> list[Json]:
    """The messages in a response, each of which is JSON in the strictest sense."""
    texts = [response.body.decode()]
    if response.headers["content-type"] == "text/event-stream":
        blocks = texts[0].split("\n\n")
        texts = ["\n".join(line[6:] for line in block.split("\n") if line.startswith("data: ")) for block in blocks]
    return [json.loads(text, parse_constant=_no_json) for text in texts if text]


def paused_at(response: Response) -> str | None:
    """The event from which a stream goes on that was closed before the answer; `None` if the answer is there."""
    told = told_in(response)
    if told and "method" not in told[-1]:
        return None
    return [line[4:] for line in response.body.decode().split("\n") if line.startswith("id: ")][-1]


def checked(response: Response, number: Any) -> Json:
    """The one answer in a response, which has the id of the request."""
    told = told_in(response)
    assert [("id" in each, "method" in each) for each in told[:-1]] == [(False, True)] * (len(told) - 1)
    assert (told[-1]["jsonrpc"], told[-1]["id"]) == ("2.0", number)
    assert ("result" in told[-1]) != ("error" in told[-1])
    return told[-1]


def _no_json(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@asynccontextmanager
async def built() -> AsyncIterator[House]:
    complaints = Complaints()
    logging.getLogger("mcp_hub").addHandler(complaints)
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.heard.append(str(context)))
    async with AsyncExitStack() as stack:
        fakes = {
            name: await stack.enter_async_context(FakeUpstream(name=name, eras=eras)) for name, eras in FAKES.items()
        }
        for fake in fakes.values():
            fake.tools.append(tool("mirror", inputSchema={"type": "object", "properties": MIRROR}))
            fake.prompts = [{"name": "ask", "arguments": [{"name": "a"}]}]
            fake.resources = [{"uri": "note://1", "name": "n"}]
            fake.templates = [{"uriTemplate": "note://{+a}{?d}", "name": "t"}]
        config = CONFIG.format(**{name: fake.url for name, fake in fakes.items()})
        hub = await stack.enter_async_context(create_app(load(config, environ={})))
        house = House(hub, fakes, complaints)
        for name in ("evil_new", "evil_old"):
            fakes[name].before = house.lie
            fakes[name].capabilities = {**fakes[name].capabilities, "tools": {"listChanged": True}}
        house.neighbour = await house.open()
        house.own = {SESSION: await house.open(), BATCHING: await house.open("2025-03-26")}
        yield house
    logging.getLogger("mcp_hub").removeHandler(complaints)
    assert complaints.heard == []


@dataclass
class Home:
    """The house and the loop it lives in; hypothesis wants plain functions."""

    runner: asyncio.Runner
    house: House

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        house = runner.run(stack.enter_async_context(built()))
        yield Home(runner, house)
        runner.run(stack.aclose())


# What clients send


async def attack(house: House, sent: Sent, pieces: int) -> None:
    lines = [(name, house.own.get(value, value)) for name, value in sent.lines]
    size = max(1, len(sent.body) // pieces)
    parts = [sent.body[start : start + size] for start in range(0, len(sent.body), size)]
    async with house.unharmed():
        response = await house.send(sent.verb, lines, parts)
        if response is not None:
            assert 200 <= response.status < 500, response.body
            if response.headers.get("content-type") == "application/json":
                json.loads(response.body, parse_constant=_no_json)
        if sent.verb == "DELETE":
            house.own[SESSION] = await house.open()


@many
@given(fuzzed.requests("modern"), st.integers(1, 3))
def test_no_modern_request_breaks_anything(home: Home, sent: Sent, pieces: int):
    home.run(attack(home.house, sent, pieces))


@many
@given(fuzzed.requests("legacy"), st.integers(1, 3))
def test_no_legacy_request_breaks_anything(home: Home, sent: Sent, pieces: int):
    home.run(attack(home.house, sent, pieces))


@many
@given(fuzzed.bare_requests)
def test_no_verb_and_no_header_breaks_anything(home: Home, sent: Sent):
    home.run(attack(home.house, sent, 1))


# What upstreams answer


def asked(evil: str, method: str) -> Json:
    """What a client asks of an evil one, in the hub's words."""
    name, space = {"evil-new": ("evil-new__", "evil-new+"), "evil-old": ("", "")}[evil]
    return {
        "tools/call": {"name": f"{name}echo", "arguments": {}, "_meta": {"progressToken": 7}},
        "prompts/get": {"name": f"{name}ask", "arguments": {"a": "b"}},
        "resources/read": {"uri": f"{space}note://1"},
        "completion/complete": {
            "ref": {"type": "ref/prompt", "name": f"{name}ask"},
            "argument": {"name": "a", "value": "v"},
        },
    }[method]


evils = st.sampled_from(["evil-new", "evil-old"])
called = st.sampled_from(["tools/call", "tools/call", "prompts/get", "resources/read", "completion/complete"])


async def lied_to(house: House, evil: str, era: str, method: str, lie: Answered) -> None:
    params = asked(evil, method)
    async with house.unharmed():
        house.lies = {method: lie}
        if era == "modern":
            await house.ask(modern(method, params))
        else:
            await house.ask((message(method, params), {}), house.own[SESSION])
        house.lies = {}
        await honest_again(house, evil)


async def honest_again(house: House, evil: str) -> None:
    """One lie proves nothing about the next answer: the same upstream is served as before once it is honest."""
    name, own = asked(evil, "tools/call")["name"], house.own[SESSION]
    result = await house.call(name, own)
    if result.get("isError", True):  # it may have to be found out anew what it is
        await house.refresh(evil)
        result = await house.call(name, own)
    assert json.loads(said(result))["tool"] == "echo"


@many
@given(evils, st.sampled_from(["modern", "legacy"]), called, fuzzed.answers)
def test_no_answer_to_a_call_breaks_anything(home: Home, evil: str, era: str, method: str, lie: Answered):
    home.run(lied_to(home.house, evil, era, method, lie))


CONTACTS = {
    "evil-new": [
        "server/discover",
        "tools/list",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "subscriptions/listen",
    ],
    "evil-old": [
        "initialize",
        "notifications/initialized",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "GET",
        "DELETE",
        "server/discover",
    ],
}


async def lied_to_at_first_contact(house: House, evil: str, lies: dict[str, Answered]) -> None:
    async with house.unharmed():
        house.lies = lies
        await house.refresh(evil)
        listed = await house.ask(modern("tools/list"))
        names = [tool["name"] for tool in listed["result"]["tools"]]
        assert names[:4] == LISTED, "who is honest is listed, and stands first as declared"
        for method in ("tools/list", "prompts/list", "resources/list", "resources/templates/list", "server/discover"):
            await house.ask(modern(method))
            await house.ask((message(method), {}), house.own[SESSION])
        house.lies = {}
        await house.refresh(evil)
        listed = await house.ask(modern("tools/list"))
        assert [tool["name"] for tool in listed["result"]["tools"]] == LISTED + EVIL
        assert json.loads(said(await house.call(asked(evil, "tools/call")["name"])))["tool"] == "echo"


@many
@given(
    evils.flatmap(
        lambda evil: st.tuples(
            st.just(evil), st.dictionaries(st.sampled_from(CONTACTS[evil]), fuzzed.answers, min_size=1, max_size=3)
        )
    )
)
def test_no_introduction_and_no_list_breaks_anything(home: Home, evil_and_lies: tuple[str, dict[str, Answered]]):
    home.run(lied_to_at_first_contact(home.house, *evil_and_lies))
