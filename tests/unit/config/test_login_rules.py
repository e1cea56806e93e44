"""What is wrong, or without effect, in what a file says about signing in: every mistake at once, with its repair."""

import pytest

from mcp_hub.config.load import load
from mcp_hub.config.login_rules import KEYS
from mcp_hub.config.model import Client, DeclaredUser, Issuer, Lifetimes, Provider
from mcp_hub.config.schema import json_schema
from mcp_hub.config.shape import LoginShape
from mcp_hub.config.show import effective
from mcp_hub.errors import ConfigError
from mcp_hub.secret import Secret

pytestmark = pytest.mark.promise("C24", "E39")

OIDC = "login: {type: oidc, issuer: https://id.example.com, client_id: hub, admin_groups: [ops]}"
SECRET = "s3cret-s3cret-s3cret"
PUBLIC = "server: {host: 0.0.0.0, public_url: https://hub.example.com}"


def problems(text, **environ):
    with pytest.raises(ConfigError) as caught:
        load(text, environ=environ)
    return [(one.path, one.message) for one in caught.value.problems]


def warnings(text):
    return [(one.path, one.message) for one in load(text, environ={}).warnings]


WHOLE = """\
server: {public_url: https://hub.example.com, allowed_origins: ["https://App.example.com:443", "http://localhost:6274"]}
login:
  type: oidc
  issuer: https://id.example.com/realms/a
  client_id: hub
  client_secret: ${SECRET}
  scopes: [openid, email]
  groups_claim: roles
  admin_groups: [ops]
  allowed_groups: [ops, dev]
  allowed_domains: [Example.com]
  link_by_email: true
  registration: false
  client_documents: [claude.ai]
  lifetimes: {access_token: 15m, browser: 1d}
clients:
  inspector:
    title: MCP Inspector
    redirect_uris: ["http://localhost:6274/oauth/callback", "com.example.app:/cb"]
    secret: ${SECRET}
users:
  ada@example.com: {roles: [admin]}
"""


def test_everything_that_can_be_said_arrives():
    config = load(WHOLE, environ={"SECRET": SECRET})
    assert config.login.provider == Provider(
        issuer="https://id.example.com/realms/a",
        client_id="hub",
        client_secret=Secret(SECRET),
        scopes=("openid", "email"),
        groups_claim="roles",
        admin_groups=("ops",),
        allowed_groups=("ops", "dev"),
        allowed_domains=("example.com",),
        link_by_email=True,
    )
    assert (config.login.registration, config.login.client_documents) == (False, ("claude.ai",))
    assert config.login.lifetimes == Lifetimes(access_token=900.0, browser=86400.0)
    assert config.clients["inspector"] == Client(
        "inspector",
        ("http://localhost:6274/oauth/callback", "com.example.app:/cb"),
        "MCP Inspector",
        Secret(SECRET),
    )
    assert config.users == {"ada@example.com": DeclaredUser("ada@example.com", frozenset({"admin"}))}
    assert config.server.allowed_origins == ("https://app.example.com", "http://localhost:6274")
    assert config.warnings == ()


def test_what_is_left_out_is_as_the_reference_says():
    login = load(OIDC, environ={}).login
    assert login.provider == Provider("https://id.example.com", "hub", admin_groups=("ops",))
    assert (login.registration, login.client_documents, login.lifetimes) == (True, None, Lifetimes())


def test_another_authorization_server_is_described_by_its_issuer():
    text = (
        "login: {type: jwt, issuer: http://127.0.0.1:9/, audience: hub, jwks_url: 'http://127.0.0.1:9/k', scopes: [a]}"
    )
    config = load(f"{text}\nnetwork: {{allow_private: [127.0.0.0/8]}}", environ={})
    assert config.login.external == Issuer("http://127.0.0.1:9/", "hub", "http://127.0.0.1:9/k", ("a",))
    assert not config.login.issues_tokens


@pytest.mark.promise("B21")
@pytest.mark.parametrize("proof", ["secret: 0123456789abcdef", "jwks_url: https://a.example/keys"])
def test_a_client_that_proves_itself_may_be_a_program_without_users(proof):
    assert load(f"clients: {{nightly: {{{proof}}}}}", environ={}).clients["nightly"].redirect_uris == ()


@pytest.mark.parametrize(("said", "means"), [("any", None), ("none", ()), ("[Claude.ai, a.b]", ("claude.ai", "a.b"))])
def test_client_documents_are_taken_from_any_host_from_none_or_from_some(said, means):
    assert load(f"login: {{type: local, client_documents: {said}}}", environ={}).login.client_documents == means


