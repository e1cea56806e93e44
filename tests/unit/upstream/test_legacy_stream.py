"""What crosses in a session: progress, log messages, levels, questions, batches, errors."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import pytest
from msgspec import Raw

from mcp_hub.errors import BrokeProtocol, Forbidden, TimedOut, Unreachable
from mcp_hub.wire.eras import META_LOG_LEVEL, Client, Era
from mcp_hub.wire.jsonrpc import Reply
from rig.fake_upstream import LEGACY, Answer, FakeUpstream, Request, error, sse
from rig.parts import (
    LEGACY_CLIENT,
    LIMITS,
    MODERN_CLIENT,
    NOTHING,
    Stream,
    fields_of,
    modern_meta,
    tool_call,
    wires_to,
)

pytestmark = pytest.mark.promise("A5")
ALICE, BOB = ("principal", "alice"), ("principal", "bob")
SESSION = "mcp-session-id"


def call(owner=ALICE, **more):
    return tool_call(owner=owner, client=more.pop("client", LEGACY_CLIENT), **more)


def legacy(**more) -> FakeUpstream:
    return FakeUpstream(eras="legacy", **more)


def told(reply):
    return json.loads(bytes(reply.result or b""))["structuredContent"]


# What crosses


def streaming(*messages, before=None):
    async def handler(request: Request) -> Answer:
        async def chunks() -> AsyncIterator[bytes]:
            for message in messages:
                yield sse(message(request) if callable(message) else message)
            if before is not None:
                await before.wait()
            yield sse({"jsonrpc": "2.0", "id": request.message["id"], "result": {"content": []}})

        return Answer(content_type="text/event-stream", chunks=chunks())

    return handler


def progress_of(request: Request):
    token = request.message["params"].get("_meta", {}).get("progressToken", "none")
    return {
        "jsonrpc": "2.0",
        "method": "notifications/progress",
        "params": {"progress": 0.5, "progressToken": token, "x": {"y": 2**70}},
    }


@pytest.mark.parametrize("token", ["a", 7, "7", 0, ""])
async def test_a_progress_token_is_issued_anew_and_restored_with_its_type(token):
    stream = Stream()
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = streaming(progress_of)
        meta = fields_of({"progressToken": token, "x.example/kept": 1})
        await wires.legacy.send(call(emit=stream.emit, meta=meta), NOTHING)
    request = fake.asked("tools/call")[0].message
    assert request["params"]["_meta"] == {"progressToken": request["id"], "x.example/kept": 1}
    params = stream.heard[0]["params"]
    assert params == {"progress": 0.5, "progressToken": token, "x": {"y": 2**70}}
    assert type(params["progressToken"]) is type(token)


@pytest.mark.promise("T26")
async def test_progress_about_another_request_reaches_nobody():
    stream = Stream()
    foreign = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}}
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = streaming(foreign, progress_of)
        await wires.legacy.send(call(emit=stream.emit), NOTHING)
        await wires.legacy.send(call(emit=stream.emit, meta=fields_of({"progressToken": "t"})), NOTHING)
    assert [each["params"]["progressToken"] for each in stream.heard] == ["t"]


async def test_progress_with_broken_params_is_the_upstreams_fault():
    broken = {"jsonrpc": "2.0", "method": "notifications/progress", "params": [1]}
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = streaming(broken)
        with pytest.raises(BrokeProtocol, match="parts are not valid JSON"):
            await wires.legacy.send(call(meta=fields_of({"progressToken": 1})), NOTHING)


async def test_the_metadata_of_the_modern_era_does_not_reach_a_legacy_upstream():
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        await wires.legacy.send(call(client=MODERN_CLIENT), NOTHING)
        await wires.legacy.send(call(client=MODERN_CLIENT, meta=modern_meta(**{"x/y": 1})), NOTHING)
    first, second = (each.message["params"] for each in fake.asked("tools/call"))
    assert "_meta" not in first
    assert second["_meta"] == {"x/y": 1}


LOG = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}


@pytest.mark.parametrize(
    ("client", "meta", "heard"),
    [
        (LEGACY_CLIENT, {}, [LOG]),
        (MODERN_CLIENT, modern_meta(), []),
        (MODERN_CLIENT, modern_meta(**{META_LOG_LEVEL: "info"}), [LOG]),
    ],
)
async def test_log_messages_reach_modern_callers_only_if_they_name_a_level(client, meta, heard):
    stream = Stream()
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = streaming(LOG)
        await wires.legacy.send(call(client=client, meta=meta, emit=stream.emit), NOTHING)
    assert stream.heard == heard


async def test_what_is_told_while_a_session_opens_is_nobodys():
    async def opening(request: Request) -> Answer:
        opened = {"protocolVersion": LEGACY, "capabilities": {"logging": {}}}
        told = sse(LOG, {"jsonrpc": "2.0", "id": request.message["id"], "result": opened})
        return Answer(told, content_type="text/event-stream", headers={SESSION: "s"})

    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.sessions["s"] = {}
        fake.handlers["initialize"] = opening
        assert (await wires.legacy.send(call(), NOTHING)).result is not None


def levels(fake: FakeUpstream) -> list[str]:
    return [each.message["params"]["level"] for each in fake.asked("logging/setLevel")]


async def test_the_level_is_set_before_the_call_and_only_when_it_changed():
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        for level in ("info", "info", "debug", None, "debug"):
            await wires.legacy.send(call(log_level=level), NOTHING)
    assert levels(fake) == ["info", "debug"]
    order = [each.method for each in fake.seen if each.method in ("tools/call", "logging/setLevel")]
    assert order[:2] == ["logging/setLevel", "tools/call"]


async def test_a_session_that_modern_requests_share_has_the_lowest_of_their_levels():
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):

        async def send(level: str) -> None:
            meta = modern_meta(**{META_LOG_LEVEL: level})
            await wires.legacy.send(call(client=MODERN_CLIENT, meta=meta), NOTHING)

        for level in ("error", "info", "warning"):
            await send(level)
        assert levels(fake) == ["error", "info"]
        await asyncio.gather(*(send(level) for level in ("debug", "info", "debug")))
    assert levels(fake) == ["error", "info", "debug"]


async def test_an_upstream_without_logging_is_not_asked_for_a_level():
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        del fake.capabilities["logging"]
        await wires.legacy.send(call(log_level="info"), NOTHING)
    assert not levels(fake)


async def test_a_level_that_could_not_be_set_is_set_before_the_next_call():
    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):

        async def broken(request: Request) -> Answer:
            return Answer(b"", 500)

        fake.handlers["logging/setLevel"] = broken
        with pytest.raises(Unreachable):
            await wires.legacy.send(call(log_level="info"), NOTHING)
        assert not fake.asked("tools/call")
        del fake.handlers["logging/setLevel"]
        await wires.legacy.send(call(log_level="info"), NOTHING)
        fake.sessions.clear()
        fake.sessions["another"] = {}
        await wires.legacy.send(call(log_level="info"), NOTHING)
    assert levels(fake) == ["info"] * 3, "refused, set, set in the new session"


@pytest.mark.promise("T26")
@pytest.mark.parametrize("method", ["ping", "sampling/createMessage", "elicitation/create", "roots/list"])
async def test_what_the_upstream_asks_in_a_call_is_answered_so_that_the_call_ends(method):
    answered, stream = asyncio.Event(), Stream()
    question = {"jsonrpc": "2.0", "id": "q-1", "method": method, "params": {"secret": 1}}
    answers = []

    async def listen(request: Request) -> Answer | None:
        if request.verb == "POST" and "method" not in request.message:
            answers.append(request.message)
            assert request.headers[SESSION] == "session-0"
            answered.set()
        return None

    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.before = listen
        fake.handlers["tools/call"] = streaming(question, before=answered)
        assert (await wires.legacy.send(call(emit=stream.emit), NOTHING)).result is not None
    assert stream.heard == []
    answer = answers[0]
    assert answer["id"] == "q-1"
    assert answer.get("result") == ({} if method == "ping" else None)
    assert answer.get("error", {}).get("code") == (None if method == "ping" else -32601)


@pytest.mark.promise("A5")
async def test_an_upstream_that_cannot_be_given_an_answer_has_perhaps_run_already():
    question = {"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": {}}
    asking = Client(Era.LEGACY, LEGACY, Raw(b'{"elicitation":{}}'))

    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):

        async def ask_client(method, params):
            await fake.stop()
            return Reply(result=b"{}")

        fake.handlers["tools/call"] = streaming(question, before=asyncio.Event())
        with pytest.raises(Unreachable, match=r"^up could not be given the answer.* may have had effects\.$"):
            await wires.legacy.send(call(client=asking, ask_client=ask_client), NOTHING)


@pytest.mark.promise("T24")
async def test_a_person_may_take_longer_than_the_upstream_which_pings_meanwhile():
    question = {"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": {}}
    asking = Client(Era.LEGACY, LEGACY, Raw(b'{"elicitation":{}}'))
    limits = replace(LIMITS, first_byte=0.2)
    answered, pings = asyncio.Event(), 0

    async def pinging(request: Request) -> Answer:
        async def chunks() -> AsyncIterator[bytes]:
            nonlocal pings
            yield sse(question)
            while not answered.is_set():
                yield b": ping\n\n"
                pings += 1
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await answered.wait()
            yield sse({"jsonrpc": "2.0", "id": request.message["id"], "result": {"content": []}})

        return Answer(content_type="text/event-stream", chunks=chunks())

    async def listen(request: Request) -> Answer | None:
        if request.verb == "POST" and "method" not in request.message:
            answered.set()
        return None

    async def ask_client(method, params):
        await asyncio.sleep(3 * limits.first_byte)  # what this person is about
        return Reply(result=b"{}")

    async with legacy() as fake, wires_to(fake, limits) as wires, asyncio.timeout(5):
        fake.before = listen
        fake.handlers["tools/call"] = pinging
        assert (await wires.legacy.send(call(client=asking, ask_client=ask_client), NOTHING)).result is not None
    assert pings > 1


@pytest.mark.promise("T24")
async def test_pings_alone_give_an_upstream_no_more_time_after_the_answer():
    question = {"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": {}}
    asking = Client(Era.LEGACY, LEGACY, Raw(b'{"elicitation":{}}'))

    async def pinging(request: Request) -> Answer:
        async def chunks() -> AsyncIterator[bytes]:
            yield sse(question)
            while True:
                yield b": ping\n\n"
                await asyncio.sleep(0.02)

        return Answer(content_type="text/event-stream", chunks=chunks())

    async def ask_client(method, params):
        return Reply(result=b"{}")

    async with legacy() as fake, wires_to(fake, replace(LIMITS, first_byte=0.2)) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = pinging
        with pytest.raises(TimedOut):
            await wires.legacy.send(call(client=asking, ask_client=ask_client), NOTHING)


@pytest.mark.promise("T26")
async def test_a_client_that_may_not_be_asked_more_leaves_no_upstream_waiting():
    question = {"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": {}}
    asking = Client(Era.LEGACY, LEGACY, Raw(b'{"elicitation":{}}'))
    answers, answered = [], asyncio.Event()

    async def listen(request: Request) -> Answer | None:
        if request.verb == "POST" and "method" not in request.message:
            answers.append(request.message)
            answered.set()
        return None

    async def ask_client(method, params):
        raise Forbidden("Too many questions to this client are open.")

    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.before = listen
        fake.handlers["tools/call"] = streaming(question, before=answered)
        assert (await wires.legacy.send(call(client=asking, ask_client=ask_client), NOTHING)).result is not None
    assert answers[0]["error"]["code"] == -32603


async def test_a_batch_holds_messages_and_the_answer():
    stream = Stream()

    async def batch(request: Request) -> Answer:
        parts = [LOG, {"jsonrpc": "2.0", "id": request.message["id"], "result": {"a": 1}}, LOG]
        return Answer(json.dumps(parts).encode())

    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = batch
        reply = await wires.legacy.send(call(emit=stream.emit), NOTHING)
    assert bytes(reply.result or b"") == b'{"a": 1}'
    assert stream.heard == [LOG, LOG]


async def test_an_error_of_the_upstream_is_the_answer_as_it_came():
    async def broken(request: Request) -> Answer:
        return error(request, -32602, "no such tool", {"x": 2**70})

    async with legacy() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = broken
        reply = await wires.legacy.send(call(), NOTHING)
    assert json.loads(bytes(reply.error or b"")) == {"code": -32602, "message": "no such tool", "data": {"x": 2**70}}
