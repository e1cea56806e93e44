"""A broken definition costs nobody but itself; a kept one is kept whole, through the store and back."""

import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from mcp_hub.catalog.access import Filter
from mcp_hub.catalog.parts import (
    MAX_DEFINITION,
    MAX_DEPTH,
    MAX_NAME,
    MAX_NODES,
    MAX_SCHEMA,
    MAX_WARNINGS,
    Exposure,
    Kind,
    Part,
    decode_part,
    encode_part,
    reading,
)
from mcp_hub.catalog.steps import finished

pytestmark = pytest.mark.promise("A1")

SETTINGS = settings(deadline=None)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**30), 10**30),
        st.floats(allow_nan=False, allow_infinity=False),
        texts,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=4)


def raw(value):
    return Raw(value if isinstance(value, bytes) else msgspec.json.encode(value))


def tool(name="t", **members):
    return {"name": name, "inputSchema": {"type": "object"}, **members}


def nested(depth, inner=b"{}"):
    return b'{"allOf":[' * (depth // 2) + inner + b"]}" * (depth // 2)


DEEP = b'{"server_info":{"a":%b1%b}}' % (b"[" * 10_000, b"]" * 10_000)
BROKEN = {
    "not an object": b"[]",
    "a number": b"3",
    "nothing": b"null",
    "a lone surrogate": b'{"name":"x","inputSchema":{"type":"object"},"d":"\\ud800 "}',
    "bytes that are no text": b'{"name":"x","inputSchema":{"type":"object"},"d":"\xff"}',
    "a number beyond any range": b'{"name":"x","inputSchema":{"type":"object"},"d":1e999}',
    "no name": {"inputSchema": {"type": "object"}},
    "a name that is no text": {"name": 7, "inputSchema": {"type": "object"}},
    "an empty name": tool(""),
    "a name without end": tool("x" * (MAX_NAME + 1)),
    "no schema": {"name": "x"},
    "a schema that is no object": {"name": "x", "inputSchema": []},
    "a schema of no object": {"name": "x", "inputSchema": {"type": "string"}},
    "an output schema that is no object": tool("x", outputSchema="string"),
    "a header that is no token": tool(
        "x", inputSchema={"type": "object", "properties": {"a": {"type": "string", "x-mcp-header": "a b"}}}
    ),
    "a schema too deep": b'{"name":"x","inputSchema":{"type":"object","a":%b}}' % nested(MAX_DEPTH + 2),
    "a schema deeper than any stack": b'{"name":"x","inputSchema":{"type":"object","a":%b}}' % nested(200_000),
    "a schema too large": tool("x", inputSchema={"type": "object", "description": "x" * MAX_SCHEMA}),
    "a schema of too many parts": tool("x", inputSchema={"type": "object", "allOf": [{}] * MAX_NODES}),
    "a definition too large": tool("x", icons=["x" * MAX_DEFINITION]),
}


@pytest.mark.promise("A7", "T25", "T29")
@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_tool_loses_only_itself(broken):
    items, warnings = finished(reading(Kind.TOOL, [raw(tool("first")), raw(broken), raw(tool("last"))]))
    assert [item["name"] for item in items] == ["first", "last"]
    assert len(warnings) == 1
    assert warnings[0].startswith("The tool ")


@pytest.mark.promise("A7")
def test_the_warning_names_the_tool_without_what_could_harm_a_terminal():
    _, warnings = finished(reading(Kind.TOOL, [raw({"name": "evil\x1b[2J\ntool"})]))
    assert warnings == ('The tool "evil tool" is left out: its inputSchema is not a JSON Schema of type "object".',)
    _, warnings = finished(reading(Kind.RESOURCE, [raw(b"1")]))
    assert warnings == ("The resource number 1 of the list is left out: it is not a JSON object of valid text.",)


@pytest.mark.promise("A7")
def test_a_warning_stays_short_however_long_the_names_in_it_are():
    schema = {"type": "object", "properties": {"p" * 5000: {"type": "number", "x-mcp-header": "t" * 5000}}}
    _, warnings = finished(reading(Kind.TOOL, [raw(tool("n" * 900, inputSchema=schema))]))
    assert len(warnings[0]) < 400


@pytest.mark.promise("A7")
@SETTINGS
@given(
    st.lists(st.one_of(st.sampled_from(list(BROKEN.values())[:13]), st.sampled_from("abcdef").map(tool)), max_size=12)
)
def test_exactly_the_good_tools_are_kept_in_their_order(listed):
    good = [item["name"] for item in listed if isinstance(item, dict) and item in map(tool, "abcdef")]
    items, warnings = finished(reading(Kind.TOOL, [raw(item) for item in listed]))
    assert [item["name"] for item in items] == list(dict.fromkeys(good))
    assert len(items) + len(warnings) == len(listed)


@pytest.mark.promise("T27")
def test_of_two_definitions_with_one_name_the_first_is_kept():
    items, warnings = finished(reading(Kind.PROMPT, [raw({"name": "p", "a": 1}), raw({"name": "p", "a": 2})]))
    assert items == ({"name": "p", "a": 1},)
    assert warnings == ('The prompt "p" is left out: it is listed twice.',)


@SETTINGS
@given(st.sampled_from(list(Kind)), objects)
def test_unknown_fields_survive_reading_and_the_store(kind, extra):
    definition = {**extra, kind.key: "x", "inputSchema": {"type": "object"}}
    items, warnings = finished(reading(kind, [raw(definition)]))
    assert (items, warnings) == ((definition,), ())
    assert list(items[0]) == list(definition)
    assert decode_part(encode_part(Part(items={kind: items}))).of(kind) == items


def test_numbers_beyond_64_bits_survive_the_store():
    items, _ = finished(reading(Kind.RESOURCE, [raw(b'{"uri":"x:","n":123456789012345678901234567890,"f":1.5e300}')]))
    assert b'"n":123456789012345678901234567890' in encode_part(Part(items={Kind.RESOURCE: items}))
    assert decode_part(encode_part(Part(items={Kind.RESOURCE: items}))).of(Kind.RESOURCE) == items


stored_parts = st.builds(
    Part,
    server_info=objects,
    capabilities=objects,
    instructions=texts,
    items=st.just({Kind.TOOL: (tool(),), Kind.TEMPLATE: ()}),
    ttl_ms=st.one_of(st.none(), st.integers(0, 10**9)),
    public=st.booleans(),
    warnings=st.lists(texts).map(tuple),
)


@SETTINGS
@given(stored_parts)
def test_a_part_survives_the_store(part):
    assert decode_part(encode_part(part)) == part


@pytest.mark.parametrize("stored", [b"", b"[]", b"\xff", b'{"items":{"unknown":[]}}', b'{"instructions":1}', DEEP])
def test_bytes_that_are_no_part_are_refused(stored):
    with pytest.raises(ValueError, match=r".+"):
        decode_part(stored)


@pytest.mark.promise("T29")
def test_a_reference_to_the_network_passes_and_is_not_followed():
    definition = tool("x", inputSchema={"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/canary"}}})
    assert finished(reading(Kind.TOOL, [raw(definition)])) == ((definition,), ())


