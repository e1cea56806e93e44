"""How clients get to the hub."""

import pytest

from mcp_hub.config.snippets import CLIENTS, TITLES
from mcp_hub.web.ways import ways

pytestmark = pytest.mark.promise("E40")


def test_every_client_is_named_with_what_to_paste():
    found = {way.client: way for way in ways("https://hub.example.com/mcp")}
    assert list(found) == [TITLES[name] for name in CLIENTS]
    assert all("https://hub.example.com/mcp" in way.paste for way in found.values() if way.paste)


def test_a_client_that_cannot_reach_this_computer_is_told_so():
    found = {way.client: way for way in ways("http://127.0.0.1:8080/mcp")}
    assert found["ChatGPT"].paste == ""
    assert "cannot reach" in found["ChatGPT"].steps[0]
