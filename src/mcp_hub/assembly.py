"""Composition root: a Config in, a running hub out; the one file that knows every part.

Rule: the configuration is split here and in `declared`. A room gets the few values it needs, never the whole.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from mcp_hub.audit.calls import CallLog
from mcp_hub.checking import Checking
from mcp_hub.config import model
from mcp_hub.config.places import store_path
from mcp_hub.declared import SERVER_INFO, exposure_of, masters_of, place_of
from mcp_hub.gateway.asking import Asking
from mcp_hub.gateway.fleet import Pattern
from mcp_hub.gateway.fleets import Fleets
from mcp_hub.gateway.keys import kept_key
from mcp_hub.gateway.memory import Memory
from mcp_hub.gateway.parking import Parking
from mcp_hub.gateway.road import Road
from mcp_hub.gateway.sealed import Seal
from mcp_hub.gateway.task_ids import KEY_BYTES as TASK_KEY_BYTES
from mcp_hub.gateway.task_ids import TaskIds
from mcp_hub.gateway.task_notices import TaskNotices
from mcp_hub.gateway.tasks import Tasks
from mcp_hub.inbound.records import Records
from mcp_hub.inbound.sessions import Limits as SessionLimits
from mcp_hub.inbound.sessions import MemorySessions
from mcp_hub.oauth.sealed import SealedConnections
from mcp_hub.principal import LOCAL
from mcp_hub.reaching import Reaching, served_of, takes_connections
from mcp_hub.store.base import CallRecord, Store
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.upstream.supervise import supervise
from mcp_hub.vault.resealing import Resealable, keep_up
from mcp_hub.vault.settings import SealedSettings
from mcp_hub.vault.vault import Vault

if TYPE_CHECKING:
    from mcp_hub.connecting import Connecting
    from mcp_hub.entrance import Entrance
    from mcp_hub.oauth.connections import Connections

_CURSOR_KEY: Final = "cursor-key"
_STATE_KEY: Final = "request-state-key"
_TASK_KEY: Final = "task-id-key"


@dataclass(frozen=True, slots=True)
class Running:
    """The parts of a running hub that requests are handed to."""

    store: Store
    vault: Vault
    fleets: Fleets
    road: Road
    sessions: MemorySessions
    checking: Checking
    connections: "Connections | None"
    entrance: "Entrance | None"


async def assemble(config: model.Config, stack: AsyncExitStack, *, keeps_sessions: bool = True) -> Running:
    """Open the store and begin to contact the upstreams; `stack` ends all of it, in the right order.

    Without `keeps_sessions` those in the store, which may be another process's, are left alone.

    Raises:
        StoreFailed: the store cannot be opened.
        VaultLocked: it cannot be unlocked.
    """
    store, vault = await unlocked(config, stack)
    settings = SealedSettings(store, vault)
    connecting = None
    if takes_connections(config):
        connecting = await _connecting(config, store, vault, stack, over_http=keeps_sessions)
    connections = None if connecting is None else connecting.connections
    reaching = Reaching(config, connections, stack)
    memory = Memory(store, LOCAL.tenant, _places(config), reaching.fleeting)
    fleets = await _fleets(config, reaching, memory, settings)
    parking = Parking()
    road = await _road(fleets, config.defaults, parking, stack, store=store, settings=settings)
    limits = SessionLimits(idle=config.server.session_idle, total=config.server.max_sessions)
    records = Records(store) if keeps_sessions else None
    sessions = MemorySessions(road.end_session, limits, records=records, on_wake=road.set_log_level)
    await sessions.recall()
    has_login = keeps_sessions and config.login.type != "none"
    entrance = await _entrance(config, store, vault, stack) if has_login else None
    checking = Checking(config, owners=connections, shared=reaching.shared)
    for end in (checking.aclose, sessions.flush, memory.flush, fleets.aclose):
        stack.push_async_callback(end)
    stack.push_async_callback(parking.aclose)  # before the sessions that their calls are in
    stack.push_async_callback(fleets.halt)
    fleets.start()
    runs = {
        "the memory of lists": memory.run,
        "the records of sessions": sessions.run,
        "the callers' own upstreams": fleets.run,
        "the keys": partial(keep_up, vault, sealed_in(store, vault)),
        **({} if connecting is None else connecting.runs),
        **({} if entrance is None else entrance.runs),
    }
    _keep_running(stack, runs)
    return Running(store, vault, fleets, road, sessions, checking, connections, entrance)


async def _connecting(
    config: model.Config, store: Store, vault: Vault, stack: AsyncExitStack, *, over_http: bool
) -> "Connecting":
    # Loaded here: a hub whose upstreams all take what the operator gave them starts faster without it.
    from mcp_hub.connecting import open_connections  # noqa: PLC0415

    return await open_connections(config, store, vault, stack, over_http=over_http)


async def _entrance(config: model.Config, store: Store, vault: Vault, stack: AsyncExitStack) -> "Entrance":
    # Loaded here: a hub without a login, such as one that a client starts, starts a third faster without it.
    from mcp_hub.entrance import open_entrance  # noqa: PLC0415

    return await open_entrance(config, store, vault, stack)


async def unlocked(config: model.Config, stack: AsyncExitStack) -> tuple[SqliteStore, Vault]:
    """The store of a configuration and its open vault; `stack` closes them.

    Raises:
        StoreFailed: the store cannot be opened.
        VaultLocked: there is no master key, or not the one this store takes.
    """
    store = SqliteStore.open(store_path(config.store, os.environ))
    stack.push_async_callback(store.aclose)
    return store, await Vault.unlock(store, masters_of(config, os.environ))


def sealed_in(store: Store, vault: Vault) -> list[Resealable]:
    """Everything in a store that is sealed."""
    return [SealedSettings(store, vault), SealedConnections(store)]


def _places(config: model.Config) -> dict[str, str]:
    return {name: place_of(each) for name, each in served_of(config).items()}


async def _fleets(config: model.Config, reaching: Reaching, memory: Memory, settings: SealedSettings) -> Fleets:
    defaults = config.defaults
    pattern = Pattern(
        {name: exposure_of(each, defaults) for name, each in served_of(config).items()},
        SERVER_INFO,
        ttl_ms=round(defaults.catalog_ttl * 1000),
        deadline=defaults.list_timeout,
        page_size=defaults.page_size,
        cursor_key=await kept_key(settings, _CURSOR_KEY),
    )
    known = await memory.recall()
    fleets = Fleets(pattern, reaching, memory, own=reaching.own, known=known, by_claims=reaching.by_claims)
    reaching.undecided.found = fleets.turn_own
    await fleets.prepare()
    return fleets


async def _road(
    fleets: Fleets,
    defaults: model.Defaults,
    parking: Parking,
    stack: AsyncExitStack,
    *,
    store: Store,
    settings: SealedSettings,
) -> Road:
    calls = CallLog(store.append_calls, CallRecord._make)
    stack.push_async_callback(calls.aclose)
    asking = Asking(Seal(await kept_key(settings, _STATE_KEY)), parking)
    task_ids = TaskIds(await kept_key(settings, _TASK_KEY, TASK_KEY_BYTES))
    fleets.follow_by(TaskNotices(task_ids, fleets, deadline=defaults.list_timeout).follow)
    return Road(fleets, asking=asking, tasks=Tasks(task_ids), calls=calls, server_info=SERVER_INFO)


def _keep_running(stack: AsyncExitStack, runs: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    tasks = [asyncio.ensure_future(supervise(name, run)) for name, run in runs.items()]

    async def stop() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    stack.push_async_callback(stop)
