"""Attacks by refusals: what an upstream writes into `WWW-Authenticate`, through a whole hub and its own door."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

import httpx2
import pytest

from rig.fake_upstream import Answer, FakeUpstream, Request
from rig.hub_here import serving
from rig.places import Places

MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}, "url": {}}},
}
SECRET = "CANARY-7531"
MIB = 2**20


class Elsewhere(FakeUpstream):
    """An upstream at 127.0.0.2: there, and nowhere else on this computer, the operator lets the hub go."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.2", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.2:{self.port}/mcp"


@dataclass
class Scene:
    """A hub with a good upstream and a bad one, and a canary that nobody may reach."""

    url: str
    bad: Elsewhere
    canary: Places

    async def ask(self, method: str, **params: Any) -> Any:
        """One modern request, by a client that would open addresses."""
        head = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method, "Accept": "application/json, text/event-stream"}
        if "name" in params:
            head["Mcp-Name"] = params["name"]
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}
        async with httpx2.AsyncClient(trust_env=False, timeout=10) as client:
            return (await client.post(self.url, json=body, headers=head)).json()


@asynccontextmanager
async def scene(answer: Answer, credential: str = "", *, allowed: str = "127.0.0.2/32") -> AsyncIterator[Scene]:
    async with (
        asyncio.timeout(20),
        Elsewhere(name="good") as good,
        Elsewhere(name="bad") as bad,
        Places("127.0.0.1") as canary,
    ):
        lines = {name: value.replace("CANARY-ORIGIN", canary.origin) for name, value in answer.headers.items()}
        said = replace(answer, headers=lines)

        async def refuse(request: Request) -> Answer:
            return said

        bad.before = refuse
        config = (
            f"network: {{allow_private: [{allowed}]}}\n"
            f"upstreams:\n  good: {{url: '{good.url}'}}\n  bad: {{url: '{bad.url}'{credential}}}\n"
        )
        async with serving(config) as hub:
            yield Scene(hub.url, bad, canary)


def refusal(challenge: str, status: int = 401) -> Answer:
    return Answer(f'{{"said": "{SECRET}"}}'.encode(), status, headers={"www-authenticate": challenge})


def endless(size: int, piece: bytes) -> Answer:
    head = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n"
    return Answer(raw=head + piece * max(1, size // len(piece)) + b"\r\n\r\n", hangs_up=True)


INWARD = {
    "metadata inside": refusal(f'Bearer resource_metadata="CANARY-ORIGIN/x?{SECRET}"'),
    "metadata inside, in another spelling": refusal(f"bEaReR  RESOURCE_METADATA=CANARY-ORIGIN/{SECRET} , scope=a"),
    "two addresses": refusal(f'Bearer resource_metadata="CANARY-ORIGIN/1", resource_metadata="CANARY-ORIGIN/{SECRET}"'),
    "another scheme's": refusal(f'Basic realm="Bearer resource_metadata=CANARY-ORIGIN/{SECRET}"'),
    "more scopes, and a page inside": refusal(
        f'Bearer error="insufficient_scope", scope="{SECRET}", resource_metadata="CANARY-ORIGIN/"', 403
    ),
}
SWOLLEN = {
    "one header of 10 MB": endless(10 * MIB, b"WWW-Authenticate: Bearer scope=" + b"a" * 10 * MIB),
    "10 MB of headers": endless(10 * MIB, b"WWW-Authenticate: Bearer realm=x\r\n"),
    "60 KB of quotes": refusal("Bearer " + 'a="' * 20_000),
    "60 KB of commas": refusal("Bearer " + "," * 60_000),
    "control characters": Answer(
        raw=b'HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer scope="\x00\x1b[2J\x7f"\r\n\r\n',
        hangs_up=True,
    ),
    "a second header in it": Answer(
        raw=b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer\r\n Set-Cookie: a=b\r\n\r\n",
        hangs_up=True,
    ),
}
ATTACKS = {**INWARD, **SWOLLEN}


@pytest.mark.promise("T1", "T10", "T23", "T31", "A8")
@pytest.mark.parametrize("shared", [False, True], ids=["nothing said", "a shared credential"])
@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_refusal_leads_nowhere_and_costs_nobody_else_anything(attack, shared):
    credential = ", headers: {X-Api-Key: of-all}" if shared else ""
    async with scene(ATTACKS[attack], credential) as place:
        listed = await place.ask("tools/list")
        good = await place.ask("tools/call", name="good__echo", arguments={"n": 1})
        bad = await place.ask("tools/call", name="bad__echo", arguments={})
        assert place.canary.connections == 0
        assert place.bad.seen, "it was asked"
    assert [each["name"] for each in listed["result"]["tools"]] == ["good__echo"]
    assert not good["result"].get("isError")
    told = json.dumps([listed, bad])
    assert "bad" in listed["result"]["_meta"]["io.mcp-hub/upstreams"]
    assert SECRET not in told
    assert "127.0.0.1" not in told.replace(place.url.removesuffix("/mcp"), "")
    assert "\\u001b" not in told


@pytest.mark.promise("T1")
async def test_the_canary_would_sing_where_the_operator_lets_the_hub_go_there():
    async with scene(INWARD["metadata inside"], allowed="127.0.0.0/8") as place:
        await place.ask("tools/list")
        assert place.canary.connections > 0
