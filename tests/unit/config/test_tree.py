"""YAML text to nodes, or one sentence."""

import pytest

from mcp_hub.config.tree import MAX_CHARACTERS, MAX_DEPTH, Unreadable, compose

pytestmark = pytest.mark.promise("E39")


@pytest.mark.promise("E39")
@pytest.mark.parametrize(
    ("text", "line", "column", "sentence"),
    [
        ("a:\n\tb: 1\n", 2, 1, "a tab stands here"),
        ("a: *canary\n", 1, 4, "a value that starts with * needs quotes"),
        ("a: 1\nb: c: d\n", 2, 5, "a colon stands where no key can be"),
        ("a: [1, 2\n", 2, 1, "a [ is opened and never closed"),
        ("a: {b: 1\n", 2, 1, "a { is opened and never closed"),
        ('a: "x\n', 2, 1, "a quote is opened and never closed"),
        ("a: 1\n  b: 2\n", 2, 4, "a colon stands where no key can be"),
        ("a: !!python/object/apply:os.system [x]\n", 1, 4, "tags (!name) are not supported"),
        ("a: !canary x\n", 1, 4, "tags (!name) are not supported"),
        ("a: ! x\n", 1, 4, "tags (!name) are not supported"),
        ("a: 1\n---\nb: 2\n", 2, 1, "the file holds a second document"),
        ("a: @x\n", 1, 4, "this character cannot start a value"),
        ("a: &x 1\nb: &x 2\n", 2, 4, "this anchor (&name) is defined twice"),
        ("%YAML canary\n---\n", 1, 7, "lines that start with % are not supported"),
        ('a: "\\q"\n', 1, 6, "unknown escape after a backslash"),
        ('a: "\\UFFFFFFFF"\n', 1, 7, "an escape after a backslash names no character"),
        ("a: 1\nb\n", 3, 1, "a key is not followed by a colon"),
        ("- a\nb: 1\n", 2, 1, "the indentation does not match"),
        ("a: b\n- c\n", 2, 1, "the indentation does not match"),
        ("a\0b", 1, 2, "the file holds a character that is not text (U+0000)"),
        ("a: 1\r\nb: \x07", 2, 4, "the file holds a character that is not text (U+0007)"),
        ("a: \ud800", 1, 4, "the file holds a character that is not text (U+D800)"),
    ],
)
def test_what_is_not_yaml_is_said_with_its_place_and_without_its_text(text, line, column, sentence):
    with pytest.raises(Unreadable) as caught:
        compose(text)
    assert caught.value.sentence.startswith(sentence)
    assert "canary" not in caught.value.sentence
    assert (caught.value.line, caught.value.column) == (line, column)


def test_a_byte_order_mark_is_no_part_of_the_document():
    node = compose("\ufeffa: 1\n")
    assert node is not None
    assert node.value[0][0].value == "a"


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "\ufeff"])
def test_nothing_in_the_file_is_nothing(text):
    node = compose(text)
    assert node is None or node.value == ""


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "- " * 5000, "? " * 5000])
def test_nesting_ends_at_a_bound_and_not_at_the_interpreters_stack(text):
    with pytest.raises(Unreadable, match="too deeply nested"):
        compose(text)


def test_nesting_up_to_the_bound_is_read():
    assert compose("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None


def test_a_file_that_is_no_configuration_is_refused_before_it_is_parsed():
    with pytest.raises(Unreadable, match="larger than 512 KiB"):
        compose("a" * (MAX_CHARACTERS + 1))
