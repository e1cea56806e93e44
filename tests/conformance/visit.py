"""One scenario of the suite's client leg: a hub in front of its server, a person at a browser, a client that calls.

The hub is told as little as an admin can tell it: the address alone, wherever that is enough. Where authorization is
tried, the client calls a tool and goes where the hub sends it, by whichever form of the link its revision has, until
the tool answers or no link leads on. Elsewhere it calls every tool there is.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import httpx2
from mcp import Client, MCPError
from mcp_types import ElicitRequestFormParams, ElicitRequestParams, ElicitRequestURLParams, ElicitResult, Tool
from pydantic import ValidationError

from rig import hub_here
from rig.browser import ADA, Browser, Stuck, connect

AUTH = "auth/"
OLDEST, MODERN = "2025-03-26", "2026-07-28"
TOOL = "suite__test-tool"
DOCUMENT = "https://conformance-test.local/client-metadata.json"
MOST = 6
"""How often the person follows a link before they lose patience; the suite allows three."""
LINK = re.compile(r"http://127\.0\.0\.1:\d+/connect/suite\b")
URL_WANTED = -32042


class End(StrEnum):
    """How a visit ends."""

    ANSWERED = "answered"
    REFUSED = "refused"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the suite tells a client."""

    name: str
    revision: str
    url: str
    context: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Visit:
    """How it ended, what was said last, and how often the person was sent to the browser."""

    end: End
    said: str
    links: int


async def visit(scenario: Scenario) -> Visit:
    """Start a hub in front of the scenario's server, and use it."""
    config = f"version: 1\nnetwork: {{allow_private: [127.0.0.0/8, '::1/128']}}\nupstreams: {await _declared(scenario)}"
    mode = "auto" if scenario.revision >= MODERN else "legacy"
    async with hub_here.serving(config) as hub, Browser() as browser:
        if not scenario.name.startswith(AUTH):
            async with Client(hub.url, mode=mode, elicitation_callback=_defaults) as client:
                return await _calls_all(client, scenario.context)
        person = _Person(browser)
        asked = None if scenario.revision == OLDEST else person.asked
        async with Client(hub.url, mode=mode, elicitation_callback=asked) as client:
            return Visit(await person.calls(client), person.heard, person.links)


async def _calls_all(client: Client, given: Mapping[str, Any]) -> Visit:
    """Call every tool once, or as the suite wants it; what comes of that is judged there alone."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    calls = [(f"suite__{each['name']}", each["arguments"]) for each in given.get("toolCalls", [])]
    for name, arguments in calls or [(name, _arguments(name, tools)) for name in tools]:
        with suppress(MCPError, ValidationError):  # some tools fail, or answer what no client understands
            await client.call_tool(name, arguments)
    return Visit(End.ANSWERED, "", 0)


def _arguments(name: str, tools: Mapping[str, Tool]) -> dict[str, Any]:
    if name.endswith("json_schema_echo"):
        return {"schema": tools["suite__json_schema_2020_12_tool"].input_schema}
    return {"a": 2, "b": 3}


async def _defaults(_context: object, told: ElicitRequestParams) -> ElicitResult:
    """Agree to what the form says already."""
    assert isinstance(told, ElicitRequestFormParams)
    fields: Mapping[str, Any] = told.requested_schema.get("properties", {})
    return ElicitResult(
        action="accept", content={name: each["default"] for name, each in fields.items() if "default" in each}
    )


async def _declared(scenario: Scenario) -> str:
    """The upstream as an admin declares it, in YAML."""
    given = scenario.context
    if scenario.name.startswith("auth/client-credentials"):
        proof = f"private_key: {_text(given['private_key_pem'])}" if "private_key_pem" in given else _secret(given)
        issuer = await _issuer(scenario.url)
        auth = f"{{type: client_credentials, issuer: '{issuer}', client_id: '{given['client_id']}', {proof}}}"
    elif "client_id" in given:
        auth = f"{{type: oauth, client_id: '{given['client_id']}', {_secret(given)}}}"
    elif scenario.name == "auth/basic-cimd":
        auth = f"{{type: oauth, document_url: '{DOCUMENT}'}}"
    else:
        return f"{{suite: {{url: '{scenario.url}'}}}}"
    return f"{{suite: {{url: '{scenario.url}', auth: {auth}}}}}"


def _secret(given: Mapping[str, Any]) -> str:
    return f"client_secret: '{given['client_secret']}'"


def _text(value: str) -> str:
    return '"' + value.replace("\n", "\\n") + '"'


async def _issuer(url: str) -> str:
    """The authorization server that an admin finds in the documentation; the suite's has none, so its metadata."""
    origin = url.removesuffix("/mcp")
    async with httpx2.AsyncClient(trust_env=False) as http:
        told = await http.get(f"{origin}/.well-known/oauth-protected-resource/mcp")
    return told.json()["authorization_servers"][0]


@dataclass
class _Person:
    """Somebody with a client and a browser."""

    browser: Browser
    heard: str = ""
    links: int = 0
    opened: list[str] = field(default_factory=list)

    async def calls(self, client: Client) -> End:
        """Call until there is an answer; then the tool is listed, and answers again."""
        for _ in range(MOST):
            link = await self._call(client)
            if link is None:
                break
            if not await self.opens(link):
                return End.REFUSED
        if self.heard != "test":
            return End.REFUSED
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert TOOL in names, f"it answers, but {names} are listed"
        return End.ANSWERED

    async def _call(self, client: Client) -> str | None:
        """Call the tool, and give the link that comes in place of an answer."""
        try:
            result = await client.call_tool(TOOL, {})
        except MCPError as error:
            self.heard = str(error)
            told = error.data if isinstance(error.data, dict) else {}
            wanted = told.get("elicitations", [{}]) if error.code == URL_WANTED else [{}]
            return wanted[0].get("url")
        self.heard = "".join(getattr(block, "text", "") for block in result.content)
        found = LINK.search(self.heard) if result.is_error else None
        return found and found[0]

    async def asked(self, _context: object, told: ElicitRequestParams) -> ElicitResult:
        """As a client does it: with the user's consent it opens the page, and says so."""
        assert isinstance(told, ElicitRequestURLParams), "secrets and links are never asked for in a form"
        done = self.links < MOST and await self.opens(told.url)
        return ElicitResult(action="accept" if done else "cancel")

    async def opens(self, link: str) -> bool:
        """Open the page and go where its button leads. Whether that ended well."""
        self.links += 1
        try:
            page = await connect(self.browser, link, ADA)
        except Stuck as stuck:
            self.heard = str(stuck)
            return False
        self.heard = str(page)
        return page.status < 400
