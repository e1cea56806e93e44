"""Which credential goes where."""

import pytest

from mcp_hub.credentials.credential import NOTHING
from mcp_hub.credentials.resolve import Credentials
from rig.parts import ALICE, BOB, bearer

pytestmark = pytest.mark.promise("B11", "B12", "B16")


def test_a_shared_credential_is_everybodys_and_goes_to_its_own_upstream_only():
    up = bearer("for up")
    credentials = Credentials({"up": up})
    assert credentials.for_call(ALICE, "up") is credentials.for_call(BOB, "up") is up
    assert credentials.for_call(ALICE, "other") is NOTHING


def test_what_is_given_later_does_not_change_what_was_decided():
    given = {"up": NOTHING}
    credentials = Credentials(given)
    given["up"] = bearer("late")
    assert credentials.for_call(ALICE, "up") is NOTHING
