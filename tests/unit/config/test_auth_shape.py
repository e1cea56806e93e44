"""Which keys `auth` takes, and what comes of them."""

import pytest

from mcp_hub.config.auth_shape import KEYS, AuthShape
from mcp_hub.config.load import load
from mcp_hub.config.model import ApiKey, ClientCredentials, NoAuth, OAuth, OwnHeader, SharedHeader
from mcp_hub.config.part import keys_of
from mcp_hub.errors import ConfigError
from mcp_hub.secret import Secret

pytestmark = pytest.mark.promise("E39", "B16")


def text(auth):
    return f"login: local\nupstreams:\n  a:\n    url: https://a.example/mcp\n    auth: {auth}\n"


def auth_of(auth, **environ):
    return load(text(auth), environ=environ).upstreams["a"].auth


def problems(auth):
    with pytest.raises(ConfigError) as caught:
        load(text(auth), environ={"SECRET": "canary"})
    assert "canary" not in repr(caught.value.problems)
    return [(each.column, each.path.removeprefix("upstreams.a."), each.message) for each in caught.value.problems]


@pytest.mark.parametrize(
    ("auth", "meant"),
    [
        ("none", NoAuth()),
        ("{type: api_key, value: '${KEY}'}", ApiKey(Secret("k"))),
        ("{type: header, name: X-Key, value: '${KEY}'}", SharedHeader("X-Key", Secret("k"))),
        (
            "{type: header, name: Authorization, scheme: Token, value: '${KEY}'}",
            SharedHeader("Authorization", Secret("k"), "Token"),
        ),
        (
            "{type: header, name: Authorization, scheme: Bearer, from: X-Billing-Token}",
            OwnHeader("Authorization", "brought", "x-billing-token", "Bearer"),
        ),
        ("{type: header, name: X-API-Key, per_user: true}", OwnHeader("X-API-Key", "pasted")),
        ("{type: header, name: X-User, claim: email}", OwnHeader("X-User", "claim", "email")),
        ("oauth", OAuth()),
        ("{type: oauth, scopes: [repo, 'read:org']}", OAuth(scopes=("repo", "read:org"))),
        ("{type: oauth, scopes: []}", OAuth(scopes=())),
        ("{type: oauth, resource: false}", OAuth(resource="")),
        (
            (
                "{type: oauth, issuer: 'https://id.example/t1', client_id: hub, client_secret: '${KEY}',"
                " authorization_url: 'https://id.example/a', token_url: 'https://id.example/t',"
                " revocation_url: 'https://id.example/r', extra_params: {prompt: consent},"
                " resource: 'https://a.example/', unadvertised_pkce: true}"
            ),
            OAuth(
                "https://id.example/t1",
                "hub",
                Secret("k"),
                "https://id.example/a",
                "https://id.example/t",
                "https://id.example/r",
                None,
                {"prompt": "consent"},
                "https://a.example/",
                None,
                unadvertised_pkce=True,
            ),
        ),
        ("{type: oauth, document_url: 'https://x.example/c.json'}", OAuth(document_url="https://x.example/c.json")),
        (
            (
                "{type: client_credentials, issuer: 'https://id.example', client_id: hub, client_secret: '${KEY}',"
                " scopes: [a], resource: 'https://a.example/', token_url: 'https://id.example/t'}"
            ),
            ClientCredentials(
                "https://id.example",
                "hub",
                Secret("k"),
                None,
                "https://id.example/t",
                ("a",),
                "https://a.example/",
            ),
        ),
    ],
)
def test_what_is_said_is_what_is_meant(auth, meant):
    assert auth_of(auth, KEY="k") == meant


EXACTLY_ONE = "set exactly one of 'value', 'from', 'per_user', 'claim'"


@pytest.mark.parametrize(
    ("auth", "said"),
    [
        ("{type: header, name: X-Key}", [(11, "auth", EXACTLY_ONE)]),
        ("{type: header, name: X-Key, from: x-a, claim: email}", [(11, "auth", EXACTLY_ONE)]),
        ("{type: header, name: X-Key, value: ~, per_user: true, claim: email}", [(11, "auth", EXACTLY_ONE)]),
        ("{type: header, per_user: true}", [(11, "auth", "type header needs 'name'")]),
        (
            "{type: header, issuer: 'https://x.example'}",
            [
                (11, "auth", EXACTLY_ONE),
                (11, "auth", "type header needs 'name'"),
                (26, "auth.issuer", "does not belong to type header"),
            ],
        ),
        ("{type: api_key}", [(11, "auth", "type api_key needs 'value'")]),
        ("{type: api_key, value: 'Bearer ${SECRET}'}", [(27, "auth.value", "holds a space, which no key does")]),
        ("{type: none, value: x}", [(24, "auth.value", "does not belong to type none")]),
        (
            "{type: oauth, client_secret: '${SECRET}'}",
            [(25, "auth.client_secret", "has no effect without 'client_id'")],
        ),
        ("{type: oauth, name: X-Key}", [(25, "auth.name", "does not belong to type oauth")]),
        (
            "{type: client_credentials, private_key: x}",
            [(51, "auth.private_key", "must be a private key in PEM, or file:PATH")],
        ),
        (
            "{type: client_credentials, client_id: hub}",
            [
                (11, "auth", "set exactly one of 'client_secret', 'private_key'"),
                (11, "auth", "type client_credentials needs 'issuer'"),
            ],
        ),
        ("{type: oaut}", [(18, "auth.type", "must be none or api_key or header or oauth or client_credentials")]),
    ],
)
def test_everything_that_is_wrong_is_said_at_once_and_at_its_place(auth, said):
    assert problems(auth) == said


def test_a_key_that_belongs_to_other_types_is_answered_with_them():
    with pytest.raises(ConfigError) as caught:
        load(text("{type: oauth, claim: email}"), environ={})
    (problem,) = caught.value.problems
    assert problem.hint == "it is for header; remove it, or change 'type'"


def test_a_key_beside_auth_is_sent_into_it():
    with pytest.raises(ConfigError) as caught:
        load("upstreams: {a: {url: https://a.example/, oauth: {client_id: x}}}", environ={})
    (problem,) = caught.value.problems
    assert (problem.message, problem.hint) == ("unknown key", "write it as  auth: {type: oauth, …}")


@pytest.mark.promise("D27")
def test_an_upstream_may_be_declared_before_it_has_a_url():
    config = load("upstreams: {a: {auth: oauth}}\nlogin: local", environ={})
    assert (config.upstreams["a"].url, config.upstreams["a"].auth) == (None, OAuth())
    assert [(each.path, each.message) for each in config.warnings if each.path.startswith("upstreams")] == [
        ("upstreams.a", "Server URL not set"),
        ("upstreams.a.auth", "has no effect while the upstream has no url"),
    ]


def test_every_key_belongs_to_a_type():
    assert frozenset().union(*KEYS.values()) == set(keys_of(AuthShape))


def test_a_shape_that_lacks_what_its_type_needs_becomes_no_credential():
    from mcp_hub.config.build_auth import auth_of as built  # noqa: PLC0415 - `auth_of` is this file's own

    with pytest.raises(ValueError, match="let pass"):
        built(AuthShape.model_construct(type="api_key"))
