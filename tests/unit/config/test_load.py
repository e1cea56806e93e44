"""YAML text to a configuration, or every problem at once."""

import textwrap
from ipaddress import ip_network

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_hub.config.load import load, load_file
from mcp_hub.config.model import ApiKey, Config, Defaults, Filter, NoAuth, Upstream
from mcp_hub.config.part import Part
from mcp_hub.config.shape import Root, UpstreamShape
from mcp_hub.config.tree import LINE_BREAK
from mcp_hub.errors import ConfigError
from mcp_hub.secret import Secret

pytestmark = pytest.mark.promise("E39")

FULL = """\
version: 1
server: {public_url: https://hub.example.com/, host: "::1", port: 8081, max_request: 1MiB, allowed_hosts: [hub.local]}
login: none
store: {url: "sqlite:////var/lib/hub.db", key: "file:/run/secrets/hub"}
network: {allow_private: [10.20.0.0/16, 127.0.0.1]}
defaults:
  timeout: 30s
  list_timeout: 5s
  catalog_ttl: 5m
  page_size: 50
  name_limit: 48
  max_result: 8MiB
  max_event: 64KiB
upstreams:
  wiki:
    url: https://wiki.example.com/mcp
    title: Wiki
    description: 2024
    transport: streamable-http
    protocol: 2026-07-28
    prefix: w
    auth: {type: api_key, value: "${WIKI_KEY}"}
    tools: {allow: ["get_*"], deny: [get_all]}
    resources: {deny: ["file:*"]}
    rename: {get_page: page}
    timeout: 90s
  docs:
    url: http://10.20.1.1/mcp
    protocol: legacy
    headers: {X-API-Key: "$${not a variable}"}
    prefix: false
  later:
    auth: none
    enabled: false
"""


def problems(text, **environ):
    with pytest.raises(ConfigError) as caught:
        load(textwrap.dedent(text), source="hub.yaml", environ=environ)
    return [(f"{p.line}:{p.column}", p.path, p.message) for p in caught.value.problems]


def said(text, **environ):
    return [message for _, _, message in problems(text, **environ)]


@pytest.mark.promise("A2", "B12", "B13")
def test_a_whole_configuration_becomes_final_values():
    config = load(FULL, source="hub.yaml", environ={"WIKI_KEY": "k3y"})
    assert config.server.endpoint == "https://hub.example.com/mcp"
    assert (config.server.host, config.server.port, config.server.max_request) == ("::1", 8081, 2**20)
    assert config.server.allowed_hosts == ("hub.local",)
    assert config.store.url == "sqlite:////var/lib/hub.db"
    assert config.store.key == "file:/run/secrets/hub"
    assert config.network.allow_private == (ip_network("10.20.0.0/16"), ip_network("127.0.0.1/32"))
    assert config.defaults == Defaults(30.0, 5.0, 300.0, 50, 48, 8 * 2**20, 65536)
    assert list(config.upstreams) == ["wiki", "docs", "later"]
    assert config.upstreams["wiki"] == Upstream(
        "wiki",
        "https://wiki.example.com/mcp",
        title="Wiki",
        description="2024",
        transport="streamable-http",
        protocol="2026-07-28",
        prefix="w",
        auth=ApiKey(Secret("k3y")),
        tools=Filter(("get_*",), ("get_all",)),
        resources=Filter(None, ("file:*",)),
        rename={"get_page": "page"},
        timeout=90.0,
        catalog_ttl=300.0,
        max_result=8 * 2**20,
        source="hub.yaml, line 15",
    )
    assert config.upstreams["docs"].headers == {"X-API-Key": Secret("${not a variable}")}
    assert config.upstreams["docs"].namespace is None
    assert config.upstreams["later"].auth == NoAuth()
    assert config.upstreams["later"].url is None


@pytest.mark.promise("A2")
def test_a_url_alone_is_enough():
    config = load("upstreams: {docs: {url: https://docs.example.com/mcp}}", environ={})
    assert config.upstreams["docs"] == Upstream("docs", "https://docs.example.com/mcp", source="hub.yaml, line 1")
    assert config.warnings == ()


@pytest.mark.parametrize("text", ["", "\n", "# nothing", "---\n", "{}", "upstreams:\nserver:\n", "\ufeffversion: 1"])
def test_a_file_that_says_nothing_is_the_defaults(text):
    assert load(text, source="", environ={}) == Config()


