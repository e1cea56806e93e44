"""Rows of what an upstream asks the client in the middle of a call."""

import json
from collections.abc import Callable
from typing import Any

from mcp_types.jsonrpc import METHOD_NOT_FOUND, MISSING_REQUIRED_CLIENT_CAPABILITY

from interaction.crossing.clients import Caller, Kind
from interaction.crossing.hubs import LEGACY_UPSTREAMS, MODERN_UPSTREAMS, PIPES
from interaction.crossing.rows import Cell, No, row
from interaction.crossing.rows_around import NOBODYS, waiting

ONLY_RESULTS = "Servers of revision 2026-07-28 ask in results only."
ROOTS_WHEN_ASKED = (
    "Not passed on, and no upstream is told that it would be. Upstreams get the roots of the moment whenever they ask."
)
SECONDS = 10
OLD = {Kind.FIRST_HTTP}
OLD_PIPES = PIPES & LEGACY_UPSTREAMS
NO_ELICITATION = "Revision 2025-03-26 has no elicitation, so the upstream is told that this client cannot be asked."
NO_TOOLS = "Revision 2025-03-26 has no tools in sampling, so the upstream is told that this client cannot be asked."


async def _asked(cell: Cell, kind: str, judge: Callable[[str, Any, dict[str, Any]], None]) -> None:
    async def one(caller: Caller) -> None:
        answer = json.loads(await caller.says(cell.tool(f"asks_{kind}")))
        asked = caller.heard.asked
        assert len(asked) == (0 if kind == "roots" else 1), "asked once"
        judge(caller.mark, asked[0] if asked else None, answer)

    await cell.principals(one)


def _cannot_be_asked(*kinds: str) -> Callable[[Cell], Any]:
    async def shown(cell: Cell) -> None:
        async def one(caller: Caller) -> None:
            for kind in kinds:
                asks = {"name": cell.tool(f"asks_{kind}"), "arguments": {"text": caller.mark}}
                refused = await caller.refused("tools/call", **asks)
                assert refused.error.code == MISSING_REQUIRED_CLIENT_CAPABILITY
            assert caller.heard.asked == []

        await cell.each(one)

    return shown


@row("elicitation by form", No(NO_ELICITATION, _cannot_be_asked("form"), clients=OLD))
async def elicitation_form(cell: Cell) -> None:
    """The user of the caller, and nobody else, is asked in the upstream's words; the call goes on with the answer."""

    def judge(mark: str, asked: Any, answer: dict[str, Any]) -> None:
        assert asked.message == f"Who, {mark}?"
        assert asked.requested_schema["properties"] == {"name": {"type": "string"}}
        assert (answer["action"], answer["content"]) == ("accept", {"name": mark})

    await _asked(cell, "form", judge)


@row("elicitation by URL", No(NO_ELICITATION, _cannot_be_asked("url"), clients=OLD))
async def elicitation_url(cell: Cell) -> None:
    """The user is sent to the upstream's own page; its URL is not changed."""

    def judge(mark: str, asked: Any, answer: dict[str, Any]) -> None:
        assert (asked.mode, asked.url, asked.message) == ("url", f"https://pay.example/{mark}", f"Pay, {mark}")
        assert answer["action"] == "accept"

    await _asked(cell, "url", judge)


@row("elicitation during `prompts/get`", No(NO_ELICITATION, _cannot_be_asked("form"), clients=OLD))
async def elicitation_in_prompt(cell: Cell) -> None:
    """Questions may come while a prompt is made, too."""

    async def one(caller: Caller) -> None:
        text, _ = (await caller.client.get_prompt(cell.tool("asks"), {"topic": caller.mark})).messages
        assert caller.mark in text.content.text
        assert len(caller.heard.asked) == 1

    await cell.principals(one)


@row("sampling")
async def sampling(cell: Cell) -> None:
    """The caller's model is asked, with text and pictures, and its answer reaches the upstream that asked."""

    def judge(mark: str, asked: Any, answer: dict[str, Any]) -> None:
        text, picture = (each.content for each in asked.messages)
        assert (text.text, picture.mime_type) == (f"What is this, {mark}?", "image/png")
        assert (asked.system_prompt, asked.max_tokens) == (f"for {mark}", 50)
        assert (answer["content"]["text"], answer["model"]) == (f"a pixel, {mark}", mark)

    await _asked(cell, "sampling", judge)


