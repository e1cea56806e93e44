"""The comparison of two runs lets nothing through that is not named, and keeps no name that is not needed."""

import pytest
from results import Scenario, differences, judge, scenario_from

pytestmark = pytest.mark.promise("F1")

REASON = "Not built yet."


def _scenario(**statuses: str) -> Scenario:
    return scenario_from({"id": name, "status": status} for name, status in statuses.items())


GOOD = _scenario(first="SUCCESS", second="SUCCESS")
HALF = _scenario(first="SUCCESS", second="FAILURE")


def test_equal_runs_leave_nothing_to_say():
    judgement = judge("ping", differences(GOOD, GOOD), {})
    assert (judgement.unexpected, judgement.excused, judgement.stale) == ((), (), ())


@pytest.mark.parametrize(
    "through",
    [HALF, _scenario(first="SUCCESS"), _scenario(first="SUCCESS", second="SKIPPED"), _scenario()],
    ids=["failed", "absent", "skipped", "empty"],
)
def test_a_check_that_came_out_differently_is_unexpected(through: Scenario):
    assert judge("ping", differences(GOOD, through), {}).unexpected


def test_a_check_that_only_exists_through_the_hub_is_unexpected():
    assert judge("ping", differences(_scenario(first="SUCCESS"), GOOD), {}).unexpected


def test_checks_of_one_id_are_compared_with_their_count():
    twice = scenario_from([{"id": "x", "status": "SUCCESS"}, {"id": "x", "status": "SUCCESS"}])
    assert differences(twice, _scenario(x="SUCCESS"))


def test_what_only_tells_a_story_is_left_out():
    assert not differences(GOOD, _scenario(first="SUCCESS", second="SUCCESS", third="INFO"))


def test_a_named_scenario_is_excused_with_its_reason():
    judgement = judge("ping", differences(GOOD, HALF), {"ping": REASON})
    assert (judgement.unexpected, judgement.excused) == ((), (REASON,))


def test_a_named_check_excuses_no_other_check():
    found = differences(GOOD, _scenario(first="FAILURE", second="FAILURE"))
    judgement = judge("ping", found, {"ping:second": REASON})
    assert [difference.check for difference in judgement.unexpected] == ["first"]


@pytest.mark.parametrize("key", ["ping", "ping:second"])
def test_a_name_that_excuses_nothing_is_stale(key: str):
    assert judge("ping", [], {key: REASON}).stale == (key,)


def test_the_names_of_other_scenarios_are_left_alone():
    assert judge("ping", [], {"pong": REASON}).stale == ()