@pytest.mark.promise("E39")
def test_every_problem_comes_at_once_in_the_order_of_the_file():
    found = problems(
        """\
        server:
          prot: 8080
          max_request: 4 potatoes
        defaults: {timeout: 60}
        network: {allow_private: [10.0.0.0/8, nowhere]}
        upstreams:
          Docs: {url: https://docs.example.com/mcp}
          wiki:
            url: ftp://wiki.example.com
            timeout: 5s
            timeout: 6s
            auth: {type: api_key, value: "${WIKI_KEY}"}
            headers: {Host: x}
            tools: [a]
            enabled: yes
        """
    )
    assert found == [
        ("2:3", "server.prot", "unknown key"),
        ("3:16", "server.max_request", "must be a size such as 4MiB, 64KiB, 10MB or a number of bytes"),
        ("4:21", "defaults.timeout", "must be a duration such as 60s, 500ms, 5m, 1h or 30d"),
        ("5:39", "network.allow_private[1]", "must be a range such as 10.20.0.0/16, or one address"),
        ("7:3", "upstreams.Docs", found[4][2]),
        ("9:10", "upstreams.wiki.url", "must be a URL such as https://example.com/mcp"),
        ("11:5", "upstreams.wiki.timeout", "duplicate key"),
        ("12:34", "upstreams.wiki.auth.value", "environment variable WIKI_KEY is not set"),
        ("13:15", "upstreams.wiki.headers.Host", found[8][2]),
        ("14:12", "upstreams.wiki.tools", "must be a mapping: lines of 'key: value'"),
        ("15:14", "upstreams.wiki.enabled", "must be true or false"),
    ]


@pytest.mark.promise("E39")
def test_rules_between_values_are_checked_even_if_other_values_are_wrong():
    assert problems("server: {host: 0.0.0.0, prot: 1}\nupstreams:\n  a: {url: 'https://10.0.0.1/', tiemout: 1s}\n") == [
        ("1:16", "server.host", "other computers could use this hub without signing in"),
        ("1:25", "server.prot", "unknown key"),
        ("3:12", "upstreams.a.url", "this address is not public"),
        ("3:33", "upstreams.a.tiemout", "unknown key"),
    ]


@pytest.mark.promise("E39")
@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("servr: {}", "did you mean 'server'?"),
        ("server: {prot: 1}", "did you mean 'port'?"),
        ("upstreams: {a: {tols: {}}}", "did you mean 'tools'?"),
        ("upstreams: {a: {tools: {alow: []}}}", "did you mean 'allow'?"),
        ("port: 8080", "'port' belongs under 'server'"),
        ("server: {upstreams: {}}", "'upstreams' belongs at the top level; check the indentation"),
        ("server: {zzz: 1}", ""),
    ],
)
def test_an_unknown_key_is_answered_with_the_likely_one(text, hint):
    with pytest.raises(ConfigError) as caught:
        load(text, environ={})
    (problem,) = caught.value.problems
    assert (problem.message, problem.hint) == ("unknown key", hint)


LATER = [
    ("store: {url: postgresql://h/d}", "store.url"),
    *((f"{key}: {{}}", key) for key in sorted(Root.later)),
    *((f"upstreams: {{a: {{{key}: x}}}}", f"upstreams.a.{key}") for key in sorted(UpstreamShape.later)),
]


@pytest.mark.promise("E39")
@pytest.mark.parametrize(("text", "path"), LATER)
def test_what_a_later_version_brings_is_refused_and_not_ignored(text, path):
    ((_, where, message),) = problems(text)
    assert message.endswith("not supported yet")
    assert where in {path, f"{path}.type"}


def test_every_key_a_later_version_brings_is_tried_here():
    assert {key for part in Part.__subclasses__() for key in part.later} <= {
        path.rpartition(".")[2] for _, path in LATER
    }


@pytest.mark.promise("E39")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("upstreams: {a: {auth: {type: api_key}}}", "type api_key needs 'value'"),
        ("upstreams: {a: {auth: {value: x}}}", "is needed here"),
        ("upstreams: {a: {auth: {type: none, value: x}}}", "does not belong to type none"),
        ("upstreams: {a: {headers: {X-Key: }}}", "has no value; it must be text for a header"),
        ("upstreams: [a]", "must be a mapping: lines of 'key: value'"),
        ("upstreams: {a: https://a.example/}", "must be a mapping: lines of 'key: value'"),
        ("network: {allow_private: 10.0.0.0/8}", "must be a list: [one, two], or lines that start with '- '"),
        ("- a", "the file must be a mapping: lines of 'key: value' such as 'version: 1'"),
        ("just text", "the file must be a mapping: lines of 'key: value' such as 'version: 1'"),
        ("{", "this is not valid YAML; check the indentation, the quotes and the brackets around here"),
        ("version: 2", "this hub reads version 1"),
    ],
)
def test_a_wrong_form_is_said_in_plain_words(text, message):
    assert said(text) == [message]


@pytest.mark.promise("E39", "T31")
def test_a_secret_stands_in_no_problem_and_no_excerpt():
    text = """\
        login: {type: canary, pasword: canary}
        server: {port: canary, "public_url": "https://canary@h/"}
        defaults: {timeout: "${CANARY}", max_result: canary}
        upstreams:
          a:
            pasword: canary   # canary
            url: https://me:canary@h.example/?canary
            headers: {Authorization: "canary\\r\\n", X-Key: canary, x-key: canary}
            auth: {tpye: api_key, value: canary}
            tools: canary
            prefix: Canary
            protocol: canary
            rename: {x: "canary canary"}
          b:
            auth: canary
            url: "${CANARY}"
            headers: [canary]
        """
    with pytest.raises(ConfigError) as caught:
        load(textwrap.dedent(text), environ={"CANARY": "canary"})
    assert len(caught.value.problems) > 15
    told = f"{caught.value} {caught.value.public} {caught.value.problems}"
    assert "canary" not in told.lower()
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.promise("T31")
def test_a_loaded_configuration_shows_no_secret_in_its_repr():
    config = load(FULL, environ={"WIKI_KEY": "canary"})
    assert "canary" not in repr(config)


