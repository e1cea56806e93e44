"""A keyring is used only if it keeps what it is given."""

import pytest
from tests.unit.vault.rings import FailingRing, FakeRing, LockedLater, NullRing

from mcp_hub.vault.ring import Ring, keeps, read, system_ring, write

pytestmark = pytest.mark.promise("T32")

ID = b"01234567"


def test_a_keyring_that_keeps_things_is_used_and_left_as_it_was():
    ring = FakeRing()
    assert keeps(ring)
    assert ring.kept == {}


@pytest.mark.parametrize("ring", [FakeRing(0.5), FakeRing(0), FakeRing(-1), NullRing(), FailingRing()])
def test_one_that_does_not_is_not(ring: Ring):
    assert not keeps(ring)
    assert read(ring, ID) is None
    assert not write(ring, ID, "text")


def test_one_that_takes_only_the_probe_has_kept_nothing():
    assert keeps(LockedLater())
    assert not write(LockedLater(), ID, "text")


def test_keys_of_several_hubs_lie_side_by_side():
    ring = FakeRing()
    assert write(ring, ID, "one")
    assert write(ring, b"76543210", "other")
    assert (read(ring, ID), read(ring, b"76543210"), read(ring, b"--------")) == ("one", "other", None)


def test_the_one_of_the_system_is_asked_for_and_never_in_tests():
    ring = system_ring()
    assert ring is None or not keeps(ring)
