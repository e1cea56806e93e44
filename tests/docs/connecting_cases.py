"""The errors of docs/troubleshooting.md that tell a user to connect: each happens in a hub here."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2

from mcp_hub.config.model import OwnHeader
from mcp_hub.credentials.claimed import claimed_access
from mcp_hub.errors import ConnectionNeeded
from mcp_hub.principal import LOCAL, Principal
from mcp_hub.secret import Secret
from rig.fake_upstream import Answer, FakeUpstream, Request
from rig.granted import PLACE, connected, keeping, refusal
from rig.hub_here import HubHere, serving
from rig.misbehaving_as import MisbehavingAS

MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}


async def called(auth: str, *, pastes: str = "", refuses: bool = False, **headers: str) -> str:
    """What a call says of an upstream whose callers are known to it in this way."""
    async with FakeUpstream(name="docs") as fake:
        if refuses:
            fake.before = refuse
        config = (
            "network: {allow_private: [127.0.0.0/8]}\n"
            f"upstreams:\n  docs:\n    url: {fake.url}\n    auth: {{type: header, name: X-Key, {auth}}}\n"
        )
        async with serving(config) as hub:
            if pastes:
                await hub.app._running.connections.paste(LOCAL, "docs", Secret(pastes))
            return await said(hub, **headers)


async def refuse(request: Request) -> Answer:
    del request
    return Answer(status=401)


async def said(hub: HubHere, **headers: str) -> str:
    lines = {"MCP-Protocol-Version": MODERN, "Accept": "application/json, text/event-stream"}
    lines |= {"Mcp-Method": "tools/call", "Mcp-Name": "docs__echo", **headers}
    params = {"name": "docs__echo", "arguments": {}, "_meta": META}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer: Any = (await client.post(hub.url, json=body, headers=lines)).json()
    return json.dumps(answer["result"]["content"][0]["text"])


async def granted(challenge: str, status: int) -> str:
    """What a user is told whose grant an upstream refuses, although its token was just renewed."""
    async with MisbehavingAS() as server, keeping() as keeper:
        await connected(keeper, server)
        access = keeper.access()
        try:
            credential = await access.refused(await access.credential(), refusal(status, challenge))
            await access.refused(credential, refusal(status, challenge))
        except ConnectionNeeded as need:
            return need.public
    raise AssertionError("nobody has to act")


async def unclaimed() -> str:
    """What a caller is told of whom a server is to know what the hub does not know."""
    try:
        await claimed_access(Principal("idp", "ada"), PLACE, OwnHeader("X-User", "claim", "email")).credential()
    except ConnectionNeeded as need:
        return need.public
    raise AssertionError("nobody has to act")


CASES: dict[str, Callable[[object], Awaitable[str]]] = {
    "NAME is not connected for USER.": lambda _: called("per_user: true"),
    "NAME does not accept the key that you pasted for it.": lambda _: called(
        "per_user: true", pastes="another-key", refuses=True
    ),
    "NAME needs a credential of your own, which your client sends in the header HEADER.": lambda _: called(
        "from: X-My-Key"
    ),
    "NAME refused what your client sends in the header HEADER.": lambda _: called(
        "from: X-My-Key", refuses=True, **{"X-My-Key": "another"}
    ),
    "NAME is told the KEY of its callers, and that of USER is not known.": lambda _: unclaimed(),
    "NAME asks for more than USER allowed": lambda _: granted('Bearer error="insufficient_scope", scope="write"', 403),
    "It refuses the access that it was given": lambda _: granted("Bearer", 401),
}
