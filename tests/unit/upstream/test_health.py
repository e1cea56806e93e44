"""The circuit's table, transition by transition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.upstream.health import LONGEST_WAIT, OPENS_AFTER, UNTRIED, Health

pytestmark = pytest.mark.promise("A8", "D33")


def failed(times: int, now: float = 0.0, jitter: float = 1.0) -> Health:
    """An upstream that has failed so often, each time it was tried when its time had come."""
    health = UNTRIED
    for _ in range(times):
        health = health.failed("down", max(now, health.retry_at), lambda: jitter)
    return health


def test_nothing_is_held_against_an_untried_upstream():
    assert UNTRIED.allows(0)
    assert UNTRIED.is_well
    assert not UNTRIED.tried


def test_calls_go_on_until_the_third_failure_in_a_row():
    assert [failed(times).is_open for times in range(5)] == [False, False, False, True, True]
    assert failed(OPENS_AFTER - 1).allows(0)
    assert not failed(OPENS_AFTER).allows(0)


def test_an_open_circuit_lets_calls_through_when_its_time_has_come():
    health = failed(OPENS_AFTER)
    assert not health.allows(health.retry_at - 0.001)
    assert health.allows(health.retry_at)


def test_a_success_forgets_everything():
    health = failed(7).succeeded()
    assert (health.failures, health.reason, health.is_open, health.is_well) == (0, "", False, True)
    assert health.tried


def test_the_wait_doubles_from_one_second_to_a_minute():
    health, waits = UNTRIED, []
    for _ in range(9):
        now = health.retry_at
        health = health.failed("down", now, lambda: 1.0)
        waits.append(health.retry_at - now)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_half_of_the_wait_is_random_so_that_hubs_do_not_come_back_together():
    assert UNTRIED.failed("down", 0, lambda: 0.0).retry_at == 0.5
    assert UNTRIED.failed("down", 0, lambda: 1.0).retry_at == 1.0


def test_calls_that_were_under_way_when_the_circuit_opened_do_not_lengthen_its_wait():
    health = UNTRIED
    for _ in range(100):
        health = health.failed("down", 10.0, lambda: 1.0)
    assert health.failures == OPENS_AFTER
    assert health.retry_at == 14.0


def test_a_rejected_credential_is_no_failure_of_the_upstream():
    health = failed(2).rejected("no", 5.0)
    assert (health.failures, health.refused, health.reason, health.is_well) == (0, True, "no", False)
    assert health.allows(5.0)
    assert health.retry_at == 5.0 + LONGEST_WAIT


def test_more_rejections_do_not_put_off_the_next_try():
    first = UNTRIED.rejected("no", 0.0)
    assert first.rejected("still no", 59.0).retry_at == first.retry_at
    assert first.rejected("still no", 61.0).retry_at == 61.0 + LONGEST_WAIT


def test_somebody_who_asks_brings_the_next_try_forward_but_never_back():
    health = failed(OPENS_AFTER)
    assert health.soon(1.0).retry_at == 1.0
    assert health.soon(1.0).soon(9.0).retry_at == 1.0


@given(st.lists(st.tuples(st.sampled_from(["fail", "succeed", "reject", "soon"]), st.floats(0, 100)), max_size=30))
def test_whatever_happens_a_try_is_never_more_than_a_minute_away(events):
    health, now = UNTRIED, 0.0
    for event, later in events:
        now += later
        match event:
            case "fail":
                health = health.failed("down", now)
            case "succeed":
                health = health.succeeded()
            case "reject":
                health = health.rejected("no", now)
            case _:
                health = health.soon(now)
        assert health.retry_at <= now + LONGEST_WAIT
        assert health.allows(now + LONGEST_WAIT)
        assert health.is_well == (not health.reason)