@row("sampling with tools", No(NO_TOOLS, _cannot_be_asked("sampling_tools"), clients=OLD))
async def sampling_tools(cell: Cell) -> None:
    """The tools that a model may use come along, and so does its wish to use one."""

    def judge(mark: str, asked: Any, answer: dict[str, Any]) -> None:
        assert [tool.name for tool in asked.tools] == ["weather"]
        assert asked.tool_choice.mode == "auto"
        assert answer["content"] == [
            {"type": "tool_use", "id": f"use-{mark}", "name": "weather", "input": {"city": mark}}
        ]
        assert answer["stopReason"] == "toolUse"

    await _asked(cell, "sampling_tools", judge)


@row("roots")
async def roots(cell: Cell) -> None:
    """The caller's own roots, and no others."""

    def judge(mark: str, _: Any, answer: dict[str, Any]) -> None:
        assert answer["roots"] == [{"uri": f"file:///home/{mark}", "name": mark}]

    await _asked(cell, "roots", judge)


async def _not_told_apart(cell: Cell) -> None:
    async with waiting(cell, cell.callers[2]):
        named = {"name": cell.tool("asks_roots"), "arguments": {"text": cell.callers[0].mark}}
        refused = await cell.callers[0].refused("tools/call", **named)
        assert refused.error.code == METHOD_NOT_FOUND


@row("questions of several calls at once", No(NOBODYS, _not_told_apart, clients={Kind.MODERN}, upstreams=OLD_PIPES))
async def asked_at_once(cell: Cell) -> None:
    """The same while one user makes several calls from several clients: each client is asked what its own call asks."""
    async with waiting(cell, cell.callers[2]):
        answer = json.loads(await cell.callers[0].says(cell.tool("asks_roots")))
        assert answer["roots"] == [{"uri": f"file:///home/{cell.callers[0].mark}", "name": cell.callers[0].mark}]


async def _unheard(cell: Cell) -> None:
    async def one(caller: Caller) -> None:
        named = {"name": cell.tool("asks_beside"), "arguments": {"text": caller.mark, "patience": 0.3}}
        assert (await caller.refused("tools/call", **named)).error.code != METHOD_NOT_FOUND
        assert caller.heard.asked == []

    await cell.principals(one)


@row("questions without a call", No(ONLY_RESULTS, _unheard, upstreams=MODERN_UPSTREAMS))
async def asked_beside(cell: Cell) -> None:
    """A server that does not say for which call it asks: its client is asked while a call of it is under way."""

    async def one(caller: Caller) -> None:
        assert await caller.says(cell.tool("asks_beside"), patience=SECONDS) == f"{caller.mark}, {caller.mark}"

    await cell.principals(one)


async def _not_passed_on(cell: Cell) -> None:
    async def one(caller: Caller) -> None:
        await caller.session.send_roots_list_changed()
        assert await caller.says(cell.tool("hears_roots")) == f"0, {caller.mark}"

    await cell.each(one)


@row("changed roots", No(ROOTS_WHEN_ASKED, _not_passed_on))
async def roots_changed(cell: Cell) -> None:
    """That the roots of a client have changed."""

    async def one(caller: Caller) -> None:
        await caller.session.send_roots_list_changed()
        assert await caller.says(cell.tool("hears_roots")) == f"1, {caller.mark}"

    await cell.each(one)


@row("capabilities of the client", silent=True)
async def capabilities(cell: Cell) -> None:
    """An upstream is told what this client can be asked, and no more: one that answers nothing is never asked."""
    await _cannot_be_asked("form", "url", "sampling", "sampling_tools", "roots")(cell)


ROWS = (
    elicitation_form, elicitation_url, elicitation_in_prompt, sampling, sampling_tools, roots, roots_changed,
    asked_at_once, asked_beside, capabilities,
)  # fmt: skip
