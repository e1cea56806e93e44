"""One request of a caller's, and its answer: what the inbound side and the road hand each other."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from mcp_hub.gateway.listener import Listener
from mcp_hub.principal import Principal
from mcp_hub.upstream.call import AskClient, Emit, Pause
from mcp_hub.wire.eras import Client
from mcp_hub.wire.jsonrpc import Fields, Json, Reply


class Ask(msgspec.Struct):
    """One request on its way to the road.

    `params` and `meta` are the caller's own members, still encoded; `meta` is `params["_meta"]`, decoded one level.
    `session` is the downstream legacy session's id, `None` for modern requests. `emit` may be called any number of
    times before the answer is returned. `ask_client` asks a legacy client on the stream of this request; a modern
    client is asked by its results. `param_headers` are the request's `Mcp-Param-*` headers, lower-case; `None` where
    requests have no headers, so that nothing has to be repeated in them. `pause` closes the stream of this request for
    a while, where its client knows how to come back. `listener` is where a legacy client hears notices, if it does.
    """

    caller: Principal
    client: Client
    method: str
    params: Fields
    meta: Fields
    emit: Emit
    session: str | None = None
    ask_client: AskClient | None = None
    param_headers: dict[str, str] | None = msgspec.field(default_factory=dict[str, str])
    pause: Pause | None = None
    listener: Listener | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """What the hub says of itself to this caller: `initialize` and `server/discover` are both made from it."""

    server_info: Json
    capabilities: Json
    instructions: str
    ttl_ms: int
    cache_scope: str


class Gateway(Protocol):
    """The road, as the inbound side sees it."""

    def answer(self, ask: Ask) -> Awaitable[Reply]:
        """Serve one request, once awaited; cancellation closes what was opened upstream for it.

        Raises:
            HubError: as the room `errors` sorts them. Every other exception is a fault of ours.
        """
        ...

    async def describe(self, caller: Principal, revision: str) -> Description:
        """What `initialize` and `server/discover` answer to a client of this revision.

        Waits for upstreams no longer than the listing deadline.
        """
        ...

    async def set_log_level(self, session: str, level: str) -> None:
        """Remember a legacy session's `logging/setLevel` for the upstream sessions paired with it."""
        ...

    async def end_session(self, session: str, owner: tuple[str, str, str]) -> None:
        """A legacy session of this principal's is over: close the upstream sessions that were paired with it."""
        ...
