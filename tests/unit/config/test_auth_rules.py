"""What is wrong, or without effect, between a credential and the rest of the configuration."""

from ipaddress import ip_network

import pytest

from mcp_hub.config.auth_rules import PROBLEMS, WARNINGS
from mcp_hub.config.model import (
    ApiKey,
    ClientCredentials,
    Config,
    Login,
    Network,
    NoAuth,
    OAuth,
    OwnHeader,
    SharedHeader,
    Store,
    Upstream,
)
from mcp_hub.secret import Secret

pytestmark = pytest.mark.promise("E39", "B16")

KEY = Secret("canary")
URL = "https://a.example/mcp"
MACHINE = ClientCredentials("https://id.example", "hub", KEY)
PASTED, CLAIM = OwnHeader("X-Key", "pasted"), OwnHeader("X-User", "claim", "email")
BROUGHT = OwnHeader("X-Key", "brought", "x-mine")
PRIVATE = Network((ip_network("127.0.0.0/8"),))


def found(rules, *, auth, headers=(), command=(), **parts):
    parts = {"login": Login("local"), **parts}
    url = None if command else URL
    upstream = Upstream("a", url, auth=auth, headers=dict.fromkeys(headers, KEY), command=tuple(map(Secret, command)))
    config = Config(upstreams={"a": upstream}, **parts)
    return [(".".join(map(str, one.path[2:])), one.message) for rule in rules for one in rule(config)]


def problems(**said):
    return found(PROBLEMS, **said)


def warnings(**said):
    return found(WARNINGS, **said)


@pytest.mark.parametrize(
    "auth", [None, NoAuth(), ApiKey(KEY), SharedHeader("X-Key", KEY), PASTED, CLAIM, BROUGHT, OAuth(), MACHINE]
)
def test_every_kind_alone_is_sound(auth):
    assert problems(auth=auth) == []
    assert warnings(auth=auth) == []


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        (SharedHeader("X-Key", KEY), "x-key"),
        (PASTED, "x-key"),
        (BROUGHT, "X-KEY"),
        (CLAIM, "x-user"),
        (MACHINE, "authorization"),
        (ApiKey(KEY), "Authorization"),
    ],
)
def test_one_header_is_not_said_twice(auth, header):
    ((path, message),) = problems(auth=auth, headers=[header])
    assert path == f"headers.{header}"
    assert message.startswith("'auth' already decides what is sent as")


@pytest.mark.parametrize("auth", [PASTED, BROUGHT, CLAIM, MACHINE])
def test_another_header_may_go_with_a_credential(auth):
    assert problems(auth=auth, headers=["X-Tenant"]) == []


@pytest.mark.parametrize("header", ["X-Key", "Authorization"])
def test_headers_and_oauth_contradict_each_other(header):
    ((path, message),) = problems(auth=OAuth(), headers=[header])
    assert path == "headers"
    assert "turns off the OAuth that 'auth' asks for" in message


@pytest.mark.parametrize("auth", [ApiKey(KEY), SharedHeader("X-Key", KEY), PASTED, BROUGHT, CLAIM, OAuth(), MACHINE])
def test_a_command_takes_no_credential_but_its_environment(auth):
    message = "has no effect on a command, which takes its credentials from its environment"
    assert problems(auth=auth, command=["python"]) == [("auth", message)]


@pytest.mark.promise("D28", "T2")
@pytest.mark.parametrize("key", ["issuer", "authorization_url", "token_url", "revocation_url"])
@pytest.mark.parametrize(
    ("url", "network", "message"),
    [
        ("https://id.example/x", Network(), ""),
        ("http://127.0.0.1:9/x", PRIVATE, ""),
        ("https://10.0.0.1/x", PRIVATE, "this address is not public"),
        ("http://id.example/x", Network(), "plain http is for private networks, and none is allowed"),
        ("http://93.184.216.34/x", PRIVATE, "a public address needs https"),
        ("https://169.254.169.254/x", Network(), "this address is not public"),
    ],
)
def test_an_authorization_server_stands_where_an_upstream_may(key, url, network, message):
    said = problems(auth=OAuth(**{key: url}), network=network)
    assert said == ([(f"auth.{key}", message)] if message else [])


@pytest.mark.promise("B21", "D28")
def test_so_does_the_one_of_a_machine():
    auth = ClientCredentials("https://10.0.0.1", "hub", KEY, token_url="https://10.0.0.2/t")
    assert [path for path, _ in problems(auth=auth)] == ["auth.issuer", "auth.token_url"]


@pytest.mark.parametrize("auth", [PASTED, OAuth()])
def test_who_must_connect_needs_a_page(auth):
    ((path, message),) = problems(auth=auth, login=Login("jwt"))
    assert path == "auth"
    assert message.startswith("nobody could connect: with login jwt the hub has no page")
    assert problems(auth=auth, login=Login("none")) == []


@pytest.mark.parametrize("auth", [BROUGHT, CLAIM, MACHINE])
def test_what_needs_no_page_works_with_tokens_of_others(auth):
    assert problems(auth=auth, login=Login("jwt")) == []


@pytest.mark.promise("B14")
def test_where_nobody_signs_in_nothing_is_said_of_the_caller():
    ((path, message),) = problems(auth=CLAIM, login=Login("none"))
    assert path == "auth.claim"
    assert "nobody signs in" in message
    assert problems(auth=BROUGHT, login=Login("none")) == []


def test_what_has_no_effect_is_said():
    both = OAuth(client_id="hub", document_url="https://x.example/c.json")
    assert warnings(auth=both) == [
        ("auth.document_url", "has no effect: 'client_id' already says as what the hub is known there")
    ]
    groups = OwnHeader("X-Groups", "claim", "groups")
    message = "accounts of the hub itself have no groups, so nobody can use this upstream"
    assert warnings(auth=groups) == [("auth.claim", message)]
    assert warnings(auth=groups, login=Login("oidc")) == []


def test_connections_that_end_with_the_hub_are_warned_of():
    ((path, message),) = warnings(auth=PASTED, store=Store("sqlite:///:memory:"))
    assert (path, message) == ("auth", "what users connect ends with the hub, since its store is in memory")
    assert warnings(auth=BROUGHT, store=Store("sqlite:///:memory:")) == []
