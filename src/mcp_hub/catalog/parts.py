"""What one upstream brings to the catalog, and what configuration says about it.

Rule: a definition is judged alone. A broken one is left out with a warning that names it, and costs no other; one that
is kept is kept whole, unknown fields included. Nothing in a schema is ever followed or fetched.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, cast

import msgspec
from msgspec import Raw

from mcp_hub.catalog.access import EVERYTHING, Filter
from mcp_hub.catalog.steps import STRIDE, Steps, equal
from mcp_hub.catalog.text import label
from mcp_hub.wire import jsonrpc
from mcp_hub.wire.headers import ANNOTATION, invalid_annotation
from mcp_hub.wire.jsonrpc import Fields, Json, Malformed

MAX_NAME: Final = 1000
MAX_SCHEMA: Final = 256 * 1024
"""Bytes of one schema, as encoded."""
MAX_DEFINITION: Final = 1024 * 1024
"""Bytes of one definition, icons and all."""
MAX_DEPTH: Final = 64
"""Objects and arrays inside each other, within one member of a definition."""
MAX_NODES: Final = 10_000
"""Objects and arrays in one definition: what a client's validator may have to walk for every call."""
MAX_FAULT: Final = 200
"""Bytes of a reason that may quote the upstream's own words."""
MAX_WARNINGS: Final = 20
"""How many are kept of one list; an upstream may send a hundred thousand broken definitions."""


class Kind(StrEnum):
    """The four lists of a catalog; the value is the member of the result that holds the list."""

    TOOL = "tools"
    PROMPT = "prompts"
    RESOURCE = "resources"
    TEMPLATE = "resourceTemplates"

    @property
    def method(self) -> str:
        """The request that lists it."""
        return _METHODS[self]

    @property
    def member(self) -> str:
        """The member of the result that holds the list."""
        return self.value

    @property
    def key(self) -> str:
        """The member of a definition that identifies it."""
        return _KEYS[self]

    @property
    def noun(self) -> str:
        """One of it, in a sentence."""
        return _NOUNS[self]


_METHODS: Final = {
    Kind.TOOL: "tools/list",
    Kind.PROMPT: "prompts/list",
    Kind.RESOURCE: "resources/list",
    Kind.TEMPLATE: "resources/templates/list",
}
_KEYS: Final = {Kind.TOOL: "name", Kind.PROMPT: "name", Kind.RESOURCE: "uri", Kind.TEMPLATE: "uriTemplate"}
_NOUNS: Final = {
    Kind.TOOL: "tool",
    Kind.PROMPT: "prompt",
    Kind.RESOURCE: "resource",
    Kind.TEMPLATE: "resource template",
}


@dataclass(frozen=True, slots=True)
class Exposure:
    """How configuration shows one upstream: `name` is the upstream's, `namespace` is `None` for `prefix: false`.

    `rename` maps original names of tools and prompts to what is shown behind the namespace instead; filters see the
    originals.
    """

    name: str
    title: str = ""
    namespace: str | None = None
    name_limit: int = 60
    tools: Filter = EVERYTHING
    prompts: Filter = EVERYTHING
    resources: Filter = EVERYTHING
    rename: Mapping[str, str] = field(default_factory=dict[str, str])

    def filter(self, kind: Kind) -> Filter:
        """The filter that decides about definitions of this kind; templates are filtered like resources."""
        if kind is Kind.TOOL:
            return self.tools
        return self.prompts if kind is Kind.PROMPT else self.resources


@dataclass(frozen=True, slots=True)
class Part:
    """One upstream's own catalog as fetched, in its own words and order.

    `ttl_ms` is its own hint, `public` whether it said that the lists are the same for every caller.
    """

    server_info: Json = field(default_factory=dict[str, Any])
    capabilities: Json = field(default_factory=dict[str, Any])
    instructions: str = ""
    items: Mapping[Kind, tuple[Json, ...]] = field(default_factory=dict[Kind, tuple[Json, ...]])
    ttl_ms: int | None = None
    public: bool = False
    warnings: tuple[str, ...] = ()

    def of(self, kind: Kind) -> tuple[Json, ...]:
        """The definitions of this kind, none if the upstream has none."""
        return self.items.get(kind, ())


Read = tuple[tuple[Json, ...], tuple[str, ...]]
"""Definitions, and a sentence for each that was left out."""

_parts: Final = msgspec.json.Decoder(Part)


