"""Those who do not come back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.oauth import unanswered
from mcp_hub.oauth.unanswered import MOST, Unanswered

pytestmark = pytest.mark.promise("B17")


def test_whoever_was_sent_away_in_vain_is_told_so_once():
    counted = Unanswered()
    assert [counted.is_vain("ada", "r") for _ in range(MOST + 2)] == [*[False] * MOST, True, False]
    assert not counted.is_vain("bob", "r")


def test_whoever_came_back_begins_to_count_anew():
    counted = Unanswered()
    for _ in range(5 * MOST):
        assert not counted.is_vain("ada", "r")
        counted.came_back("ada")
    counted.came_back("nobody")


@given(st.lists(st.sampled_from("ab"), max_size=20))
def test_another_registration_begins_to_count_anew(registrations):
    counted, last, run = Unanswered(), "", 0
    for each in registrations:
        run = run if each == last else 0
        assert counted.is_vain("ada", each) is (run >= MOST)
        run, last = (0 if run >= MOST else run + 1), each


def test_no_more_are_kept_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(unanswered, "_MOST_KEPT", 2)
    counted = Unanswered()
    for who in ("ada", "bob", "cem") * (MOST + 1):
        assert not counted.is_vain(who, "r")
