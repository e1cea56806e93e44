"""A text from outside cannot leave its line or disturb it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.audit.clean import REPLACEMENT, one_line

pytestmark = pytest.mark.promise("D32")


@pytest.mark.promise("T65")
@pytest.mark.parametrize(
    "hostile", ["\n", "\r", "\0", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\u202e", "\u2066"]
)
def test_what_could_forge_or_disturb_a_line_is_shown_as_a_mark(hostile):
    assert one_line(f"tool{hostile}ok user=root") == f"tool{REPLACEMENT}ok user=root"


@pytest.mark.parametrize("plain", ["", "get_issue", "größe 大きさ", "a b", "👍", "docs__search"])
def test_plain_text_of_any_language_stays(plain):
    assert one_line(plain) == plain


@given(st.text(st.characters()))
def test_the_result_is_one_encodable_line_of_the_same_length(text):
    clean = one_line(text)
    assert one_line(clean) == clean
    assert len(clean) == len(text)
    assert len(clean.splitlines()) <= 1
    clean.encode()
    assert not any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in clean)
