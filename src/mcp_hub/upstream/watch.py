"""An upstream's own announcements that its lists have changed, so that nobody waits for the end of their life.

A modern upstream is listened to by `subscriptions/listen`, a legacy one in the catalog's session.
Rule: nobody repeats what was announced while the stream was down, so a stream that had to be opened anew is itself
taken for an announcement (MCP 2026-07-28, basic/patterns/subscriptions).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, cast, final

from msgspec import Raw

from mcp_hub.errors import ConnectionNeeded, HubError, RefusedCredential
from mcp_hub.upstream.call import NOTICES, OWN_CAPABILITIES, UPDATED
from mcp_hub.upstream.carrier import CATALOG_OWNER, NoStream, Told
from mcp_hub.upstream.credentialed import Credentialed
from mcp_hub.upstream.modern import own_client
from mcp_hub.upstream.probe import Opening
from mcp_hub.wire.eras import LATEST_LEGACY, Client, Era
from mcp_hub.wire.jsonrpc import Json, Message

_FILTERS: Final = {
    "tools": "toolsListChanged",
    "prompts": "promptsListChanged",
    "resources": "resourcesListChanged",
}
WAITS: Final = (1.0, 5.0, 30.0, 60.0)
"""Seconds before a stream is opened anew, by how often it was cut after less than the longest of them."""
PAUSE: Final = 1.0
"""Seconds in which no more is read after an announcement, so that endless ones cost one fetch a second at most."""

Heard = Callable[[Message], None]
"""Takes each notice of a change that comes on the stream: of a list, or of a resource."""

log = logging.getLogger(__name__)


@final
class Watch:
    """Listens to one upstream while started; calls `changed` whenever its lists may have changed.

    `listening_in` is told the legacy session that is listened to, and `None` when it is no more.
    """

    def __init__(
        self,
        name: str,
        carrier: Credentialed,
        info: Raw,
        *,
        changed: Callable[[], None],
        heard: Heard | None = None,
        listening_in: Callable[[object], None] | None = None,
        waits: Sequence[float] = WAITS,
        pause: float = PAUSE,
    ) -> None:
        self._name = name
        self._carrier = carrier
        self._info = info
        self._changed = changed
        self._heard = heard
        self._listening_in = listening_in
        self._waits = waits
        self._pause = pause
        self._cuts = 0
        self._opening: Opening | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_on(self) -> bool:
        """Whether it listens, or is about to; not where the upstream has turned out to offer no stream."""
        return self._task is not None and not self._task.done()

    def start(self, opening: Opening) -> None:
        """Listen from now on, if the upstream announces anything at all; what is listened to already goes on."""
        if self.is_on and opening == self._opening:
            return
        self.stop()
        self._opening = opening
        if _wanted(opening) or (opening.era is Era.LEGACY and says(opening.capabilities, "resources", "subscribe")):
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
                async with self._stream(opening) as told:
                    if was_cut:
                        self._changed()
                    was_cut = True
                    await self._read(told)
            except (NoStream, RefusedCredential, ConnectionNeeded):
                await self._give_up(was_cut=was_cut)
                return
            except HubError as error:
                log.debug("%s: stopped listening for changes: %s", self._name, error.public)
            await asyncio.sleep(self._wait(asyncio.get_running_loop().time() - started))

    async def _give_up(self, *, was_cut: bool) -> None:
        # It offers no such stream, and the list's lifetime has to do. Or it did and does not any more: then it has
        # forgotten the session, and the next fetch opens a new one, where it is listened to again.
        if was_cut:
            await self._carrier.end(CATALOG_OWNER)
            self._changed()

    def _wait(self, lasted: float) -> float:
        # Counted across restarts: a stream that is cut at once must not have the lists fetched every second.
        self._cuts = 0 if lasted > self._waits[-1] else self._cuts + 1
        return self._waits[min(max(self._cuts, 1), len(self._waits)) - 1]

    @asynccontextmanager
    async def _stream(self, opening: Opening) -> AsyncGenerator[Told]:
        if opening.era is Era.MODERN:
            async with self._carrier.listen(_wanted(opening), own_client(self._info)) as told:
                yield told
            return
        client = Client(Era.LEGACY, LATEST_LEGACY, OWN_CAPABILITIES, self._info)
        async with self._carrier.overhear(client) as overheard:
            self._listens_in(overheard.session)
            try:
                yield overheard.told
            finally:
                self._listens_in(None)

    async def _read(self, told: Told) -> None:
        async for several in told:
            changes = [message for message in several if self._hear(message)]
            if changes:
                self._changed()
                await asyncio.sleep(self._pause)

    def _hear(self, message: Message) -> bool:
        """Whether this message announces a change of a list."""
        if not message.is_notification or message.method not in NOTICES:
            return False
        if self._heard is not None:
            self._heard(message)
        return message.method != UPDATED

    def _listens_in(self, session: object) -> None:
        if self._listening_in is not None:
            self._listening_in(session)


def _wanted(opening: Opening) -> Json:
    return {member: True for kind, member in _FILTERS.items() if says(opening.capabilities, kind, "listChanged")}


def says(capabilities: Json, kind: str, member: str) -> bool:
    """Whether capabilities hold `{kind: {member: true}}`."""
    capability = capabilities.get(kind)
    return isinstance(capability, dict) and cast("Json", capability).get(member) is True
