"""Only what can be sent is taken for the value of a header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.credentials.credential import Credential
from mcp_hub.credentials.values import LONGEST, with_scheme, wrong_with
from mcp_hub.secret import Secret

pytestmark = pytest.mark.promise("T11")


@pytest.mark.parametrize("value", ["a", "!~", "a b\tc", "x" * LONGEST, 'a,b; c="d"', "%0d%0a"])
def test_visible_text_with_spaces_inside_can_be_sent(value):
    assert wrong_with(value) == ""


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "is empty"),
        ("x" * (LONGEST + 1), "longer than 8192 bytes"),
        *((f"a{odd}b", "no header can carry") for odd in "\r\n\0\x01\x1f\x7f\x80\xe4\u20ac\u2028\ud800"),
        ("a\r\nX-Evil: 1", "no header can carry"),
        ("a\n", "no header can carry"),
        (" adas-key", "space at its beginning or end"),
        ("adas-key\t", "space at its beginning or end"),
        (" ", "space at its beginning or end"),
    ],
)
def test_everything_else_is_told_in_words_that_do_not_repeat_it(value, words):
    said = wrong_with(value)
    assert words in said
    assert "adas" not in said
    assert "Evil" not in said


@given(st.text(max_size=40))
def test_what_passes_is_never_refused_later(value):
    if not wrong_with(value) and not value.lower().startswith("bearer "):
        lines = Credential({"X-Key": Secret(with_scheme("Bearer", value))}).open()
        assert lines == f"X-Key: Bearer {value}\r\n".encode()
        assert lines.count(b"\n") == 1


def test_a_scheme_stands_before_the_value():
    assert (with_scheme("Bearer", "abc"), with_scheme("", "abc")) == ("Bearer abc", "abc")
    assert with_scheme("Bearer", "bearer abc") == "bearer abc", "so it is copied from where it is sent"
