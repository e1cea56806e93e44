"""A configuration as people may see it."""

from typing import get_args

import pytest

from mcp_hub.config.fields import Duration, Size
from mcp_hub.config.load import load
from mcp_hub.config.part import Part
from mcp_hub.config.show import DURATIONS, SIZES, effective

pytestmark = pytest.mark.promise("E39")

TEXT = """\
login: none
store: {url: "sqlite:///${KEY}"}
server: {port: "${PORT}"}
network: {allow_private: [10.0.0.0/8]}
defaults: {timeout: 5m}
upstreams:
  a:
    url: https://a.example/mcp?key=canary
    headers: {X-Key: "${KEY}", Authorization: "x ${KEY} ${PORT}"}
    timeout: 90s
  b:
    url: "https://b.example/${KEY}/mcp?x"
    auth: {type: api_key, value: canary}
    tools: {deny: [x]}
  c: {auth: none, url: "${HOST}"}
"""


@pytest.fixture
def shown():
    config = load(TEXT, source="hub.yaml", environ={"PORT": "9000", "KEY": "canary", "HOST": "https://c.example/"})
    return {one.path: one for one in effective(config)}


@pytest.mark.promise("E38")
@pytest.mark.parametrize(
    ("path", "value", "origin"),
    [
        ("version", 1, "default"),
        ("server.port", 9000, "environment variable PORT (hub.yaml, line 3)"),
        ("server.host", "127.0.0.1", "default"),
        ("server.max_request", "4MiB", "default"),
        ("login.type", "none", "hub.yaml, line 1"),
        ("store.url", "***", "environment variable KEY (hub.yaml, line 2)"),
        ("network.allow_private", ["10.0.0.0/8"], "hub.yaml, line 4"),
        ("defaults.timeout", "5m", "hub.yaml, line 5"),
        ("upstreams.a.url", "https://a.example/mcp?***", "hub.yaml, line 8"),
        ("upstreams.a.headers.X-Key", "***", "environment variable KEY (hub.yaml, line 9)"),
        ("upstreams.a.headers.Authorization", "***", "environment variable KEY and PORT (hub.yaml, line 9)"),
        ("upstreams.a.timeout", "90s", "hub.yaml, line 10"),
        ("upstreams.b.timeout", "5m", "as in defaults"),
        ("upstreams.b.url", "https://b.example/***", "environment variable KEY (hub.yaml, line 12)"),
        ("upstreams.b.auth.type", "api_key", "hub.yaml, line 13"),
        ("upstreams.b.auth.value", "***", "hub.yaml, line 13"),
        ("upstreams.b.tools.deny", ["x"], "hub.yaml, line 14"),
        ("upstreams.b.tools.allow", None, "default"),
        ("upstreams.b.auth", None, None),
        ("upstreams.c.auth.type", "none", "hub.yaml, line 15"),
        ("upstreams.c.url", "https://c.example/", "environment variable HOST (hub.yaml, line 15)"),
        ("upstreams.c.headers", {}, "default"),
    ],
)
def test_every_value_shows_with_where_it_was_said(shown, path, value, origin):
    if origin is None:
        assert path not in shown
    else:
        assert (shown[path].value, shown[path].origin) == (value, origin)


@pytest.mark.promise("T31")
def test_no_secret_shows(shown):
    assert "canary" not in repr(shown)


def test_what_the_loader_adds_is_not_shown(shown):
    assert not any(path.endswith((".name", ".source")) for path in shown)


def test_the_keys_with_units_are_those_of_the_shape():
    units = {Duration: set(), Size: set()}
    for part in Part.__subclasses__():
        for name, info in part.model_fields.items():
            for one in [
                *info.metadata,
                *(m for arg in get_args(info.annotation) for m in getattr(arg, "__metadata__", ())),
            ]:
                if isinstance(one, Duration | Size):
                    units[type(one)].add(name)
    assert units == {Duration: set(DURATIONS), Size: set(SIZES)}


@pytest.mark.promise("A3")
def test_a_command_shows_but_what_came_from_a_variable():
    text = 'upstreams: {a: {command: [npx, "--key=${KEY}"], env: {TOKEN: plain}, cwd: /srv}}'
    found = {each.path: each.value for each in effective(load(text, environ={"KEY": "canary"}))}
    assert found["upstreams.a.command"] == ["npx", "***"]
    assert (found["upstreams.a.env.TOKEN"], found["upstreams.a.cwd"]) == ("***", "/srv")


@pytest.mark.promise("D29")
def test_a_credential_shows_as_it_stands_in_the_file():
    text = """\
login: local
upstreams:
  a: {url: https://a.example/, auth: {type: header, name: X-A, scheme: Bearer, from: X-Mine}}
  b: {url: https://b.example/, auth: {type: header, name: X-B, per_user: true}}
  c: {url: https://c.example/, auth: {type: header, name: X-C, claim: email}}
  d: {url: https://d.example/, auth: {type: header, name: X-D, value: "${KEY}"}}
  e:
    url: https://e.example/
    auth:
      type: oauth
      client_id: hub
      client_secret: ${KEY}
      token_url: https://id.example/t?key=canary
      scopes: [one]
      resource: false
      extra_params: {audience: plain, other: "${KEY}"}
  f: {auth: {type: client_credentials, issuer: https://i.example, client_id: h, client_secret: "${KEY}"}}
"""
    found = {each.path: each for each in effective(load(text, environ={"KEY": "canary"}))}
    assert "canary" not in repr(found)
    shown = {path.removeprefix("upstreams."): each.value for path, each in found.items() if ".auth." in path}
    assert {path: value for path, value in shown.items() if path[0] in "abcd"} == {
        "a.auth.type": "header",
        "a.auth.name": "X-A",
        "a.auth.scheme": "Bearer",
        "a.auth.from": "x-mine",
        "b.auth.type": "header",
        "b.auth.name": "X-B",
        "b.auth.scheme": "",
        "b.auth.per_user": True,
        "c.auth.type": "header",
        "c.auth.name": "X-C",
        "c.auth.scheme": "",
        "c.auth.claim": "email",
        "d.auth.type": "header",
        "d.auth.name": "X-D",
        "d.auth.scheme": "",
        "d.auth.value": "***",
    }
    assert (shown["e.auth.type"], shown["e.auth.client_secret"], shown["e.auth.resource"]) == ("oauth", "***", False)
    assert (shown["e.auth.token_url"], shown["e.auth.scopes"]) == ("https://id.example/t?***", ["one"])
    assert (shown["e.auth.extra_params.audience"], shown["e.auth.extra_params.other"]) == ("plain", "***")
    assert (shown["f.auth.type"], shown["f.auth.client_secret"]) == ("client_credentials", "***")
    assert found["upstreams.a.auth.from"].origin == "hub.yaml, line 3"
