"""A filter permits what it names and nothing else, in time that a hostile pattern or name cannot blow up."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_hub.catalog.access import EVERYTHING, Filter

pytestmark = pytest.mark.promise("A1")

names = st.text("abA_.*[]", max_size=8)
globs = st.lists(st.text("abA*?[]!_.", max_size=6), max_size=3).map(tuple)


@settings(deadline=None)
@given(st.one_of(st.none(), globs), globs, names)
def test_a_filter_says_what_its_globs_say_and_deny_outweighs_allow(allow, deny, name):
    allowed = allow is None or any(fnmatchcase(name, glob) for glob in allow)
    denied = any(fnmatchcase(name, glob) for glob in deny)
    assert Filter(allow, deny).permits(name) is (allowed and not denied)
    assert Filter(allow, deny).denies(name) is denied


def test_no_filter_permits_everything_and_an_empty_allow_nothing():
    assert EVERYTHING.permits("anything\n")
    assert not Filter(allow=()).permits("anything")


def test_case_counts():
    assert not Filter(deny=("delete_*",)).denies("Delete_all")


def test_equal_filters_are_equal_values():
    assert Filter(("a",), ("b",)) == Filter(("a",), ("b",))
    assert len({Filter(("a",)), Filter(("a",)), Filter(("b",))}) == 2


@pytest.mark.promise("T29")
def test_many_stars_do_not_explode():
    assert not Filter(("*a" * 40 + "b",)).permits("a" * 1000)
