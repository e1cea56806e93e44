"""Rows of what a client lists, calls, reads, gets and completes."""

import json
from typing import Any

import mcp_types as types

from interaction.crossing.clients import Caller, Kind
from interaction.crossing.hubs import LEGACY_UPSTREAMS, MODERN_UPSTREAMS, OVER_HTTP, Upstream
from interaction.crossing.rows import Cell, No, row

LATER = {"com.example/later": {"é": [1, None]}}


async def _listed(cell: Cell, kind: str, key: str, expected: set[str]) -> None:
    async def one(caller: Caller) -> None:
        listed = [getattr(each, key) for each in await caller.all(kind)]
        assert len(listed) == len(set(listed))
        assert expected <= set(listed)
        others = {each for each in listed if not each.startswith((f"{cell.upstream}__", f"{cell.upstream}+"))}
        assert len(others) > 0, "the other upstreams stand in the same list"

    await cell.each(one)


@row("`tools/list`")
async def tools_list(cell: Cell) -> None:
    """The tools of all upstreams in one list, whatever the pages they come in."""
    names = {"echo", "app", "region", "asks_form", "asks_roots", "counts", "logs", "waits", "points"}
    await _listed(cell, "tools", "name", {cell.tool(name) for name in names})


@row("`resources/list`")
async def resources_list(cell: Cell) -> None:
    """Resources, with URIs that say whose they are."""
    uris = {cell.uri("note://first"), cell.uri("about:notes"), f"ui://{cell.upstream}/view/main"}
    await _listed(cell, "resources", "uri", uris)


@row("`resources/templates/list`")
async def templates_list(cell: Cell) -> None:
    """Templates, as URIs are."""
    templates = {cell.uri("note://by/{author}/{number}"), *(cell.uri(f"note://{name}/{{id}}") for name in "abc")}
    await _listed(cell, "resource_templates", "uri_template", templates)


@row("`prompts/list`")
async def prompts_list(cell: Cell) -> None:
    """Prompts, named as tools are."""
    await _listed(cell, "prompts", "name", {cell.tool(name) for name in ("ask", "tell", "show", "asks")})


@row("`tools/call`")
async def tools_call(cell: Cell) -> None:
    """A call reaches the one upstream whose tool it is; text and structured content come back as they were."""

    async def one(caller: Caller) -> None:
        result = await caller.call(cell.tool("echo"))
        assert [each.text for each in result.content] == [caller.mark]
        assert result.structured_content == {"text": caller.mark}
        assert not result.is_error

    await cell.each(one)


@row("failed tools and errors")
async def failures(cell: Cell) -> None:
    """A tool that fails and a request that is refused arrive as what they are, with code, text and data."""

    async def one(caller: Caller) -> None:
        failed = await caller.call(cell.tool("fails"))
        assert failed.is_error
        assert [each.text for each in failed.content] == [f"no, {caller.mark}"]
        named = {"name": cell.tool("refuses"), "arguments": {"text": caller.mark}}
        refused = await caller.refused("tools/call", **named)
        expected = (-32055, f"refused, {caller.mark}", {"who": caller.mark})
        assert (refused.error.code, refused.error.message, refused.error.data) == expected
        missing = await caller.refused("resources/read", uri=cell.uri("note://by/nobody"))
        assert missing.error.code == (-32602 if caller.kind is Kind.MODERN else -32002)

    await cell.each(one)


@row("`resources/read`")
async def resources_read(cell: Cell) -> None:
    """Reading by URI, also what only a template describes."""

    async def one(caller: Caller) -> None:
        for original, text in {
            "note://first": "this is note://first",
            "about:notes": "this is about:notes",
            f"note://by/{caller.mark}/7": f"7 by {caller.mark}",
        }.items():
            (contents,) = (await caller.client.read_resource(cell.uri(original))).contents
            assert (str(contents.uri), contents.text) == (cell.uri(original), text)

    await cell.each(one)


@row("`prompts/get`")
async def prompts_get(cell: Cell) -> None:
    """A prompt with its arguments; resources in it carry the hub's URIs."""

    async def one(caller: Caller) -> None:
        text, held = (await caller.client.get_prompt(cell.tool("ask"), {"topic": caller.mark})).messages
        assert text.content.text == f"ask {caller.mark}"
        assert str(held.content.resource.uri) == cell.uri(f"note://by/{caller.mark}/1")

    await cell.each(one)


@row("`completion/complete`")
async def completion(cell: Cell) -> None:
    """Suggestions for the arguments of prompts and of templates."""

    async def one(caller: Caller) -> None:
        template = cell.uri("note://by/{author}/{number}")
        refs = {
            "ask": types.PromptReference(name=cell.tool("ask")),
            "note://by/{author}/{number}": types.ResourceTemplateReference(uri=template),
        }
        for original, ref in refs.items():
            found = await caller.client.complete(ref, {"name": "author", "value": caller.mark})
            assert found.completion.values == [f"{caller.mark} for author of {original}"]

    await cell.each(one)


@row("links and embedded resources")
async def links(cell: Cell) -> None:
    """URIs inside results are the hub's, and can be read there."""

    async def one(caller: Caller) -> None:
        link, held = (await caller.call(cell.tool("points"))).content
        assert str(link.uri) == str(held.resource.uri) == cell.uri(f"note://by/{caller.mark}/1")
        (contents,) = (await caller.client.read_resource(str(link.uri))).contents
        assert contents.text == held.resource.text == f"1 by {caller.mark}"

    await cell.each(one)


