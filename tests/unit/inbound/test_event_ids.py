import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from mcp_hub.inbound.event_ids import Kind, Place, place_of, suffix_of

pytestmark = pytest.mark.promise("A4")


@given(st.sampled_from(Kind), st.integers(0, 10**15 - 1), st.none() | st.integers() | st.text(max_size=4))
def test_an_id_says_the_place_it_was_made_for(kind, event, request):
    raw = None if request is None else Raw(json.dumps(request).encode())
    said = f"{kind.value}.abcdEF-_.{event}{suffix_of(raw)}"
    assert place_of(said) == Place(kind, "abcdEF-_", event, raw)
    assert all(0x21 <= ord(letter) <= 0x7E for letter in said)


@pytest.mark.promise("T25")
@pytest.mark.parametrize(
    "said", ['{"a":1}', "[1]", "null", "true", '1,"x":2', '1}\n\ndata: {"x":2', "", "nonsense", "1 2"]
)
def test_what_is_no_request_id_is_no_place(said):
    smuggled = base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")
    assert place_of(f"c.abcdefgh.1.{smuggled}") is None


@pytest.mark.promise("T25")
@pytest.mark.parametrize(
    "said", ["", "1", "c", "x.abcdefgh.1", "c.abcdefgh", "c.abcdefgh.-1", "c.abcdefgh.1.", "c.abcdefg.1",
             "c.abcdefgh.1 ", "c.abcdefgh.1\n", "c.abcdefgh.٣", "n.abcdefgh.9999999999999999",
             "c.abcdefgh.1." + "A" * 97]
)  # fmt: skip
def test_what_is_none_of_ours_is_no_place(said):
    assert place_of(said) is None


def test_a_long_request_id_is_not_repeated():
    assert suffix_of(Raw(b'"' + b"x" * 63 + b'"')) == ""
