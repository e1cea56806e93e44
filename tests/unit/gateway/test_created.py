"""Who has made which task: bounded, and never anybody else's."""

import pytest

from mcp_hub.gateway.created import Created

pytestmark = pytest.mark.promise("B22", "T15")
ALICE, BOB = ("idp", "alice"), ("idp", "bob")


def test_a_task_is_its_makers_and_nobody_elses():
    created = Created()
    created.note(ALICE, ("up", "t"))
    assert created.has(ALICE, ("up", "t"))
    assert not created.has(ALICE, ("other", "t"))
    assert not created.has(BOB, ("up", "t"))


def test_noting_a_task_again_keeps_one():
    created = Created()
    for _ in range(3):
        created.note(ALICE, ("up", "t"))
    assert len(created) == 1


def test_one_principals_oldest_make_room_for_its_newest():
    created = Created(per_principal=2)
    for number in range(4):
        created.note(ALICE, ("up", f"{number}"))
    assert [created.has(ALICE, ("up", f"{number}")) for number in range(4)] == [False, False, True, True]


def test_who_has_most_makes_room_when_there_are_too_many():
    created = Created(per_principal=10, total=4)
    created.note(BOB, ("up", "his"))
    for number in range(8):
        created.note(ALICE, ("up", f"{number}"))
    assert len(created) == 4
    assert created.has(BOB, ("up", "his"))


def test_many_principals_with_one_task_each_are_bounded_too():
    created = Created(total=3)
    for number in range(9):
        created.note((f"{number}",), ("up", "t"))
    assert len(created) == 3
    assert created.has(("8",), ("up", "t"))
