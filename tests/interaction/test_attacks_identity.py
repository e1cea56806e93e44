"""Attacks on who is who: two people at once at one hub, whose tokens change under way and are taken away."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from interaction.two_hubs import Replicas, bearer, refreshed, replicas
from rig.fake_upstream import FakeUpstream
from unit.inbound.asgi import Exchange, begin
from unit.test_app import post

USUAL = {"Accept": "application/json, text/event-stream"}
REVISION = "2025-11-25"
ABOUT = {"protocolVersion": REVISION, "capabilities": {}, "clientInfo": {"name": "plain", "version": "1"}}


@dataclass
class Caller:
    """Somebody with a client that refreshes its token now and then, and a session of the older kind."""

    hub: Replicas
    name: str
    pair: dict[str, Any]
    session: str = ""

    @property
    def http(self) -> httpx2.AsyncClient:
        return self.hub.clients[0]

    @property
    def token(self) -> str:
        return self.pair["access_token"]

    async def refresh(self) -> None:
        self.pair = (await refreshed(self.http, self.pair)).json()

    async def send(self, method: str, params: dict[str, Any], *, session: str = "") -> httpx2.Response:
        """A request in the session, which `session` may be another one in place of."""
        named = session or self.session
        lines = {"Mcp-Session-Id": named, "MCP-Protocol-Version": REVISION} if named else {}
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return await self.http.post("/mcp", json=body, headers={**USUAL, **lines, **bearer(self.token)})

    async def open(self) -> None:
        self.session = (await self.send("initialize", ABOUT)).headers["mcp-session-id"]

    async def old_call(self, number: int) -> None:
        """A call in the session; fails if the answer is not to it."""
        arguments = {"who": self.name, "number": number}
        _is_mine(await self.send("tools/call", {"name": "old__echo", "arguments": arguments}), arguments)

    async def new_call(self, number: int) -> None:
        arguments = {"who": self.name, "number": number}
        told = {"name": "new__echo", "arguments": arguments}
        _is_mine(await post(self.http, "tools/call", told, **bearer(self.token)), arguments)

    async def new_list(self, _number: int) -> None:
        answer = await post(self.http, "tools/list", **bearer(self.token))
        assert sorted(each["name"] for each in answer.json()["result"]["tools"]) == ["new__echo", "old__echo"]


def _is_mine(answer: httpx2.Response, arguments: dict[str, Any]) -> None:
    assert answer.status_code == 200, answer.text
    text = answer.text.partition("data: ")[2] or answer.text
    assert json.loads(json.loads(text)["result"]["content"][0]["text"])["arguments"] == arguments


@asynccontextmanager
async def _people(folder: Path, *upstreams: FakeUpstream) -> AsyncIterator[tuple[Replicas, Caller, Caller]]:
    async with asyncio.timeout(30), replicas(folder, *upstreams, count=1) as hub:
        ann, bob = [Caller(hub, name, await hub.pair(await hub.user(name))) for name in ("ann", "bob")]
        yield hub, ann, bob


@pytest.mark.promise("T15", "T16", "T17", "T18")
async def test_two_people_at_once_get_their_own_while_their_tokens_change(tmp_path: Path):
    async with FakeUpstream(name="new") as new, FakeUpstream(name="old", eras="legacy") as old:
        async with _people(tmp_path, new, old) as (_, ann, bob):
            for caller in (ann, bob):
                await caller.open()
                await caller.old_call(0)
            doing = [each for who in (ann, bob) for each in (who.old_call, who.new_call, who.new_list)]
            turns = itertools.islice(itertools.cycle(doing), 200)
            # The tokens change while the first calls are under way; those that were sent with the old ones count.
            calls = [asyncio.ensure_future(do(number)) for number, do in enumerate(turns)]
            await asyncio.gather(ann.refresh(), bob.refresh())
            await asyncio.gather(*calls)
            for caller in (ann, bob):
                await caller.old_call(201)
        used: dict[str, set[str]] = {"ann": set(), "bob": set()}
        for call in old.asked("tools/call"):
            used[call.message["params"]["arguments"]["who"]].add(call.headers["mcp-session-id"])
        assert used["ann"]
        assert used["bob"]
        assert used["ann"].isdisjoint(used["bob"]), "a session of one is used for the other"


@pytest.mark.promise("T19", "T20", "T17")
async def test_a_session_serves_its_owner_with_any_token_and_nobody_else_with_theirs(tmp_path: Path):
    async with _people(tmp_path) as (hub, ann, bob):
        await ann.open()
        lines = [("host", "127.0.0.1"), ("accept", "text/event-stream"), ("mcp-session-id", ann.session)]
        mine = begin(hub.hubs[0], "GET", [*lines, ("authorization", f"Bearer {ann.token}")], [b""])
        async with asyncio.timeout(5):
            await mine.started.wait()
        for method in ("GET", "DELETE"):
            stolen = begin(hub.hubs[0], method, [*lines, ("authorization", f"Bearer {bob.token}")], [b""])
            assert (await stolen.response()).status == 404
        assert (await bob.send("ping", {}, session=ann.session)).status_code == 404
        assert mine.status == 200
        assert not mine.complete
        await ann.refresh()
        assert (await ann.send("ping", {})).status_code == 200
        await _left(mine)


@pytest.mark.promise("T59", "T58")
@pytest.mark.parametrize("way", ["disabled", "removed", "signed out everywhere"])
async def test_who_may_no_longer_sign_in_loses_streams_and_calls_and_nobody_else_does(tmp_path: Path, way: str):
    async with _people(tmp_path) as (hub, ann, bob):
        streams = {}
        for caller in (ann, bob):
            await caller.open()
            lines = [
                ("host", "127.0.0.1"),
                ("accept", "text/event-stream"),
                ("authorization", f"Bearer {caller.token}"),
            ]
            session = ("mcp-session-id", caller.session)
            streams[caller.name] = [
                begin(hub.hubs[0], "GET", [*lines, session], [b""]),
                begin(hub.hubs[0], "GET", lines, [b""], path="/sse"),
            ]
            await streams[caller.name][1].until(b"session_id=")
        await _take_away(hub, way)
        async with asyncio.timeout(5):
            await asyncio.gather(*(each.response() for each in streams["ann"]))
        assert (await ann.send("ping", {})).status_code == 401
        assert (await refreshed(ann.http, ann.pair)).json()["error"] == "invalid_grant"
        assert (await bob.send("ping", {})).status_code == 200
        assert not any(each.complete for each in streams["bob"])
        for each in streams["bob"]:
            await _left(each)


async def _left(stream: Exchange) -> None:
    """Hang up, and wait until the hub has noticed."""
    stream.hung_up.set()
    assert stream.task is not None
    async with asyncio.timeout(5):
        await stream.task


async def _take_away(hub: Replicas, way: str) -> None:
    ann = await hub.store.user("u-ann")
    assert ann is not None
    if way == "disabled":
        assert await hub.store.update_user(replace(ann, disabled=True), was=ann)
    elif way == "removed":
        await hub.store.remove_user(ann.id)
    else:
        await hub.store.sign_out(ann.id)
