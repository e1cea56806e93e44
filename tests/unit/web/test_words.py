"""What pages call things."""

import pytest

from mcp_hub.web.words import browser_name, host_of, scopes_in_words

pytestmark = pytest.mark.promise("E37")
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/156.0 Safari/537.36", "Chrome on Windows"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64) {WEBKIT} Chrome/156.0 Safari/537.36 Edg/156.0", "Edge on Windows"),
        (f"Mozilla/5.0 (Linux; Android 16) {WEBKIT} Chrome/156.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 15_0) Version/18.0 Safari/605.1.15", "Safari on macOS"),
        ("curl/8.9", "curl"),
        ("", "A browser"),
        ("<img src=x>", "A browser"),
    ],
)
def test_a_browser_is_called_what_people_call_it(agent, name):
    assert browser_name(agent) == name


def test_scopes_are_said_in_words_and_unknown_ones_as_they_are():
    assert scopes_in_words({"hub:use", "hub:admin", "x:y"}) == ["administer the hub", "use your tools", "x:y"]


@pytest.mark.parametrize(
    ("client", "host"),
    [("https://claude.ai/oauth/c.json", "claude.ai"), ("https://a@evil/c", "evil"), ("dcr_1", ""), ("http://x/y", "")],
)
def test_a_client_has_the_host_that_vouches_for_it(client, host):
    assert host_of(client) == host
