"""The wrapped text never shows by accident."""

import pickle

import pytest

from mcp_hub.secret import Secret

pytestmark = pytest.mark.promise("B13")


@pytest.mark.promise("B13", "T31")
@pytest.mark.parametrize("show", [str, repr, "{}".format, lambda s: f"{s!r:>5}", lambda s: [s]])
def test_a_secret_shows_only_a_mask(show):
    assert "hunter2" not in str(show(Secret("hunter2")))


def test_a_secret_opens_to_its_text():
    assert Secret("hunter2").open() == "hunter2"


def test_secrets_compare_by_their_text():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1


def test_a_secret_is_not_pickled():
    with pytest.raises(TypeError):
        pickle.dumps(Secret("hunter2"))
