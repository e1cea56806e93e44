"""The road of a call whose credential is its caller's own: run out, renewed, missing, or not enough."""

import asyncio
import json

import pytest
from msgspec import Raw

from mcp_hub.errors import ConnectionNeeded, Interrupted
from mcp_hub.wire.eras import Client, Era
from rig.accesses import OwnAccess
from rig.fake_upstream import Answer, FakeUpstream, Request, result, sse
from rig.parts import ask, modern_meta

pytestmark = pytest.mark.promise("B19", "B20")
ERAS = pytest.mark.parametrize("eras", ["modern", "legacy"])
CAN = Raw(b'{"elicitation":{"form":{},"url":{}}}')
MODERN = Client(Era.MODERN, "2026-07-28", CAN, Raw(b'{"name":"test client"}'))
LEGACY = Client(Era.LEGACY, "2025-11-25", CAN, Raw(b'{"name":"test client"}'))
PLAIN = Client(Era.MODERN, "2026-07-28", Raw(b"{}"))
LINK = "https://hub.test/connect/up"
QUESTION = {"method": "elicitation/create", "params": {"mode": "form", "message": "who?", "requestedSchema": {}}}


class Guarded(FakeUpstream):
    """Takes the tokens in `takes`, and answers others with `refusal`. `runs` are the tokens with which a tool ran."""

    def __init__(self, *takes: str, eras: str = "modern") -> None:
        super().__init__(eras=eras, name="up")
        self.prompts = [{"name": "greet"}]
        self.resources = [{"uri": "file:///r", "name": "r"}]
        self.takes = set(takes)
        self.refusal = Answer(status=401, headers={"www-authenticate": 'Bearer error="invalid_token"'})
        self.runs: list[str] = []
        self.asked_in_vain = 0
        self.before = self.judge
        self.handlers["tools/call"] = self.run

    async def judge(self, request: Request) -> Answer | None:
        if token_of(request) in self.takes:
            return None
        self.asked_in_vain += request.method in ("tools/call", "initialize")
        return self.refusal

    async def run(self, request: Request) -> Answer | None:
        self.runs.append(token_of(request))
        return None


def token_of(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ")


def request(client=MODERN, *, method="tools/call", params=None, **more):
    given = {"name": "up__echo", "arguments": {"n": 1}} if params is None else params
    meta = modern_meta() | {"io.modelcontextprotocol/clientCapabilities": client.capabilities}
    session = None if client.era is Era.MODERN else "s"
    legacy_meta = {} if client.era is Era.LEGACY else meta
    return ask(method, {**given, **more}, client=client, meta=legacy_meta, session=session)


async def asked(hub, *words, **more):
    async with asyncio.timeout(5):
        reply = await hub.road.answer(request(*words, **more))
    return json.loads(bytes(reply.result if reply.result is not None else reply.error))


def accepting(found, key="connect"):
    return {"requestState": found["requestState"], "inputResponses": {key: {"action": "accept"}}}


@ERAS
async def test_a_token_that_ran_out_is_renewed_and_the_call_made_once_more(over, eras):
    fake, access = Guarded("old", eras=eras), OwnAccess("old", "new")
    async with over(fake, access=access) as hub:
        fake.takes = {"new"}
        found = await asked(hub)
    assert "isError" not in found
    assert (fake.runs, fake.asked_in_vain) == (["new"], 1)
    assert access.refusals == ["old"]
    assert hub.calls.outcomes == ["ok"]


@ERAS
async def test_a_call_goes_on_when_its_user_has_connected_anew(over, eras):
    fake, access = Guarded("old", eras=eras), OwnAccess("old")
    async with over(fake, access=access) as hub:
        fake.takes = {"new"}
        found = await asked(hub)
        assert found["inputRequests"]["connect"]["params"]["url"] == LINK
        access.entered.clear()
        coming = asyncio.ensure_future(asked(hub, **accepting(found)))
        await access.entered.wait()
        assert access.watched == 2, "by the upstream and by the call that waits"
        access.connect("new")
        assert "isError" not in await coming
    assert fake.runs == ["new"]
    assert fake.asked_in_vain == 1
    assert hub.calls.outcomes == ["not_connected", "not_connected", "ok"]
    assert access.watched == 0


@ERAS
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "up__echo"}),
        ("prompts/get", {"name": "up__greet"}),
        ("resources/read", {"uri": "up+file:///r"}),
    ],
)
async def test_everything_that_may_ask_asks_and_is_answered_afterwards(over, eras, method, params):
    fake, access = Guarded("old", eras=eras), OwnAccess("old")
    async with over(fake, access=access) as hub:
        fake.takes = {"new"}
        found = await asked(hub, method=method, params=params)
        access.connect("new")
        again = await asked(hub, method=method, params=params, **accepting(found))
    assert "inputRequests" not in again
    assert set(again) & {"content", "messages", "contents"}


