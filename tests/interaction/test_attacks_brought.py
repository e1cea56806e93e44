"""Attacks on headers that callers bring for an upstream: it gets the configured value of its caller, and no more."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcp_hub.identity.accounts import local_account
from mcp_hub.identity.events import OPERATOR, Events
from mcp_hub.identity.personal import PersonalTokens
from mcp_hub.identity.scopes import USE
from mcp_hub.store.sqlite import SqliteStore
from rig.echoing import echoing
from rig.fake_upstream import MODERN, FakeUpstream, Request
from rig.hub_here import HubHere, serving

PLANTED = "planted-c0ffee"
ALWAYS = {
    "host", "accept-encoding", "content-type", "accept", "content-length", "mcp-protocol-version", "mcp-method",
    "mcp-name",
}  # fmt: skip
"""What the specification has a client of this era send."""


@dataclass
class World:
    """A hub with a login, and three upstreams that remember what they got: two want a header of the caller's."""

    hub: HubHere
    docs: FakeUpstream
    billing: FakeUpstream
    plain: FakeUpstream
    tokens: dict[str, str]

    @property
    def all(self) -> list[FakeUpstream]:
        return [self.docs, self.billing, self.plain]

    def called(self, fake: FakeUpstream) -> list[Request]:
        return [each for each in fake.seen if each.method == "tools/call"]

    async def call(self, upstream: str, *lines: bytes, who: str = "ada") -> tuple[int, bytes]:
        """A call with these lines in its head, as they are; the status of the answer and all of its bytes."""
        meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
        params = {"name": f"{upstream}__echo", "arguments": {}, "_meta": meta}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
        head = [
            b"POST /mcp HTTP/1.1",
            f"Host: {self.hub.base.removeprefix('http://')}".encode(),
            f"Authorization: Bearer {self.tokens[who]}".encode(),
            b"Content-Type: application/json",
            b"Accept: application/json, text/event-stream",
            b"Connection: close",
            f"MCP-Protocol-Version: {MODERN}".encode(),
            b"Mcp-Method: tools/call",
            f"Mcp-Name: {upstream}__echo".encode(),
            b"Content-Length: %d" % len(body),
            *lines,
        ]
        port = int(self.hub.base.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(10):
            writer.write(b"\r\n".join(head) + b"\r\n\r\n" + body)
            answer = await reader.read()
        writer.close()
        return int(answer.split(b" ", 2)[1]), answer


def _config(docs: FakeUpstream, billing: FakeUpstream, plain: FakeUpstream) -> str:
    return f"""\
login: {{type: local}}
network: {{allow_private: [127.0.0.0/8]}}
upstreams:
  docs:
    url: {docs.url}
    headers: {{X-Configured: of the operator}}
    auth: {{type: header, name: X-Api-Key, from: X-Docs-Key}}
  billing: {{url: '{billing.url}', auth: {{type: header, name: Authorization, scheme: Bearer, from: X-Billing-Key}}}}
  plain: {{url: '{plain.url}', auth: none}}
"""


async def _people(file: Path) -> dict[str, str]:
    """Two accounts in the store, and a personal token of each."""
    store = SqliteStore.open(file)
    events = Events(store)
    tokens: dict[str, str] = {}
    for name in ("ada", "bob"):
        user = local_account(f"{name}@example.com", None, frozenset({"user"}), time.time())
        await store.add_user(user)
        _, secret = await PersonalTokens(store, events).create(user, "test", None, frozenset({USE}), actor=OPERATOR)
        tokens[name] = secret.open()
    await events.aclose()
    await store.aclose()
    return tokens


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    file = tmp_path / "hub.db"
    tokens = await _people(file)
    async with (
        echoing("docs") as docs,
        echoing("billing") as billing,
        echoing("plain") as plain,
        serving(_config(docs, billing, plain), store=f"sqlite:///{file}") as hub,
    ):
        yield World(hub, docs, billing, plain, tokens)


def _bytes(fake: FakeUpstream) -> bytes:
    """All that an upstream could have read of all requests."""
    lines = ["".join(f"{name}: {value}\r\n" for name, value in each.lines).encode() + each.body for each in fake.seen]
    return b"".join(lines)


@pytest.mark.promise("B14", "B22")
async def test_each_upstream_gets_its_own_header_of_its_own_caller_and_no_other_one(world: World):
    adas, bobs = (b"X-Docs-Key: ada-docs-key", b"X-Billing-Key: ada-billing-key"), (b"X-Docs-Key: bob-docs-key",)
    for upstream in ("docs", "billing", "plain"):
        status, answer = await world.call(upstream, *adas)
        assert status == 200, answer
    status, _ = await world.call("docs", *bobs, who="bob")
    assert status == 200
    assert [each.headers["x-api-key"] for each in world.called(world.docs)] == ["ada-docs-key", "bob-docs-key"]
    assert [each.headers["authorization"] for each in world.called(world.billing)] == ["Bearer ada-billing-key"]
    assert b"billing-key" not in _bytes(world.docs)
    assert b"docs-key" not in _bytes(world.billing)
    assert b"-key" not in _bytes(world.plain)
    assert b"bob-docs-key" not in b"".join(_bytes(each) for each in (world.billing, world.plain))


@pytest.mark.promise("T12")
async def test_beside_the_configured_header_an_upstream_gets_not_one_of_the_callers(world: World):
    tricks = [
        *(f"{name}: {PLANTED}".encode() for name in (
            "Cookie", "Proxy-Authorization", "X-Api-Key", "X-Configured", "X-Forwarded-For", "X-Forwarded-Host",
            "Forwarded", "Via", "X-Real-IP", "Mcp-Session-Id", "Mcp-Other", "Last-Event-ID", "X_Docs_Key",
            "X-Docs-Key-2", "User-Agent",
        )),
        b"X-Docs-Key: ada-docs-key",
    ]  # fmt: skip
    status, answer = await world.call("docs", *tricks)
    assert status == 200, answer
    (called,) = world.called(world.docs)
    names = [name for name, _ in called.lines]
    assert len(names) == len(set(names)), "no header stands twice"
    assert set(names) == ALWAYS | {"x-api-key", "x-configured"}
    assert (called.headers["x-api-key"], called.headers["x-configured"]) == ("ada-docs-key", "of the operator")
    assert PLANTED.encode() not in b"".join(map(_bytes, world.all))


@pytest.mark.promise("T13")
async def test_what_the_caller_signs_in_with_reaches_no_upstream(world: World):
    token = world.tokens["ada"].encode()
    for upstream in ("docs", "billing", "plain"):
        await world.call(upstream, b"X-Docs-Key: ada-docs-key", b"X-Billing-Key: ada-billing-key")
        await world.call(upstream)
    assert world.called(world.docs)
    for fake in world.all:
        assert token not in _bytes(fake)
        assert token[-20:] not in _bytes(fake)


@pytest.mark.promise("B14", "B20")
async def test_who_brings_nothing_is_told_which_header_and_nothing_is_sent(world: World):
    await world.call("docs", b"X-Docs-Key: ada-docs-key")
    before = len(world.docs.seen)
    for who, lines in (("ada", ()), ("bob", (b"X-Billing-Key: bob-billing-key",))):
        _, answer = await world.call("docs", *lines, who=who)
        assert b"x-docs-key" in answer
    assert len(world.docs.seen) == before, "ada's key of the request before is not used, for her or for bob"


@pytest.mark.promise("T11")
async def test_a_value_that_cannot_be_handed_on_is_a_bad_request_and_reaches_nobody(world: World):
    odd = [b"\0", b"\x01", b"\x1b", b"\x7f", b"\x80", b"\xc3\xa4", b"\rX-Evil: 1", b"x" * 9000]
    for each in odd:
        status, answer = await world.call("docs", b"X-Docs-Key: ada" + each + b"key")
        assert status == 400, answer
        assert b"ada" not in answer
    assert b"ada" not in b"".join(map(_bytes, world.all))


@pytest.mark.promise("T11")
async def test_a_line_break_in_a_value_begins_a_header_of_the_callers_which_goes_nowhere(world: World):
    for value in (b"ada%0d%0aX-Evil: 1", b"ada\r\nX-Evil: 1", b"ada\r\n X-Evil: 1", b"ada\nX-Evil: 1"):
        status, answer = await world.call("docs", b"X-Docs-Key: " + value)
        assert status in (200, 400), answer
    for called in world.docs.seen:
        assert "x-evil" not in called.headers
    sent = {each.headers["x-api-key"] for each in world.called(world.docs)}
    assert sent <= {"ada%0d%0aX-Evil: 1", "ada"}


@pytest.mark.promise("T12")
async def test_two_values_of_one_header_are_a_bad_request(world: World):
    status, answer = await world.call("docs", b"X-Docs-Key: ada-one", b"x-docs-key: ada-two")
    assert status == 400
    assert b"more than once" in answer
    assert b"ada" not in b"".join(map(_bytes, world.all))
