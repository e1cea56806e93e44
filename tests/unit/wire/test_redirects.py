"""Which addresses a client may have a browser sent back to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.wire.redirects import is_loopback_uri, redirect_fault

pytestmark = pytest.mark.promise("T41")


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example.com/callback",
        "https://app.example.com/callback?x=1&y=2",
        "https://app.example.com:8443/",
        "http://localhost/cb",
        "http://127.0.0.1:49152/cb",
        "http://[::1]:80/cb",
        "http://localhost:6274",
    ],
)
def test_web_addresses_and_this_computer_are_taken(uri):
    assert redirect_fault(uri, private_use=False) == ""


@pytest.mark.parametrize(
    "uri",
    [
        "http://example.com/cb",
        "http://localhost@evil.com/",
        "http://localhost.evil.com/",
        "http://localhost%2eevil.com/",
        "http://127.0.0.1.evil.com/",
        "http://0.0.0.0/cb",
        "http://2130706433/cb",
        "https://evil@app.example.com/",
        "https://app.example.com/#",
        "https://*.example.com/cb",
        "https://app.example.com/a b",
        "https://app.example.com\\@evil.com/",
        "https://app.example.com/\r\nLocation: https://evil.com",
        "https://\u0430pp.example.com/",
        "https:///cb",
        "https:app.example.com",
        "https://[::1/cb",
        "http://localhost:0/",
        "http://localhost:99999/",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java.script:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "vbscript:x",
        "about:blank",
        "blob:https://app.example.com/x",
        "urn:ietf:wg:oauth:2.0:oob",
        "//app.example.com/cb",
        "/cb",
        "",
        "myapp:/cb",
        "HTTPS://app.example.com/cb",
        "https:/app.example.com/cb",
        "http://LOCALHOST/cb",
        "http://127.1/cb",
        "http://localhost:/cb",
        "http://localhost:80@evil.com/cb",
        "https://app.example.com%2f@evil.com/",
        "https://app.example.com/*",
        'https://app.example.com/"><script>',
        "https://app.example.com/\x00",
        "https://app.example.com/" + "a" * 2048,
    ],
)
def test_everything_else_is_refused_for_a_client_on_the_web(uri):
    fault = redirect_fault(uri, private_use=False)
    assert fault
    assert uri == "" or uri not in fault


def test_a_native_app_may_have_a_scheme_that_is_its_domain_reversed():
    assert redirect_fault("com.example.app:/cb", private_use=True) == ""
    assert redirect_fault("com.example.app:/cb", private_use=False)
    assert redirect_fault("cursor://anysphere.cursor-mcp/oauth/callback", private_use=True) == ""
    assert redirect_fault("vscode://dynamicauthprovider/cb", private_use=True) == ""
    for uri in (
        *("myapp:/cb", "com.example.app:", "javascript:x", "javascript://a.example/%0aalert(1)", "about:blank"),
        *(
            "com.example.app:/#x",
            "ms-msdt:/id",
            "intent://x",
            "view-source:https://a.example",
            "blob:https://a.example/1",
        ),
    ):
        assert redirect_fault(uri, private_use=True)


@given(st.text())
def test_any_text_gets_an_answer(uri):
    assert isinstance(redirect_fault(uri, private_use=True), str)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("http://localhost/cb", True),
        ("http://[::1]:9/", True),
        ("https://localhost/", False),
        ("https://a.example", False),
        ("com.example.app:/cb", False),
    ],
)
def test_it_is_known_whether_it_leads_to_this_computer(uri, expected):
    assert is_loopback_uri(uri) is expected