@ERAS
async def test_a_client_of_2025_11_25_gets_the_error_and_calls_again(over, eras):
    fake, access = Guarded("old", eras=eras), OwnAccess("old")
    async with over(fake, access=access) as hub:
        fake.takes = {"new"}
        found = await asked(hub, LEGACY)
        assert found["code"] == -32042
        assert found["data"]["elicitations"][0]["url"] == LINK
        access.connect("new")
        assert "isError" not in await asked(hub, LEGACY)
    assert fake.runs == ["new"]


@ERAS
async def test_who_cannot_be_asked_gets_a_sentence_complete_in_itself(over, eras):
    fake, access = Guarded("old", eras=eras), OwnAccess("old", whose="ada@example.com")
    async with over(fake, access=access) as hub:
        fake.takes = set()
        with pytest.raises(ConnectionNeeded) as caught:
            await asked(hub, PLAIN)
    expected = f"up has to be connected anew for ada@example.com. Open {LINK}, then try again."
    assert caught.value.public == expected
    assert hub.calls.outcomes == ["not_connected"]


@pytest.mark.promise("T31")
@ERAS
async def test_nothing_that_the_upstream_said_reaches_the_caller(over, eras):
    fake, access = Guarded("old", eras=eras), OwnAccess("old")
    evil = 'Bearer error="CANARY", scope="CANARY", resource_metadata="https://canary.test/", realm="CANARY"'
    async with over(fake, access=access) as hub:
        fake.takes = set()
        fake.refusal = Answer(b'{"CANARY": 1}', 401, headers={"www-authenticate": evil})
        for client in (MODERN, LEGACY):
            assert "canary" not in json.dumps(await asked(hub, client)).lower()
        with pytest.raises(ConnectionNeeded) as caught:
            await asked(hub, PLAIN)
    assert "canary" not in caught.value.public.lower()


# Scopes


class Narrow(OwnAccess):
    """A connection that is good, but for one thing its user has not allowed yet."""

    def __init__(self) -> None:
        super().__init__("narrow")
        self.challenges: list[tuple[int, tuple[str, ...]]] = []

    async def refused(self, credential, refusal):
        self.challenges.append((refusal.status, refusal.challenges))
        if refusal.status == 403 and self.ready() is credential:
            raise ConnectionNeeded("up", f"up needs more. Open {LINK}.", url=LINK, state="reconnect_needed")
        return await super().refused(credential, refusal)


INSUFFICIENT = 'Bearer error="insufficient_scope", scope="files:write"'


async def narrow(request: Request) -> Answer | None:
    wide = token_of(request) == "wide"
    return None if wide else Answer(status=403, headers={"www-authenticate": INSUFFICIENT})


