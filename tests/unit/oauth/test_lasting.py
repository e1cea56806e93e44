"""When a token is renewed, and how often one that is refused is replaced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.oauth.lasting import MOST_REPLACED, WITHIN, Replaced, times

pytestmark = pytest.mark.promise("T55", "B15")


@pytest.mark.parametrize(
    ("lasts", "due", "until"),
    [
        (3600.0, 3240.0, 3595.0),
        (300.0, 240.0, 295.0),
        (60.0, 30.0, 55.0),
        (2.0, 1.0, 1.8),
        (0.0, 0.0, 0.0),
        (-5.0, -5.0, -5.0),
        (None, float("inf"), float("inf")),
    ],
)
def test_a_token_is_renewed_ahead_of_its_end_and_never_sent_after(lasts, due, until):
    assert times(0.0, lasts) == (pytest.approx(due), pytest.approx(until))


@given(st.floats(0, 1e9), st.floats(1, 1e8))
def test_a_new_token_is_never_due_and_always_due_before_it_ends(at, lasts):
    due, until = times(at, at + lasts)
    assert at < due < until < at + lasts


def test_who_refuses_everything_is_given_a_few_tokens_a_minute():
    replaced = Replaced()
    assert [replaced.may_be(float(n)) for n in range(MOST_REPLACED + 2)] == [True] * MOST_REPLACED + [False, False]
    assert replaced.may_be(WITHIN)
    assert not replaced.may_be(WITHIN + 0.5)
    replaced.forget()
    assert replaced.may_be(WITHIN + 0.5)


def test_a_token_that_many_requests_are_refused_with_is_replaced_once():
    replaced = Replaced()
    assert all(replaced.may_be(0.0, "first") for _ in range(100))
    assert [replaced.may_be(0.0, number) for number in range(MOST_REPLACED)] == [True] * (MOST_REPLACED - 1) + [False]