@row("`_meta` of a request")
async def meta(cell: Cell) -> None:
    """What a client adds to `_meta`, as for tracing, reaches the upstream; so does who the client says it is."""

    async def one(caller: Caller) -> None:
        trace = {"traceparent": f"00-{caller.mark}-01", "com.example/own": {"who": caller.mark}}
        result = await caller.client.call_tool(cell.tool("knows"), {"text": caller.mark}, meta=trace)
        known = json.loads(result.content[0].text)
        assert trace.items() <= known["meta"].items()
        assert known["text"] == caller.mark
        assert known["client"] in ("grid", "mcp"), "the names of the clients in these tests"

    await cell.each(one)


@row("fields of later revisions")
async def unknown_fields(cell: Cell) -> None:
    """Fields that this version of the hub has never heard of arrive unchanged, in lists, results and what they hold."""

    async def one(caller: Caller) -> None:
        listed = await caller.whole("tools/list")
        tool = next(each for each in listed["tools"] if each["name"] == cell.tool("echo"))
        assert LATER.items() <= tool.items()
        asked: list[tuple[str, dict[str, Any], str]] = [
            ("tools/call", {"name": cell.tool("points"), "arguments": {"text": caller.mark}}, "content"),
            ("prompts/get", {"name": cell.tool("ask"), "arguments": {"topic": caller.mark}}, "messages"),
            ("resources/read", {"uri": cell.uri("note://first")}, "contents"),
        ]
        for method, params, member in asked:
            result = await caller.whole(method, **params)
            assert LATER.items() <= result.items()
            assert all(LATER.items() <= each.items() for each in result[member])

    await cell.each(one)


@row("`instructions`")
async def instructions(cell: Cell) -> None:
    """Those of all upstreams, each under its name."""

    async def one(caller: Caller) -> None:
        for upstream in Upstream:
            assert f"This is the box that speaks {upstream}." in caller.client.instructions

    if cell.callers[0].kind is Kind.MODERN:
        await cell.each(one)
        return

    async def opened(caller: Caller) -> None:
        said = caller.session.initialize_result
        assert said is not None
        for upstream in Upstream:
            assert f"This is the box that speaks {upstream}." in (said.instructions or "")

    await cell.each(opened)


@row("MCP Apps (`ui://`)")
async def apps(cell: Cell) -> None:
    """A tool names its app by a `ui://` URI that can be read through the hub, with its type."""

    async def one(caller: Caller) -> None:
        tool = next(each for each in await caller.all("tools") if each.name == cell.tool("app"))
        uri = f"ui://{cell.upstream}/view/main"
        assert tool.meta["ui"]["resourceUri"] == tool.meta["ui/resourceUri"] == uri
        (contents,) = (await caller.client.read_resource(uri)).contents
        assert (contents.text, contents.mime_type) == ("<p>the app</p>", "text/html;profile=mcp-app")
        assert str(contents.uri) == uri

    await cell.each(one)


async def _regions(cell: Cell, header: str | None) -> None:
    async def one(caller: Caller) -> None:
        region = f"eu 中 {caller.mark}"
        told = json.loads(await caller.says(cell.tool("region"), region=region))
        assert told["argument"] == region
        assert (told["header"] is None) == (header is None)

    await cell.each(one)


async def _not_mirrored(cell: Cell) -> None:
    await _regions(cell, None)


NOT_IN_LEGACY = "Servers of revisions before 2026-07-28 know no such headers; the argument arrives in the call itself."
NOT_ON_PIPES = "There are no headers on standard streams; the argument arrives in the call itself."


@row(
    "`Mcp-Param-*` headers",
    No(NOT_ON_PIPES, _not_mirrored, upstreams=MODERN_UPSTREAMS - OVER_HTTP),
    No(NOT_IN_LEGACY, _not_mirrored, upstreams=LEGACY_UPSTREAMS),
)
async def param_headers(cell: Cell) -> None:
    """Arguments that a tool wants in headers stand there: checked for a modern client, made for a legacy one."""
    await _regions(cell, "mirrored")


NO_PING = "Revision 2026-07-28 has no `ping`; the hub says so with -32601."


async def _no_ping(cell: Cell) -> None:
    async def one(caller: Caller) -> None:
        assert (await caller.refused("ping")).error.code == types.METHOD_NOT_FOUND

    await cell.each(one)


@row("`ping` of a client", No(NO_PING, _no_ping, clients={Kind.MODERN}), answered=True)
async def ping(cell: Cell) -> None:
    """Answered by the hub; no upstream is bothered."""

    async def one(caller: Caller) -> None:
        await caller.session.send_ping()

    await cell.each(one)


NO_PING_UP = "Servers of revision 2026-07-28 have no `ping`."


async def _cannot_ping(cell: Cell) -> None:
    async def one(caller: Caller) -> None:
        refused = await caller.refused("tools/call", name=cell.tool("pings"), arguments={"text": caller.mark})
        assert refused.error.code != 0

    await cell.each(one)


@row("`ping` of an upstream", No(NO_PING_UP, _cannot_ping, upstreams=MODERN_UPSTREAMS), answered=True)
async def ping_of_upstream(cell: Cell) -> None:
    """Answered by the hub; no client is bothered."""

    async def one(caller: Caller) -> None:
        assert await caller.says(cell.tool("pings")) == f"ponged, {caller.mark}"

    await cell.each(one)


ROWS = (
    tools_list, resources_list, templates_list, prompts_list, tools_call, resources_read, prompts_get, completion,
    failures, links, apps, param_headers, meta, unknown_fields, instructions, ping, ping_of_upstream,
)  # fmt: skip
