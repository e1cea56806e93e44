"""Composition root: a Config in, a running hub out; the one file that knows every part.

Rule: the configuration is split here and in `declared`. A room gets the few values it needs, never the whole.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from mcp_hub.audit.calls import CallLog
from mcp_hub.catalog.parts import Exposure
from mcp_hub.checking import Checking
from mcp_hub.config import model
from mcp_hub.config.places import store_path
from mcp_hub.credentials.access import Fixed
from mcp_hub.declared import (
    INFO,
    SERVER_INFO,
    credential_of,
    exposure_of,
    masters_of,
    place_of,
    settings_of,
    way_to,
)
from mcp_hub.egress.client import HttpClient
from mcp_hub.egress.dial import Dialer
from mcp_hub.gateway.asking import Asking
from mcp_hub.gateway.keys import kept_key
from mcp_hub.gateway.listing import Listing
from mcp_hub.gateway.memory import Memory
from mcp_hub.gateway.notices import Notices
from mcp_hub.gateway.parking import Parking
from mcp_hub.gateway.road import Road
from mcp_hub.gateway.sealed import Seal
from mcp_hub.gateway.task_ids import KEY_BYTES as TASK_KEY_BYTES
from mcp_hub.gateway.task_ids import TaskIds
from mcp_hub.gateway.task_notices import TaskNotices
from mcp_hub.gateway.tasks import Tasks
from mcp_hub.gateway.view import Views
from mcp_hub.inbound.records import Records
from mcp_hub.inbound.sessions import Limits as SessionLimits
from mcp_hub.inbound.sessions import MemorySessions
from mcp_hub.oauth.sealed import SealedConnections
from mcp_hub.principal import LOCAL
from mcp_hub.store.base import CallRecord, Store
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.upstream.starts import Starts
from mcp_hub.upstream.supervise import supervise
from mcp_hub.upstream.upstream import Upstream
from mcp_hub.vault.resealing import Resealable, keep_up
from mcp_hub.vault.settings import SealedSettings
from mcp_hub.vault.vault import Vault

if TYPE_CHECKING:
    from mcp_hub.entrance import Entrance

_CURSOR_KEY: Final = "cursor-key"
_STATE_KEY: Final = "request-state-key"
_TASK_KEY: Final = "task-id-key"


@dataclass(frozen=True, slots=True)
class Running:
    """The parts of a running hub that requests are handed to."""

    vault: Vault
    upstreams: Mapping[str, Upstream]
    road: Road
    notices: Notices
    sessions: MemorySessions
    checking: Checking
    entrance: "Entrance | None"


@dataclass(frozen=True, slots=True)
class _Fleet:
    """The upstreams that are served, and what is known of them together."""

    upstreams: Mapping[str, Upstream]
    exposures: Mapping[str, Exposure]
    views: Views
    notices: Notices
    memory: Memory


async def assemble(config: model.Config, stack: AsyncExitStack, *, keeps_sessions: bool = True) -> Running:
    """Open the store and begin to contact the upstreams; `stack` ends all of it, in the right order.

    Without `keeps_sessions` those in the store, which may be another process's, are left alone.

    Raises:
        StoreFailed: the store cannot be opened.
        VaultLocked: it cannot be unlocked.
    """
    store, vault = await unlocked(config, stack)
    settings = SealedSettings(store, vault)
    fleet = await _fleet(config, store, stack)
    parking = Parking()
    road = await _road(config.defaults, fleet, parking, stack, store=store, settings=settings)
    limits = SessionLimits(idle=config.server.session_idle, total=config.server.max_sessions)
    records = Records(store) if keeps_sessions else None
    sessions = MemorySessions(road.end_session, limits, records=records, on_wake=road.set_log_level)
    await sessions.recall()
    has_login = keeps_sessions and config.login.type != "none"
    entrance = await _entrance(config, store, vault, stack) if has_login else None
    checking = Checking(config)
    stack.push_async_callback(checking.aclose)
    stack.push_async_callback(sessions.flush)
    stack.push_async_callback(fleet.memory.flush)
    stack.push_async_callback(_close_all, list(fleet.upstreams.values()))
    stack.push_async_callback(parking.aclose)  # before the sessions that their calls are in
    runs = {
        "the memory of lists": fleet.memory.run,
        "the records of sessions": sessions.run,
        "the keys": partial(keep_up, vault, sealed_in(store, vault)),
        **({} if entrance is None else entrance.runs),
    }
    _keep_running(stack, {**runs, **{name: each.run for name, each in fleet.upstreams.items()}})
    return Running(vault, fleet.upstreams, road, fleet.notices, sessions, checking, entrance)


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


async def _fleet(config: model.Config, store: Store, stack: AsyncExitStack) -> _Fleet:
    defaults = config.defaults
    served = {name: each for name, each in config.upstreams.items() if each.enabled and each.is_reachable}
    exposures = {name: exposure_of(each, defaults) for name, each in served.items()}
    views = Views(exposures, SERVER_INFO, round(defaults.catalog_ttl * 1000))
    notices = Notices(views)
    memory = Memory(store, LOCAL.tenant, {name: place_of(each) for name, each in served.items()})
    known = await memory.recall()
    http = HttpClient(Dialer(allow_private=config.network.allow_private))
    stack.push_async_callback(http.aclose)
    starts = Starts()
    upstreams = {
        name: Upstream(
            settings_of(each, defaults, INFO),
            Fixed(credential_of(each)),
            way_to(each, defaults, http, starts),
            (views, memory, notices),
            known=known.get(name),
            notices=notices,
            prepare=views.prepare,
        )
        for name, each in served.items()
    }
    views.watch(upstreams)
    await views.prepare()
    return _Fleet(upstreams, exposures, views, notices, memory)


async def _road(
    defaults: model.Defaults,
    fleet: _Fleet,
    parking: Parking,
    stack: AsyncExitStack,
    *,
    store: Store,
    settings: SealedSettings,
) -> Road:
    upstreams, deadline = fleet.upstreams, defaults.list_timeout
    calls = CallLog(store.append_calls, CallRecord._make)
    stack.push_async_callback(calls.aclose)
    listing = Listing(
        upstreams,
        fleet.exposures,
        fleet.views,
        deadline=deadline,
        page_size=defaults.page_size,
        cursor_key=await kept_key(settings, _CURSOR_KEY),
    )
    asking = Asking(Seal(await kept_key(settings, _STATE_KEY)), parking)
    task_ids = TaskIds(await kept_key(settings, _TASK_KEY, TASK_KEY_BYTES))
    namespaces = {name: each.namespace for name, each in fleet.exposures.items()}
    task_notices = TaskNotices(task_ids, upstreams, namespaces, listing.view, deadline=deadline)
    fleet.notices.watch(upstreams, namespaces, listing.resource, task_notices.follow)
    tasks = Tasks(task_ids)
    return Road(upstreams, listing, asking=asking, tasks=tasks, calls=calls, server_info=SERVER_INFO)


async def _close_all(upstreams: Sequence[Upstream]) -> None:
    await asyncio.gather(*(each.aclose() for each in upstreams))


def _keep_running(stack: AsyncExitStack, runs: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    tasks = [asyncio.ensure_future(supervise(name, run)) for name, run in runs.items()]

    async def stop() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    stack.push_async_callback(stop)
