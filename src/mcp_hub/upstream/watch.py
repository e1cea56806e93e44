"""An upstream's own announcements that its lists have changed, so that nobody waits for the end of their life.

A modern upstream is listened to by `subscriptions/listen`, a legacy one on the GET stream of the catalog's session.
"""

import asyncio
import logging
from collections.abc import Callable
from itertools import chain, count, repeat
from typing import Final, cast, final

from msgspec import Raw

from mcp_hub.credentials.credential import Credential
from mcp_hub.egress.errors import EgressError
from mcp_hub.egress.response import Response
from mcp_hub.errors import UpstreamError
from mcp_hub.upstream.answer import content_type, fed
from mcp_hub.upstream.channel import Channel, translated
from mcp_hub.upstream.modern import head_lines, own_client, own_meta
from mcp_hub.upstream.probe import CATALOG_OWNER, Opening, Wires
from mcp_hub.wire.eras import LATEST_LEGACY, Client, Era
from mcp_hub.wire.jsonrpc import Json, Malformed, encode, parse, request
from mcp_hub.wire.sse import EventParser

_FILTERS: Final = {
    "tools": "toolsListChanged",
    "prompts": "promptsListChanged",
    "resources": "resourcesListChanged",
}
_CHANGES: Final = frozenset(f"notifications/{kind}/list_changed" for kind in _FILTERS)
_QUIET: Final = 300.0
"""Seconds without a byte after which the stream is taken for dead and opened anew."""
_WAITS: Final = (1.0, 5.0, 30.0, 60.0)

log = logging.getLogger(__name__)


def offers_changes(opening: Opening) -> bool:
    """Whether the upstream said that it announces changes of any of its lists."""
    return bool(_wanted(opening))


@final
class Watch:
    """Listens to one upstream while started; calls `changed` at every announcement."""

    def __init__(
        self,
        name: str,
        channel: Channel,
        wires: Wires,
        credential: Credential,
        info: Raw,
        *,
        changed: Callable[[], None],
    ) -> None:
        self._name = name
        self._channel = channel
        self._wires = wires
        self._credential = credential
        self._info = info
        self._changed = changed
        self._numbers = count(1)
        self._task: asyncio.Task[None] | None = None

    def start(self, opening: Opening) -> None:
        """Listen from now on; nothing happens if it already does."""
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._listen(opening))

    def stop(self) -> None:
        """Listen no longer."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _listen(self, opening: Opening) -> None:
        for wait in chain(_WAITS, repeat(_WAITS[-1])):
            try:
                response = await self._open(opening)
                if content_type(response) != b"text/event-stream":
                    response.close()
                    return  # it offers no such stream; the list's lifetime has to do
                await self._read(response)
            except UpstreamError as error:
                log.debug("%s: stopped listening for changes: %s", self._name, error.public)
            await asyncio.sleep(wait)

    async def _open(self, opening: Opening) -> Response:
        if opening.era is Era.LEGACY:
            client = Client(Era.LEGACY, LATEST_LEGACY, Raw(b"{}"), self._info)
            session = await self._wires.legacy.session(CATALOG_OWNER, client, self._credential)
            return await self._channel.get(session.lines, self._credential)
        meta = own_meta(own_client(self._info))
        params = {"notifications": Raw(encode(_wanted(opening))), "_meta": Raw(encode(meta))}
        body = request(next(self._numbers), "subscriptions/listen", params)
        lines = head_lines("subscriptions/listen", None, {})
        return await self._channel.post(body, lines, self._credential, repeatable=True)

    async def _read(self, response: Response) -> None:
        limit = self._channel.limits.event
        parser = EventParser(limit)
        try:
            async for chunk in response.chunks(_QUIET):
                for event in fed(self._name, parser, chunk, limit):
                    self._heard(event.data)
        except EgressError as error:
            raise translated(self._name, error) from error
        finally:
            response.close()

    def _heard(self, data: bytes) -> None:
        try:
            message = parse(data)
        except Malformed:
            return  # what cannot be read announces nothing
        if message.is_notification and message.method in _CHANGES:
            self._changed()


def _wanted(opening: Opening) -> Json:
    return {
        member: True for kind, member in _FILTERS.items() if _announces(cast("Json", opening.capabilities.get(kind)))
    }


def _announces(capability: object) -> bool:
    return isinstance(capability, dict) and cast("Json", capability).get("listChanged") is True
