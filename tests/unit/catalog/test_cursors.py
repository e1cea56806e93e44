"""Pages give every definition once, cursors cannot be forged, and an upstream may vanish between two pages."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_hub.catalog.cursors import MAX_CURSOR, Page, Position, page, seal, unseal
from mcp_hub.catalog.parts import MAX_NAME, Kind

pytestmark = pytest.mark.promise("A1")

SETTINGS = settings(deadline=None)
KEY = b"k" * 32
POSITION = Position("docs", "docs__search", 3, 14)

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
positions = st.builds(Position, texts, texts, st.integers(0, 10**6), st.integers(0, 10**6))
catalogs = st.lists(st.integers(0, 4), min_size=1, max_size=5).map(
    lambda sizes: {f"u{number}": [f"u{number}__{item}" for item in range(size)] for number, size in enumerate(sizes)}
)


def owners(catalog):
    return [(upstream, exposed) for upstream, listed in catalog.items() for exposed in listed]


def rest(catalog, declared, position, size):
    """Every definition from a position on, page by page, through sealed cursors."""
    given_out = []
    while True:
        current = page(owners(catalog), declared, position, size)
        given_out += [exposed for _, exposed in owners(catalog)[current.start : current.stop]]
        if current.last is None:
            return given_out
        position = unseal(KEY, Kind.TOOL, seal(KEY, Kind.TOOL, current.last))


@SETTINGS
@given(positions, st.sampled_from(list(Kind)))
def test_a_cursor_opens_to_the_position_it_stands_for(position, kind):
    cursor = seal(KEY, kind, position)
    assert unseal(KEY, kind, cursor) == position
    assert cursor.isascii()
    assert not set(cursor) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_the_longest_names_fit_into_a_cursor():
    position = Position("a" * 32, "\x01" * (MAX_NAME + 40), 10**5, 10**6)
    assert len(seal(KEY, Kind.RESOURCE, position)) <= MAX_CURSOR
    assert unseal(KEY, Kind.RESOURCE, seal(KEY, Kind.RESOURCE, position)) == position


@pytest.mark.promise("T21")
@SETTINGS
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_cursor_with_any_bit_changed_does_not_open(place, flip):
    sealed = bytearray(base64.urlsafe_b64decode(seal(KEY, Kind.TOOL, POSITION) + "=="))
    sealed[place % len(sealed)] ^= flip
    forged = base64.urlsafe_b64encode(sealed).decode().rstrip("=")
    with pytest.raises(ValueError, match="cursor"):
        unseal(KEY, Kind.TOOL, forged)


@pytest.mark.promise("T21")
def test_a_cursor_opens_only_with_its_key_and_for_its_kind_of_list():
    cursor = seal(KEY, Kind.TOOL, POSITION)
    for key, kind in ((b"x" * 32, Kind.TOOL), (KEY, Kind.PROMPT)):
        with pytest.raises(ValueError, match="cursor"):
            unseal(key, kind, cursor)


@pytest.mark.promise("T25")
@SETTINGS
@given(st.one_of(st.text(max_size=80), st.just("A" * (MAX_CURSOR + 1))))
def test_what_is_no_cursor_raises_only_a_value_error(cursor):
    with pytest.raises(ValueError, match=r".+"):
        unseal(KEY, Kind.TOOL, cursor)


@pytest.mark.promise("A1")
@SETTINGS
@given(catalogs, st.integers(-1, 6))
def test_the_pages_together_are_the_list(catalog, size):
    assert rest(catalog, list(catalog), None, size) == [exposed for _, exposed in owners(catalog)]


def test_the_first_page_is_the_only_one_unless_a_size_is_set():
    assert page([("a", "a__x"), ("a", "a__y")], ["a"], None, 0) == Page(0, 2, None)
    assert page([("a", "a__x"), ("a", "a__y")], ["a"], None, 1) == Page(0, 1, Position("a", "a__x", 0, 0))
    assert page([], ["a"], None, 1) == Page(0, 0, None)


@pytest.mark.promise("A8")
@SETTINGS
@given(catalogs, st.integers(1, 6), st.booleans(), st.data())
def test_an_upstream_that_vanishes_between_pages_takes_only_its_own_along(catalog, size, still_declared, data):
    first = page(owners(catalog), list(catalog), None, size)
    if first.last is None:
        return
    seen = [exposed for _, exposed in owners(catalog)[: first.stop]]
    # Without a declaration, only the upstream of the cursor itself may be gone: nothing says where others stood.
    gone = data.draw(st.sampled_from(list(catalog))) if still_declared else first.last.upstream
    left = {upstream: listed for upstream, listed in catalog.items() if upstream != gone}
    declared = list(catalog) if still_declared else list(left)
    wanted = [exposed for _, exposed in owners(left) if exposed not in seen]
    assert rest(left, declared, first.last, size) == wanted


def test_a_definition_that_vanishes_between_pages_skips_none_of_its_neighbours():
    before = {"a": ["a1", "a2", "a3", "a4"], "b": ["b1"]}
    last = page(owners(before), ["a", "b"], None, 2).last
    assert rest({"a": ["a1", "a3", "a4"], "b": ["b1"]}, ["a", "b"], last, 2) == ["a3", "a4", "b1"]
    assert rest({"a": ["a1"], "b": ["b1"]}, ["a", "b"], last, 2) == ["b1"]
    assert rest({}, ["a", "b"], last, 2) == []
