"""Attacks by upstreams around a call: questions, answers, notices and eras that are not what they should be.

Two clients at once, always: whatever the upstream does to the one, the other is answered and hears nothing of it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from interaction.counted import CAPABILITIES, answers_to
from interaction.whole_hub import LEGACY, USUAL, Client, Json, Session, answer, events, message, modern, said, serving
from rig.fake_upstream import Answer, FakeUpstream, Request, sse

SECRET = "for nobody else"
ELICIT = {"method": "elicitation/create", "params": {"message": SECRET}}
QUESTIONS = [
    ELICIT,
    {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}},
    {"method": "roots/list", "params": {}},
    {"method": "tools/call", "params": {"name": "up__other"}},
    {"method": "of/nobody", "params": [1, 2]},
    {"method": "initialize"},
]
ERAS = pytest.mark.parametrize("eras", ["modern", "legacy"])


def config(*fakes: FakeUpstream) -> str:
    declared = "".join(f"  {fake.name}: {{url: '{fake.url}'}}\n" for fake in fakes)
    return f"network: {{allow_private: [127.0.0.0/8]}}\nupstreams:\n{declared}"


@asynccontextmanager
async def hub_over(fake: FakeUpstream, directory: Path) -> AsyncIterator[tuple[Client, Client]]:
    """Two clients of a hub in front of an upstream."""
    async with fake, serving(config(fake), directory) as hub, Client(hub.url) as one, Client(hub.url) as other:
        yield one, other


def hanging(request: Request, *chunks: bytes) -> Answer:
    """These bytes, and then nothing until the hub hangs up."""

    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk
        await request.until_hung_up()

    return Answer(content_type="text/event-stream", chunks=stream())


def streaming(request: Request, *chunks: bytes, done: Json | None = None) -> Answer:
    """These bytes, and then the answer."""
    eras = "modern" if "mcp-method" in request.headers else "legacy"
    given = {"content": [{"type": "text", "text": "done"}], **({"resultType": "complete"} if eras == "modern" else {})}

    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk
        yield sse({"jsonrpc": "2.0", "id": request.message["id"], "result": given if done is None else done})

    return Answer(content_type="text/event-stream", chunks=stream())


class Answered(FakeUpstream):
    """Remembers what it is answered."""

    def __init__(self, **more: Any) -> None:
        super().__init__(name="up", tools=["attack", "echo"], **more)
        self.answers: list[Json] = []
        self.before = self.take

    async def take(self, request: Request) -> Answer | None:
        if request.verb == "POST" and "method" not in request.message:
            self.answers.append(request.message)
            return Answer(status=202)
        return None

    def attack(self, how: Callable[[Request], Answer]) -> None:
        """Do this when `attack` is called."""

        async def called(request: Request) -> Answer | None:
            return how(request) if request.message["params"]["name"] == "attack" else None

        self.handlers["tools/call"] = called


def capable(arguments: Json | None = None, **more: Any) -> Json:
    """The params of a call by a client that answers questions."""
    meta = {"io.modelcontextprotocol/clientCapabilities": CAPABILITIES, **more.pop("_meta", {})}
    return {"name": "up__attack", "arguments": arguments or {}, "_meta": meta, **more}


async def session_at(client: Client) -> Session:
    """A legacy session that answers questions."""
    info = {"name": "old client", "version": "1"}
    params = {"protocolVersion": LEGACY, "capabilities": CAPABILITIES, "clientInfo": info}
    response = await client.post(message("initialize", params))
    lines = {"Mcp-Session-Id": response.headers["mcp-session-id"], "MCP-Protocol-Version": LEGACY}
    return Session(client, {**USUAL, **lines}, {})


# Questions that nobody can answer


@pytest.mark.promise("T26", "A5")
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question["method"])
async def test_a_question_that_nobody_can_answer_gets_an_error_and_the_call_goes_on(question, tmp_path: Path):
    fake = Answered(eras="legacy")
    fake.attack(lambda request: streaming(request, sse({"jsonrpc": "2.0", "id": "q", **question})))
    async with hub_over(fake, tmp_path) as (one, other):
        session = await one.open()
        told = await asyncio.gather(one.call("up__attack"), session.call("up__attack"), other.call("up__echo"))
        assert [said(each) for each in told[:2]] == ["done", "done"]
        assert json.loads(said(told[2]))["tool"] == "echo"
    assert [(each["id"], each["error"]["code"]) for each in fake.answers] == [("q", -32601)] * 2


@pytest.mark.promise("T25", "T26")
@pytest.mark.parametrize(
    "asked",
    [
        {"inputRequests": {"q": {"method": "of/nobody"}}},
        {"inputRequests": {"q": {}}},
        {"inputRequests": {"q": ELICIT, "r": {"method": "of/nobody"}}},
        {"inputRequests": {str(number): ELICIT for number in range(100)}},
        {"inputRequests": []},
        {"requestState": "for ever"},
    ],
    ids=["unknown", "empty", "one of two", "a hundred", "no object", "for ever"],
)
async def test_a_modern_upstreams_question_that_a_legacy_client_cannot_answer_ends_the_call(asked, tmp_path: Path):
    fake = Answered(eras="modern")
    fake.attack(lambda request: streaming(request, done={"resultType": "input_required", **asked}))
    async with hub_over(fake, tmp_path) as (one, other):
        session = await session_at(one)
        response = await session.post("tools/call", {"name": "up__attack"})
        heard = events(response.content) if "event-stream" in response.headers["content-type"] else [response.json()]
        assert heard[-1]["result"]["isError"]
        assert heard[-1]["result"]["content"][0]["text"].startswith("up ")
        assert json.loads(said(await other.call("up__echo")))["tool"] == "echo"


# Answers that were not asked for


@pytest.mark.promise("T25", "T26")
@ERAS
async def test_an_upstream_that_answers_twice_is_heard_once_and_nobody_gets_the_second(eras: str, tmp_path: Path):
    def twice(request: Request) -> Answer:
        number = request.message["id"]
        forged = [
            sse({"jsonrpc": "2.0", "id": number + offset, "result": {"content": [{"type": "text", "text": SECRET}]}})
            for offset in range(20)
        ]
        done = {"content": [{"type": "text", "text": "first"}], "resultType": "complete"}
        first = sse({"jsonrpc": "2.0", "id": number, "result": done})
        body = first + b"".join(forged)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(first)
        json_body = json.dumps(
            {"jsonrpc": "2.0", "id": number + 1, "result": {"content": [], "secret": SECRET}}
        ).encode()
        second = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(json_body)
        if request.message["params"]["arguments"]["how"] == "http":
            return Answer(raw=head + first + second + json_body)
        return Answer(body, content_type="text/event-stream")

    fake = Answered(eras=eras)
    fake.attack(twice)
    async with hub_over(fake, tmp_path) as (one, other):
        for how in ("events", "http") * 5:
            first = await one.call("up__attack", how=how)
            rest = await asyncio.gather(*(client.call("up__echo", n=1) for client in (one, other) for _ in range(3)))
            assert said(first) == "first"
            assert SECRET not in json.dumps([first, *rest])
            for each in rest:
                assert each.get("isError") or json.loads(said(each)) == {"tool": "echo", "arguments": {"n": 1}}


# Notices for somebody else


@pytest.mark.promise("T26")
@ERAS
async def test_what_is_told_about_anothers_call_reaches_neither(eras: str, tmp_path: Path):
    async def waiting(request: Request) -> Answer | None:
        if request.message["params"]["name"] == "echo":
            theirs.append(request)
            await told.wait()
        return None

    def attack(request: Request) -> Answer:
        tokens = [*range(100), "theirs", "mine-not", theirs[0].message["params"]["_meta"]["progressToken"]]
        progress = [
            {"method": "notifications/progress", "params": {"progressToken": each, "progress": 1}} for each in tokens
        ]
        own = request.message["params"]["_meta"]["progressToken"]
        others = [each for each in progress if each["params"]["progressToken"] != own]
        cancel = {"method": "notifications/cancelled", "params": {"requestId": theirs[0].message["id"]}}
        updated = {"method": "notifications/resources/updated", "params": {"uri": "file:///theirs"}}
        told.set()
        return streaming(request, sse(*({"jsonrpc": "2.0", **each} for each in (*others, cancel, updated))))

    fake, theirs, told = Answered(eras=eras), [], asyncio.Event()
    fake.attack(attack)
    attacking = fake.handlers["tools/call"]
    fake.handlers["tools/call"] = lambda request: _first_of(request, waiting, attacking)
    async with hub_over(fake, tmp_path) as (one, other):
        params = {"name": "up__echo", "_meta": {"progressToken": "theirs"}}
        waits = asyncio.create_task(other.modern("tools/call", params))
        async with asyncio.timeout(5):
            while not theirs:
                await fake.until("tools/call")
        body, headers = modern("tools/call", capable(_meta={"progressToken": "mine"}))
        mine = await one.post(body, headers)
        heard = events(mine.content) if "event-stream" in mine.headers["content-type"] else [mine.json()]
        methods = [each.get("method") for each in heard[:-1]]
        assert "notifications/progress" not in methods
        assert "notifications/resources/updated" not in methods
        assert said(heard[-1]["result"]) == "done"
        assert (await waits).headers["content-type"] == "application/json", "nothing came before their answer"
        assert json.loads(said(answer(await waits)["result"]))["tool"] == "echo"


async def _first_of(request: Request, *handlers: Any) -> Answer | None:
    for handler in handlers:
        found = await handler(request)
        if found is not None:
            return found
    return None


# Another era, between two requests of one call


@pytest.mark.promise("A3", "A5")
@pytest.mark.parametrize("how", [hanging, streaming], ids=["open", "given up"])
@pytest.mark.parametrize(("before", "after"), [("modern", "legacy"), ("legacy", "modern")])
async def test_an_upstream_that_changes_its_era_under_an_open_question_runs_nothing_twice(
    before: str, after: str, how: Callable[..., Answer], tmp_path: Path
):
    runs: list[str] = []

    def attack(request: Request) -> Answer:
        if "mcp-method" not in request.headers:
            runs.append("legacy")
            return how(request, sse({"jsonrpc": "2.0", "id": "q", **ELICIT}))
        if "inputResponses" not in request.message["params"]:
            asking = {"resultType": "input_required", "inputRequests": {"q": ELICIT}, "requestState": "s"}
            return streaming(request, done=asking)
        runs.append("modern")
        return streaming(request)

    fake = Answered(eras=before)
    fake.attack(attack)
    async with hub_over(fake, tmp_path) as (one, other):
        asked = answer(await one.post(*modern("tools/call", capable())))["result"]
        assert asked["resultType"] == "input_required"
        await fake.stop()
        fake.eras = after
        fake.sessions.clear()
        async with fake:
            assert (await other.refreshed("up"))["state"] == "ready"
            again = answer(await one.post(*modern("tools/call", capable(**answers_to(asked)))))["result"]
            assert json.loads(said(await other.call("up__echo")))["tool"] == "echo"
            assert runs == ["legacy"]
            if before == "modern":
                assert again["resultType"] == "input_required", "it had only asked, so the new one may ask, too"
            else:
                assert again["resultType"] == "complete"
                assert said(again) == "done" if how is streaming else "may have had effects" in said(again)