def test_a_problem_of_a_part_is_not_repeated_for_what_is_around_it():
    assert problems("upstreams: {a: {auth: {type: api_key, value: '${NONE}'}, headers: {Authorization: x}}}") == [
        ("1:46", "upstreams.a.auth.value", "environment variable NONE is not set")
    ]
    assert problems("network: {allow_private: [x]}\nupstreams: {a: {url: 'http://10.0.0.1/'}}")[0][1:] == (
        "network.allow_private[0]",
        "must be a range such as 10.20.0.0/16, or one address",
    )


@pytest.mark.promise("E39")
def test_a_variable_can_give_a_number_a_switch_and_a_url():
    text = "server: {port: '${PORT}'}\nupstreams:\n  a: {url: '${URL}', enabled: '${ON:-false}'}\n"
    config = load(text, environ={"PORT": "9000", "URL": "https://a.example/mcp"})
    assert config.server.port == 9000
    assert (config.upstreams["a"].url, config.upstreams["a"].enabled) == ("https://a.example/mcp", False)


def test_an_empty_variable_leaves_the_url_unset():
    assert load("upstreams: {a: {url: '${URL:-}'}}", environ={}).upstreams["a"].url is None


def test_warnings_come_in_the_order_of_the_file_and_do_not_stop_it():
    config = load("upstreams:\n  a: {}\n  b: {url: 'https://b.example/', headers: {X: y}}\n", environ={})
    assert [(warning.line, warning.path) for warning in config.warnings] == [
        (2, "upstreams.a"),
        (3, "upstreams.b.headers"),
    ]


def test_a_file_is_read_and_named(tmp_path):
    path = tmp_path / "hub.yaml"
    path.write_bytes(b"\xef\xbb\xbfserver:\r\n  port: 9000\r\n")
    config = load_file(path, {})
    assert (config.server.port, config.source) == (9000, str(path))


@pytest.mark.promise("E39")
@pytest.mark.parametrize(
    ("content", "line", "column", "message"),
    [
        (b"a: 1\nb: \xff\n", 2, 4, "the file is not UTF-8 text"),
        ("a: 1".encode("utf-16"), 1, 1, "the file is not UTF-8 text"),
        (b"a\0: 1", 1, 2, "the file holds a character that is not text (U+0000)"),
        (b"a" * 3_000_000, 0, 0, "larger than 512 KiB; this is not a configuration"),
    ],
)
def test_a_file_that_is_no_text_is_a_problem(tmp_path, content, line, column, message):
    path = tmp_path / "hub.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_file(path, {})
    (problem,) = caught.value.problems
    assert (problem.line, problem.column, problem.message) == (line, column, message)


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path):
    for path, message in [
        (tmp_path / "gone.yaml", "there is no such file; 'mcp-hub init' writes one"),
        (tmp_path, "this is a directory, not a file"),
        (tmp_path / ("x" * 300), "the file could not be read; check that this user may read it"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load_file(path, {})
        assert caught.value.problems[0].message == message


def config_or_problems(text, environ):
    problems = []
    try:
        assert isinstance(load(text, environ=environ), Config)
    except ConfigError as error:
        problems = error.problems or [None]
    for problem in problems:
        assert problem.message
        assert (problem.message + problem.path + problem.hint + problem.excerpt).encode("utf-8")
        assert 0 <= problem.line <= len(LINE_BREAK.split(text))


@pytest.mark.promise("E39")
@settings(max_examples=500, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=200))
def test_any_text_is_a_configuration_or_problems(text):
    config_or_problems(text, {})


YAMLISH = st.text(alphabet="abt:-#'\"[]{}&*!|>%@,?\\ \n\t\r${}<~019x\u2028\ufeff", max_size=80)


@pytest.mark.promise("E39")
@settings(max_examples=500, deadline=None)
@given(YAMLISH)
def test_text_full_of_yaml_signs_is_a_configuration_or_problems(text):
    config_or_problems(text, {"a": "b"})


OURS = sorted({key for part in Part.__subclasses__() for key in part.model_fields})
KEYS = st.sampled_from([*OURS, "a", "hub", "Docs", "presets", "<<", "type", "value", "X-Key", "Host", "${A}", "\ud800"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["60s", "4MiB", "https://a.example/", "http://[::1", "none", "api_key", "oauth", "${A}", "${", "auto"]
    ),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=25,
)


@pytest.mark.promise("E39")
@settings(max_examples=500, deadline=None)
@given(st.dictionaries(KEYS, TREES, max_size=6))
def test_any_tree_of_our_keys_is_a_configuration_or_problems(tree):
    config_or_problems(yaml.safe_dump(tree, allow_unicode=False), {"A": "1"})
