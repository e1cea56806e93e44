"""Envelopes are judged exactly, members stay the bytes they were, and no input raises anything but `Malformed`."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_types import jsonrpc as sdk
from msgspec import Raw

from mcp_hub.wire import jsonrpc
from mcp_hub.wire.jsonrpc import Malformed

pytestmark = pytest.mark.promise("A5")

SETTINGS = settings(deadline=None)

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=4)


def code_of(call, *arguments):
    with pytest.raises(Malformed) as caught:
        call(*arguments)
    return caught.value.code


def test_the_error_codes_are_the_sdks():
    assert jsonrpc.PARSE_ERROR == sdk.PARSE_ERROR
    assert jsonrpc.INVALID_REQUEST == sdk.INVALID_REQUEST
    assert jsonrpc.METHOD_NOT_FOUND == sdk.METHOD_NOT_FOUND
    assert jsonrpc.INVALID_PARAMS == sdk.INVALID_PARAMS
    assert jsonrpc.INTERNAL_ERROR == sdk.INTERNAL_ERROR
    assert jsonrpc.HEADER_MISMATCH == sdk.HEADER_MISMATCH
    assert jsonrpc.MISSING_CAPABILITY == sdk.MISSING_REQUIRED_CLIENT_CAPABILITY
    assert jsonrpc.UNSUPPORTED_VERSION == sdk.UNSUPPORTED_PROTOCOL_VERSION


def test_a_request_a_notification_and_a_response_are_told_apart():
    request = jsonrpc.parse(b'{"jsonrpc":"2.0","id":1,"method":"ping"}')
    notice = jsonrpc.parse(b'{"jsonrpc":"2.0","method":"notifications/x"}')
    response = jsonrpc.parse(b'{"jsonrpc":"2.0","id":1,"result":{}}')
    failure = jsonrpc.parse(b'{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}')
    assert [m.is_request for m in (request, notice, response, failure)] == [True, False, False, False]
    assert [m.is_notification for m in (request, notice, response, failure)] == [False, True, False, False]
    assert [m.is_response for m in (request, notice, response, failure)] == [False, False, True, True]


@pytest.mark.promise("T25")
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", jsonrpc.PARSE_ERROR),
        (b"{", jsonrpc.PARSE_ERROR),
        (b'{"jsonrpc":"2.0","id":NaN,"method":"x"}', jsonrpc.PARSE_ERROR),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', jsonrpc.PARSE_ERROR),
        (b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":"\xff"}}', jsonrpc.PARSE_ERROR),
        (b'{"jsonrpc":"2.0","id":1,"method":"x","params":' + b"[" * 100_000, jsonrpc.PARSE_ERROR),
        (b"[]", jsonrpc.INVALID_REQUEST),
        (b'"x"', jsonrpc.INVALID_REQUEST),
        (b"{}", jsonrpc.INVALID_REQUEST),
        (b'{"jsonrpc":"1.0","id":1,"method":"x"}', jsonrpc.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', jsonrpc.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":null,"method":"x"}', jsonrpc.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":{},"method":"x"}', jsonrpc.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":true,"method":"x"}', jsonrpc.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"x"}', jsonrpc.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":-0.5,"method":"x"}', jsonrpc.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1e999,"method":"x"}', jsonrpc.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1E-2,"method":"x"}', jsonrpc.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1}', jsonrpc.INVALID_REQUEST),
    ],
)
def test_a_body_that_is_no_message_is_refused_with_the_right_code(body, code):
    assert code_of(jsonrpc.parse, body) == code


@pytest.mark.promise("T25")
@SETTINGS
@given(st.one_of(st.binary(max_size=60), objects.map(lambda value: json.dumps(value).encode())))
def test_no_body_raises_anything_but_malformed(body):
    allowed = {None, jsonrpc.PARSE_ERROR, jsonrpc.INVALID_REQUEST, jsonrpc.INVALID_PARAMS}
    for read in (jsonrpc.parse, jsonrpc.parse_batch, jsonrpc.fields, jsonrpc.value):
        code = None
        try:
            read(body)
        except Malformed as error:
            code = error.code
        assert code in allowed


@SETTINGS
@given(st.one_of(st.integers(), texts), objects)
def test_members_stay_the_bytes_they_were(number, params):
    encoded = json.dumps(params, indent=1).encode()
    message = jsonrpc.parse(
        b'{"jsonrpc":"2.0","id":%b,"method":"m","params":%b}' % (json.dumps(number).encode(), encoded)
    )
    assert bytes(message.params) == encoded
    assert json.loads(bytes(message.id)) == number


def test_numbers_that_no_double_holds_cross_unchanged():
    body = b'{"a":123456789012345678901234567890,"b":1.10,"c":1E5}'
    assert jsonrpc.encode(jsonrpc.fields(body)) == body


def test_a_batch_is_split_and_an_empty_one_refused():
    assert jsonrpc.parse_batch(b'[{"a":1}, 2]') == [b'{"a":1}', b"2"]
    assert code_of(jsonrpc.parse_batch, b"[]") == jsonrpc.INVALID_REQUEST
    assert code_of(jsonrpc.parse_batch, b'["\xff"]') == jsonrpc.PARSE_ERROR
    assert [jsonrpc.is_batch(body) for body in (b" \r\n[1]", b"{}", b"")] == [True, False, False]


def test_an_absent_object_has_no_members_and_another_value_is_refused():
    assert jsonrpc.fields(jsonrpc.ABSENT) == {}
    assert code_of(jsonrpc.fields, b"[1]") == jsonrpc.INVALID_PARAMS


def test_only_a_string_is_text():
    assert jsonrpc.text(Raw(b'"a\\u00e9"')) == "aé"
    assert jsonrpc.text(Raw(b"1")) is None
    assert jsonrpc.text(None) is None


@SETTINGS
@given(st.integers(), objects)
def test_what_is_encoded_is_parsed_back(number, params):
    message = jsonrpc.parse(jsonrpc.request(number, "m", params))
    assert (jsonrpc.value(message.id), message.method, jsonrpc.value(message.params)) == (number, "m", params)
    assert jsonrpc.parse(jsonrpc.notification("n", params)).is_notification
    assert json.loads(jsonrpc.notification("n")) == {"jsonrpc": "2.0", "method": "n"}


def test_a_response_keeps_the_type_of_its_id_and_is_null_where_there_was_none():
    assert b"".join(map(bytes, jsonrpc.result_parts(Raw(b'"7"'), b"{}"))) == b'{"jsonrpc":"2.0","id":"7","result":{}}'
    error = jsonrpc.error_object(jsonrpc.PARSE_ERROR, "m")
    assert json.loads(jsonrpc.error_response(None, error)) == {"jsonrpc": "2.0", "id": None, "error": error}
    assert jsonrpc.error_object(1, "m", {"a": 1}) == {"code": 1, "message": "m", "data": {"a": 1}}


@pytest.mark.promise("A7")
@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (rb'"cut \ud83d"', "cut \ufffd"),
        (rb'"\udc00\ud83d"', "\ufffd\ufffd"),
        (rb'"\ud83d\ude00 \uD83D"', "\U0001f600 \ufffd"),
        (rb'"\\ud83d \ud83d"', r"\ud83d " + "\ufffd"),
    ],
)
def test_half_a_surrogate_pair_costs_one_character_and_not_the_message(sent, read):
    message = jsonrpc.parse(b'{"jsonrpc":"2.0","id":1,"result":{"text":' + sent + b"}}")
    assert jsonrpc.value(message.result) == {"text": read}


@pytest.mark.promise("T23", "T25")
def test_a_message_that_is_too_large_to_mend_is_refused_as_it_is():
    body = b'{"jsonrpc":"2.0","id":1,"result":{"text":"' + rb"\n" * 600_000 + rb'\ud83d"}}'
    with pytest.raises(jsonrpc.Malformed):
        jsonrpc.parse(body)


@pytest.mark.parametrize("number", [b"0", b"-1", b"1.0", b"-7.00", b"9" * 40, b'""', b'"1.5"', b'"1e999"'])
def test_every_string_and_every_integer_is_an_id_and_keeps_its_spelling(number):
    message = jsonrpc.parse(b'{"jsonrpc":"2.0","id": %b ,"method":"m"}' % number)
    assert bytes(message.id).strip() == number
