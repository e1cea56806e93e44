"""Values of the modern era's headers, and the `Mcp-Param-*` headers that a tool's schema asks for.

Rule: total on hostile input. Nothing here recurses, and nothing raises for what an upstream or a client sent.
Source: MCP specification 2026-07-28, basic/transports, "Custom Headers"; property tests hold these functions equal to
the SDK's, which are not imported because importing the SDK costs half a second.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from mcp_hub.wire.jsonrpc import Json

ANNOTATION: Final = "x-mcp-header"
"""The keyword by which a property of an input schema asks to be mirrored into a header."""
PARAM_PREFIX: Final = "Mcp-Param-"

_OPENING: Final = "=?base64?"
_CLOSING: Final = "?="
_PLAIN: Final = re.compile(r"[\x20-\x7e]*")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_DECIMAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_MIRRORED_TYPES: Final = frozenset({"string", "integer", "boolean"})

# The keywords of JSON Schema 2020-12 below which schemas stand, by the shape of their value. `default`, `examples`,
# `const` and `enum` hold data, and `$ref` is never followed.
_ONE: Final = frozenset(
    (
        *("items", "contains", "unevaluatedItems"),
        *("additionalProperties", "propertyNames", "unevaluatedProperties"),
        *("not", "if", "then", "else", "contentSchema"),
    )
)
_MANY: Final = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
_NAMED: Final = frozenset(("patternProperties", "dependentSchemas", "$defs", "definitions"))


@dataclass(frozen=True, slots=True)
class ParamHeader:
    """The header that mirrors one argument: `Mcp-Param-{token}`, of a property of JSON type `type`."""

    token: str
    type: str

    @property
    def name(self) -> str:
        """The header as it is sent."""
        return PARAM_PREFIX + self.token

    @property
    def key(self) -> str:
        """The header as it is looked up: lower-case."""
        return self.name.lower()


ParamHeaders = Mapping[tuple[str, ...], ParamHeader]
"""A tool's mirrored arguments, by the chain of property names that leads to each."""


def encode_value(value: str) -> str:
    """The text as a header value: itself where that survives the journey, else in the base64 sentinel."""
    if _PLAIN.fullmatch(value) and value == value.strip(" ") and _payload(value) is None:
        return value
    return f"{_OPENING}{base64.b64encode(value.encode('utf-8', 'surrogatepass')).decode('ascii')}{_CLOSING}"


def decode_value(value: str | None) -> str | None:
    """What `encode_value` was given; `None` for an absent header and for a broken sentinel, which matches nothing."""
    if value is None or not value.startswith(_OPENING):
        return value
    payload = _payload(value)
    if payload is None:
        return value
    try:
        decoded = base64.b64decode(payload, validate=True)
        # Stray trailing bits pass `validate`; two spellings of one value would let readers disagree.
        return decoded.decode("utf-8") if base64.b64encode(decoded).decode("ascii") == payload else None
    except ValueError:
        return None


def invalid_annotation(schema: Any) -> str | None:
    """Why the schema's `x-mcp-header` annotations are not valid, or `None`. Linear in the size of the schema."""
    seen: set[str] = set()
    for place, node in _positions(schema):
        if ANNOTATION in node:
            reason = _annotation_fault(place, node, seen)
            if reason is not None:
                return reason
    return None


def header_map(schema: Any) -> dict[tuple[str, ...], ParamHeader]:
    """The arguments to mirror; empty for most tools, and for a schema that `invalid_annotation` refuses."""
    found: dict[tuple[str, ...], ParamHeader] = {}
    seen: set[str] = set()
    for place, node in _positions(schema):
        if ANNOTATION in node:
            if place is None or _annotation_fault(place, node, seen) is not None:
                return {}
            found[place.path()] = ParamHeader(node[ANNOTATION], node["type"])
    return found


def param_headers(wanted: ParamHeaders, arguments: Mapping[str, Any]) -> dict[str, str]:
    """The headers to send with a call; an argument that is absent, null or not a scalar has none."""
    headers: dict[str, str] = {}
    for path, header in wanted.items():
        rendered = _rendered(_value_at(arguments, path))
        if rendered is not None:
            headers[header.name] = encode_value(rendered)
    return headers


