"""An upstream that lies in its answer: what comes of it, in which words, and that nothing else suffers."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from mcp_hub.errors import BrokeProtocol, Busy, RefusedCredential, TimedOut, Unreachable, UpstreamError
from mcp_hub.upstream.answer import NotModern, SessionGone
from rig.fake_upstream import Answer, FakeUpstream, Request, sse
from rig.parts import LIMITS, NOTHING, Stream, tool_call, wires_to

pytestmark = pytest.mark.promise("T25", "T10", "A8")

SECRET = "SECRET-of-the-inside"
MAYBE = "The call may have had effects."
NOT_RPC = "up sent something that is not a JSON-RPC message."
TOO_MUCH = "up sent more than the hub accepts"
CUT = f"up ended its answer before it was complete. {MAYBE}"
LOST = f"up hung up before its answer was complete. {MAYBE}"
FOREIGN = "up answered a request that was not asked."
NO_OBJECT = "up answered with a result that is not an object."


def head(status: str, headers: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def rpc(number: int, body: str) -> bytes:
    return body.replace("ID", str(number)).encode()


def json_answer(body: str, **more):
    return lambda number: Answer(rpc(number, body), **more)


def raw_answer(raw: bytes, *, hangs_up: bool = True):
    return lambda number: Answer(raw=raw, hangs_up=hangs_up)


def events(*bodies: str, hangs_up: bool = False):
    return lambda number: Answer(
        b"".join(b"data: " + rpc(number, each) + b"\n\n" for each in bodies),
        content_type="text/event-stream",
        hangs_up=hangs_up,
    )


OK = '{"jsonrpc":"2.0","id":ID,"result":{"ok":true}}'
JSON = "Content-Type: application/json\r\n"
BIG = "x" * LIMITS.result
BIG_NEWS = json.dumps({"jsonrpc": "2.0", "method": "n", "params": {"x": "y" * LIMITS.event}})
LIES = {
    "wrong id": (json_answer(OK.replace("ID", "99999")), BrokeProtocol, FOREIGN),
    "id of another type": (json_answer(OK.replace("ID", '"ID"')), BrokeProtocol, FOREIGN),
    "id as a fraction": (json_answer(OK.replace("ID", "ID.0")), BrokeProtocol, FOREIGN),
    "null id": (json_answer(OK.replace("ID", "null")), BrokeProtocol, FOREIGN),
    "no id": (json_answer('{"jsonrpc":"2.0","result":{}}'), BrokeProtocol, FOREIGN),
    "a request back": (
        json_answer('{"jsonrpc":"2.0","id":ID,"method":"ping"}'),
        BrokeProtocol,
        FOREIGN + "|" + NO_OBJECT,
    ),
    "HTML": (
        lambda _: Answer(SECRET.encode(), content_type="text/html"),
        BrokeProtocol,
        "up answered with text/html instead of an MCP message.",
    ),
    "no content type": (
        raw_answer(head("200 OK", "", b"{}"), hangs_up=False),
        BrokeProtocol,
        "up answered with no content type instead of an MCP message.",
    ),
    "odd content type": (
        lambda _: Answer(b"{}", content_type="é" * 9),
        BrokeProtocol,
        "up answered with |no content type",
    ),
    "empty body": (json_answer(""), BrokeProtocol, NOT_RPC),
    "truncated JSON": (json_answer(OK[:-3]), BrokeProtocol, NOT_RPC),
    "two answers": (json_answer(OK + OK), BrokeProtocol, NOT_RPC),
    "invalid UTF-8": (lambda n: Answer(rpc(n, OK).replace(b"true", b'"\xff"')), BrokeProtocol, NOT_RPC),
    "NaN": (json_answer(OK.replace("true", "NaN")), BrokeProtocol, NOT_RPC),
    "deep nesting": (json_answer(OK.replace("true", "[" * 90_000)), BrokeProtocol, NOT_RPC),
    "JSON-RPC 1": (json_answer(OK.replace("2.0", "1.0")), BrokeProtocol, NOT_RPC),
    "a string": (json_answer(f'"{SECRET}"'), BrokeProtocol, NOT_RPC),
    "result is an array": (json_answer(OK.replace('{"ok":true}', "[1]")), BrokeProtocol, NO_OBJECT),
    "result is null": (json_answer(OK.replace('{"ok":true}', "null")), BrokeProtocol, NO_OBJECT),
    "empty batch": (json_answer("[]"), BrokeProtocol, NOT_RPC),
    "batch without the answer": (
        json_answer('[{"jsonrpc":"2.0","method":"notifications/x"}]'),
        BrokeProtocol,
        "up answered without a response to the request.",
    ),
    "batch with a broken part": (json_answer('[{"jsonrpc":"2.0"}]'), BrokeProtocol, NOT_RPC),
    "batch with another's answer": (json_answer(f"[{OK.replace('ID', '77')},{OK}]"), BrokeProtocol, FOREIGN),
    "events cut before the end": (events('{"jsonrpc":"2.0","method":"notifications/x"}'), Unreachable, CUT),
    "events end in half an event": (lambda _: Answer(b"data: {", content_type="text/event-stream"), Unreachable, CUT),
    "events hold no JSON": (events(SECRET), BrokeProtocol, NOT_RPC),
    "events answer another": (events(OK.replace("ID", "5555")), BrokeProtocol, FOREIGN),
    "an event over the limit": (
        events(OK.replace("true", f'"{BIG}"')),
        BrokeProtocol,
        f"up sent more than {LIMITS.result} bytes in one event.",
    ),
    "a notification over its limit": (
        events(BIG_NEWS, OK),
        BrokeProtocol,
        f"up sent a notification of more than {LIMITS.event} bytes.",
    ),
    "JSON over the limit": (json_answer(OK.replace("true", f'"{BIG}"')), BrokeProtocol, TOO_MUCH),
    "announced over the limit": (
        raw_answer(f"HTTP/1.1 200 OK\r\n{JSON}Content-Length: 999999999\r\n\r\n".encode()),
        BrokeProtocol,
        TOO_MUCH,
    ),
    "connection lost": (raw_answer(b""), Unreachable, LOST),
    "lost in the head": (raw_answer(b"HTTP/1.1 200 OK\r\nContent-"), Unreachable, LOST),
    "lost in the body": (
        raw_answer(f"HTTP/1.1 200 OK\r\n{JSON}Content-Length: 50\r\n\r\n{{".encode()),
        Unreachable,
        LOST,
    ),
    "not HTTP": (raw_answer(b"220 mail.example ESMTP\r\n\r\n"), BrokeProtocol, "up does not speak HTTP as it should"),
    "gzip": (
        lambda _: Answer(gzip.compress(b"0" * 10**7), headers={"content-encoding": "gzip"}),
        BrokeProtocol,
        "compressed",
    ),
    "huge header": (lambda _: Answer(b"{}", headers={"x": "y" * 70_000}), BrokeProtocol, "more header than"),
    "redirect": (
        lambda _: Answer(b"", 302, headers={"location": "http://127.0.0.1:1/"}),
        BrokeProtocol,
        "up answered HTTP 302 to a request. Redirects are not followed.",
    ),
    "accepted": (lambda _: Answer(b"", 202), BrokeProtocol, "up answered HTTP 202 to a request."),
    "401": (
        lambda _: Answer(SECRET.encode(), 401, headers={"www-authenticate": SECRET}),
        RefusedCredential,
        "up rejected the credential (HTTP 401). Ask whoever runs this hub.",
    ),
    "403": (json_answer(OK, status=403), RefusedCredential, "up rejected the credential (HTTP 403)."),
    "404": (lambda _: Answer(SECRET.encode(), 404, "text/plain"), SessionGone, "up answered HTTP 404. Check its URL."),
    "400": (lambda _: Answer(SECRET.encode(), 400, "text/plain"), NotModern, "up refused the request (HTTP 400)."),
    "405 with JSON that is no answer": (
        json_answer(f'{{"error":"{SECRET}"}}', status=405),
        NotModern,
        "up refused the request (HTTP 405).",
    ),
    "400 with another's answer": (
        json_answer('{"jsonrpc":"2.0","id":987,"error":{}}', status=400),
        NotModern,
        "HTTP 400",
    ),
    "400 with a result": (json_answer(OK, status=400), NotModern, "HTTP 400"),
    "400 over the limit": (lambda _: Answer(b" " * 70_000, 400), BrokeProtocol, TOO_MUCH),
    "429": (lambda _: Answer(SECRET.encode(), 429), Busy, "up is too busy (HTTP 429). Try again later."),
    "503": (lambda _: Answer(b"", 503), Busy, "up is too busy (HTTP 503)."),
    "500": (
        lambda _: Answer(SECRET.encode(), 500),
        Unreachable,
        f"up failed (HTTP 500). Its operator has to act. {MAYBE}",
    ),
    "500 with an answer": (
        json_answer('{"jsonrpc":"2.0","id":ID,"error":{"code":1}}', status=500),
        Unreachable,
        "HTTP 500",
    ),
}


async def refusal(raw: bytes) -> RefusedCredential:
    async def refuse(request: Request) -> Answer:
        return Answer(raw=raw, hangs_up=True)

    async with FakeUpstream() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.before = refuse
        with pytest.raises(RefusedCredential) as caught:
            await wires.modern.send(tool_call(), NOTHING)
    return caught.value


@pytest.mark.promise("B19")
async def test_a_refusal_hands_on_what_it_asks_for_and_shows_nothing_of_it():
    head = (
        b'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nWWW-Authenticate: Basic realm="a, b\r\n'
        b'www-authenticate: Bearer error="insufficient_scope", scope="s\xe9cret"\r\n\r\n'
    )
    refused = await refusal(head)
    assert refused.status == 403
    assert refused.challenges == ('Basic realm="a, b', 'Bearer error="insufficient_scope", scope="s\xe9cret"')
    assert "scope" not in refused.public


@pytest.mark.promise("T1")
async def test_a_refusal_keeps_no_more_of_a_stranger_than_is_read():
    long = b"WWW-Authenticate: Bearer scope=%b\r\n" % (b"a" * 9_000)
    refused = await refusal(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n%b\r\n" % (long * 3))
    assert len(refused.challenges) == 1
    assert refused.challenges[0].endswith("a")


async def told(fake: FakeUpstream, answer) -> tuple[type[Exception], str, int]:
    """What a call comes to, and how often the upstream was asked; afterwards the next call has to work."""
    asked = 0

    async def handler(request: Request) -> Answer:
        nonlocal asked
        asked += 1
        return answer(request.message["id"])

    async with wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = handler
        with pytest.raises(UpstreamError) as caught:
            await wires.modern.send(tool_call(), NOTHING)
        del fake.handlers["tools/call"]
        assert (await wires.modern.send(tool_call(), NOTHING)).result is not None
    return type(caught.value), caught.value.public, asked


@pytest.mark.promise("T8", "T23")
@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_in_an_answer_is_that_calls_own_trouble(lie):
    answer, kind, sentence = LIES[lie]
    async with FakeUpstream() as fake:
        raised, public, asked = await told(fake, answer)
    assert raised is kind
    assert any(each in public for each in sentence.split("|"))
    assert SECRET not in public
    assert str(fake.port) not in public
    assert asked == 1, "a tool call is never sent twice"


@pytest.mark.parametrize(
    "answer",
    [
        json_answer(OK),
        json_answer(OK, content_type="Application/JSON; charset=utf-8"),
        json_answer(" \n" + OK + "\n"),
        json_answer(f'[{{"jsonrpc":"2.0","method":"notifications/x"}}, {OK}]'),
        events('{"jsonrpc":"2.0","method":"notifications/x"}', OK),
        events(OK, OK.replace("true", "false")),
        lambda n: Answer(
            b"\xef\xbb\xbf: hello\r\n\r\nevent: message\r\ndata: " + rpc(n, OK) + b"\r\n\r\n",
            content_type="text/event-stream; charset=utf-8",
        ),
        lambda n: Answer(b"id: 1\ndata:\n\ndata: " + rpc(n, OK) + b"\n\n", content_type="text/event-stream"),
    ],
    ids=[
        "plain",
        "with a charset",
        "with space around",
        "batch",
        "events",
        "first of two",
        "CRLF and comment",
        "empty event",
    ],
)
async def test_every_form_of_an_answer_is_read(answer):
    async def handler(request: Request) -> Answer:
        return answer(request.message["id"])

    async with FakeUpstream() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = handler
        for _ in range(3):
            reply = await wires.modern.send(tool_call(), NOTHING)
            assert json.loads(bytes(reply.result or b"")) == {"ok": True}


@pytest.mark.parametrize("number", ["ID", "null"])
@pytest.mark.parametrize("status", [200, 400, 404])
async def test_an_error_that_answers_the_request_is_passed_on_whatever_its_status(status, number):
    error = '{"code":-32602,"message":"no","data":{"n":1}}'

    async def handler(request: Request) -> Answer:
        number_or_null = number if status != 200 else "ID"
        return json_answer(f'{{"jsonrpc":"2.0","id":{number_or_null},"error":{error}}}', status=status)(
            request.message["id"]
        )

    async with FakeUpstream() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = handler
        reply = await wires.modern.send(tool_call(), NOTHING)
    assert bytes(reply.error or b"").decode() == error


class Endless:
    """An answer that begins and then drips or stalls until its reader has gone."""

    def __init__(self, first: bytes, *drops: bytes) -> None:
        self.first = first
        self.drops = drops
        self.over = asyncio.Event()

    async def __call__(self, request: Request) -> Answer:
        answer = Answer(chunks=self._chunks(request))
        answer.content_type = "text/event-stream" if self.first.startswith(b"data") else "application/json"
        return answer

    async def _chunks(self, request: Request) -> AsyncIterator[bytes]:
        yield self.first
        for drop in self.drops:
            yield drop
        await request.until_hung_up()
        self.over.set()


@pytest.mark.promise("T24")
@pytest.mark.parametrize("first", [b'{"jsonrpc":', b"data: {"], ids=["JSON", "events"])
async def test_an_answer_that_stalls_is_given_up_in_time_and_its_connection_closed(first):
    stalled = Endless(first)
    async with (
        FakeUpstream() as fake,
        wires_to(fake, replace(LIMITS, first_byte=0.05)) as wires,
        asyncio.timeout(5),
    ):
        fake.handlers["tools/call"] = stalled
        with pytest.raises(TimedOut, match=r"up did not answer in time\. The call may have had effects"):
            await wires.modern.send(tool_call(), NOTHING)
        await stalled.over.wait()
    assert len(fake.asked("tools/call")) == 1


@pytest.mark.promise("T24")
async def test_a_refusal_that_stalls_is_given_up_in_time():
    async def handler(request: Request) -> Answer:
        answer = await Endless(b"{")(request)
        answer.status = 400
        return answer

    limits = replace(LIMITS, first_byte=0.05)
    async with FakeUpstream() as fake, wires_to(fake, limits) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = handler
        with pytest.raises(TimedOut):
            await wires.modern.send(tool_call(), NOTHING)


@pytest.mark.promise("T23")
async def test_an_answer_without_end_is_cut_off_while_it_streams():
    sent = 0

    async def flood(request: Request) -> Answer:
        async def chunks() -> AsyncIterator[bytes]:
            nonlocal sent
            yield b'{"jsonrpc":"2.0","id":1,"result":"'
            while True:
                sent += 65536
                yield b"x" * 65536

        return Answer(chunks=chunks())

    async with FakeUpstream() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = flood
        with pytest.raises(BrokeProtocol, match="up sent more than the hub accepts"):
            await wires.modern.send(tool_call(), NOTHING)
        del fake.handlers["tools/call"]
        assert (await wires.modern.send(tool_call(), NOTHING)).result is not None
    assert sent < 50 * LIMITS.result, "what the sockets hold, not what the upstream would have sent"


@pytest.mark.promise("T24")
async def test_progress_keeps_a_long_call_alive_past_the_first_byte_limit():
    stream, gates = Stream(), [asyncio.Event() for _ in range(3)]

    async def handler(request: Request) -> Answer:
        async def chunks() -> AsyncIterator[bytes]:
            for gate in gates:
                yield sse({"jsonrpc": "2.0", "method": "notifications/x"})
                await gate.wait()
            yield b"data: " + rpc(request.message["id"], OK) + b"\n\n"

        return Answer(content_type="text/event-stream", chunks=chunks())

    limits = replace(LIMITS, first_byte=0.2)
    async with FakeUpstream() as fake, wires_to(fake, limits) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = handler
        call = asyncio.ensure_future(wires.modern.send(tool_call(emit=stream.emit), NOTHING))
        loop = asyncio.get_running_loop()
        for number, gate in enumerate(gates, 1):
            loop.call_later(0.12 * number, gate.set)
        assert (await call).result is not None
    assert len(stream.heard) == 3


async def test_a_caller_who_leaves_closes_the_upstreams_stream():
    endless = Endless(b"data: {")
    async with FakeUpstream() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = endless
        call = asyncio.ensure_future(wires.modern.send(tool_call(), NOTHING))
        await fake.until("tools/call")
        call.cancel()
        await endless.over.wait()
        assert len(fake.asked("tools/call")) == 1
        del fake.handlers["tools/call"]
        assert (await wires.modern.send(tool_call(), NOTHING)).result is not None
