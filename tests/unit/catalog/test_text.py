"""What is shown holds nothing that cannot be seen; clean text is not touched."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_hub.catalog.text import MAX_TEXT, clean_text, label, shortened

pytestmark = pytest.mark.promise("A1")

SETTINGS = settings(deadline=None)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)


@pytest.mark.promise("T27")
@pytest.mark.parametrize(
    ("hidden", "seen"),
    [
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jx", "x"),
        ("\x1b", ""),
        ("a\u200bb\u200dc\u2060d\ufeffe", "abcde"),
        ("\u202etxt.exe\u202c \u2066x\u2069", "txt.exe x"),
        ("a\x00b\x07c\x08d\x7fe\x85f", "abcdef"),
        ("x\U000e0041\U000e0042", "x"),
        ("line\r\nline\ttab", "line\nline\ttab"),
    ],
)
def test_hidden_characters_and_escapes_are_removed(hidden, seen):
    assert clean_text(hidden) == seen


@pytest.mark.promise("T27")
@SETTINGS
@given(texts)
def test_nothing_invisible_is_left_whatever_was_in_the_text(text):
    cleaned = clean_text(text)
    assert not [c for c in cleaned if unicodedata.category(c) == "Cc" and c not in "\n\t"]
    assert not [
        c
        for c in cleaned
        if unicodedata.bidirectional(c) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    ]
    assert clean_text(cleaned) == cleaned


@SETTINGS
@given(st.text("abc é漢\n\t👍", max_size=60))
def test_clean_text_is_the_same_object(text):
    assert clean_text(text) is text


@SETTINGS
@given(st.text("aé漢👍", max_size=200), st.integers(3, 100))
def test_a_cut_text_has_at_most_the_given_bytes_and_begins_like_the_whole(text, limit):
    cut = shortened(text, limit)
    assert len(cut.encode()) <= limit
    assert cut == text or text.startswith(cut.removesuffix("…"))


@pytest.mark.promise("T27")
def test_a_description_has_a_greatest_length():
    assert len(clean_text("é" * MAX_TEXT).encode()) <= MAX_TEXT
    assert clean_text("x" * MAX_TEXT) == "x" * MAX_TEXT


@pytest.mark.promise("T25")
@pytest.mark.parametrize(
    "bomb", ["\x1b[" * 200_000, "\x1b[" + "0" * 400_000, "\x1b]" * 200_000, "\x1b" + " " * 400_000]
)
def test_unfinished_escapes_do_not_explode(bomb):
    assert "\x1b" not in clean_text(bomb)


def test_a_label_is_one_short_line():
    assert label(" a\n b\x1b[31m\tc ") == "a b c"
    assert len(label("x" * 500).encode()) == 80
