"""States of tasks as they change, from modern upstreams to the clients that listen for them.

Rule: a client hears of its own tasks only, under the ids it was shown. Each listener has a stream of its own at an
upstream, opened with the client's credential and capabilities. If that breaks off, or brings more than can be carried,
the client's stream ends too: then it knows that it has to ask.
Source: MCP extension `io.modelcontextprotocol/tasks`, "Task Status Notifications".
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final, cast, final

from msgspec import Raw

from mcp_hub.catalog.rewrite import outward_result
from mcp_hub.catalog.task_ids import STATUS, rewrite_ids
from mcp_hub.errors import BadRequest, HubError, MissingCapability
from mcp_hub.gateway.fleet import Fleet
from mcp_hub.gateway.fleets import Fleets
from mcp_hub.gateway.listener import Listener, Over
from mcp_hub.gateway.task_ids import TaskIds
from mcp_hub.gateway.tasks import declares
from mcp_hub.principal import Principal
from mcp_hub.upstream.call import ACKNOWLEDGED
from mcp_hub.upstream.carrier import NoStream
from mcp_hub.upstream.upstream import Upstream
from mcp_hub.wire.eras import TASKS, Client, Era
from mcp_hub.wire.jsonrpc import NULL, Json, Malformed, Message, fields, text, value

MOST: Final = 16
"""Tasks of one listener."""
PER_PRINCIPAL: Final = 16
PER_UPSTREAM: Final = 32
"""Streams, each of which takes a connection from the calls to that upstream."""
LARGEST: Final = 256 * 1024
"""Bytes of one state, with the result that may be in it; the latest of each task may wait."""
_NONE: Final[frozenset[str]] = frozenset()
_STATUS: Final = STATUS[Era.MODERN]

log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class _Following:
    """What one listener is told by one upstream: `shown` are the ids it knows, by the upstream's own."""

    upstream: Upstream
    namespace: str | None
    shown: Mapping[str, str]
    listener: Listener
    granted: asyncio.Future[frozenset[str]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Which of its own ids the upstream will tell of; none if it will not."""

    @property
    def told(self) -> frozenset[str]:
        """The ids that the listener will really be told of."""
        granted = self.granted.result() if self.granted.done() and not self.granted.cancelled() else _NONE
        return frozenset(self.shown[task] for task in granted)

    def end(self) -> None:
        """Nothing more will be told: whoever was promised to be told has to ask anew."""
        if not self.granted.done():
            self.granted.set_result(_NONE)
        elif self.told:
            self.listener.finish(Over.CUT)

    def take(self, message: Message) -> None:
        """Take one notification of the stream.

        Raises:
            Malformed: it is not valid JSON.
        """
        if message.method == ACKNOWLEDGED and not self.granted.done():
            self.granted.set_result(_granted(message.params) & self.shown.keys())
        elif message.method == _STATUS and self.granted.done():
            self._tell(message.params)

    def _tell(self, params: Raw) -> None:
        shown = self.shown.get(text(fields(params).get("taskId")) or "")
        if shown is None:
            return
        if len(params) > LARGEST:
            self.listener.finish(Over.CUT)
            return
        ours = rewrite_ids(outward_result(_STATUS, params, self.namespace), _STATUS, Era.MODERN, self.shown.get)
        self.listener.tell(shown, (_STATUS, {key: each for key, each in fields(ours).items() if key != "_meta"}))


@final
class TaskNotices:
    """All followed tasks of this process; `deadline` is in seconds."""

    def __init__(
        self,
        ids: TaskIds,
        fleets: Fleets,
        *,
        deadline: float,
    ) -> None:
        self._ids = ids
        self._fleets = fleets
        self._deadline = deadline
        self._of_principals = Counter[tuple[str, ...]]()
        self._of_upstreams = Counter[Upstream]()

    @asynccontextmanager
    async def follow(
        self, listener: Listener, caller: Principal, client: Client, shown: Sequence[str]
    ) -> AsyncGenerator[frozenset[str]]:
        """Tell the listener of these tasks while entered; gives those that it will really be told of.

        Raises:
            MissingCapability: the client did not declare the extension.
            BadRequest: these are too many.
        """
        if not shown:
            yield frozenset()
            return
        if not declares(client, TASKS):
            raise MissingCapability(TASKS, f"taskIds need a client that declares the extension {TASKS}.")
        if len(shown) > MOST:
            raise BadRequest(f"One client may listen for {MOST} tasks at once; name fewer.")
        followings = self._followings(listener, caller, await self._fleets.ready(caller), shown)
        streams = [asyncio.ensure_future(self._follow(each, caller, client)) for each in followings]
        try:
            await self._acknowledged(followings, streams)
            yield frozenset(told for each in followings for told in each.told)
        finally:
            for stream in streams:
                stream.cancel()
            await asyncio.gather(*streams, return_exceptions=True)

    def _followings(
        self, listener: Listener, caller: Principal, fleet: Fleet, shown: Sequence[str]
    ) -> Sequence[_Following]:
        with_tasks = fleet.views.current().with_tasks[Era.MODERN]
        by_upstream: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for each in shown:
            found = self._ids.open(caller.key, each)
            if found is not None and found[0] in with_tasks:
                by_upstream[found[0]][found[1]] = each
        return [
            _Following(fleet.upstreams[name], fleet.listing.namespace(name), tasks, listener)
            for name, tasks in by_upstream.items()
        ]

    async def _acknowledged(self, followings: Sequence[_Following], streams: Sequence[asyncio.Task[None]]) -> None:
        if followings:
            await asyncio.wait([each.granted for each in followings], timeout=self._deadline)
        for each, stream in zip(followings, streams, strict=True):
            if not each.granted.done():
                stream.cancel()

    async def _follow(self, following: _Following, caller: Principal, client: Client) -> None:
        upstream, principal = following.upstream, caller.key
        if self._of_principals[principal] < PER_PRINCIPAL and self._of_upstreams[upstream] < PER_UPSTREAM:
            with self._counted(upstream, principal):
                await _listen(following, client)
        following.end()

    @contextmanager
    def _counted(self, upstream: Upstream, principal: tuple[str, ...]) -> Generator[None]:
        self._of_principals[principal] += 1
        self._of_upstreams[upstream] += 1
        try:
            yield
        finally:
            self._of_upstreams[upstream] -= 1
            self._of_principals[principal] -= 1
            if not self._of_upstreams[upstream]:
                del self._of_upstreams[upstream]
            if not self._of_principals[principal]:
                del self._of_principals[principal]


async def _listen(following: _Following, client: Client) -> None:
    wanted: Json = {"taskIds": sorted(following.shown)}
    try:
        async with following.upstream.listen(wanted, client) as told:
            async for several in told:
                for message in several:
                    following.take(message)
    except (NoStream, HubError, Malformed) as error:
        log.debug("%s: listening for tasks ended: %s", following.upstream.name, error)


def _granted(params: Raw) -> frozenset[str]:
    said = value(fields(params).get("notifications", NULL))
    ids = cast("Json", said).get("taskIds") if isinstance(said, dict) else None
    return (
        frozenset(each for each in cast("list[object]", ids) if isinstance(each, str))
        if isinstance(ids, list)
        else _NONE
    )