def test_accounts_with_passwords_need_no_more_than_a_word():
    assert load("login: local", environ={}).login.type == "local"
    assert warnings("login: local") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("login: oidc", [("login.client_id", "is needed for type oidc"), ("login.issuer", "is needed for type oidc")]),
        ("login: {type: jwt}", [("login.issuer", "is needed for type jwt")]),
        (
            "login: {type: local, issuer: https://id.example.com, audience: x}",
            [("login.audience", "does not belong to type local"), ("login.issuer", "does not belong to type local")],
        ),
        ("login: {registration: false}", [("login.registration", "does not belong to type none")]),
        (
            "login: {type: jwt, issuer: https://id.example.com, lifetimes: {browser: 1d}}",
            [("login.lifetimes", "does not belong to type jwt")],
        ),
        (
            "login: {type: oidc, issuer: http://id.example.com, client_id: x}",
            [("login.issuer", "must start with https://, except on this computer")],
        ),
        (
            "login: {type: oidc, issuer: http://127.0.0.1:9, client_id: x}",
            [("login.issuer", "this address is not public")],
        ),
        (
            "login: {type: oidc, issuer: https://10.0.0.5, client_id: x}",
            [("login.issuer", "this address is not public")],
        ),
        ("login: {type: oidc, issuer: '', client_id: x}", [("login.issuer", "is needed for type oidc")]),
        (
            "login: {type: oidc, issuer: https://id.example.com, client_id: x, scopes: [email]}",
            [("login.scopes", "must have openid, without which nobody is said to be who")],
        ),
        (
            "login: {type: oidc, issuer: https://id.example.com, client_id: x, scopes: [openid email]}",
            [("login.scopes[0]", "must be one scope, without spaces and quotes")],
        ),
        (
            "login: {type: local, client_documents: sometimes}",
            [("login.client_documents", "must be any, none or a list of hosts")],
        ),
        (
            "login: {type: local, client_documents: ['https://a.example/x']}",
            [("login.client_documents", "must be a host name or address, without https:// and without a path")],
        ),
        ("clients: {a: {}}", [("clients.a.redirect_uris", "must name at least one address")]),
        (
            f"clients: {{a: {{redirect_uris: [{', '.join(['https://a.b/c'] * 11)}]}}}}",
            [("clients.a.redirect_uris", "must name at most 10 addresses")],
        ),
        (
            "clients: {a: {redirect_uris: ['javascript:alert(1)', 'https://a.b/#x']}}",
            [
                ("clients.a.redirect_uris[0]", "must start with https://, or with a scheme such as com.example.app:"),
                ("clients.a.redirect_uris[1]", "must not have a fragment (#…)"),
            ],
        ),
        (
            "clients: {a: {redirect_uris: ['https://a.b/'], secret: short}}",
            [("clients.a.secret", "is too easy to guess: at least 16 characters")],
        ),
        (
            "clients: {a: {redirect_uris: ['https://a.b/'], secret: 0123456789abcdef, jwks_url: 'https://a.b/k'}}",
            [("clients.a.jwks_url", "'secret' already says how it proves itself")],
        ),
        (
            "clients: {A b: {redirect_uris: ['https://a.b/']}}",
            [("clients.A b", "must be 1 to 32 lower-case letters, digits and hyphens, starting with a letter")],
        ),
        ("users: {ada: {roles: [admin]}}", [("users.ada", "must be an email address")]),
        ("users: {a@b.c: {roles: [root]}}", [("users.a@b.c.roles[0]", "must be admin or user")]),
        ("users: {a@b.c: {}, A@b.c: {}}", [("users.A@b.c", "this address stands here twice")]),
        (
            "server: {allowed_origins: ['https://a.example/', 'a.example', 'null', '*']}",
            [
                ("server.allowed_origins[0]", "must end with the host, or its port: without a path"),
                *[
                    (f"server.allowed_origins[{n}]", "must be an origin such as https://app.example.com")
                    for n in (1, 2, 3)
                ],
            ],
        ),
        (
            f"server: {{public_url: https://hub.example.com/hub/}}\n{OIDC}",
            [("server.public_url", "must not have a path while people sign in")],
        ),
    ],
)
def test_every_mistake_is_named(text, expected):
    assert sorted(problems(text)) == sorted(expected)


def test_all_of_them_are_said_at_once_and_none_twice():
    text = "login:\n  type: oidc\n  issuer: nowhere\n  audience: x\n  link_by_email: yes\n"
    assert sorted(problems(text)) == [
        ("login.audience", "does not belong to type oidc"),
        ("login.client_id", "is needed for type oidc"),
        ("login.issuer", "must be a URL such as https://id.example.com"),
        ("login.link_by_email", "must be true or false"),
    ]


@pytest.mark.promise("T62", "D28")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("server: {host: 0.0.0.0}", "other computers could use this hub without signing in"),
        (
            "server: {host: '::', public_url: https://hub.example.com}",
            "other computers could use this hub without signing in",
        ),
        (
            f"server: {{host: 0.0.0.0}}\n{OIDC}",
            "other computers could reach this hub, and it has no https address",
        ),
        (
            f"server: {{host: 0.0.0.0, public_url: http://localhost:8080}}\n{OIDC}",
            "other computers could reach this hub, and it has no https address",
        ),
    ],
)
def test_others_reach_a_hub_only_with_a_login_and_an_https_address(text, message):
    assert problems(text) == [("server.host", message)]


