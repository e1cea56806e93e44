"""What is asked for, and where the browser is sent."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from mcp_hub.config.model import OAuth
from mcp_hub.oauth.asked import Asked, address, asked
from mcp_hub.oauth.pkce import challenge_of
from mcp_hub.oauth.server import Found, Server
from mcp_hub.store.connections import Grant, GrantState, Registration, Source, Whose

pytestmark = pytest.mark.promise("B15")

URL = "https://MCP.example/mcp/"
ISSUER = "https://as.example"
REGISTRATION = Registration(
    "r", "default", "gh", ISSUER, "hub&co", "none", "https://hub/oauth/callback/gh", Source.CONFIGURED,
    None, None, None, None, 0.0,
)  # fmt: skip


def found(scopes=None, resource=None, offered=(), issuer=ISSUER):
    server = Server(issuer, f"{issuer}/authorize", f"{issuer}/token", scopes=offered)
    return Found(server, resource, scopes)


def grant(scopes="", wanted="", issuer=ISSUER):
    return Grant(
        "g", Whose("t", "i", "s", "gh"), "r", issuer, f"{issuer}/token", None, None, frozenset(scopes.split()),
        frozenset(wanted.split()), b"", None, None, GrantState.READY, "", "", 1, 0.0, 0.0, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "offers", "has", "scopes"),
    [
        (OAuth(), found(), None, ""),
        (OAuth(), found(("b", "a")), None, "a b"),
        (OAuth(scopes=("x",)), found(("b",)), None, "x"),
        (OAuth(scopes=()), found(("b",)), None, ""),
        (OAuth(), found(("a",)), grant("b", "c"), "a b c"),
        (OAuth(), found(), grant("", "c"), "c"),
        (OAuth(scopes=("x",)), found(("b",)), grant("b", "c"), "x"),
        (OAuth(), found(("a",)), grant("b", "c", issuer="https://other.example"), "a"),
        (OAuth(), found(("a",), offered=("offline_access",)), None, "a offline_access"),
        (OAuth(), found(None, offered=("offline_access", "everything")), None, ""),
        (OAuth(scopes=("x",)), found(offered=("offline_access",)), None, "offline_access x"),
    ],
)
def test_scopes_are_the_operators_or_those_of_the_upstream_with_what_somebody_has(said, offers, has, scopes):
    assert asked(said, offers, URL, has).scopes == frozenset(scopes.split())


@pytest.mark.parametrize(
    ("said", "resource", "sent"),
    [
        (None, None, "https://mcp.example/mcp"),
        (None, "https://mcp.example/", "https://mcp.example/"),
        ("", "https://mcp.example/", None),
        ("urn:x", "https://mcp.example/", "urn:x"),
    ],
)
def test_the_resource_is_always_sent_unless_the_operator_says_otherwise(said, resource, sent):
    assert asked(OAuth(resource=said), found(resource=resource), URL, None).resource == sent


def test_openid_connect_gives_lasting_access_only_if_it_may_ask():
    offers = found(("a",), offered=("openid", "offline_access"))
    assert asked(OAuth(), offers, URL, None).further == {"prompt": "consent"}
    assert asked(OAuth(extra_params={"prompt": "login"}), offers, URL, None).further == {"prompt": "login"}


def test_a_browser_is_sent_with_everything_that_is_needed_and_nothing_else():
    what = Asked(frozenset({"b", "a"}), "https://mcp.example", {"audience": "x"})
    url = address(f"{ISSUER}/authorize?tenant=1", REGISTRATION, what, state="s", verifier="v" * 43)
    assert url.startswith(f"{ISSUER}/authorize?tenant=1&")
    assert dict(parse_qsl(urlsplit(url).query)) == {
        "tenant": "1",
        "audience": "x",
        "response_type": "code",
        "client_id": "hub&co",
        "redirect_uri": "https://hub/oauth/callback/gh",
        "state": "s",
        "code_challenge": challenge_of("v" * 43),
        "code_challenge_method": "S256",
        "scope": "a b",
        "resource": "https://mcp.example",
    }


@pytest.mark.promise("T45")
def test_what_the_operator_adds_does_not_replace_what_protects():
    names = ("state", "code_challenge", "code_challenge_method", "redirect_uri", "client_id", "response_type")
    what = Asked(frozenset(), None, dict.fromkeys(names, "evil"))
    url = address(f"{ISSUER}/authorize", REGISTRATION, what, state="s", verifier="v" * 43)
    assert "evil" not in url
    assert "scope" not in url
