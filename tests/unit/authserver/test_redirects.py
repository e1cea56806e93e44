import string
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.authserver import redirects
from mcp_hub.wire.redirects import redirect_fault

pytestmark = pytest.mark.promise("T41")

GOOD = (
    "https://claude.ai/api/mcp/auth_callback",
    "https://app.example:8443/cb?fixed=1",
    "http://127.0.0.1/callback",
    "http://127.0.0.1:33418/",
    "http://localhost:6274/oauth/callback",
    "http://[::1]:8080/cb",
    "cursor://anysphere.cursor-mcp/oauth/callback",
    "vscode://dynamicauthprovider/cb",
    "com.example.app:/oauth",
)


@pytest.mark.parametrize(
    ("registered", "asked"),
    [
        ("http://127.0.0.1/callback", "http://127.0.0.1:50123/callback"),
        ("http://127.0.0.1:1/callback", "http://127.0.0.1:50123/callback"),
        ("http://localhost:3000/cb?x=1", "http://localhost:4000/cb?x=1"),
        ("http://[::1]/cb", "http://[::1]:9/cb"),
        ("http://localhost", "http://localhost:9"),
        ("https://app.example/cb", "https://app.example/cb"),
    ],
)
def test_a_loopback_redirect_may_have_any_port(registered, asked):
    assert redirects.matches([registered], asked)


@pytest.mark.parametrize(
    ("registered", "asked"),
    [
        ("https://app.example/cb", "https://app.example:444/cb"),
        ("https://app.example/cb", "https://app.example:443/cb"),
        ("https://app.example/cb", "https://app.example/cb/"),
        ("https://app.example/cb", "https://app.example/cb/../x"),
        ("https://app.example/cb", "https://app.example/cb?x"),
        ("https://app.example/cb", "https://APP.example/cb"),
        ("https://app.example/cb", "https://app.example/c%62"),
        ("https://app.example/cb", "//evil.example"),
        ("https://app.example/cb", "https://app.example/cb\r\n"),
        ("https://app.example/cb", "javascript:alert(1)"),
        ("http://localhost/cb", "http://127.0.0.1/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:0/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:70000/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:80@evil.example/cb"),
        ("http://localhost/cb", "http://localhost.evil.example:80/cb"),
        ("http://localhost/cb", "https://localhost:80/cb"),
        ("http://localhost/cb", "http://localhost:80/cb?next=//evil.example"),
        ("http://localhost/cb", "http://localhost:80/CB"),
        ("cursor://host/cb", "cursor://host:80/cb"),
    ],
)
def test_anything_else_has_to_be_the_same_text(registered, asked):
    assert not redirects.matches([registered], asked)


texts = st.text(alphabet=string.printable, max_size=60)
uris = st.one_of(st.sampled_from(GOOD), st.builds("{}{}".format, st.sampled_from(GOOD), texts), texts, st.text())


@given(st.lists(uris, max_size=4), uris)
def test_what_matches_differs_at_most_in_the_port_of_a_loopback_host(registered, asked):
    if redirects.matches(registered, asked) and asked not in registered:
        there = urlsplit(asked)
        assert there.scheme == "http"
        assert there.hostname in ("localhost", "127.0.0.1", "::1")
        assert "@" not in there.netloc


@given(uris)
def test_whatever_may_be_registered_can_be_shown_and_answered(uri):
    if not redirect_fault(uri, private_use=True):
        assert redirects.shown_host(uri)
        assert redirects.matches([uri], uri)
        url = redirects.with_answer(uri, [("state", "a&b=c ü"), ("iss", "https://hub.example")])
        assert url.isascii()
        assert url.isprintable()
        assert urlsplit(url)[:3] == urlsplit(uri)[:3]
        query = parse_qsl(urlsplit(url).query, keep_blank_values=True)
        assert [value for name, value in query if name == "state"] == ["a&b=c ü"]
        assert [value for name, value in query if name == "iss"] == ["https://hub.example"]


def test_members_of_an_answer_that_were_registered_are_replaced_and_the_rest_stays():
    registered = "https://app.example/cb?iss=https://evil.example&is%73=x&code=1&keep=%20a&&state=old"
    url = redirects.with_answer(registered, [("code", "new"), ("iss", "https://hub.example")])
    assert url == "https://app.example/cb?keep=%20a&code=new&iss=https%3A%2F%2Fhub.example"


@pytest.mark.parametrize(
    ("uri", "shown", "local"),
    [
        ("https://claude.ai/cb", "claude.ai", False),
        ("https://app.example:8443/cb", "app.example:8443", False),
        ("http://127.0.0.1:33418/", "127.0.0.1:33418", True),
        ("http://[::1]:80/", "[::1]", True),
        ("cursor://x/cb", "cursor:", True),
    ],
)
def test_people_see_where_they_are_sent(uri, shown, local):
    assert redirects.shown_host(uri) == shown
    assert redirects.is_local(uri) is local
