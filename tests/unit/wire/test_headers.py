"""Header values and `Mcp-Param-*` headers say exactly what the SDK's functions say, and survive hostile input."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mcp.shared import inbound

from mcp_hub.wire.headers import (
    ParamHeader,
    check_param_headers,
    decode_value,
    encode_value,
    header_map,
    invalid_annotation,
    param_headers,
)

pytestmark = pytest.mark.promise("A5")

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
sentinels = st.builds("=?base64?{}?=".format, st.text("ABab01+/=ö\n ?", max_size=12))
tokens = st.sampled_from(["Region", "region", "Shard-Id", "a b", "", "é", "X\n"])
types = st.sampled_from(["string", "integer", "boolean", "number", "object", None, 3, ["string"]])
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-10, 10), st.sampled_from([0.5, 42.0, 1e30, float(2**60)]), texts
)
SETTINGS = settings(deadline=None)


@st.composite
def schemas(draw, depth=3):
    """Schemas in which annotations stand anywhere: on properties, inside combinators, in data."""
    schema = {"type": draw(types)}
    if draw(st.booleans()):
        schema["x-mcp-header"] = draw(st.one_of(tokens, st.integers(), st.none()))
    if depth:
        children = schemas(depth=depth - 1)
        for keyword in draw(
            st.lists(st.sampled_from(["properties", "items", "anyOf", "$defs", "default"]), max_size=2)
        ):
            if keyword in ("properties", "$defs"):
                schema[keyword] = draw(st.dictionaries(st.sampled_from("abc"), children, max_size=2))
            else:
                schema[keyword] = draw(st.lists(children, max_size=2) if keyword == "anyOf" else children)
    return schema


@st.composite
def valid_schemas(draw):
    """Schemas whose annotations are valid, two levels deep."""
    names = draw(st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True, max_size=4))
    kinds = st.sampled_from(["string", "integer", "boolean"])
    properties = {name: {"type": draw(kinds), "x-mcp-header": f"H-{name}"} for name in names}
    inner = {name: {"type": draw(kinds), "x-mcp-header": f"I-{name}"} for name in names[:2]}
    return {"type": "object", "properties": {**properties, "in": {"type": "object", "properties": inner}}}


arguments_of = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d", "in"]),
    st.one_of(scalars, st.dictionaries(st.sampled_from("ab"), scalars), st.lists(scalars, max_size=1)),
)


@SETTINGS
@given(st.one_of(texts, sentinels))
@example(" edge ")
@example("=?base64??=")
@example("=?base64?=")
def test_every_text_survives_the_journey_and_is_spelled_as_the_sdk_spells_it(text):
    sent = encode_value(text)
    assert sent == inbound.encode_header_value(text)
    assert sent.isascii()
    assert sent.isprintable()
    assert decode_value(sent) == text


@SETTINGS
@given(st.one_of(st.none(), texts, sentinels))
@example("=?base64?QQ?=")
@example("=?base64?QR==?=")
@example("=?base64?/w==?=")
def test_every_header_is_read_as_the_sdk_reads_it(header):
    try:
        expected = inbound.decode_header_value(header)
    except ValueError:
        expected = None  # the SDK's function raises for a sentinel beyond ASCII; ours must not
    assert decode_value(header) == expected


@pytest.mark.promise("T11")
def test_a_value_that_would_end_the_header_line_is_wrapped():
    assert "\r" not in encode_value("x\r\nX-Evil: 1")
    assert decode_value(encode_value("x\r\nX-Evil: 1")) == "x\r\nX-Evil: 1"


def test_a_text_that_is_no_unicode_does_not_raise():
    assert decode_value(encode_value("\ud800")) is None


@SETTINGS
@given(st.one_of(schemas(), scalars, st.lists(scalars, max_size=2)))
def test_annotations_are_refused_exactly_where_the_sdk_refuses_them(schema):
    assert (invalid_annotation(schema) is None) == (inbound.find_invalid_x_mcp_header(schema) is None)


@pytest.mark.promise("A7")
@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"x-mcp-header": "A", "type": "string"}, "stands where no chain of plain properties leads"),
        ({"items": {"x-mcp-header": "A", "type": "string"}}, "stands where no chain of plain properties leads"),
        ({"properties": {"a": {"x-mcp-header": "a b", "type": "string"}}}, "of property 'a' is not an HTTP token"),
        ({"properties": {"a": {"x-mcp-header": 10**5000, "type": "string"}}}, "of property 'a' is not an HTTP token"),
        ({"properties": {"a": {"x-mcp-header": "A", "type": "number"}}}, "needs the type string, integer or boolean"),
        ({"properties": {"a": {"x-mcp-header": "A", "type": ["string"]}}}, "needs the type string, integer or boolean"),
        (
            {"properties": {name: {"x-mcp-header": name, "type": "string"} for name in ("a", "A")}},
            "is used by two properties",
        ),
    ],
)
def test_an_invalid_annotation_is_refused_with_its_reason(schema, reason):
    assert reason in (invalid_annotation(schema) or "")
    assert inbound.find_invalid_x_mcp_header(schema) is not None
    assert header_map(schema) == {}


def test_a_property_may_be_called_like_the_annotation():
    schema = {"properties": {"x-mcp-header": {"type": "string"}}, "default": {"x-mcp-header": 3}}
    assert invalid_annotation(schema) is None


@SETTINGS
@given(st.one_of(schemas(), valid_schemas()))
def test_the_mirrored_arguments_are_the_sdks_and_none_for_a_schema_that_is_refused(schema):
    tokens_by_path = {path: header.token for path, header in header_map(schema).items()}
    if invalid_annotation(schema) is None:
        assert tokens_by_path == inbound.x_mcp_header_map(schema)
    else:
        assert tokens_by_path == {}


@SETTINGS
@given(valid_schemas(), arguments_of)
def test_the_headers_sent_are_the_sdks_and_agree_with_the_body(schema, arguments):
    wanted = header_map(schema)
    headers = param_headers(wanted, arguments)
    assert headers == inbound.mcp_param_headers(inbound.x_mcp_header_map(schema), arguments)
    assert check_param_headers(wanted, arguments, {name.lower(): value for name, value in headers.items()}) is None


@SETTINGS
@given(valid_schemas(), arguments_of, st.data())
def test_a_disagreement_is_found_exactly_where_the_sdk_finds_it(schema, arguments, data):
    wanted = header_map(schema)
    headers = {name.lower(): value for name, value in param_headers(wanted, arguments).items()}
    for header in wanted.values():
        match data.draw(st.sampled_from(["keep", "drop", "change"])):
            case "drop":
                headers.pop(header.key, None)
            case "change":
                headers[header.key] = data.draw(
                    st.sampled_from(["1", "1.0", "01", "42.00", "true", "x", "=?base64?Q?="])
                )
            case _:
                pass
    expected = inbound.validate_mcp_param_headers(schema, arguments, headers)
    assert (check_param_headers(wanted, arguments, headers) is None) == (expected is None)


@pytest.mark.parametrize(
    ("value", "sent", "agrees"),
    [
        (42, "42.0", True),
        (42.0, "42", True),
        (2**70, str(2**70), True),
        (42, "42.5", False),
        (42, "4.2e1", False),
        (True, "1", False),
        (True, "true", True),
        (1, "9" * 5000, False),
        (None, "x", False),
        ({}, "x", False),
    ],
)
def test_integers_are_compared_as_numbers_and_nothing_else_is(value, sent, agrees):
    wanted = {("n",): ParamHeader("N", "integer")}
    assert (check_param_headers(wanted, {"n": value}, {"mcp-param-n": sent}) is None) is agrees


def test_a_disagreement_names_the_header_and_the_argument():
    wanted = {("place", "region"): ParamHeader("Region", "string")}
    arguments = {"place": {"region": "eu"}}
    assert check_param_headers(wanted, arguments, {}) == (
        "The header Mcp-Param-Region is missing for the argument 'place.region'"
    )
    assert "does not match" in (check_param_headers(wanted, arguments, {"mcp-param-region": "us"}) or "")
    assert "present without" in (check_param_headers(wanted, {"place": 1}, {"mcp-param-region": "us"}) or "")


def test_an_integer_with_too_many_digits_to_print_is_not_mirrored():
    wanted = {("n",): ParamHeader("N", "integer")}
    assert param_headers(wanted, {"n": 10**5000}) == {}
    assert check_param_headers(wanted, {"n": 10**5000}, {}) is None


@pytest.mark.promise("T29")
def test_a_schema_of_any_depth_is_walked_without_recursion():
    schema = {"type": "string", "x-mcp-header": "Deep"}
    for _ in range(20_000):
        schema = {"type": "object", "properties": {"a": schema}}
    assert invalid_annotation(schema) is None
    assert [len(path) for path in header_map(schema)] == [20_000]


@pytest.mark.promise("T29")
def test_a_reference_to_the_network_is_never_followed():
    schema = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/x"}}}
    assert invalid_annotation(schema) is None
    assert header_map(schema) == {}
