"""Sets of words in one column: what goes in comes out, and equal sets are equal text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.store.sqlite_words import pack, unpack

pytestmark = pytest.mark.promise("D34")
WORDS = st.lists(st.text())


@given(WORDS)
def test_a_set_comes_back_whatever_is_in_its_words(words):
    assert unpack(pack(words)) == frozenset(words)


@given(WORDS, st.randoms())
def test_equal_sets_are_equal_text(words, shuffled):
    other = list(frozenset(words))
    shuffled.shuffle(other)
    assert pack(frozenset(words)) == pack(other)