def check_param_headers(wanted: ParamHeaders, arguments: Mapping[str, Any], headers: Mapping[str, str]) -> str | None:
    """Why a call's headers and arguments disagree, or `None`.

    `headers` has lower-case names, each given once: whoever reads the request refuses repeated ones.
    """
    for path, header in wanted.items():
        fault = _header_fault(header, _value_at(arguments, path), headers.get(header.key))
        if fault is not None:
            return f"The header {header.name} {fault} the argument '{'.'.join(path)}'"
    return None


def _payload(value: str) -> str | None:
    if len(value) < len(_OPENING) + len(_CLOSING) or not (value.startswith(_OPENING) and value.endswith(_CLOSING)):
        return None
    payload = value[len(_OPENING) : -len(_CLOSING)]
    return None if "\n" in payload else payload


class _Place(NamedTuple):
    """A schema position reached from the root by `properties` alone; linked, so that deep schemas stay linear."""

    parent: "_Place | None"
    name: str

    def path(self) -> tuple[str, ...]:
        names: list[str] = []
        place = self
        while place.parent is not None:
            names.append(place.name)
            place = place.parent
        return tuple(reversed(names))


_ROOT: Final = _Place(None, "")


def _positions(schema: Any) -> Iterator[tuple[_Place | None, Json]]:
    """Every schema position with its place, `None` once a keyword other than `properties` was crossed."""
    stack: list[tuple[_Place | None, Any]] = [(_ROOT, schema)]
    while stack:
        place, node = stack.pop()
        if isinstance(node, dict):
            node = cast("Json", node)
            yield place, node
            for keyword, value in node.items():
                stack.extend(_below(place, keyword, value))


def _below(place: _Place | None, keyword: str, value: Any) -> Iterator[tuple[_Place | None, Any]]:
    if isinstance(value, dict):
        value = cast("Json", value)
        if keyword == "properties":
            for name, child in value.items():
                yield (None if place is None else _Place(place, name)), child
        elif keyword in _ONE:
            yield None, value
        elif keyword in _NAMED:
            for child in value.values():
                yield None, child
    elif keyword in _MANY and isinstance(value, list):
        for child in cast("list[Any]", value):
            yield None, child


def _annotation_fault(place: _Place | None, node: Json, seen: set[str]) -> str | None:
    """Why one annotation is not valid, or `None`; a valid one is added to `seen`."""
    token, kind = node[ANNOTATION], node.get("type")
    if place is None or place is _ROOT:
        return f"{ANNOTATION} stands where no chain of plain properties leads"
    # The token is named only once it is known to be a string: `repr` of any JSON value is not total.
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        return f"{ANNOTATION} of property {place.name!r} is not an HTTP token"
    if not isinstance(kind, str) or kind not in _MIRRORED_TYPES:
        return f"{ANNOTATION} of property {place.name!r} needs the type string, integer or boolean"
    if token.lower() in seen:
        return f"{ANNOTATION} {token!r} is used by two properties"
    seen.add(token.lower())
    return None


def _value_at(arguments: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    node: Any = arguments
    for name in path:
        if not isinstance(node, Mapping):
            return None
        node = cast("Mapping[str, Any]", node).get(name)
    return node


def _rendered(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        return None
    try:
        return str(value)
    except ValueError:  # an integer beyond the interpreter's limit of digits
        return None


def _header_fault(header: ParamHeader, value: Any, sent: str | None) -> str | None:
    rendered = _rendered(value)
    if rendered is None:
        # "present together or absent together": a header for a value that the body never carried could misroute.
        return None if sent is None else "is present without"
    if sent is None:
        return "is missing for"
    decoded = decode_value(sent)
    if decoded is None or not _same(header.type, value, rendered, decoded):
        return "does not match"
    return None


def _same(kind: str, value: Any, rendered: str, decoded: str) -> bool:
    """Whether both say the same; integers SHOULD be compared as numbers, so 42 matches 42.0."""
    if kind == "integer" and _is_integral(value) and _DECIMAL.fullmatch(decoded):
        whole, _, fraction = decoded.partition(".")
        try:
            return not fraction.strip("0") and int(whole) == int(value)
        except ValueError:  # more digits than the interpreter converts
            return False
    return decoded == rendered


def _is_integral(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)
