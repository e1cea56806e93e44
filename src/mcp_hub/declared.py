"""What was declared, in the words of the rooms that deal with it.

Rule: pure. Each room is told the few values it needs of a declaration, never the whole.
"""

import hashlib
from collections.abc import Container, Mapping
from typing import Final

from msgspec import Raw

from mcp_hub import __version__
from mcp_hub.catalog.access import Filter
from mcp_hub.catalog.parts import Exposure
from mcp_hub.config import model
from mcp_hub.config.places import is_kept, store_path
from mcp_hub.config.rules import is_private
from mcp_hub.credentials.credential import Credential
from mcp_hub.egress.client import HttpClient
from mcp_hub.secret import Secret
from mcp_hub.upstream.carrier import Way
from mcp_hub.upstream.channel import Channel, Limits
from mcp_hub.upstream.process import Command
from mcp_hub.upstream.settings import Settings
from mcp_hub.upstream.starts import Starts
from mcp_hub.upstream.stdio import START, process_way
from mcp_hub.upstream.transports import found_way
from mcp_hub.vault.master import FILE_NAME, Given, MasterKeys
from mcp_hub.vault.written import from_text, generated
from mcp_hub.wire.eras import Era
from mcp_hub.wire.jsonrpc import Json, encode

SERVER_INFO: Final[Json] = {"name": "mcp_hub", "title": "mcp_hub", "version": __version__}
"""As what the hub introduces itself, on both sides."""
INFO: Final = Raw(encode(SERVER_INFO))
"""The same, encoded."""

ERAS: Final[Mapping[model.ProtocolChoice, Era | None]] = {"auto": None, "legacy": Era.LEGACY, "2026-07-28": Era.MODERN}
OLDER: Final[Mapping[model.Transport, bool | None]] = {
    "auto": None,
    "streamable-http": False,
    "sse": True,
    "stdio": None,
}
"""Whether a transport is HTTP+SSE, `None` where that is found out."""


def place_of(upstream: model.Upstream) -> str:
    """What stands for an upstream's URL or command in the store, since parts of it may be secret."""
    words = [*(each.open() for each in upstream.command), upstream.cwd or ""]
    place = encode(words) if upstream.command else (upstream.url or "").encode()
    return hashlib.sha256(place).hexdigest()


def exposure_of(upstream: model.Upstream, defaults: model.Defaults) -> Exposure:
    """What the catalog is told of it."""
    return Exposure(
        name=upstream.name,
        title=upstream.title or upstream.name,
        namespace=upstream.namespace,
        name_limit=defaults.name_limit,
        tools=_filter(upstream.tools),
        prompts=_filter(upstream.prompts),
        resources=_filter(upstream.resources),
        rename=upstream.rename,
    )


def _filter(said: model.Filter) -> Filter:
    return Filter(said.allow, said.deny)


def credential_of(upstream: model.Upstream) -> Credential:
    """The credential that every call to it carries."""
    headers = dict(upstream.headers)
    if isinstance(upstream.auth, model.ApiKey):
        headers["Authorization"] = Secret(f"Bearer {upstream.auth.value.open()}")
    if isinstance(upstream.auth, model.SharedHeader):
        headers[upstream.auth.name] = Secret(f"{upstream.auth.scheme} {upstream.auth.value.open()}".lstrip())
    return Credential(headers)


def way_to(
    declared: model.Upstream, defaults: model.Defaults, http: HttpClient, starts: Starts, partition: bytes
) -> Way:
    """How it is reached; `partition` says on whose connections."""
    bounds = limits_of(declared, defaults)
    if declared.command:
        return process_way(declared.name, command_of(declared), bounds, starts)
    channel = Channel(declared.name, declared.url or "", http, bounds, partition)
    return found_way(channel, is_older=OLDER[declared.transport])


def command_of(declared: model.Upstream) -> Command:
    """The command that starts it, if it is one."""
    return Command(declared.command, declared.env, declared.cwd)


def settings_of(declared: model.Upstream, defaults: model.Defaults, info: Raw) -> Settings:
    """What the way to it is told."""
    return Settings(
        name=declared.name,
        url=f"stdio:{command_of(declared).program}" if declared.command else declared.url or "",
        pinned=Era.LEGACY if declared.transport == "sse" else ERAS[declared.protocol],
        ttl=declared.catalog_ttl,
        listing=defaults.list_timeout,
        info=info,
        start=START if declared.command else 0.0,
    )


def limits_of(declared: model.Upstream, defaults: model.Defaults) -> Limits:
    """The bounds of what is asked there."""
    return Limits(declared.max_result, defaults.max_event, declared.timeout, defaults.list_timeout)


def masters_of(config: model.Config, environ: Mapping[str, str]) -> MasterKeys | Given:
    """Where the master key comes from. A store that ends with the process takes one that does."""
    if not is_kept(config.store):
        return Given(from_text(generated(), "memory"))
    beside = store_path(config.store, environ).with_name(FILE_NAME)
    return MasterKeys(config.store.key, environ, beside, is_private=is_private(config.server))


def unserved(all_declared: Mapping[str, model.Upstream], served: Container[str]) -> dict[str, str]:
    """Why each of the others is not served."""
    return {
        name: "Server URL not set" if each.enabled else "Disabled in the configuration"
        for name, each in all_declared.items()
        if name not in served
    }
