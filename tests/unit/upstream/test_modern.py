"""Requests to a modern upstream: what reaches it, to the byte, and what comes back on their streams."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from mcp_hub.upstream.modern import _kept_lines, envelope, head_lines, own_client, own_meta
from mcp_hub.wire.headers import decode_value
from rig.fake_upstream import LEGACY, MODERN, Answer, FakeUpstream, Request, sse
from rig.parts import INFO, LEGACY_CLIENT, NOTHING, Stream, bearer, fields_of, modern_meta, tool_call, wires_to

pytestmark = pytest.mark.promise("A5")
META = "io.modelcontextprotocol/"


async def sent(call, credential=NOTHING) -> Request:
    """The request as the upstream saw it."""
    async with FakeUpstream(tools=[]) as fake, wires_to(fake) as wires, asyncio.timeout(5):
        await wires.modern.send(call, credential)
    return fake.seen[-1]


async def test_unknown_params_and_meta_reach_the_upstream_byte_for_byte():
    odd = (
        b'{"z":1180591620717411303424,"a":1e400,"d":0.10000000000000000555,"s":"\\u00e9\\/"  ,"o":{"b":1,"a":2,"b":3}}'
    )
    call = tool_call(
        params={"name": Raw(b'"echo"'), "futureField": Raw(odd), "arguments": Raw(b"{}")},
        meta={**modern_meta(), "x.example/y": Raw(odd)},
    )
    body = (await sent(call)).body
    assert body.count(odd) == 2
    assert body.index(b'"futureField"') < body.index(b'"arguments"')


async def test_the_headers_repeat_the_body_and_nothing_of_the_callers_own_request_is_among_them():
    request = await sent(tool_call("wéther", param_headers={"Mcp-Param-Region": "=?base64?w6k=?="}), bearer("upstream"))
    assert request.headers["mcp-name"].startswith("=?base64?")
    assert decode_value(request.headers["mcp-name"]) == "wéther"
    assert request.headers["mcp-method"] == "tools/call"
    assert request.headers["mcp-protocol-version"] == MODERN
    assert request.headers["mcp-param-region"] == "=?base64?w6k=?="


@pytest.mark.promise("T12", "T13", "B14")
async def test_the_header_set_is_exactly_this():
    request = await sent(tool_call(), bearer("upstream"))
    assert sorted(name for name, _ in request.lines) == sorted(
        [
            *("host", "accept-encoding", "content-type", "accept", "content-length"),
            *("mcp-protocol-version", "mcp-method", "mcp-name", "authorization"),
        ]
    )


async def test_a_method_without_a_name_has_no_name_header():
    call = tool_call(method="tools/list")
    call.name = None
    assert "mcp-name" not in (await sent(call)).headers


@pytest.mark.promise("T11")
@given(st.text(max_size=40), st.text(max_size=300))
def test_no_name_ends_its_header_line(method, name):
    lines = head_lines(method, name, {})
    assert lines.count(b"\r\n") == lines.count(b"\n") == lines.count(b"\r") == 3
    told = dict(line.split(b": ", 1) if b": " in line else (line[:-1], b"") for line in lines.split(b"\r\n")[:-1])
    assert decode_value(told[b"mcp-name"].decode()) == name
    assert decode_value(told[b"mcp-method"].decode()) == method


@pytest.mark.promise("T23")
def test_lines_are_kept_for_short_names_only():
    _kept_lines.cache_clear()
    assert head_lines("tools/call", "a", {}) is head_lines("tools/call", "a", {})
    head_lines("resources/read", "file:///" + "a" * 100_000, {})
    assert _kept_lines.cache_info().currsize == 1


def test_a_modern_clients_meta_is_passed_on_as_it_is():
    call = tool_call()
    assert envelope(call) is call.meta


def test_a_legacy_clients_request_gets_the_meta_its_era_does_not_have():
    call = tool_call(client=LEGACY_CLIENT, meta=fields_of({"progressToken": "t", "x/y": 1}), log_level="warning")
    assert {key: json.loads(bytes(raw)) for key, raw in envelope(call).items()} == {
        "progressToken": "t",
        "x/y": 1,
        f"{META}protocolVersion": MODERN,
        f"{META}clientCapabilities": {},
        f"{META}clientInfo": {"name": "old client", "version": "1"},
        f"{META}logLevel": "warning",
    }


def test_a_legacy_clients_extensions_are_told_in_meta_and_what_it_can_be_asked_where_it_can():
    said = Raw(b'{"roots":{},"extensions":{"com.example/x":{"y":1},"io.modelcontextprotocol/tasks":{}}}')
    client = type(LEGACY_CLIENT)(LEGACY_CLIENT.era, LEGACY, said)

    async def answers(method, params):
        raise AssertionError(method)

    told = [
        json.loads(bytes(envelope(tool_call(client=client, ask_client=way))[f"{META}clientCapabilities"]))
        for way in (None, answers)
    ]
    extensions = {"extensions": {"com.example/x": {"y": 1}}}
    assert told == [extensions, {"roots": {}, **extensions}]


def test_a_legacy_client_without_info_or_level_gets_neither():
    client = type(LEGACY_CLIENT)(LEGACY_CLIENT.era, LEGACY, Raw(b"{}"))
    assert set(envelope(tool_call(client=client))) == {f"{META}protocolVersion", f"{META}clientCapabilities"}


def test_a_legacy_client_cannot_claim_capabilities_in_meta():
    claimed = fields_of({f"{META}clientCapabilities": {"elicitation": {}}})
    assert bytes(envelope(tool_call(client=LEGACY_CLIENT, meta=claimed))[f"{META}clientCapabilities"]) == b"{}"


def test_the_hub_speaks_for_itself_as_a_client_that_can_answer_nothing_and_knows_apps():
    said = json.loads(bytes(own_meta(own_client(INFO))[f"{META}clientCapabilities"]))
    assert set(said) == {"extensions"}
    assert set(said["extensions"]) == {"io.modelcontextprotocol/ui"}
    assert f"{META}clientInfo" not in own_meta(type(LEGACY_CLIENT)(LEGACY_CLIENT.era, MODERN, Raw(b"{}")))


async def streamed(*messages, token=None):
    """What a caller hears when the upstream sends these before its answer."""
    stream = Stream()

    async def handler(request: Request) -> Answer:
        async def chunks() -> AsyncIterator[bytes]:
            yield sse(*messages)
            yield sse({"jsonrpc": "2.0", "id": request.message["id"], "result": {}})

        return Answer(content_type="text/event-stream", chunks=chunks())

    meta = modern_meta() if token is None else modern_meta(progressToken=token)
    async with FakeUpstream() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = handler
        await wires.modern.send(tool_call(meta=meta, emit=stream.emit), NOTHING)
    return stream.heard


def progress(token):
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}}


LOG = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}


async def test_notifications_before_the_answer_reach_the_caller_in_order():
    assert await streamed(progress("t"), LOG, progress("t"), token="t") == [progress("t"), LOG, progress("t")]


@pytest.mark.promise("T26")
async def test_progress_of_somebody_elses_request_reaches_nobody():
    assert await streamed(progress("other"), progress(1), token="t") == []
    assert await streamed(progress("t")) == []


@pytest.mark.promise("T26")
async def test_a_request_on_the_stream_is_not_heard():
    question = {"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": {}}
    assert await streamed(question, LOG) == [LOG]


async def test_two_calls_at_once_each_get_their_own_answer():
    async def handler(request: Request) -> Answer:
        found = {"content": request.message["params"]["arguments"]}
        return Answer(json.dumps({"jsonrpc": "2.0", "id": request.message["id"], "result": found}).encode())

    async with FakeUpstream() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.handlers["tools/call"] = handler
        calls = [tool_call(params=fields_of({"name": "echo", "arguments": n})) for n in range(50)]
        replies = await asyncio.gather(*(wires.modern.send(call, NOTHING) for call in calls))
    assert [json.loads(bytes(reply.result or b""))["content"] for reply in replies] == list(range(50))
    assert len({request.message["id"] for request in fake.seen}) == 50
