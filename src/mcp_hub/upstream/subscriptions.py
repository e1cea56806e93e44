"""What callers want to hear of one upstream's resources: one subscription there, however many they are.

Rule: the upstream is subscribed to exactly what somebody wants, and whoever asks is told what the upstream really
granted. A modern upstream has one `subscriptions/listen` for the union of all, whose successor is acknowledged before
it is closed; a legacy one is told in the catalog's session, whose GET stream brings the notices.
What may have been missed while a stream was down is taken for an update.
Source: MCP 2026-07-28 basic/patterns/subscriptions; 2025-11-25 server/resources "Subscriptions".
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, cast, final

from msgspec import Raw

from mcp_hub.errors import HubError
from mcp_hub.upstream.call import ACKNOWLEDGED, OWN_CAPABILITIES, UPDATED
from mcp_hub.upstream.carrier import NoStream
from mcp_hub.upstream.credentialed import Credentialed
from mcp_hub.upstream.modern import own_client
from mcp_hub.upstream.probe import Opening, own_call
from mcp_hub.upstream.watch import WAITS, says
from mcp_hub.wire.eras import LATEST_LEGACY, Client, Era
from mcp_hub.wire.jsonrpc import Json, Malformed, encode, value

log = logging.getLogger(__name__)


@final
class Subscriptions:
    """The subscription to one upstream. `updated` takes the params of each notice that comes of it.

    `deadline` is the seconds that the upstream has to grant or refuse, `waits` those between attempts.
    """

    def __init__(
        self,
        name: str,
        carrier: Credentialed,
        info: Raw,
        *,
        updated: Callable[[Raw], None],
        deadline: float,
        waits: Sequence[float] = WAITS,
    ) -> None:
        self._name = name
        self._carrier = carrier
        self._info = info
        self._updated = updated
        self._deadline = deadline
        self._waits = waits
        self._wanted: dict[str, int] = {}
        self._verdicts: dict[str, asyncio.Future[bool]] = {}
        self._poke = asyncio.Event()
        self._session: object = None
        self._opening: Opening | None = None
        self._task: asyncio.Task[None] | None = None
        self._streams: set[asyncio.Task[None]] = set()

    def start(self, opening: Opening) -> None:
        """Keep the subscription from now on, if the upstream offers any; one that is kept already goes on."""
        if opening == self._opening and self._task is not None and not self._task.done():
            return
        self.stop()
        self._opening = opening
        if offers_subscriptions(opening):
            keep = self._keep_listening if opening.era is Era.MODERN else self._keep_subscribed
            self._task = asyncio.ensure_future(keep())

    def stop(self) -> None:
        """Keep it no longer; what is wanted stays wanted, should there be another start."""
        task, self._task, self._opening = self._task, None, None
        if task is not None:
            task.cancel()

    async def aclose(self) -> None:
        """Keep it no longer, and wait until its stream is closed."""
        tasks = [each for each in (self._task, *self._streams) if each is not None]
        self.stop()
        if tasks:
            await asyncio.wait(tasks)

    def listening_in(self, session: object) -> None:
        """This legacy session is listened to now; with `None`, none is."""
        self._session = session
        self._poke.set()

    async def subscribe(self, uris: Iterable[str]) -> frozenset[str]:
        """Those of the URIs that the upstream will tell about; each is wanted until it is unsubscribed as often."""
        asked = frozenset(uris)
        if self._task is None or self._task.done() or not asked:
            return frozenset()
        verdicts = {uri: self._want(uri) for uri in asked}
        self._poke.set()
        try:
            await asyncio.wait(verdicts.values(), timeout=self._deadline)
        except asyncio.CancelledError:
            self.unsubscribe(asked)
            raise
        granted = frozenset(uri for uri, verdict in verdicts.items() if verdict.done() and verdict.result())
        self.unsubscribe(asked - granted)
        return granted

    def unsubscribe(self, uris: Iterable[str]) -> None:
        """Take back as many wishes; a resource that nobody wants any more is unsubscribed soon."""
        for uri in uris:
            left = self._wanted.get(uri, 0) - 1
            if left > 0:
                self._wanted[uri] = left
            elif self._wanted.pop(uri, None) is not None:
                del self._verdicts[uri]
                self._poke.set()

    def _want(self, uri: str) -> asyncio.Future[bool]:
        self._wanted[uri] = self._wanted.get(uri, 0) + 1
        if uri not in self._verdicts:
            self._verdicts[uri] = asyncio.get_running_loop().create_future()
        return self._verdicts[uri]

    def _settle(self, uris: Iterable[str], granted: frozenset[str]) -> None:
        for uri in uris:
            verdict = self._verdicts.get(uri)
            if verdict is not None and not verdict.done():
                verdict.set_result(uri in granted)

    def _missed(self, uris: Iterable[str]) -> None:
        for uri in uris:
            self._updated(Raw(encode({"uri": uri})))

    # Legacy: one request for each resource

    async def _keep_subscribed(self) -> None:
        inside: object = None
        told: set[str] = set()
        heard: object = None
        while True:
            self._poke.clear()
            session, was_heard = self._session, heard
            heard = session
            if session is not None:
                if session is not inside:
                    inside, told = session, set()
                anew = was_heard is None
                before = frozenset(uri for uri, verdict in self._verdicts.items() if verdict.done())
                await self._reconcile(told)
                self._missed(before & told if anew else ())
            await self._poke.wait()

    async def _reconcile(self, told: set[str]) -> None:
        for uri in sorted(self._wanted.keys() - told):
            if await self._granted("resources/subscribe", uri):
                told.add(uri)
            self._settle([uri], frozenset(told))
        for uri in sorted(told - self._wanted.keys()):
            await self._granted("resources/unsubscribe", uri)
            told.discard(uri)

    async def _granted(self, method: str, uri: str) -> bool:
        client = Client(Era.LEGACY, LATEST_LEGACY, OWN_CAPABILITIES, self._info)
        try:
            reply = await self._carrier.send(Era.LEGACY, own_call(client, method, uri=Raw(encode(uri))))
        except HubError as error:
            log.debug("%s: %s failed: %s", self._name, method, error.public)
            return False
        return reply.result is not None

    # Modern: one stream for all resources

    async def _keep_listening(self) -> None:
        stream: _Stream | None = None
        failures = 0
        try:
            while True:
                self._poke.clear()
                wanted = frozenset(self._wanted)
                if not wanted:
                    stream = _closed(stream)
                    await self._poke.wait()
                elif stream is not None and stream.serves(wanted, self._verdicts):
                    await self._poked_or([stream.task])
                elif (fresh := await self._opened(wanted)) is not None:
                    cut, failures = stream is not None and stream.task.done(), 0
                    self._missed(stream.granted & fresh.granted if stream is not None and cut else ())
                    _closed(stream)
                    stream = fresh
                    if cut:  # one that is cut at once is not opened anew without a pause
                        await asyncio.sleep(self._waits[0])
                else:
                    failures += 1
                    await self._poked_or([], self._waits[min(failures, len(self._waits)) - 1])
        finally:
            _closed(stream)

    async def _poked_or(self, tasks: Sequence[asyncio.Task[Any]], wait: float | None = None) -> None:
        poked = asyncio.ensure_future(self._poke.wait())
        try:
            await asyncio.wait([poked, *tasks], timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        finally:
            poked.cancel()

    async def _opened(self, wanted: frozenset[str]) -> "_Stream | None":
        """A stream for all of these that is acknowledged, or `None`; either way the waiting ones know."""
        acknowledged: asyncio.Future[frozenset[str]] = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(self._follow(wanted, acknowledged))
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)
        stream: _Stream | None = None
        try:
            await asyncio.wait([acknowledged, task], timeout=self._deadline, return_when=asyncio.FIRST_COMPLETED)
            if acknowledged.done():
                stream = _Stream(task, acknowledged.result() & wanted)
        finally:
            if stream is None:
                task.cancel()
        self._settle(wanted, stream.granted if stream is not None else frozenset())
        return stream

    async def _follow(self, uris: frozenset[str], acknowledged: asyncio.Future[frozenset[str]]) -> None:
        wanted: Json = {"resourceSubscriptions": sorted(uris)}
        try:
            async with self._carrier.listen(wanted, own_client(self._info)) as told:
                async for several in told:
                    for message in several:
                        if message.method == UPDATED and acknowledged.done():
                            self._updated(message.params)
                        elif message.method == ACKNOWLEDGED and not acknowledged.done():
                            acknowledged.set_result(_acknowledged(message.params))
        except NoStream:
            return
        except HubError as error:
            log.debug("%s: the subscription ended: %s", self._name, error.public)


@final
class _Stream:
    """A listen stream at the upstream: the task that reads it, and the resources it was granted for."""

    __slots__ = ("granted", "task")

    def __init__(self, task: asyncio.Task[None], granted: frozenset[str]) -> None:
        self.task = task
        self.granted = granted

    def serves(self, wanted: frozenset[str], verdicts: dict[str, asyncio.Future[bool]]) -> bool:
        """Whether it is open for what is wanted, and for nothing else."""
        return not self.task.done() and self.granted <= wanted and all(each.done() for each in verdicts.values())


def _closed(stream: _Stream | None) -> None:
    if stream is not None:
        stream.task.cancel()


def offers_subscriptions(opening: Opening) -> bool:
    """Whether an upstream says that it tells of changes to single resources."""
    return says(opening.capabilities, "resources", "subscribe")


def _acknowledged(params: Raw) -> frozenset[str]:
    with suppress(Malformed):
        said = value(params) if params else None
        granted = cast("Json", said).get("notifications") if isinstance(said, dict) else None
        uris = cast("Json", granted).get("resourceSubscriptions") if isinstance(granted, dict) else None
        if isinstance(uris, list):
            return frozenset(uri for uri in cast("list[object]", uris) if isinstance(uri, str))
    return frozenset()
