"""The JSON Schema (2020-12) of the file, for completion and checks in an editor.

Rule: made from the shape; a value that may come from a variable (`${…}`) is accepted as text wherever it stands.
"""

from typing import Any, Final, cast

from mcp_hub.config.shape import Root

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_SHORT: Final = {"AuthShape": ["none", "oauth"], "LoginShape": ["none", "local"]}

Json = dict[str, Any]


def json_schema() -> Json:
    """The schema as plain data."""
    made = Root.model_json_schema(mode="validation")
    for name, words in _SHORT.items():
        made["$defs"][name] = {"anyOf": [{"enum": words}, made["$defs"][name]]}
    return {"$schema": DIALECT, "title": "mcp_hub configuration", **cast("Json", _plain(made, properties=False))}


def _plain(node: Any, *, properties: bool) -> Any:
    """Without the titles the library adds and the defaults it writes as values, which are not as people write them."""
    if isinstance(node, list):
        return [_plain(item, properties=False) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    kept: Json = {}
    for key, value in cast("Json", node).items():
        if properties or key not in {"title", "default"}:
            kept[key] = _plain(value, properties=key in {"properties", "$defs"} and not properties)
    if "patternProperties" in kept and not properties:
        kept["additionalProperties"] = False
    return kept
