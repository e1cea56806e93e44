"""YAML text to plain data that knows its place."""

import pytest

from mcp_hub.config.document import MAX_NODES, Document, Spot, dotted, read, shown

pytestmark = pytest.mark.promise("E39")


def data(text, **environ):
    document = read(text, environ)
    assert document.problems == []
    return document.data


@pytest.mark.promise("E39")
@pytest.mark.parametrize(
    "word", ["no", "on", "Off", "22:30", "010", "0x1F", "1_000", "1e3", ".inf", "2026-07-28", "=", "true"]
)
def test_what_yaml_1_1_would_read_as_something_else_stays_text(word):
    assert data(f"a: {word}") == {"a": word}


@pytest.mark.parametrize("word", ["", "~", "null", "Null", "NULL"])
def test_a_plain_empty_value_says_nothing(word):
    assert data(f"a: {word}") == {"a": None}


def test_a_quoted_empty_value_is_empty_text():
    assert data("a: ''\nb: 'null'") == {"a": "", "b": "null"}


def test_every_part_knows_its_line_and_column():
    document = read("a:\n  b: [x,\n      '${K}']\n", {"K": "y"})
    assert document.data == {"a": {"b": ["x", "y"]}}
    assert document.spot(("a", "b")) == Spot(2, 3, 2, 6)
    assert document.spot(("a", "b", 1)) == Spot(3, 7, 3, 7, ("K",))
    assert document.spot(("a", "b", 1, "gone")) == Spot(3, 7, 3, 7, ("K",))


@pytest.mark.promise("E39")
def test_a_key_that_stands_twice_is_a_problem_that_names_the_first():
    (problem,) = read("a:\n  b: 1\n  c: 2\n  b: 3\n", {}).problems
    assert (problem.line, problem.column, problem.path) == (4, 3, "a.b")
    assert (problem.message, problem.hint) == ("duplicate key", "first set on line 2")
    assert problem.excerpt == "     4 |   b: …\n       |   ^"


def test_a_key_that_stands_twice_in_other_quotes_is_the_same_key():
    assert [p.message for p in read("a: 1\n'a': 2\n", {}).problems] == ["duplicate key"]


def test_an_alias_is_what_it_stands_for():
    assert data("a: &x {k: v}\nb: *x\n") == {"a": {"k": "v"}, "b": {"k": "v"}}


@pytest.mark.promise("E39")
def test_aliases_that_multiply_are_refused_before_they_fill_the_memory():
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    (problem,) = read(bomb, {}).problems
    assert problem.message == "aliases (*name) make this document too large"


def test_an_alias_inside_itself_is_refused():
    (problem,) = read("a: &a [*a]\n", {}).problems
    assert problem.message == "aliases (*name) make this document too large"


def test_a_long_list_within_the_bound_is_read():
    assert len(data("- x\n" * (MAX_NODES - 1))) == MAX_NODES - 1


def test_a_merge_key_is_refused_and_a_quoted_one_is_a_key():
    (problem,) = read("x: &x {k: v}\na:\n  <<: *x\n", {}).problems
    assert (problem.line, problem.path) == (3, "a")
    assert problem.message == "merge keys (<<) are not supported; write the keys out"
    assert data("'<<': v") == {"<<": "v"}


@pytest.mark.parametrize("text", ["? [a]\n: b\n", '"\\ud800": b\n'])
def test_a_key_that_is_no_text_is_refused(text):
    (problem,) = read(text, {}).problems
    assert (problem.line, problem.message) == (1, "a key must be plain text")


@pytest.mark.promise("E39")
def test_an_unset_variable_is_a_problem_at_its_value():
    document = read("a:\n  b: Bearer ${NONE}\n", {})
    (problem,) = document.problems
    assert (problem.line, problem.column, problem.path) == (2, 6, "a.b")
    assert problem.message == "environment variable NONE is not set"
    assert document.data == {"a": {"b": None}}
    assert document.is_broken(("a",))
    assert document.is_broken(("a", "b", "c"))
    assert not document.is_broken(("a", "c"))


def test_what_a_variable_holds_cannot_change_the_document():
    held = "x\nb: [y]\n# {"
    assert data("a: ${K}", K=held) == {"a": held}


def test_variables_in_keys_are_text():
    assert data("${K}: a", K="x") == {"${K}": "a"}


@pytest.mark.promise("E39")
def test_a_line_is_shown_up_to_its_key_only_and_only_if_nothing_stands_before_it():
    alone = read("a:\n  key: canary  # canary\n", {}).problem(("a", "key"), "wrong", at_key=True)
    assert alone.excerpt == "     2 |   key: …\n       |   ^"
    behind = read("a: {value: canary, key: x}\n", {}).problem(("a", "key"), "wrong", at_key=True)
    assert behind.excerpt == ""


def test_a_problem_of_nothing_that_stands_in_the_text_is_one_of_the_whole():
    assert Document([""]).problem(("a", "b"), "wrong", at_key=True).line == 0


def test_a_key_is_shown_on_one_line_without_what_moves_the_cursor():
    assert shown("a\x1b[2J\nb\u202e") == "a�[2J�b�"
    assert shown("k" * 100) == "k" * 60 + "…"


def test_a_path_is_written_as_people_write_it():
    assert dotted(("network", "allow_private", 0)) == "network.allow_private[0]"
    assert dotted(()) == ""
