import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.inbound.head import NAME, PARAM, VERSION, read_head

pytestmark = pytest.mark.promise("A4")


def test_a_value_is_read_without_the_blanks_around_it():
    head = read_head([(b"mcp-name", b" \t a b \t"), (b"mcp-param-x", b" y ")])
    assert head.text(NAME) == "a b"
    assert head.params == {"mcp-param-x": "y"}
    assert head.version is None


def test_only_headers_this_room_reads_are_kept():
    head = read_head([(b"x-api-key", b"secret"), (b"cookie", b"a=b")])
    assert head.raw(b"x-api-key") is None
    assert head.raw(b"cookie") is None
    assert head.params == {}


def test_what_stands_twice_is_named_however_it_is_spelt():
    head = read_head([(b"mcp-param-a", b"1"), (b"mcp-param-a", b"1"), (b"mcp-protocol-version", b"x"), (VERSION, b"x")])
    assert head.repeated == {PARAM, VERSION}


def test_a_byte_outside_ascii_is_not_the_character_that_stands_for_unreadable_ones():
    assert read_head([(b"mcp-name", b"\xff")]).text(NAME) != "\ufffd"


@given(st.binary(min_size=1).filter(lambda value: not value.isascii()), st.text())
def test_a_value_outside_ascii_equals_no_text_a_body_can_hold(value, text):
    assert read_head([(b"mcp-name", value)]).text(NAME) != text
    assert read_head([(b"mcp-name", text.encode())]).text(NAME) != text or text.isascii()
