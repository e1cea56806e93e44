"""What is wrong, or without effect, in a configuration whose single values are all right.

Rule: a finding names the path it is about and, in `needs`, what else it was judged by; it is dropped if one of them
has a problem already, so that one mistake is not reported twice in different words.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from pydantic_core import Url

from mcp_hub.config import auth_rules, login_rules
from mcp_hub.config.addresses import split_url
from mcp_hub.config.findings import Finding, Path, Rule
from mcp_hub.config.model import Config, Server, Upstream
from mcp_hub.config.places import is_kept
from mcp_hub.config.reach import is_loopback, judge_address

_OWN_PATHS: Final = ("/mcp", "/sse")


def is_private(server: Server) -> bool:
    """Whether only this computer can reach a hub with this configuration."""
    url = split_url(server.public_url or "")
    return is_loopback(server.host) and (url is None or is_loopback(url.host or ""))


def is_own_address(url: Url, server: Server) -> bool:
    """Whether a hub with this configuration would meet itself at `url`."""
    path = (url.path or "").rstrip("/")
    if is_loopback(url.host or "") and url.port == server.port:
        return path in _OWN_PATHS
    public = split_url(server.base_url)
    if public is None or (url.host, url.port) != (public.host, public.port):
        return False
    return path in {f"{(public.path or '').rstrip('/')}{own}" for own in _OWN_PATHS}


def _unreachable_addresses(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        url = split_url(upstream.url or "")
        if url is None:
            continue
        message, hint = judge_address(url.scheme, url.host or "", config.network.allow_private)
        if message:
            yield Finding(("upstreams", name, "url"), message, hint, needs=(("network",),))


def _headers_twice(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        seen: set[str] = set()
        for header in upstream.headers:
            if header.lower() in seen:
                path: Path = ("upstreams", name, "headers", header)
                yield Finding(path, "this header is set twice", "upper and lower case are the same here", at_key=True)
            seen.add(header.lower())


def _renamed_alike(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        seen: set[str] = set()
        for original, new in upstream.rename.items():
            if new in seen:
                yield Finding(("upstreams", name, "rename", original), "another one is renamed to this already")
            seen.add(new)


def _namespaces_alike(config: Config) -> Iterator[Finding]:
    owners: dict[str, str] = {name: name for name, one in config.upstreams.items() if one.prefix is True}
    for name, upstream in config.upstreams.items():
        if not isinstance(upstream.prefix, str):
            continue
        owner = owners.setdefault(upstream.prefix, name)
        if owner != name:
            needs: tuple[Path, ...] = (("upstreams", owner, "prefix"),)
            message = f"upstream '{owner}' stands under this name already"
            yield Finding(("upstreams", name, "prefix"), message, "choose another name", needs)


def _parts_without_effect(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        why = _idle(upstream)
        if not why:
            continue
        for part in ("tools", "resources", "prompts"):
            if getattr(upstream, part).is_set:
                yield Finding(("upstreams", name, part), f"has no effect while {why}", at_key=True)
        if upstream.rename:
            yield Finding(("upstreams", name, "rename"), f"has no effect while {why}", at_key=True)
        if auth_rules.header_of(upstream.auth):
            yield Finding(("upstreams", name, "auth"), f"has no effect while {why}", at_key=True)


def _idle(upstream: Upstream) -> str:
    if not upstream.enabled:
        return "the upstream is disabled"
    return "" if upstream.is_reachable else "the upstream has no url"


def _without_url(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        if upstream.enabled and not upstream.is_reachable:
            yield Finding(("upstreams", name), "Server URL not set", "add 'url', or 'enabled: false'", at_key=True)


def _url_or_command(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        at: Path = ("upstreams", name)
        if upstream.url is not None and upstream.command:
            needs: tuple[Path, ...] = ((*at, "url"),)
            yield Finding((*at, "command"), "'url' already says where it is", "keep one of the two", needs, at_key=True)
        elif upstream.command and upstream.transport in ("streamable-http", "sse"):
            message = "a command speaks on its standard streams only"
            yield Finding((*at, "transport"), message, "write 'stdio', or leave it out", ((*at, "command"),))
        elif upstream.transport == "stdio" and not upstream.command:
            message = "stdio needs a command"
            yield Finding((*at, "transport"), message, "as in  command: [uvx, mcp-server-time]", ((*at, "command"),))
        elif upstream.transport == "sse" and upstream.protocol == "2026-07-28":
            message = "HTTP+SSE is older than this revision"
            yield Finding((*at, "transport"), message, "leave out 'protocol'", ((*at, "protocol"),))


def _environment_of_nothing(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        said = {"env": bool(upstream.env), "cwd": upstream.cwd is not None}
        for key in (key for key, is_said in said.items() if is_said and not upstream.command):
            at: Path = ("upstreams", name)
            yield Finding((*at, key), "has no effect without 'command'", needs=((*at, "command"),), at_key=True)


def _hidden(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        for part in ("tools", "resources", "prompts"):
            if getattr(upstream, part).allow == ():
                yield Finding(("upstreams", name, part, "allow"), "an empty list offers nothing", at_key=True)
        denied = {pattern for part in (upstream.tools, upstream.prompts) for pattern in part.deny}
        for original in upstream.rename:
            if original in denied:
                yield Finding(("upstreams", name, "rename", original), "has no effect: 'deny' hides it", at_key=True)


def _names_may_meet(config: Config) -> Iterator[Finding]:
    bare = [name for name, upstream in config.upstreams.items() if upstream.prefix is False and upstream.enabled]
    for name in bare[1:]:
        message = f"'{bare[0]}' has no prefix either; where two names meet, the one declared first keeps it"
        yield Finding(("upstreams", name, "prefix"), message, "the other one is offered with its prefix", at_key=True)


def _itself(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        url = split_url(upstream.url or "")
        if url and is_own_address(url, config.server):
            message = "is the address of this hub itself, whose lists would grow without end"
            yield Finding(("upstreams", name, "url"), message, "remove it; the hub needs the servers behind it only")


def starts_a_hub(words: Sequence[str]) -> bool:
    """Whether a command is `mcp-hub stdio`, however it is found."""
    return any(re.search(r"(^|[/\\])mcp-hub(\.exe)?$", word) and then == "stdio" for word, then in pairwise(words))


def _starts_itself(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        if starts_a_hub([word.open() for word in upstream.command]):
            message = "is a hub of its own; with this configuration it would start itself without end"
            yield Finding(("upstreams", name, "command"), message, "give it another one, with '-c'", at_key=True)


def _wide_ranges(config: Config) -> Iterator[Finding]:
    for index, network in enumerate(config.network.allow_private):
        if not network.is_private:
            yield Finding(
                ("network", "allow_private", index), "this range holds public addresses: plain http to them too"
            )


def _key_of_nothing(config: Config) -> Iterator[Finding]:
    if config.store.key != "auto" and not is_kept(config.store):
        message = "has no effect on a store in memory, whose keys end with the hub"
        yield Finding(("store", "key"), message, needs=(("store", "url"),), at_key=True)


PROBLEMS: Final[tuple[Rule, ...]] = (
    *login_rules.PROBLEMS,
    *auth_rules.PROBLEMS,
    _unreachable_addresses,
    _headers_twice,
    _renamed_alike,
    _namespaces_alike,
    _url_or_command,
)
"""With one of these the hub does not start."""

WARNINGS: Final[tuple[Rule, ...]] = (
    _without_url,
    _environment_of_nothing,
    _parts_without_effect,
    _hidden,
    _names_may_meet,
    _itself,
    _starts_itself,
    _wide_ranges,
    _key_of_nothing,
    *auth_rules.WARNINGS,
    *login_rules.WARNINGS,
)
"""What is allowed, and does not do what it seems to."""
