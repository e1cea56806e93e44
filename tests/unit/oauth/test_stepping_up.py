"""When an upstream asks for more than its user has allowed."""

import pytest

from mcp_hub.oauth.stepping_up import MOST, REMEMBERED, SteppingUp
from rig.granted import Clock, refusal

pytestmark = pytest.mark.promise("T58", "B15")

READ = frozenset({"read"})


@pytest.mark.parametrize(
    ("status", "challenge", "missing"),
    [
        (403, 'Bearer error="insufficient_scope", scope="read write"', {"write"}),
        (401, 'Bearer error="insufficient_scope", scope="write"', {"write"}),
        (403, 'Bearer error="insufficient_scope", scope="read"', set()),
        (403, 'Bearer error="insufficient_scope"', set()),
        (403, 'Bearer error="insufficient_scope", scope="a", Bearer scope="b"', set()),
        (403, 'Bearer error="invalid_token", scope="write"', None),
        (401, 'Bearer scope="write"', None),
        (403, 'Basic error="insufficient_scope", scope="write"', None),
        (403, "", None),
        (400, 'Bearer error="insufficient_scope", scope="write"', None),
    ],
)
def test_what_is_missing_is_what_a_challenge_for_more_names_beyond_the_grant(status, challenge, missing):
    assert SteppingUp().missing(refusal(status, challenge), READ) == missing


def test_the_same_grant_is_asked_for_as_often_as_it_does_not_do_and_others_a_few_times():
    clock = Clock(0.0)
    stepping = SteppingUp(clock)
    assert not stepping.may_ask("g0", frozenset())
    for n in range(MOST):
        assert all(stepping.may_ask(f"g{n}", READ) for _ in range(5))
    assert not stepping.may_ask("another", READ)
    assert stepping.may_ask("another", frozenset({"write"}))
    clock.at += REMEMBERED
    assert stepping.may_ask("another", READ)


def test_what_is_remembered_is_bounded():
    stepping = SteppingUp(Clock(0.0))
    for n in range(1000):
        assert stepping.may_ask("g", frozenset({f"s{n}"}))
    assert len(stepping._asked) <= 32