@pytest.mark.promise("T58")
@ERAS
async def test_a_call_that_is_not_allowed_yet_asks_once_and_is_made_once_with_the_new_token(over, eras):
    fake, access = Guarded("narrow", "wide", eras=eras), Narrow()
    async with over(fake, access=access) as hub:
        fake.handlers["tools/call"] = narrow
        found = await asked(hub)
        assert found["inputRequests"]["connect"]["params"]["url"] == LINK
        assert access.challenges == [(403, (INSUFFICIENT,))]
        coming = asyncio.ensure_future(asked(hub, **accepting(found)))
        await fake.until("tools/call", 2)
        access.connect("wide")
        assert "isError" not in await coming
    assert [token_of(each) for each in fake.asked("tools/call")] == ["narrow", "narrow", "wide"]
    assert hub.upstreams["up"].state == "ready", "the rest of it could be used all the time"


@pytest.mark.promise("T58")
@ERAS
async def test_a_new_token_that_is_not_enough_either_ends_the_call_with_the_sentence(over, eras):
    fake, access = Guarded("narrow", "still narrow", eras=eras), Narrow()
    async with over(fake, access=access) as hub:
        fake.handlers["tools/call"] = narrow
        found = await asked(hub)
        back = accepting(found)
        back["inputResponses"]["connect"]["action"] = "decline"
        access.connect("still narrow")
        with pytest.raises(ConnectionNeeded, match="needs more"):
            await asked(hub, **back)
    assert len(fake.asked("tools/call")) == 2


# What an upstream asks itself


class Asking(Guarded):
    """A modern upstream whose tool asks before it runs."""

    async def run(self, request: Request) -> Answer | None:
        params = request.message["params"]
        if "inputResponses" in params:
            assert params["requestState"] == "its own"
            return await super().run(request)
        asking = {"resultType": "input_required", "inputRequests": {"who": QUESTION}, "requestState": "its own"}
        return result(request, asking)


@pytest.mark.promise("A5")
async def test_an_upstream_that_asks_once_it_is_connected_is_answered(over):
    fake, access = Asking("old"), OwnAccess("old")
    async with over(fake, access=access) as hub:
        fake.takes = {"new"}
        found = await asked(hub)
        access.connect("new")
        question = await asked(hub, **accepting(found))
        assert question["inputRequests"] == {"who": QUESTION}
        done = await asked(hub, **accepting(question, "who"))
    assert "isError" not in done
    assert fake.runs == ["new"]


@pytest.mark.promise("A5")
async def test_a_connection_that_ends_before_the_answer_is_said_plainly(over):
    fake, access = Asking("old"), OwnAccess("old")
    async with over(fake, access=access) as hub:
        question = await asked(hub)
        fake.takes = set()
        with pytest.raises(ConnectionNeeded):
            await asked(hub, **accepting(question, "who"))
    assert fake.runs == []


@pytest.mark.promise("A5")
async def test_a_parked_call_goes_on_whatever_becomes_of_the_connection_and_never_runs_twice(over):
    fake, access = Guarded("old", eras="legacy"), OwnAccess("old")
    answers = asyncio.Queue()

    async def stops_to_ask(request: Request) -> Answer:
        fake.runs.append(token_of(request))

        async def chunks():
            yield sse({"jsonrpc": "2.0", "id": "q", **QUESTION})
            await answers.get()
            yield sse({"jsonrpc": "2.0", "id": request.message["id"], "result": {"content": []}})

        return Answer(content_type="text/event-stream", chunks=chunks())

    async def judge(request: Request) -> Answer | None:
        if request.verb == "POST" and not request.method:
            answers.put_nowait(request.message)
            return Answer(status=202)
        return await fake.judge(request)

    fake.handlers["tools/call"] = stops_to_ask
    fake.before = judge
    async with over(fake, access=access) as hub:
        question = await asked(hub)
        access.disconnect()
        fake.takes = set()
        (key,) = question["inputRequests"]
        back = accepting(question, key)
        assert (await asked(hub, **back))["content"] == []
        with pytest.raises(Interrupted):
            await asked(hub, **back)
    assert fake.runs == ["old"]
