"""Which transport does this upstream speak over HTTP? Tried, and kept until it proves wrong.

Rule: only an answer proves anything. What `initialize` comes to over Streamable HTTP proves:

    a session                                      Streamable HTTP
    4xx, then GET opens a stream with an address   HTTP+SSE
    4xx, then GET does not                         neither: told, and tried again with the next contact
    401, 403, 429, 5xx, nothing in time            nothing: raised, and not remembered

Source: MCP 2025-11-25, basic/transports "Backwards Compatibility".
"""

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import final

from mcp_hub.credentials.credential import Credential
from mcp_hub.upstream.answer import NotModern, SessionGone
from mcp_hub.upstream.call import Call, Owner
from mcp_hub.upstream.carrier import Ear, Overheard, Told, Way
from mcp_hub.upstream.channel import Channel
from mcp_hub.upstream.event_line import NotThisTransport
from mcp_hub.upstream.older import Streams
from mcp_hub.upstream.wires import Wires
from mcp_hub.wire.eras import Client, Era
from mcp_hub.wire.jsonrpc import Json, Reply


def found_way(channel: Channel, clock: Callable[[], float] = time.monotonic, *, is_older: bool | None = None) -> Way:
    """The way over HTTP. `is_older` pins the transport: HTTP+SSE or not; `None` finds out."""

    def carrier(ear: Ear) -> Transports:
        return Transports.over(channel, clock, ear, is_older=is_older)

    return carrier


@final
class Transports:
    """A `Carrier` over whichever of the two it is. `is_older` is `None` while that is not known."""

    def __init__(self, wires: Wires, streams: Streams, *, is_older: bool | None = None) -> None:
        self.is_older = is_older
        self._pinned = is_older
        self._wires = wires
        self._streams = streams

    @classmethod
    def over(
        cls,
        channel: Channel,
        clock: Callable[[], float] = time.monotonic,
        ear: Ear | None = None,
        *,
        is_older: bool | None = None,
    ) -> "Transports":
        """Both over the same channel."""
        return cls(Wires.over(channel, clock, ear), Streams(channel, clock, ear), is_older=is_older)

    def send(self, era: Era, call: Call, credential: Credential) -> Awaitable[Reply]:
        """See `Carrier.send`."""
        if era is Era.MODERN or self.is_older is False:
            return self._wires.send(era, call, credential)
        return self._send(era, call, credential)

    async def opened(self, owner: Owner, client: Client, credential: Credential) -> Json:
        """See `Carrier.opened`."""
        if self.is_older:
            return await self._opened_stream(owner, client, credential)
        try:
            opened = await self._wires.opened(owner, client, credential)
        except (NotModern, SessionGone):
            if self._pinned is False:
                raise
            opened = await self._opened_stream(owner, client, credential)
            self.is_older = True
        else:
            self.is_older = False
        return opened

    def listen(self, wanted: Json, client: Client, credential: Credential) -> AbstractAsyncContextManager[Told]:
        """See `Carrier.listen`."""
        return self._wires.listen(wanted, client, credential)

    def overhear(self, client: Client, credential: Credential) -> AbstractAsyncContextManager[Overheard]:
        """See `Carrier.overhear`."""
        return (self._streams if self.is_older else self._wires).overhear(client, credential)

    async def end(self, owner: Owner) -> None:
        """See `Carrier.end`."""
        await self._wires.end(owner)
        await self._streams.end(owner)

    async def end_others(self, credential: Credential | None) -> None:
        """See `Carrier.end_others`."""
        await self._wires.end_others(credential)
        await self._streams.end_others(credential)

    async def end_idle(self, spared: Owner) -> None:
        """See `Carrier.end_idle`."""
        await self._wires.end_idle(spared)
        await self._streams.end_idle(spared)

    async def aclose(self) -> None:
        """See `Carrier.aclose`."""
        await self._wires.aclose()
        await self._streams.aclose()

    async def _send(self, era: Era, call: Call, credential: Credential) -> Reply:
        if self.is_older is None:
            await self.opened(call.owner, call.client, credential)
        if not self.is_older:
            return await self._wires.send(era, call, credential)
        try:
            return await self._streams.send(call, credential)
        except NotThisTransport:
            self._forget()
            raise

    async def _opened_stream(self, owner: Owner, client: Client, credential: Credential) -> Json:
        try:
            return await self._streams.opened(owner, client, credential)
        except NotThisTransport:
            self._forget()
            raise

    def _forget(self) -> None:
        self.is_older = self._pinned
