"""One upstream over Streamable HTTP: requests in both eras, and the streams on which it tells of changes.

Source: MCP 2026-07-28 and 2025-11-25, basic/transports.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from msgspec import Raw

from mcp_hub.credentials.credential import Credential
from mcp_hub.egress.response import Response
from mcp_hub.upstream.answer import content_type, require_well
from mcp_hub.upstream.call import Call, Owner
from mcp_hub.upstream.carrier import CATALOG_OWNER, Ear, NoStream, Overheard, Told, Way
from mcp_hub.upstream.channel import Channel
from mcp_hub.upstream.legacy import LegacyWire, Session
from mcp_hub.upstream.modern import ModernWire, head_lines, own_meta
from mcp_hub.upstream.stream import messages
from mcp_hub.wire.eras import Client, Era
from mcp_hub.wire.jsonrpc import Json, Message, Reply, encode, request

LISTEN: Final = "subscriptions/listen"
QUIET: Final = 300.0
"""Seconds without a byte after which a stream is taken for dead."""
_OK: Final = 200
_UNAUTHORIZED: Final = 401
_FAILED: Final = 500


def http_way(channel: Channel, clock: Callable[[], float] = time.monotonic) -> Way:
    """The way over Streamable HTTP."""

    def carrier(ear: Ear) -> Wires:
        return Wires.over(channel, clock, ear)

    return carrier


@dataclass(frozen=True, slots=True)
class Wires:
    """Both ways of speaking to one upstream over HTTP: a `Carrier`."""

    channel: Channel
    modern: ModernWire
    legacy: LegacyWire
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @classmethod
    def over(cls, channel: Channel, clock: Callable[[], float] = time.monotonic, ear: Ear | None = None) -> "Wires":
        """Both over the same channel."""
        heard = None if ear is None else ear.overheard
        return cls(channel, ModernWire(channel), LegacyWire(channel, clock, heard=heard))

    def send(self, era: Era, call: Call, credential: Credential) -> Awaitable[Reply]:
        """See `Carrier.send`."""
        return (self.modern if era is Era.MODERN else self.legacy).send(call, credential)

    async def opened(self, owner: Owner, client: Client, credential: Credential) -> Json:
        """See `Carrier.opened`."""
        return (await self.legacy.session(owner, client, credential)).opened

    @asynccontextmanager
    async def listen(self, wanted: Json, client: Client, credential: Credential) -> AsyncGenerator[Told]:
        """See `Carrier.listen`."""
        meta = Raw(encode(own_meta(client)))
        body = request(next(self._numbers), LISTEN, {"notifications": Raw(encode(wanted)), "_meta": meta})
        response = await self.channel.post(body, head_lines(LISTEN, None, {}), credential, repeatable=True)
        async with self._reading(response) as told:
            yield told

    @asynccontextmanager
    async def overhear(self, client: Client, credential: Credential) -> AsyncGenerator[Overheard]:
        """See `Carrier.overhear`: on the session's GET stream."""
        session = await self.legacy.session(CATALOG_OWNER, client, credential)
        response = await self.channel.get(session.lines, credential)
        async with self._reading(response) as told, aclosing(self._answering(session, told)) as heard:
            yield Overheard(session, heard)

    async def end(self, owner: Owner) -> None:
        """See `Carrier.end`."""
        await self.legacy.end(owner)

    async def end_others(self, credential: Credential | None) -> None:
        """See `Carrier.end_others`."""
        await self.legacy.end_others(credential)

    async def end_idle(self, spared: Owner) -> None:
        """See `Carrier.end_idle`."""
        await self.legacy.end_idle(spared)

    async def aclose(self) -> None:
        """See `Carrier.aclose`."""
        await self.legacy.aclose()

    @asynccontextmanager
    async def _reading(self, response: Response) -> AsyncGenerator[AsyncIterator[list[Message]]]:
        name = self.channel.name
        try:
            if response.status == _UNAUTHORIZED or response.status >= _FAILED:
                require_well(name, response)
            if response.status != _OK or content_type(response) != b"text/event-stream":
                raise NoStream
            async with aclosing(messages(name, response, self.channel.limits.event, QUIET)) as told:
                yield told
        finally:
            response.close()

    async def _answering(self, session: Session, told: Told) -> AsyncGenerator[list[Message]]:
        async for several in told:
            for message in several:
                if message.is_request:
                    await self.legacy.answer(session, message)
            yield several
