"""Notices of change on their way to a client: by `subscriptions/listen`, or in a legacy session.

Rule: the acknowledgement comes first and says what will really be told; every notice carries the listener's own id.
Source: MCP 2026-07-28 basic/patterns/subscriptions; 2025-11-25 basic/transports "Listening for Messages from the
Server".
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from msgspec import Raw

from mcp_hub.errors import BadRequest, Forbidden, UnknownMethod
from mcp_hub.gateway.listener import Listener, Over
from mcp_hub.gateway.notices import KINDS, Notices, acknowledged
from mcp_hub.inbound.incoming import Incoming
from mcp_hub.inbound.outcome import Outcome, Written
from mcp_hub.principal import Principal
from mcp_hub.upstream.call import CHANGES, UPDATED, Emit
from mcp_hub.wire.eras import META_SUBSCRIPTION, Client
from mcp_hub.wire.jsonrpc import Fields, Json, Malformed, Reply, encode, notification, value

LISTEN: Final = "subscriptions/listen"
LARGEST: Final = 64 * 1024
"""Bytes of one `subscriptions/listen`, which is kept as long as its stream is open."""
WAITS: Final = (1.0, 5.0, 30.0, 60.0, 300.0)
"""Seconds between attempts to subscribe again after a restart."""
_ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"

log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client asks to hear of."""

    kinds: frozenset[str]
    uris: tuple[str, ...]
    tasks: tuple[str, ...] = ()


async def listen(notices: Notices, emit: Emit, caller: Principal, client: Client, incoming: Incoming) -> Outcome:
    """Serve one `subscriptions/listen` until this is cancelled, or the hub stops, or the client does not keep up.

    Raises:
        BadRequest: the filter is none, or names too many resources or tasks.
        MissingCapability: it names tasks, and the client did not declare them.
        Forbidden: there are too many listeners.
    """
    wanted = read_filter(incoming.params)
    number = incoming.message.id.copy()
    listener = notices.open(caller.key, wanted.kinds)
    try:
        async with notices.follow(listener, caller, client, wanted.tasks) as followed:
            granted = await notices.subscribe(listener, wanted.uris)
            uris = [uri for uri in wanted.uris if uri in granted]
            tasks = [task for task in wanted.tasks if task in followed]
            told = {"notifications": Raw(encode(acknowledged(wanted.kinds, uris, tasks)))}
            await emit(_tagged(_ACKNOWLEDGED, told, number))
            while heard := await listener.heard():
                for method, params in heard:
                    await emit(_tagged(method, params, number))
        if listener.over is not Over.ENDED:
            return Written()  # without a result, which tells the client that it has to ask again
        return Reply(result=encode({"resultType": "complete", "_meta": {META_SUBSCRIPTION: number}}))
    finally:
        listener.close()


async def relay(emit: Emit, listener: Listener) -> Outcome:
    """Write a legacy session's notices until the listener is over."""
    while heard := await listener.heard():
        for method, params in heard:
            await emit(notification(method, params or None))
    return Written()


async def subscribe(notices: Notices, listener: Listener, uri: str) -> None:
    """Serve `resources/subscribe`.

    Raises:
        UnknownMethod: nobody tells of changes to this resource.
    """
    if uri not in await notices.subscribe(listener, [uri]):
        raise UnknownMethod(
            f"Changes of {uri[:100]!r} cannot be told: no server here has it, or its server tells of none or is not "
            "reachable. Read it again when you need it, or subscribe later."
        )


def told_again(listener: Listener, capabilities: Json) -> None:
    """Tell that every list that can change has changed: what was announced while nobody listened is not known."""
    for method, kind in CHANGES.items():
        capability = capabilities.get(kind)
        if isinstance(capability, dict) and cast("Json", capability).get("listChanged") is True:
            listener.tell(method, (method, {}))


async def subscribed_again(
    notices: Notices, listener: Listener, wanted: Callable[[], Iterable[str]], waits: Sequence[float] = WAITS
) -> None:
    """Subscribe once more to what was subscribed to before a restart, and tell of each resource that it has changed.

    `wanted` says what the client wants by now. An upstream that grants nothing is asked again, `waits` seconds apart:
    it may be starting again itself.
    """
    for wait in (0.0, *waits):
        await asyncio.sleep(wait)
        missing = [uri for uri in wanted() if uri not in listener.uris]
        if not missing or listener.over is not None:
            return
        try:
            granted = await notices.subscribe(listener, missing)
        except (BadRequest, Forbidden) as error:
            log.warning("a client's subscriptions of before the restart are not kept: %s", error.public)
            return
        for uri in granted & frozenset(missing):
            if uri in wanted():
                listener.tell(uri, (UPDATED, {"uri": Raw(encode(uri))}))
            else:
                notices.unsubscribe(listener, uri)


def check_size(size: int) -> None:
    """Whether a `subscriptions/listen` of so many bytes is served.

    Raises:
        BadRequest: it is not.
    """
    if size > LARGEST:
        raise BadRequest(f"{LISTEN} may have {LARGEST // 1024} KiB; name fewer resources.")


def read_filter(params: Fields) -> Wanted:
    """What a `subscriptions/listen` asks for.

    Raises:
        BadRequest: it is not what it should be.
    """
    try:
        given = value(params.get("notifications", Raw(b"null")))
    except Malformed as error:
        raise BadRequest(f"{LISTEN} has params that are not valid JSON text.") from error
    if not isinstance(given, dict):
        raise BadRequest(f"{LISTEN} needs notifications, an object that says what to tell of.")
    asked = cast("Json", given)
    kinds = frozenset(kind for kind in KINDS if asked.get(f"{kind}ListChanged") is True)
    return Wanted(kinds, _strings(asked, "resourceSubscriptions"), _strings(asked, "taskIds"))


def _strings(asked: Json, member: str) -> tuple[str, ...]:
    named = asked.get(member, [])
    if not isinstance(named, list) or not all(isinstance(each, str) for each in cast("list[object]", named)):
        raise BadRequest(f"{member} of {LISTEN} must be a list of strings.")
    return tuple(dict.fromkeys(cast("list[str]", named)))


def _tagged(method: str, params: Fields, number: Raw) -> bytes:
    return notification(method, {"_meta": {META_SUBSCRIPTION: number}, **params})
