"""How headers are read that the hub sends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from mcp_hub.config.headers import MAX_HEADER, HeaderName, HeaderValue
from mcp_hub.secret import Secret

pytestmark = pytest.mark.promise("E39")


def refusal(reader, raw):
    with pytest.raises(PydanticCustomError) as caught:
        reader._read(raw)
    return (caught.value.context or {})["sentence"]


@pytest.mark.parametrize("name", ["X-API-Key", "Authorization", "x-goog-user-project", "User-Agent", "a!#$%&'*+.^_`|~"])
def test_a_header_of_the_operators_is_taken(name):
    assert HeaderName().read(name) == name


@pytest.mark.promise("B12", "T11")
@pytest.mark.parametrize("name", ["", "X Key", "X-Key:", "X\r\nEvil", "X\0", "Ünicode", "X-Key\n", "(x)"])
def test_what_is_no_header_name_is_refused(name):
    assert refusal(HeaderName(), name) == "is not a header name"


@pytest.mark.promise("B12", "T12")
@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "content-length",
        "Content-Type",
        "TRANSFER-ENCODING",
        "Connection",
        "Upgrade",
        "TE",
        "Expect",
        "Accept",
        "Cookie",
        "Forwarded",
        "X-Forwarded-For",
        "Proxy-Authorization",
        "Mcp-Session-Id",
        "MCP-Protocol-Version",
        "mcp-param-x",
        "Last-Event-ID",
    ],
)
def test_a_header_of_the_connection_or_the_protocol_is_refused(name):
    assert refusal(HeaderName(), name).startswith("this header belongs to the connection or the protocol")


def test_a_value_is_a_secret_from_the_start():
    assert HeaderValue().read("Bearer abc\tdef") == Secret("Bearer abc\tdef")


@pytest.mark.promise("B12", "T11")
@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "a\x7fb", "a\x1bb", "grün", "a\u2028b", "😀"])
def test_a_value_cannot_start_another_header(value):
    assert refusal(HeaderValue(), value).startswith("may only hold ASCII")


def test_a_line_break_at_the_end_is_said_to_be_one():
    assert refusal(HeaderValue(), "abc\n") == "starts or ends with a space or a line break"


def test_an_empty_or_endless_value_is_refused():
    assert refusal(HeaderValue(), "") == "must not be empty"
    assert refusal(HeaderValue(), "a" * (MAX_HEADER + 1)).startswith("is longer than")


@given(st.text())
def test_what_is_read_is_one_line_of_visible_ascii(text):
    try:
        value = HeaderValue()._read(text).open()
    except PydanticCustomError:
        return
    assert value == text
    assert value.isascii()
    assert value.replace("\t", " ").isprintable()


def test_every_reader_describes_itself_for_an_editor():
    assert HeaderName().schema()
    assert HeaderValue().schema()
