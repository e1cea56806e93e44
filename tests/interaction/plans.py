"""What the clients do with each upstream, and how the same is said and read through the hub."""

from typing import Any

REFERENCE: dict[str, Any] = {
    "calls": [
        {"name": "test_simple_text", "arguments": {}},
        {"name": "test_multiple_content_types", "arguments": {}},
        {"name": "test_audio_content", "arguments": {}},
        {"name": "test_embedded_resource", "arguments": {}},
        {"name": "test_resource_link", "arguments": {}},
        {"name": "test_error_handling", "arguments": {}},
        {"name": "test_x_mcp_header", "arguments": {"region": "eu 中"}},
    ],
    "reads": ["test://static-text", "test://static-binary", "test://template/7/data"],
    "prompts": [
        {"name": "test_prompt_with_arguments", "arguments": {"arg1": "hello", "arg2": "world"}},
        {"name": "test_prompt_with_embedded_resource", "arguments": {"resourceUri": "test://example"}},
        {"name": "test_prompt_with_image", "arguments": {}},
    ],
    "completions": [
        {
            "ref": {"type": "ref/prompt", "name": "test_prompt_with_arguments"},
            "argument": {"name": "arg1", "value": "par"},
        }
    ],
}
EVERYTHING: dict[str, Any] = {
    "calls": [
        {"name": "echo", "arguments": {"message": "¡hola!"}},
        {"name": "get-sum", "arguments": {"a": 2, "b": 40}},
        {"name": "get-annotated-message", "arguments": {"messageType": "error", "includeImage": True}},
        {"name": "get-structured-content", "arguments": {"location": "Chicago"}},
        {"name": "get-resource-links", "arguments": {"count": 3}},
        {"name": "get-tiny-image", "arguments": {}},
    ],
    "reads": ["demo://resource/static/document/architecture.md"],
    "prompts": [
        {"name": "simple-prompt", "arguments": {}},
        {"name": "args-prompt", "arguments": {"city": "Lima", "state": "Lima"}},
    ],
    "completions": [
        {
            "ref": {"type": "ref/prompt", "name": "completable-prompt"},
            "argument": {"name": "department", "value": "E"},
        }
    ],
}
# Servers that only the tests of published servers start: by name, what to ask of each.
SERVERS: dict[str, dict[str, Any]] = {
    "python-1x": {
        "calls": [
            {"name": "add", "arguments": {"summands": [1, 2, 39]}},
            {"name": "add", "arguments": {"summands": "none"}},
            {"name": "work", "arguments": {"steps": 2}},
            {"name": "fails", "arguments": {}},
            {"name": "draws", "arguments": {}},
            {"name": "points", "arguments": {}},
        ],
        "reads": ["memo://first", "memo://by/ann/7"],
        "prompts": [{"name": "ask", "arguments": {"topic": "the sea"}}],
        "completions": [
            {"ref": {"type": "ref/prompt", "name": "ask"}, "argument": {"name": "topic", "value": "s"}},
            {
                "ref": {"type": "ref/resource", "uri": "memo://by/{author}/{number}"},
                "argument": {"name": "author", "value": "a"},
                "context": {"arguments": {"number": "7"}},
            },
        ],
    },
    "typescript-2x": {
        "calls": [
            {"name": "add", "arguments": {"summands": [1, 2, 39]}},
            {"name": "add", "arguments": {"summands": "none"}},
            {"name": "fails", "arguments": {}},
            {"name": "points", "arguments": {}},
        ],
        "reads": ["memo://first", "memo://by/ann/7"],
        "prompts": [{"name": "ask", "arguments": {"topic": "the sea"}}],
        "completions": [
            {"ref": {"type": "ref/prompt", "name": "ask"}, "argument": {"name": "topic", "value": "dish"}},
            {
                "ref": {"type": "ref/resource", "uri": "memo://by/{author}/{number}"},
                "argument": {"name": "author", "value": "an"},
            },
        ],
    },
    "context7": {
        "calls": [
            {"name": "resolve-library-id", "arguments": {"query": "how to count", "libraryName": "abacus"}},
            {"name": "query-docs", "arguments": {"query": "how to count", "libraryId": "/tools/abacus"}},
            {"name": "query-docs", "arguments": {}},
        ],
        "reads": [],
        "prompts": [],
        "completions": [],
    },
    "playwright": {
        "calls": [
            {"name": "browser_tabs", "arguments": {"action": "list"}},
            {"name": "browser_navigate", "arguments": {"url": 7}},
        ],
        "reads": [],
        "prompts": [],
        "completions": [],
    },
}
PLANS = {"reference": REFERENCE, "everything": EVERYTHING}

# Says something of the way a result came, not of what it says.
OF_THE_WAY = frozenset({"_meta", "ttlMs", "cacheScope", "resultType"})
# `execution` left the list of tools with revision 2026-07-28.
OF_ONE_ERA = frozenset({"execution"})
URI_KEYS = frozenset({"uri", "uriTemplate"})
LISTS = {"tools": "name", "prompts": "name", "resources": "uri", "templates": "uriTemplate"}


def through_hub(plan: dict[str, Any], upstream: str) -> dict[str, Any]:
    """The same plan in the names of a hub."""
    return {
        "calls": [{**call, "name": f"{upstream}__{call['name']}"} for call in plan["calls"]],
        "reads": [f"{upstream}+{uri}" for uri in plan["reads"]],
        "prompts": [{**prompt, "name": f"{upstream}__{prompt['name']}"} for prompt in plan["prompts"]],
        "completions": [
            {**completion, "ref": _ref_through_hub(completion["ref"], upstream)} for completion in plan["completions"]
        ],
    }


def _ref_through_hub(ref: dict[str, Any], upstream: str) -> dict[str, Any]:
    if "uri" in ref:
        return {**ref, "uri": f"{upstream}+{ref['uri']}"}
    return {**ref, "name": f"{upstream}__{ref['name']}"}


def without_way(outcome: dict[str, Any]) -> dict[str, Any]:
    """The outcome without what belongs to the hop: the revision, cache hints, and who answered."""
    plain = {key: value for key, value in outcome.items() if key != "revision"}
    for kind in ("called", "read", "got", "completed"):
        plain[kind] = [{k: v for k, v in result.items() if k not in OF_THE_WAY} for result in plain[kind]]
    return plain


def without_other_era(outcome: dict[str, Any]) -> dict[str, Any]:
    """The outcome without the fields of tools that only one era knows; some clients drop them in the other."""
    tools = [{key: value for key, value in tool.items() if key not in OF_ONE_ERA} for tool in outcome["tools"]]
    return {**outcome, "tools": tools}


def as_if_direct(outcome: dict[str, Any], upstream: str) -> dict[str, Any]:
    """What came through the hub of one upstream, in that upstream's own names and addresses."""
    own = dict(outcome)
    for kind, key in LISTS.items():
        own[kind] = [_own(item, key, upstream) for item in outcome[kind] if _belongs(item[key], upstream)]
    return own_uris(own, upstream)


def _belongs(name: str, upstream: str) -> bool:
    return name.startswith((f"{upstream}__", f"{upstream}+"))


def _own(item: dict[str, Any], key: str, upstream: str) -> dict[str, Any]:
    return {**item, key: item[key].removeprefix(f"{upstream}__")}


def own_uris(value: Any, upstream: str) -> Any:
    if isinstance(value, list):
        return [own_uris(item, upstream) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: item.removeprefix(f"{upstream}+")
        if key in URI_KEYS and isinstance(item, str)
        else own_uris(item, upstream)
        for key, item in value.items()
    }
