"""Sealed task ids: the same for the same caller, and of no use to anybody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.gateway.task_ids import KEY_BYTES, TaskIds

pytestmark = pytest.mark.promise("A5", "B22")
KEY = bytes(range(KEY_BYTES))
IDS = TaskIds(KEY)
PRINCIPALS = st.tuples(st.text(), st.text(), st.text())
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ALICE, BOB = ("default", "idp", "alice"), ("default", "idp", "bob")


@given(PRINCIPALS.filter(lambda each: all(part.isprintable() for part in each)), TEXT, TEXT)
def test_what_was_closed_opens_for_the_same_principal(principal, upstream, task):
    shown = IDS.close(principal, upstream, task)
    assert IDS.open(principal, shown) == (upstream, task)
    assert shown.isascii()
    assert all(letter.isalnum() or letter in "-_" for letter in shown)


@given(TEXT, TEXT)
def test_a_task_keeps_its_id_after_a_restart_and_at_another_replica(upstream, task):
    assert TaskIds(KEY).close(ALICE, upstream, task) == IDS.close(ALICE, upstream, task)


@given(TEXT, TEXT, TEXT, TEXT)
def test_different_tasks_have_different_ids(upstream, task, other_upstream, other_task):
    same = (upstream, task) == (other_upstream, other_task)
    assert (IDS.close(ALICE, upstream, task) == IDS.close(ALICE, other_upstream, other_task)) is same
    assert IDS.close(ALICE, upstream, task) != IDS.close(BOB, upstream, task)


@pytest.mark.promise("T21")
@given(TEXT, TEXT)
def test_the_id_that_one_principal_was_shown_is_no_id_for_another(upstream, task):
    assert IDS.open(BOB, IDS.close(ALICE, upstream, task)) is None


@pytest.mark.parametrize(
    ("mine", "theirs"), [(("a", "b", "c"), ("a", "bc", "")), (("a,b", "c", "d"), ("a", "b,c", "d"))]
)
def test_parts_of_a_principal_cannot_be_moved_to_make_another(mine, theirs):
    assert IDS.open(theirs, IDS.close(mine, "up", "t")) is None


@pytest.mark.promise("T21")
@given(st.data())
def test_an_id_with_any_character_changed_is_the_id_of_no_task(data):
    shown = IDS.close(ALICE, "up", "task-1")
    place = data.draw(st.integers(0, len(shown) - 1))
    letter = data.draw(st.characters(exclude_categories=["Cs"]).filter(lambda each: each != shown[place]))
    assert IDS.open(ALICE, shown[:place] + letter + shown[place + 1 :]) is None


@pytest.mark.promise("T21")
@given(st.text())
def test_no_text_of_a_clients_own_is_the_id_of_a_task(text):
    assert IDS.open(ALICE, text) is None


@pytest.mark.parametrize("end", ["=", "==", " ", "\n", "A"])
def test_a_task_has_one_spelling(end):
    assert IDS.open(ALICE, IDS.close(ALICE, "up", "t") + end) is None


def test_an_endless_id_is_not_even_looked_at():
    assert IDS.open(ALICE, IDS.close(ALICE, "up", "t" * 10_000)) is None


def test_another_hubs_ids_are_ids_of_no_task():
    assert TaskIds(bytes(KEY_BYTES)).open(ALICE, IDS.close(ALICE, "up", "t")) is None
