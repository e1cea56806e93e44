"""Single values are changed inside what stays as it was."""

import pytest
from msgspec import Raw

from mcp_hub.catalog.inside import at, each, starts
from mcp_hub.wire.jsonrpc import Malformed

pytestmark = pytest.mark.promise("A1")


def doubled(raw: Raw, factor: int) -> Raw:
    return Raw(b"%d" % (int(bytes(raw)) * factor)) if bytes(raw).isdigit() else raw


def test_what_needs_no_change_is_the_same_object():
    change = each(at({"n": doubled}))
    for raw in (Raw(b'[{"n":"x"},{},5]'), Raw(b"5"), Raw(b'{"n":1}'), Raw(b"null")):
        assert change(raw, 2) is raw


def test_only_the_members_on_the_way_are_written_anew():
    raw = Raw(b'{"a": {"n": 3, "kept": 1.0e2}, "b" : [1,  2]}')
    assert bytes(at({"a": at({"n": doubled})})(raw, 2)) == b'{"a":{"n":6,"kept":1.0e2},"b":[1,  2]}'


@pytest.mark.parametrize("raw", [Raw(b'{"n":}'), Raw(b"{")])
def test_an_object_that_is_not_valid_is_malformed(raw):
    with pytest.raises(Malformed):
        at({"n": doubled})(raw, 2)


def test_an_array_that_is_not_valid_is_malformed():
    with pytest.raises(Malformed):
        each(doubled)(Raw(b"[1,"), 2)


def test_white_space_before_a_value_does_not_hide_it():
    assert starts(Raw(b" \r\n\t{}"), b"{")
    assert not starts(Raw(b'"{"'), b"{")
