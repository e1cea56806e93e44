"""What the hub has to know of a result is read in one pass, whatever somebody made of the result."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from mcp_hub.wire.jsonrpc import Reply
from mcp_hub.wire.results import Traits, traits_of

pytestmark = pytest.mark.promise("A5")

PLAIN = {"content": [{"type": "text", "text": 'says "uri" and "isError":true'}]}
UNKNOWN = Traits()


def of(result) -> Traits:
    return traits_of(json.dumps(result).encode())


def test_a_result_of_text_holds_no_links():
    assert of(PLAIN) == Traits(asks=False, failed=False, links=False)


@pytest.mark.parametrize(
    "more",
    [
        {"content": [{"type": "resource_link", "uri": "file:///a"}]},
        {"content": [{"type": "text", "text": ""}, {"type": "resource", "resource": {"uri": "file:///a"}}]},
        {"_meta": {"ui": {"resourceUri": "ui://a"}}},
        {"_meta": {"ui/resourceUri": "ui://a"}},
        {"_meta": {"io.mcp-hub/upstreams": {}}},
    ],
)
def test_links_are_seen_wherever_the_hub_would_change_them(more):
    assert of({**PLAIN, **more}).links


@pytest.mark.parametrize(
    "spelled",
    [
        b'{"content":[{"\\u0075ri":"a"}]}',
        b'{"\\u0063ontent":[{"uri":"a"}]}',
        b'{"content":[],"_meta":{"ui\\u002fresourceUri":"ui://a"}}',
        b'{"content":[],"content":[{"uri":"a"}]}',
        b'{"content":[],"_meta":{"io.mcp\\u002dhub/upstreams":{}}}',
        b'{"content":[],"_meta":{"io.mcp-hub\\/upstreams":{}}}',
    ],
)
def test_no_spelling_hides_a_link(spelled):
    assert traits_of(spelled).links


def test_metadata_without_a_uri_is_no_link():
    assert not of({**PLAIN, "_meta": {"progress": 1}}).links


@pytest.mark.parametrize(("said", "failed"), [(True, True), (False, False), ("true", False), (1, False), (None, False)])
def test_only_true_is_a_failure_of_the_tool(said, failed):
    assert of({**PLAIN, "isError": said}).failed is failed
    assert of({"messages": [], "isError": said}).failed is failed


@pytest.mark.parametrize(
    ("kind", "asks"),
    [("input_required", True), ("complete", False), ("other", False), (None, False), (["input_required"], False)],
)
def test_a_result_asks_if_it_says_so(kind, asks):
    assert of({"resultType": kind}).asks is asks
    assert of({**PLAIN, "resultType": kind}).asks is asks


def test_a_kind_spelled_with_escapes_is_the_same_kind():
    assert traits_of(b'{"resultType":"input\\u005frequired"}').asks


def test_a_kind_that_is_no_text_asks_nothing():
    assert not traits_of(b'{"resultType":"\\ud800"}').asks


@pytest.mark.parametrize("result", [b"", b"[]", b"x", b'{"content":[', b'{"a":' + b"[" * 5000])
def test_of_what_is_no_result_nothing_is_known(result):
    assert traits_of(result) == UNKNOWN


@pytest.mark.parametrize("content", [None, 1, "text", {}, [1], [[]], [{}, None]])
def test_content_of_another_shape_may_hold_links(content):
    assert of({"content": content, "isError": True}) == Traits(asks=False, failed=True, links=True)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["content", "uri", "isError", "_meta", "resultType", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(ANY_JSON)
def test_whatever_the_shape_there_is_an_answer(result):
    assert isinstance(of(result), Traits)


def test_a_reply_looks_for_its_traits_once_and_equals_one_that_did_not():
    reply = Reply(result=Raw(json.dumps(PLAIN).encode()))
    assert reply.traits is reply.traits
    assert Reply(result=b"{}") == Reply(result=b"{}")
    looked = Reply(result=b"{}")
    assert looked.traits.links
    assert looked == Reply(result=b"{}")


def test_an_error_asks_nothing():
    assert Reply(error=Raw(b"{}")).traits == UNKNOWN
