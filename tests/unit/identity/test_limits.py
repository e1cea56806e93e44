"""Limits: they hold, they end by themselves, and a flood of made-up names costs bounded memory."""

import pytest

from mcp_hub.identity.limits import DEFAULTS, Limit, Limits, neighbourhood

pytestmark = pytest.mark.promise("C24", "T53")


class Clock:
    def __init__(self) -> None:
        self.at = 1_000_000.0

    def __call__(self) -> float:
        return self.at


def limits(clock: Clock, rule: str = "3 per minute", most: int = 100) -> Limits:
    return Limits({Limit.SETUP: rule, Limit.REGISTER: rule}, now=clock, most=most)


def test_what_is_within_the_limit_goes_on_and_the_next_is_told_how_long_to_wait():
    clock = Clock()
    counted = limits(clock)
    assert [counted.take(Limit.SETUP, "a") for _ in range(3)] == [None] * 3
    clock.at += 20
    assert counted.take(Limit.SETUP, "a") == 40.0
    assert counted.wait(Limit.SETUP, "a") == 40.0


def test_a_refusal_ends_with_its_window_however_often_it_was_tried_meanwhile():
    clock = Clock()
    counted = limits(clock)
    for _ in range(50):
        counted.take(Limit.SETUP, "a")
    clock.at += 60
    assert counted.take(Limit.SETUP, "a") is None


def test_other_keys_and_other_limits_are_counted_apart():
    counted = limits(Clock())
    for _ in range(4):
        counted.take(Limit.SETUP, "a")
    assert counted.take(Limit.SETUP, "b") is None
    assert counted.take(Limit.REGISTER, "a") is None


def test_a_success_starts_the_count_anew():
    counted = limits(Clock())
    for _ in range(4):
        counted.take(Limit.SETUP, "a")
    counted.forget(Limit.SETUP, "a")
    assert counted.take(Limit.SETUP, "a") is None


def test_a_flood_of_names_keeps_memory_bounded_and_is_limited_too():
    counted = limits(Clock(), most=100)
    assert counted.take(Limit.SETUP, "ada") is None
    refused = sum(counted.take(Limit.SETUP, f"made-up-{number}") is not None for number in range(20_000))
    kept = counted._windows[Limit.SETUP].strategy.storage
    assert len(kept) <= 100 + 1024
    assert refused > 15_000
    assert counted.take(Limit.SETUP, "ada") is None, "whoever was there before the flood has a counter of their own"


def test_after_the_flood_everything_is_as_before():
    clock = Clock()
    counted = limits(clock, most=10)
    for number in range(5_000):
        counted.take(Limit.SETUP, f"made-up-{number}")
    clock.at += 61
    assert counted.take(Limit.SETUP, "ada") is None
    assert len(counted._windows[Limit.SETUP].strategy.storage) == 1


def test_every_limit_has_a_rule():
    assert set(DEFAULTS) == set(Limit)
    Limits()


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_an_address_of_version_6_counts_as_its_network(address, counted_as):
    assert neighbourhood(address) == counted_as


def test_long_names_take_no_more_memory_than_short_ones_and_are_told_apart():
    clock = Clock()
    counted = limits(clock)
    names = [f"{'x' * 60_000}{n}\ud800" for n in range(50)]
    for name in names:
        assert [counted.take(Limit.SETUP, name) for _ in range(3)] == [None] * 3
        assert counted.take(Limit.SETUP, name) == counted.wait(Limit.SETUP, name) == 60.0
    kept = counted._windows[Limit.SETUP].strategy.storage._counts
    assert sum(map(len, kept)) < 50 * 1000
    counted.forget(Limit.SETUP, names[0])
    assert counted.take(Limit.SETUP, names[0]) is None
