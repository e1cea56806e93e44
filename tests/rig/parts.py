"""The hub's own parts put together by hand, as the composition root does, in front of fake upstreams."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from msgspec import Raw

from mcp_hub.catalog.parts import Exposure
from mcp_hub.credentials.access import Access, Fixed
from mcp_hub.credentials.credential import NOTHING, Credential
from mcp_hub.egress.client import HttpClient
from mcp_hub.egress.dial import Dialer
from mcp_hub.gateway.ask import Ask
from mcp_hub.principal import LOCAL, Principal
from mcp_hub.secret import Secret
from mcp_hub.upstream.call import Call, Emit, Owner
from mcp_hub.upstream.carrier import Carrier
from mcp_hub.upstream.channel import Channel, Limits
from mcp_hub.upstream.credentialed import Credentialed
from mcp_hub.upstream.fetch import Fetch
from mcp_hub.upstream.known import Known, Listener
from mcp_hub.upstream.legacy import LegacyWire
from mcp_hub.upstream.modern import ModernWire
from mcp_hub.upstream.settings import Settings
from mcp_hub.upstream.upstream import Upstream
from mcp_hub.upstream.wires import Wires, http_way
from mcp_hub.wire.eras import META_CLIENT_CAPABILITIES, META_CLIENT_INFO, META_VERSION, Client, Era
from mcp_hub.wire.jsonrpc import Fields, Json
from rig.fake_upstream import LEGACY, MODERN, FakeUpstream

INFO = Raw(b'{"name":"hub","version":"1"}')
LIMITS = Limits(result=200_000, event=10_000, first_byte=4.0, listing=4.0)
ALICE = Principal("idp", "alice")
BOB = Principal("idp", "bob")
MODERN_CLIENT = Client(Era.MODERN, MODERN, Raw(b"{}"), Raw(b'{"name":"test client","version":"1"}'))
LEGACY_CLIENT = Client(Era.LEGACY, LEGACY, Raw(b"{}"), Raw(b'{"name":"old client","version":"1"}'))
LOOPBACK = [ip_network("127.0.0.0/8")]


def fields_of(members: Json) -> Fields:
    """Members as a caller's request brings them: each still encoded."""
    return {key: Raw(json.dumps(each).encode()) for key, each in members.items()}


def modern_meta(**more: Any) -> Fields:
    """The `_meta` of a modern request."""
    meta = {META_VERSION: MODERN, META_CLIENT_CAPABILITIES: {}, META_CLIENT_INFO: {"name": "test client"}}
    return fields_of({**meta, **more})


def bearer(token: str) -> Credential:
    """A credential of one header."""
    return Credential({"Authorization": Secret(f"Bearer {token}")})


@dataclass
class Stream:
    """Where the notifications for a caller go."""

    heard: list[Json] = field(default_factory=list)

    async def emit(self, notification: bytes) -> None:
        self.heard.append(json.loads(notification))


def tool_call(
    name: str = "echo",
    *,
    client: Client = MODERN_CLIENT,
    owner: Owner = ("principal", "alice"),
    emit: Emit | None = None,
    meta: Fields | None = None,
    method: str = "tools/call",
    **more: Any,
) -> Call:
    """A call of a tool, or of another method, as the road makes it."""
    given = modern_meta() if client.era is Era.MODERN else {}
    member = "uri" if method == "resources/read" else "name"
    params = more.pop("params", fields_of({member: name, "arguments": {"n": 1}}))
    return Call(
        owner=owner,
        client=client,
        method=method,
        params=params,
        meta=given if meta is None else meta,
        emit=emit or Stream().emit,
        name=name,
        repeatable=method != "tools/call",
        **more,
    )


def door(**more: Any) -> HttpClient:
    """The client of the forwarding path, allowed to reach loopback."""
    return HttpClient(Dialer(allow_private=LOOPBACK), **more)


@asynccontextmanager
async def channel_to(fake: FakeUpstream, limits: Limits = LIMITS, path: str = "") -> AsyncIterator[Channel]:
    """A channel to a fake upstream."""
    http = door()
    try:
        yield Channel("up", fake.url + path, http, limits)
    finally:
        await http.aclose()


@asynccontextmanager
async def wires_to(fake: FakeUpstream, limits: Limits = LIMITS, **legacy: Any) -> AsyncIterator[Wires]:
    """Both wires to a fake upstream."""
    async with channel_to(fake, limits) as channel:
        wires = Wires(channel, ModernWire(channel), LegacyWire(channel, **legacy))
        yield wires
        async with asyncio.timeout(5):
            await wires.legacy.aclose()


def settings_for(fake: FakeUpstream, **more: Any) -> Settings:
    """An upstream's settings."""
    given = {"pinned": None, "ttl": 60.0, "listing": 4.0, "info": INFO}
    return Settings(**{"name": fake.name, "url": fake.url, **given, **more})


def fetch_from(wires: Wires, **more: Any) -> Fetch:
    """How to list an upstream over these wires."""
    return Fetch("up", bearing(wires, more.pop("credential", NOTHING)), INFO, more.pop("deadline", 4.0), **more)


def bearing(carrier: Carrier, credential: Credential = NOTHING) -> Credentialed:
    """The same way, with this credential on everything."""
    return Credentialed(carrier, Fixed(credential))


class Journal:
    """A listener that remembers what it was told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Known, bool]] = []
        self._condition = asyncio.Condition()
        self._told = asyncio.Event()

    def changed(self, name: str, known: Known, *, new_part: bool) -> None:
        self.told.append((name, known, new_part))
        self._told.set()

    async def until(self, reached: Any) -> None:
        """Wait until `reached()` holds, looking whenever something was told."""
        async with asyncio.timeout(5):
            while not reached():
                self._told.clear()
                await self._told.wait()


def upstream_to(
    fake: FakeUpstream,
    http: HttpClient,
    listeners: Sequence[Listener] = (),
    limits: Limits = LIMITS,
    *,
    credential: Credential = NOTHING,
    access: Access | None = None,
    partition: bytes = b"",
    **more: Any,
) -> Upstream:
    """An upstream that nobody runs yet."""
    kept = {key: more.pop(key) for key in ("known", "clock", "sweep", "notices", "prepare") if key in more}
    settings = settings_for(fake, **more)
    channel = Channel(fake.name, settings.url, http, limits, partition)
    way = http_way(channel, kept.get("clock", time.monotonic))
    return Upstream(settings, access or Fixed(credential), way, listeners, **kept)


@asynccontextmanager
async def running(*upstreams: Upstream) -> AsyncIterator[None]:
    """Run them, and end them as the hub does."""
    tasks = [asyncio.ensure_future(each.run()) for each in upstreams]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        async with asyncio.timeout(5):
            await asyncio.gather(*(each.aclose() for each in upstreams))


def ask(
    method: str,
    params: Json | None = None,
    *,
    client: Client = MODERN_CLIENT,
    caller: Principal = LOCAL,
    emit: Emit | None = None,
    meta: Fields | None = None,
    **more: Any,
) -> Ask:
    """A request as the inbound side hands it over."""
    given = modern_meta() if client.era is Era.MODERN else {}
    return Ask(
        caller=caller,
        client=client,
        method=method,
        params=fields_of(params or {}),
        meta=given if meta is None else meta,
        emit=emit or Stream().emit,
        **more,
    )


def exposed(*fakes: FakeUpstream, **more: Any) -> dict[str, Exposure]:
    """Each under its own name."""
    return {fake.name: Exposure(fake.name, fake.name.title(), fake.name, **more) for fake in fakes}
