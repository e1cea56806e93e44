"""JSON with comments and trailing commas."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.config.jsonc import plain

pytestmark = pytest.mark.promise("E40")


def test_comments_and_last_commas_go_and_texts_stay():
    text = """\ufeff{ // one
      "a": "// no /* comment */ ,]", /* two
      lines */ "b": [1, 2, /* x */ ], // three
      "c": "\\"//", }"""
    assert json.loads(plain(text)) == {"a": "// no /* comment */ ,]", "b": [1, 2], "c": '"//'}


def test_lines_and_columns_stay():
    text = '{ /* a\n b */ "x": oops }'
    assert plain(text).index("oops") == text.index("oops")
    assert plain(text).count("\n") == 1


@given(st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_plain_json_is_left_as_it_is(value):
    assert json.loads(plain(json.dumps(value))) == value


@given(st.text(alphabet='/*"\\,]} \na'))
def test_any_text_keeps_its_length(text):
    assert len(plain(text)) == len(text)


def test_an_endless_comment_or_text_costs_no_more_than_its_length():
    began = time.process_time()
    for text in ("/*" * 200_000, ',"' * 200_001, "// " * 200_000 + "x", '"\\' * 200_000, "/* " + "," * 200_000):
        plain(text)
    assert time.process_time() - began < 5
