"""What the suite observes is not enough: many of its scenarios also pass for a client that does nothing."""

import pytest
from client_leg import LEFT_OUT, REFUSED, Row
from results import Scenario, scenario_from
from visit import End, Visit

pytestmark = pytest.mark.promise("F1")

PASSED = scenario_from([{"id": "check", "status": "SUCCESS"}])
FAILED = scenario_from([{"id": "check", "status": "FAILURE", "description": "It asked the wrong server"}])
CONNECTS, MUST_NOT = "auth/metadata-default", next(iter(REFUSED))


def _row(name: str, end: End, suite: Scenario = PASSED) -> Row:
    return Row(name, suite, Visit(end, "said last", 1))


@pytest.mark.parametrize(("name", "end"), [(CONNECTS, End.ANSWERED), (MUST_NOT, End.REFUSED)])
def test_a_scenario_that_passed_and_ended_as_it_should_leaves_nothing_to_say(name: str, end: End):
    assert _row(name, end).complaints() == []
    assert _row(name, end).line().startswith("  auth/")


@pytest.mark.parametrize(("name", "end"), [(CONNECTS, End.REFUSED), (MUST_NOT, End.ANSWERED), (MUST_NOT, End.BROKEN)])
def test_a_scenario_that_passed_for_a_visit_that_ended_otherwise_is_said(name: str, end: End):
    (complaint,) = _row(name, end).complaints()
    assert "said last" in complaint
    assert _row(name, end).line().startswith("✗")


@pytest.mark.parametrize("suite", [FAILED, Scenario({})], ids=["failed", "nothing checked"])
def test_a_scenario_that_the_suite_failed_is_said(suite: Scenario):
    assert len(_row(CONNECTS, End.ANSWERED, suite).complaints()) == 1


def test_what_is_left_out_says_why_and_counts_for_nothing():
    for name, reason in LEFT_OUT.items():
        row = _row(name, End.BROKEN, FAILED)
        assert row.complaints() == []
        assert reason in row.line()


@pytest.mark.parametrize(("name", "complaints"), [(CONNECTS, 1), ("http-standard-headers", 0)])
def test_what_a_server_offers_too_little_to_be_checked_for_counts_where_that_can_be(name: str, complaints: int):
    suite = scenario_from([{"id": "a", "status": "SUCCESS"}, {"id": "b", "status": "SKIPPED"}])
    assert len(_row(name, End.ANSWERED, suite).complaints()) == complaints
