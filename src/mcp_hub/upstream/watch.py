"""An upstream's own announcements that its lists have changed, so that nobody waits for the end of their life.

A modern upstream is listened to by `subscriptions/listen`, a legacy one on the GET stream of the catalog's session.
Rule: nobody repeats what was announced while the stream was down, so a stream that had to be opened anew is itself
taken for an announcement (MCP 2026-07-28, basic/patterns/subscriptions).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from itertools import count
from typing import Final, cast, final

from msgspec import Raw

from mcp_hub.credentials.credential import Credential
from mcp_hub.egress.errors import EgressError
from mcp_hub.egress.response import Response
from mcp_hub.errors import Unreachable, UpstreamError
from mcp_hub.upstream.answer import content_type, fed
from mcp_hub.upstream.channel import Channel, translated
from mcp_hub.upstream.modern import head_lines, own_client, own_meta
from mcp_hub.upstream.probe import CATALOG_OWNER, Opening, Wires
from mcp_hub.wire.eras import LATEST_LEGACY, Client, Era
from mcp_hub.wire.jsonrpc import Json, Malformed, Message, encode, parse, request
from mcp_hub.wire.sse import EventParser

_FILTERS: Final = {
    "tools": "toolsListChanged",
    "prompts": "promptsListChanged",
    "resources": "resourcesListChanged",
}
_CHANGES: Final = frozenset(f"notifications/{kind}/list_changed" for kind in _FILTERS)
_QUIET: Final = 300.0
"""Seconds without a byte after which the stream is taken for dead and opened anew."""
WAITS: Final = (1.0, 5.0, 30.0, 60.0)
"""Seconds before a stream is opened anew, by how often it was cut after less than the longest of them."""
PAUSE: Final = 1.0
"""Seconds in which no more is read after an announcement, so that endless ones cost one fetch a second at most."""
_FAILED: Final = 500

Answer = Callable[[Message], Awaitable[None]]
"""Answers a request that the upstream sends on the stream."""

log = logging.getLogger(__name__)


@final
class Watch:
    """Listens to one upstream while started; calls `changed` whenever its lists may have changed."""

    def __init__(
        self,
        name: str,
        channel: Channel,
        wires: Wires,
        credential: Credential,
        info: Raw,
        *,
        changed: Callable[[], None],
        waits: Sequence[float] = WAITS,
        pause: float = PAUSE,
    ) -> None:
        self._name = name
        self._channel = channel
        self._wires = wires
        self._credential = credential
        self._info = info
        self._changed = changed
        self._waits = waits
        self._pause = pause
        self._numbers = count(1)
        self._cuts = 0
        self._opening: Opening | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, opening: Opening) -> None:
        """Listen from now on, if the upstream announces anything at all; what is listened to already goes on."""
        if self._task is not None and not self._task.done() and opening == self._opening:
            return
        self.stop()
        self._opening = opening
        if _wanted(opening):
            self._task = asyncio.ensure_future(self._listen(opening))

    def stop(self) -> None:
        """Listen no longer."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    async def aclose(self) -> None:
        """Listen no longer, and wait until the stream is closed."""
        task = self._task
        self.stop()
        if task is not None:
            await asyncio.wait([task])

    async def _listen(self, opening: Opening) -> None:
        was_cut = False
        while True:
            started = asyncio.get_running_loop().time()
            try:
                response, answer = await self._open(opening)
                if content_type(response) != b"text/event-stream":
                    response.close()
                    await self._give_up(was_cut=was_cut)
                    return
                if was_cut:
                    self._changed()
                was_cut = True
                await self._read(response, answer)
            except UpstreamError as error:
                log.debug("%s: stopped listening for changes: %s", self._name, error.public)
            await asyncio.sleep(self._wait(asyncio.get_running_loop().time() - started))

    async def _give_up(self, *, was_cut: bool) -> None:
        # It offers no such stream, and the list's lifetime has to do. Or it did and does not any more: then it has
        # forgotten the session, and the next fetch opens a new one, where it is listened to again.
        if was_cut:
            await self._wires.legacy.end(CATALOG_OWNER)
            self._changed()

    def _wait(self, lasted: float) -> float:
        # Counted across restarts: a stream that is cut at once must not have the lists fetched every second.
        self._cuts = 0 if lasted > self._waits[-1] else self._cuts + 1
        return self._waits[min(max(self._cuts, 1), len(self._waits)) - 1]

    async def _open(self, opening: Opening) -> tuple[Response, Answer]:
        if opening.era is Era.LEGACY:
            client = Client(Era.LEGACY, LATEST_LEGACY, Raw(b"{}"), self._info)
            session = await self._wires.legacy.session(CATALOG_OWNER, client, self._credential)
            response = await self._channel.get(session.lines, self._credential)
            return self._working(response), partial(self._wires.legacy.answer, session)
        meta = own_meta(own_client(self._info))
        params = {"notifications": Raw(encode(_wanted(opening))), "_meta": Raw(encode(meta))}
        body = request(next(self._numbers), "subscriptions/listen", params)
        lines = head_lines("subscriptions/listen", None, {})
        return self._working(await self._channel.post(body, lines, self._credential, repeatable=True)), _unheard

    def _working(self, response: Response) -> Response:
        if response.status >= _FAILED:
            response.close()
            raise Unreachable(self._name, f"{self._name} failed (HTTP {response.status}).")
        return response

    async def _read(self, response: Response, answer: Answer) -> None:
        limit = self._channel.limits.event
        parser = EventParser(limit)
        try:
            async with aclosing(response.chunks(_QUIET)) as chunks:
                async for chunk in chunks:
                    heard = [await self._hear(event.data, answer) for event in fed(self._name, parser, chunk, limit)]
                    if any(heard):
                        self._changed()
                        await asyncio.sleep(self._pause)
        except EgressError as error:
            raise translated(self._name, error) from error

    async def _hear(self, data: bytes, answer: Answer) -> bool:
        """Whether this message announces a change."""
        try:
            message = parse(data)
        except Malformed:
            return False  # what cannot be read announces nothing
        if message.is_request:
            await answer(message)
        return message.is_notification and message.method in _CHANGES


async def _unheard(message: Message) -> None:
    del message  # a modern server asks nothing on a stream


def _wanted(opening: Opening) -> Json:
    return {
        member: True for kind, member in _FILTERS.items() if _announces(cast("Json", opening.capabilities.get(kind)))
    }


def _announces(capability: object) -> bool:
    return isinstance(capability, dict) and cast("Json", capability).get("listChanged") is True
