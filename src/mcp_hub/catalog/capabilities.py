"""What the hub says it can do, made of what its upstreams say.

Rule: advertised is what works from this client to some upstream, and nothing else.

    lists, completions, logging   if any upstream has it (lists always: it may come back while a session lasts)
    tasks                         if any upstream of the client's own era has them; between eras there are none
    MCP Apps                      if any upstream has them: they only decorate tools and resources
    any other extension, and      if one single upstream of the client's era declares any, since its methods can only
    `experimental`                be passed on where it is clear to whom
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from mcp_hub.wire.eras import LEGACY_REVISIONS, TASKS, TASKS_REVISION, Era
from mcp_hub.wire.jsonrpc import Json

APPS: Final = "io.modelcontextprotocol/ui"
_CARRIED: Final = frozenset({TASKS, APPS})
"""Extensions whose messages the hub knows how to carry, from any number of upstreams."""
_LISTS: Final = ("tools", "prompts", "resources")
_TASK_ABILITIES: Final = (("list",), ("cancel",), ("requests", "tools", "call"))


@dataclass(frozen=True, slots=True)
class Said:
    """What one upstream says it can do, and the era it is spoken to in, `None` while that is not known."""

    upstream: str
    era: Era | None
    capabilities: Json


def advertised(all_said: Sequence[Said], revision: str) -> Json:
    """The capabilities for a client of this revision."""
    capabilities: Json = {kind: {"listChanged": True} for kind in _LISTS}
    if any(_has(each.capabilities, "resources", "subscribe") for each in all_said):
        capabilities["resources"]["subscribe"] = True
    for extra in ("completions", "logging"):
        if any(extra in each.capabilities for each in all_said):
            capabilities[extra] = {}
    era = Era.LEGACY if revision in LEGACY_REVISIONS else Era.MODERN
    extensions = _extensions(all_said, era)
    if extensions:
        capabilities["extensions"] = extensions
    alone = extender(all_said, era)
    for each in all_said:
        if each.upstream == alone and (experimental := _object(each.capabilities, "experimental")):
            capabilities["experimental"] = experimental
    if revision == TASKS_REVISION and (tasks := _tasks(all_said)):
        capabilities["tasks"] = tasks
    return capabilities


def with_tasks(all_said: Iterable[Said], era: Era) -> frozenset[str]:
    """The upstreams whose calls can become tasks for clients of this era."""
    return frozenset(each.upstream for each in all_said if each.era is era and _offers_tasks(each))


def listing_tasks(all_said: Iterable[Said]) -> frozenset[str]:
    """The legacy upstreams that list their tasks."""
    return frozenset(
        each.upstream for each in all_said if each.era is Era.LEGACY and _has(each.capabilities, "tasks", "list")
    )


def extender(all_said: Sequence[Said], era: Era) -> str | None:
    """The one upstream of this era that declares anything the hub does not know; `None` if none or several do."""
    extenders = _extenders(all_said, era)
    return extenders[0].upstream if len(extenders) == 1 else None


def _extensions(all_said: Sequence[Said], era: Era) -> Json:
    extensions: Json = {}
    if any(APPS in _object(each.capabilities, "extensions") for each in all_said):
        extensions[APPS] = _first(all_said, APPS)
    if era is Era.MODERN and with_tasks(all_said, era):
        extensions[TASKS] = {}
    alone = extender(all_said, era)
    for each in all_said:
        if each.upstream == alone:
            extensions |= _unknown(each)
    return extensions


def _extenders(all_said: Sequence[Said], era: Era) -> list[Said]:
    return [
        each for each in all_said if each.era is era and (_unknown(each) or _object(each.capabilities, "experimental"))
    ]


def _unknown(said: Said) -> Json:
    return {key: each for key, each in _object(said.capabilities, "extensions").items() if key not in _CARRIED}


def _first(all_said: Sequence[Said], extension: str) -> Any:
    declared = (_object(each.capabilities, "extensions") for each in all_said)
    return next(each[extension] for each in declared if extension in each)


def _offers_tasks(said: Said) -> bool:
    if said.era is Era.MODERN:
        return TASKS in _object(said.capabilities, "extensions")
    return _has(said.capabilities, "tasks", "requests", "tools", "call")


def _tasks(all_said: Sequence[Said]) -> Json:
    """The union of what legacy upstreams can do with tasks; nothing if none of them makes any."""
    makers = [each for each in all_said if each.era is Era.LEGACY and _offers_tasks(each)]
    tasks: Json = {}
    for path in _TASK_ABILITIES:
        if any(_has(each.capabilities, "tasks", *path) for each in makers):
            place = tasks
            for step in path:
                place = place.setdefault(step, {})
    return tasks


def _has(capabilities: Json, *path: str) -> bool:
    """Whether this is declared: an object, or `true`."""
    place: Any = capabilities
    for step in path:
        if not isinstance(place, dict):
            return False
        place = cast("Json", place).get(step)
    return isinstance(place, dict) or place is True


def _object(capabilities: Json, member: str) -> Json:
    found = capabilities.get(member)
    return cast("Json", found) if isinstance(found, dict) else {}
