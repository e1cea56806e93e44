"""The road of a request, there and back, in every combination of eras."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from mcp_hub.catalog.parts import Exposure
from mcp_hub.errors import (
    BadRequest,
    HeaderMismatch,
    UnknownName,
)
from rig.fake_upstream import Answer, FakeUpstream, Request, result, sse, tool
from rig.parts import LEGACY_CLIENT, MODERN_CLIENT, Stream, ask, fields_of, modern_meta

pytestmark = pytest.mark.promise("A1", "A5")
ERAS = pytest.mark.parametrize("eras", ["modern", "legacy"])
CLIENTS = pytest.mark.parametrize("client", [MODERN_CLIENT, LEGACY_CLIENT], ids=["modern client", "legacy client"])


async def asked(hub, method, params=None, **more):
    """The decoded reply to one request."""
    async with asyncio.timeout(5):
        reply = await hub.road.answer(ask(method, params, **more))
    return json.loads(bytes(reply.result if reply.result is not None else reply.error))


def full(name="up", **more) -> FakeUpstream:
    fake = FakeUpstream(name=name, **more)
    fake.prompts = [{"name": "greet"}]
    fake.resources = [{"uri": "file:///r", "name": "r"}]
    fake.templates = [{"uriTemplate": "file:///{x}", "name": "t"}]
    return fake


# There and back


@ERAS
@CLIENTS
async def test_a_tool_is_called_by_its_own_name_and_its_answer_comes_back_whole(over, eras, client):
    async with over(full(eras=eras)) as hub:
        found = await asked(hub, "tools/call", {"name": "up__echo", "arguments": {"n": 2**70}}, client=client)
        request = hub.fakes["up"].asked("tools/call")[0]
    assert json.loads(found["content"][0]["text"]) == {"tool": "echo", "arguments": {"n": 2**70}}
    assert found["futureField"] == {"n": 2**70}
    assert ("resultType" in found) == (client is MODERN_CLIENT)
    assert request.message["params"]["name"] == "echo"


@ERAS
@CLIENTS
async def test_prompts_resources_and_completions_find_their_upstream(over, eras, client):
    async with over(full(eras=eras), full("other", eras=eras)) as hub:
        prompt = await asked(hub, "prompts/get", {"name": "other__greet"}, client=client)
        read = await asked(hub, "resources/read", {"uri": "other+file:///r"}, client=client)
        for ref in (
            {"type": "ref/prompt", "name": "other__greet", "x": 1},
            {"type": "ref/resource", "uri": "other+file:///{x}"},
        ):
            await asked(hub, "completion/complete", {"ref": ref, "argument": {"name": "a"}}, client=client)
        refs = [each.message["params"]["ref"] for each in hub.fakes["other"].asked("completion/complete")]
        assert not hub.fakes["up"].asked("prompts/get")
    assert prompt["messages"][0]["content"]["text"] == "greet"
    assert read["contents"][0] == {"uri": "other+file:///r", "text": "read"}
    assert refs == [
        {"type": "ref/prompt", "name": "greet", "x": 1},
        {"type": "ref/resource", "uri": "file:///{x}"},
    ]
    assert ("ttlMs" in read) == (client is MODERN_CLIENT and eras == "legacy")


async def test_lists_are_served_from_what_is_known(over):
    async with over(full()) as hub:
        seen = len(hub.fakes["up"].seen)
        for kind in ("tools", "prompts", "resources", "resources/templates"):
            assert await asked(hub, f"{kind}/list")
        assert len(hub.fakes["up"].seen) == seen


@CLIENTS
async def test_links_in_results_are_the_hubs(over, client):
    link = {"type": "resource_link", "uri": "file:///a", "name": "a"}

    async def linking(request: Request) -> Answer:
        return result(request, {"content": [link, {"type": "resource", "resource": {"uri": "urn:x:1"}}]})

    fake, bare = full(eras="legacy"), full("bare", eras="legacy")
    exposures = {"up": Exposure("up", "Up", "up"), "bare": Exposure("bare", "Bare", None)}
    async with over(fake, bare, exposures=exposures) as hub:
        for each in (fake, bare):
            each.handlers["tools/call"] = linking
        prefixed = await asked(hub, "tools/call", {"name": "up__echo"}, client=client)
        plain = await asked(hub, "tools/call", {"name": "echo"}, client=client)
    assert prefixed["content"][0]["uri"] == "up+file:///a"
    assert prefixed["content"][1]["resource"]["uri"] == "up+urn:x:1"
    assert plain["content"][0] == link


async def test_meta_inside_params_is_sent_once(over):
    async with over(full()) as hub:
        params = {"name": "up__echo", "_meta": {"progressToken": "wrong"}}
        await asked(hub, "tools/call", params, meta=modern_meta(progressToken="right"))
        body = hub.fakes["up"].asked("tools/call")[0].body
    assert body.count(b'"_meta"') == 1
    assert b"wrong" not in body


async def test_notifications_of_a_call_reach_its_caller(over):
    async def streaming(request: Request) -> Answer:
        async def chunks() -> AsyncIterator[bytes]:
            token = request.message["params"]["_meta"]["progressToken"]
            yield sse({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token}})
            yield sse({"jsonrpc": "2.0", "id": request.message["id"], "result": {}})

        return Answer(content_type="text/event-stream", chunks=chunks())

    stream = Stream()
    async with over(full(eras="legacy")) as hub:
        hub.fakes["up"].handlers["tools/call"] = streaming
        meta = fields_of({"progressToken": "mine"})
        await asked(hub, "tools/call", {"name": "up__echo"}, client=LEGACY_CLIENT, meta=meta, emit=stream.emit)
    assert [each["params"]["progressToken"] for each in stream.heard] == ["mine"]


@pytest.mark.parametrize(
    ("method", "member"), [("tools/call", "name"), ("prompts/get", "name"), ("resources/read", "uri")]
)
@pytest.mark.parametrize("value", [{}, {"name": 5, "uri": 5}, {"name": None, "uri": None}])
async def test_a_request_that_names_nothing_is_a_bad_request(over, method, member, value):
    async with over(full()) as hub:
        with pytest.raises(BadRequest, match=f"{method} needs a string '{member}'"):
            await asked(hub, method, value)
        assert not hub.calls.records


@pytest.mark.parametrize("ref", [None, {}, {"type": "ref/prompt"}, {"type": "ref/tool", "name": "x"}, "x"])
async def test_a_completion_of_nothing_is_a_bad_request(over, ref):
    async with over(full()) as hub:
        with pytest.raises(BadRequest):
            await asked(hub, "completion/complete", {} if ref is None else {"ref": ref})


async def test_a_completion_of_something_unknown_is_an_unknown_name(over):
    async with over(full()) as hub:
        with pytest.raises(UnknownName):
            await asked(hub, "completion/complete", {"ref": {"type": "ref/prompt", "name": "x__y"}})


# Headers that mirror arguments

MIRRORED = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "n": {"type": "integer", "x-mcp-header": "N"},
    },
}


def mirroring(**more) -> FakeUpstream:
    fake = FakeUpstream(name="up", **more)
    fake.tools = [tool("where", inputSchema=MIRRORED)]
    return fake


@pytest.mark.promise("T12")
@pytest.mark.parametrize(
    "headers",
    [{}, {"mcp-param-region": "eu"}, {"mcp-param-region": "us", "mcp-param-n": "5"}, {"mcp-param-n": "5"}],
)
@ERAS
async def test_a_modern_callers_headers_have_to_agree_with_its_arguments(over, headers, eras):
    async with over(mirroring(eras=eras)) as hub:
        arguments = {"region": "eu", "n": 5}
        with pytest.raises(HeaderMismatch, match="Mcp-Param-"):
            await asked(hub, "tools/call", {"name": "up__where", "arguments": arguments}, param_headers=headers)
        assert not hub.fakes["up"].asked("tools/call")


@pytest.mark.parametrize(
    ("client", "given"),
    [(MODERN_CLIENT, {"mcp-param-region": "=?base64?w6k=?=", "mcp-param-n": "5.0"}), (LEGACY_CLIENT, {})],
)
async def test_a_modern_upstream_gets_headers_built_from_the_arguments(over, client, given):
    async with over(mirroring()) as hub:
        params = {"name": "up__where", "arguments": {"region": "é", "n": 5}}
        await asked(hub, "tools/call", params, client=client, param_headers=given)
        request = hub.fakes["up"].asked("tools/call")[0]
    assert request.headers["mcp-param-region"] == "=?base64?w6k=?="
    assert request.headers["mcp-param-n"] == "5"


@pytest.mark.parametrize("arguments", [{}, {"arguments": {}}, {"arguments": [1]}, {"arguments": {"region": None}}])
async def test_arguments_that_are_not_there_have_no_header(over, arguments):
    async with over(mirroring()) as hub:
        await asked(hub, "tools/call", {"name": "up__where", **arguments})
        assert not [key for key in hub.fakes["up"].asked("tools/call")[0].headers if key.startswith("mcp-param")]


@pytest.mark.parametrize(("client", "given"), [(MODERN_CLIENT, {"mcp-param-region": "e"}), (LEGACY_CLIENT, {})])
async def test_a_legacy_upstream_gets_no_such_headers(over, client, given):
    async with over(mirroring(eras="legacy")) as hub:
        params = {"name": "up__where", "arguments": {"region": "e"}}
        await asked(hub, "tools/call", params, client=client, param_headers=given)
        assert "mcp-param-region" not in hub.fakes["up"].asked("tools/call")[0].headers
