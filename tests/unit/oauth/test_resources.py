"""What counts as the metadata of an upstream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.oauth.resources import WrongResource, canonical, is_of, places, read_resource

pytestmark = pytest.mark.promise("B15", "T16")

URL = "https://mcp.example/a/mcp"


def test_the_place_with_the_path_comes_before_the_one_without():
    root = "https://mcp.example/.well-known/oauth-protected-resource"
    assert places(URL) == [f"{root}/a/mcp", root]
    assert places("https://mcp.example/") == places("https://mcp.example") == [root]


@pytest.mark.parametrize(
    "resource",
    [URL, "https://mcp.example/a/mcp/", "https://MCP.example:443/a", "https://mcp.example/", "https://mcp.example"],
)
def test_the_address_itself_and_those_above_it_count(resource):
    assert is_of(resource, URL)


@pytest.mark.parametrize(
    "resource",
    [
        "http://mcp.example/a/mcp",
        "https://mcp.example:8443/a/mcp",
        "https://evil.example/a/mcp",
        "https://mcp.example/a/mc",
        "https://mcp.example/a/mcp/more",
        "https://mcp.example/b",
        "https://mcp.example/a/../a",
        "https://mcp.example/a/mcp?tenant=b",
        "https://mcp.example/a#x",
        "https://user@mcp.example/a",
        "https://mcp.example.evil.example/a",
        "mcp",
        "",
    ],
)
def test_anything_else_does_not(resource):
    assert not is_of(resource, URL)
    with pytest.raises(WrongResource):
        read_resource({"resource": resource}, URL)


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_breaks_the_comparison(tail, other):
    assert not is_of(f"https://other.example/{tail}", URL)
    is_of(other, URL)


def test_what_is_no_list_of_texts_says_nothing():
    found = read_resource(
        {"resource": URL, "authorization_servers": ["https://a", 3, None], "scopes_supported": 1}, URL
    )
    assert found is not None
    assert (found.servers, found.scopes) == (("https://a",), None)
    assert read_resource({"resource": 7}, URL) is None


def test_an_upstream_without_metadata_is_named_by_its_address():
    assert canonical("HTTPS://MCP.Example:443/A/mcp/") == "https://mcp.example/A/mcp"
    assert canonical("https://mcp.example/?a=B") == "https://mcp.example?a=B"
