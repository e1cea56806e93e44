"""The checked configuration."""

import pytest

from mcp_hub.config.model import Filter, Server, Upstream

pytestmark = pytest.mark.promise("E39")


def test_clients_are_pointed_at_the_public_url_or_the_address_listened_on():
    assert Server().endpoint == "http://127.0.0.1:8080/mcp"
    assert Server(host="::1", port=1).endpoint == "http://[::1]:1/mcp"
    assert Server("https://hub.example.com/base/").endpoint == "https://hub.example.com/base/mcp"


def test_a_namespace_is_the_name_another_or_none():
    assert Upstream("a").namespace == "a"
    assert Upstream("a", prefix="b").namespace == "b"
    assert Upstream("a", prefix=False).namespace is None


def test_a_filter_knows_whether_it_says_anything():
    assert not Filter().is_set
    assert Filter(allow=()).is_set
    assert Filter(deny=("x",)).is_set