def kept(part: Part, before: Part) -> Steps[Part]:
    """`part`, but with the lists of `before` where they are equal, so that equal ones are the same from now on.

    If nothing at all has changed, it is `before`.
    """
    items = dict(part.items)
    changed = items.keys() != before.items.keys()
    for kind, listed in part.items.items():
        if (yield from equal(listed, before.of(kind))):
            items[kind] = before.of(kind)
        else:
            changed = True
    same = replace(part, items=items)
    return before if not changed and same == before else same


def encode_part(part: Part) -> bytes:
    """The part as the store keeps it."""
    return jsonrpc.encode(part)


def decode_part(stored: bytes) -> Part:
    """What `encode_part` was given.

    Raises:
        ValueError: these bytes are not a part, for example one of another version.
    """
    try:
        return _parts.decode(stored)
    except RecursionError as error:
        raise ValueError("The stored catalog is nested too deeply") from error


def reading(kind: Kind, raws: Iterable[Raw]) -> Steps[Read]:
    """The definitions that can be used, in order, and a sentence for each that cannot (at most `MAX_WARNINGS` + 1).

    Never raises. Of two definitions with one name the first is kept.
    """
    items: dict[str, Json] = {}
    warnings: list[str] = []
    for number, raw in enumerate(raws, 1):
        if number % STRIDE == 0:
            yield
        identity, fault = _read(kind, bytes(raw), items)
        if fault is not None:
            title = f"number {number} of the list" if identity is None else f'"{label(identity)}"'
            warnings.append(f"The {kind.noun} {title} is left out: {fault}.")
    return tuple(items.values()), bounded(warnings)


def bounded(warnings: list[str]) -> tuple[str, ...]:
    """The first of many warnings, and how many more there were."""
    more = len(warnings) - MAX_WARNINGS
    if more <= 0:
        return tuple(warnings)
    return (*warnings[:MAX_WARNINGS], f"There are {more} more warnings like these.")


def _read(kind: Kind, raw: bytes, items: dict[str, Json]) -> tuple[str | None, str | None]:
    """Add one definition to `items`, or say why not: what it is called, as far as that can be read, and the fault."""
    try:
        fields = jsonrpc.fields(raw)
        identity = jsonrpc.text(fields.get(kind.key))
        fault = _identity_fault(kind, identity, items) or _size_fault(raw, fields)
        if identity is None or fault is not None:
            return identity, fault
        item = cast("Json", jsonrpc.value(raw))
    except Malformed:
        return None, "it is not a JSON object of valid text"
    fault = _depth_fault(raw, item) or (_tool_fault(raw, item) if kind is Kind.TOOL else None)
    if fault is None:
        items[identity] = item
    return identity, fault


def _identity_fault(kind: Kind, identity: str | None, items: dict[str, Json]) -> str | None:
    if not identity:
        return f'its "{kind.key}" is missing, empty or not a string'
    if len(identity) > MAX_NAME:
        return f'its "{kind.key}" is longer than {MAX_NAME} characters'
    return "it is listed twice" if identity in items else None


def _size_fault(raw: bytes, fields: Fields) -> str | None:
    for member in ("inputSchema", "outputSchema"):
        if member in fields and len(bytes(fields[member])) > MAX_SCHEMA:
            return f"its {member} is larger than {MAX_SCHEMA // 1024} KiB"
    return f"it is larger than {MAX_DEFINITION // 1024} KiB" if len(raw) > MAX_DEFINITION else None


def _depth_fault(raw: bytes, item: Json) -> str | None:
    """Judge nesting and number level by level, so that neither can cost more than a walk over what is there."""
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return None
    depth, nodes = 0, 0
    level: list[Any] = [item]
    while level:
        depth, nodes = depth + 1, nodes + len(level)
        if depth > MAX_DEPTH + 1:
            return f"it is nested deeper than {MAX_DEPTH} levels"
        if nodes > MAX_NODES:
            return f"it holds more than {MAX_NODES} objects and arrays"
        level = [child for node in level for child in _children(node) if isinstance(child, dict | list)]
    return None


def _children(node: Any) -> Iterable[Any]:
    return cast("Json", node).values() if isinstance(node, dict) else cast("list[Any]", node)


def _tool_fault(raw: bytes, item: Json) -> str | None:
    schema = item.get("inputSchema")
    if not isinstance(schema, dict) or cast("Json", schema).get("type") != "object":
        # Strict clients refuse a whole list for one tool without it.
        return 'its inputSchema is not a JSON Schema of type "object"'
    if not isinstance(item.get("outputSchema", {}), dict):
        return "its outputSchema is not a JSON Schema object"
    if ANNOTATION.encode() in raw or b"\\u00" in raw:
        fault = invalid_annotation(cast("Json", schema))
        return None if fault is None else label(fault, MAX_FAULT)
    return None