@pytest.mark.parametrize("login", ["login: local", OIDC, "login: {type: jwt, issuer: https://id.example.com}"])
def test_with_both_it_may_listen_anywhere(login):
    assert warnings(f"{PUBLIC}\n{login}") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "clients: {a: {redirect_uris: ['https://a.b/']}}\nusers: {a@b.c: {}}",
            [
                ("clients", "have no effect with login none: the hub gives out no tokens"),
                ("users", "have no effect with login none: nobody signs in here"),
            ],
        ),
        (
            "login: {type: oidc, issuer: https://id.example.com, client_id: x}",
            [("login", "nobody who signs in there becomes an admin")],
        ),
        (
            "login: {type: local, registration: false, client_documents: none}",
            [
                (
                    "login.registration",
                    "no client can sign in: none may register itself, no document is taken, and 'clients' names none",
                )
            ],
        ),
        (
            OIDC.replace("id.example.com", "accounts.google.com"),
            [("login.issuer", "anybody with a Google account may sign in")],
        ),
        (
            OIDC.replace("id.example.com", "login.microsoftonline.com/common/v2.0"),
            [("login.issuer", "anybody with a Microsoft account may sign in")],
        ),
        (
            "login: {type: local, lifetimes: {browser: 1h, refresh_token: 1d}}",
            [
                ("login.lifetimes.refresh_token_idle", "has no effect: it is longer than 'refresh_token'"),
                ("login.lifetimes.browser_idle", "has no effect: it is longer than 'browser'"),
            ],
        ),
        (
            "server: {public_url: https://hub.example.com}",
            [("server.public_url", "others may reach this address, and nobody has to sign in")],
        ),
    ],
)
def test_what_has_no_effect_or_another_than_it_seems_is_reported(text, expected):
    assert sorted(warnings(text)) == sorted(expected)


def test_a_provider_for_everybody_is_fine_where_it_is_said_who_may_come():
    google = OIDC.replace("id.example.com", "accounts.google.com").replace("}", ", allowed_domains: [example.com]}")
    assert warnings(google) == []


def test_every_key_of_login_belongs_to_a_type():
    assert set().union(*KEYS.values()) == set(LoginShape.model_fields)


@pytest.mark.promise("T31")
def test_secrets_are_masked_where_the_configuration_is_shown():
    config = load(WHOLE, source="hub.yaml", environ={"SECRET": SECRET})
    shown = {one.path: one for one in effective(config)}
    assert SECRET not in repr(shown)
    assert SECRET not in repr(config)
    assert shown["login.client_secret"].value == "***"
    assert shown["login.client_secret"].origin == "environment variable SECRET (hub.yaml, line 6)"
    assert shown["clients.inspector.secret"].value == "***"
    assert shown["login.issuer"].value == "https://id.example.com/realms/a"
    assert shown["login.lifetimes.access_token"].value == "15m"
    assert shown["login.client_documents"].value == ["claude.ai"]
    assert shown["users.ada@example.com.roles"].value == ["admin"]
    assert not any("provider" in path for path in shown)


@pytest.mark.parametrize("text", ["", "login: local", "login: {type: jwt, issuer: https://id.example.com}"])
def test_only_what_belongs_to_the_type_is_shown(text):
    config = load(text, environ={})
    shown = {one.path.split(".")[1] for one in effective(config) if one.path.startswith("login.")}
    assert shown == KEYS[config.login.type]
    documents = [one.value for one in effective(config) if one.path == "login.client_documents"]
    assert documents in ([], ["any"])


def test_a_secret_in_a_wrong_place_stands_in_no_problem():
    with pytest.raises(ConfigError) as caught:
        load('login: {type: oidc, client_secret: " canary", issuer: "canary x", scopes: ["can ary"]}', environ={})
    assert "canary" not in repr(caught.value.problems)
    assert "can ary" not in repr(caught.value.problems)


def test_the_schema_knows_the_short_forms_and_the_keys():
    login = json_schema()["$defs"]["LoginShape"]
    assert login["anyOf"][0] == {"enum": ["none", "local"]}
    assert "client_documents" in login["anyOf"][1]["properties"]


@pytest.mark.promise("C23", "T22")
@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("https://HUB.Example.com", "https://hub.example.com"),
        ("HTTPS://hub.example.com:443/", "https://hub.example.com"),
        ("https://hub.example.com:8443/", "https://hub.example.com:8443"),
        ("http://LOCALHOST:80", "http://localhost"),
        ("https://hub.example.com:80", "https://hub.example.com:80"),
        ("https://[::1]:443", "https://[::1]"),
    ],
)
def test_the_hub_calls_itself_as_browsers_and_clients_do(written, said):
    config = load(f"{{server: {{public_url: '{written}'}}, login: local}}", environ={})
    assert config.server.base_url == said
    assert config.server.endpoint == f"{said}/mcp"