def test_a_schema_of_the_greatest_depth_passes():
    definition = b'{"name":"x","inputSchema":{"type":"object","a":%b}}' % nested(MAX_DEPTH - 2)
    assert len(finished(reading(Kind.TOOL, [raw(definition)]))[0]) == 1


@pytest.mark.promise("T29")
def test_a_schema_bomb_is_refused_in_linear_time():
    def seconds(count):
        begin = time.process_time()
        items, _ = finished(reading(Kind.TOOL, [raw(tool("x", inputSchema={"type": "object", "allOf": [{}] * count}))]))
        assert items == ()
        return time.process_time() - begin

    # Quadratic work would take sixteen times as long for four times the size; the small term forgives a coarse clock.
    assert seconds(4 * MAX_NODES) < 10 * seconds(MAX_NODES) + 0.2


@pytest.mark.promise("T25")
def test_the_number_of_warnings_is_bounded():
    _, warnings = finished(reading(Kind.TOOL, [raw(b"1")] * (MAX_WARNINGS + 5)))
    assert len(warnings) == MAX_WARNINGS + 1
    assert warnings[-1] == "There are 5 more warnings like these."


def test_each_kind_knows_its_request_its_list_and_its_identity():
    assert [(kind.method, kind.member, kind.key, kind.noun) for kind in Kind] == [
        ("tools/list", "tools", "name", "tool"),
        ("prompts/list", "prompts", "name", "prompt"),
        ("resources/list", "resources", "uri", "resource"),
        ("resources/templates/list", "resourceTemplates", "uriTemplate", "resource template"),
    ]


def test_templates_are_filtered_like_resources():
    filters = [Filter((name,)) for name in ("t", "p", "r")]
    exposure = Exposure("a", tools=filters[0], prompts=filters[1], resources=filters[2])
    assert [exposure.filter(kind) for kind in Kind] == [*filters, filters[2]]
