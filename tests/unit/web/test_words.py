"""What pages call things."""

import pytest

from mcp_hub.web.words import browser_name, known_from, scope_at_length, scopes_in_words

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
    ("client", "said_by"),
    [
        ("https://claude.ai/oauth/c.json", "claude.ai"),
        ("https://claude.ai@evil.example/c", "evil.example"),
        ("mcphub_c_x", "itself, not verified"),
        ("notes", "this hub's configuration"),
    ],
)
def test_it_is_said_who_vouches_for_the_name_of_a_client(client, said_by):
    assert known_from(client) == said_by


def test_whoever_gives_a_scope_is_told_at_length_what_it_means():
    assert scope_at_length("hub:use") == "Use the tools, resources and prompts of this hub in your name"
    assert scope_at_length("x:y") == "x:y"
