from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.egress.pool import Limits, Step, assign, stale

pytestmark = pytest.mark.promise("D28")

NOW = 100.0


@dataclass(frozen=True)
class Kept:
    until: float


def idle(*lives: float):
    return [Kept(NOW + life) for life in lives]


LIMITS = Limits(connections=3, waiting=2)


@pytest.mark.parametrize(
    ("case", "situation", "step", "use", "close"),
    [
        ("nothing yet", (idle(), 0, 0, False), Step.OPEN, None, []),
        ("one idle", (idle(1), 0, 0, False), Step.REUSE, 0, []),
        ("the youngest of several", (idle(1, 2, 3), 0, 0, False), Step.REUSE, 2, []),
        ("all too old", (idle(-2, -1, 0), 0, 0, False), Step.OPEN, None, [0, 1, 2]),
        ("old ones go, the young one is used", (idle(-2, -1, 1), 0, 0, False), Step.REUSE, 2, [0, 1]),
        ("the youngest has the shortest life", (idle(2, 1, -1), 0, 0, False), Step.REUSE, 1, [2]),
        ("some are busy", (idle(), 2, 0, False), Step.OPEN, None, []),
        ("all are busy", (idle(), 3, 0, False), Step.WAIT, None, []),
        ("all are busy, one waits", (idle(), 3, 1, False), Step.WAIT, None, []),
        ("all are busy, the queue is full", (idle(), 3, 2, False), Step.REFUSE, None, []),
        ("old ones make room", (idle(-1), 2, 0, False), Step.OPEN, None, [0]),
        ("fresh passes the idle one by", (idle(1), 0, 0, True), Step.OPEN, None, []),
        ("fresh makes room for itself", (idle(1, 2), 1, 0, True), Step.OPEN, None, [0]),
        ("fresh takes the room of an old one", (idle(-1, 2), 1, 0, True), Step.OPEN, None, [0]),
        ("fresh waits like everybody", (idle(), 3, 0, True), Step.WAIT, None, []),
    ],
)
def test_decision(case, situation, step, use, close):
    kept, busy, waiting, fresh = situation
    decision = assign(kept, busy, waiting, LIMITS, NOW, fresh=fresh)
    assert decision.step is step, case
    assert list(decision.close) == close
    if use is not None:
        assert kept[decision.use] is kept[use]


@given(
    lives=st.lists(st.floats(-5, 5), max_size=6),
    busy=st.integers(0, 6),
    waiting=st.integers(0, 3),
    connections=st.integers(1, 6),
    fresh=st.booleans(),
)
def test_the_limits_hold_and_nothing_old_is_used(lives, busy, waiting, connections, fresh):
    kept = idle(*lives[: max(0, connections - busy)])
    busy = min(busy, connections)
    decision = assign(kept, busy, waiting, Limits(connections, 2), NOW, fresh=fresh)
    left = len(kept) - len(decision.close)
    assert len(set(decision.close)) == len(decision.close)
    if decision.step is Step.REUSE:
        assert not fresh
        assert kept[decision.use].until > NOW
        assert decision.use not in decision.close
    elif decision.step is Step.OPEN:
        assert busy + left + 1 <= connections
        assert fresh or left == 0
    else:
        assert busy == connections
        assert (decision.step is Step.WAIT) is (waiting < 2)


def test_stale_connections_are_those_whose_time_is_over():
    assert stale(idle(1, 0, -1, 2), NOW) == [1, 2]
