"""`mcp-hub import FILE`."""

import json

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_hub.cli.importing import quoted
from mcp_hub.cli.main import cli
from mcp_hub.cli.output import Exit
from mcp_hub.config.load import load

pytestmark = pytest.mark.promise("E40")

CURSOR = """{ // Cursor
  "mcpServers": {
    "GitHub": {"url": "https://api.example.com/mcp/", "headers": {"Authorization": "Bearer canary", "Accept": "x"}},
    "local one": {"url": "http://localhost:3000/mcp?api_key=canary", "headers": {"X-Key": "${env:OWN_KEY}"}},
    "off": {"url": "https://off.example/s/canaryabcdef0123456789/mcp", "disabled": true, "description": "It's $5\\n"},
    "old": {"type": "sse", "url": "https://old.example/sse"},
    "files": {"command": "npx", "args": ["-y", "server-files", "--token", "canary"], "env": {"KEY": "canary"}},
    "plain": {"url": "http://plain.example/mcp"},
    "me": {"url": "https://me:canary@me.example/mcp"},
  },
}"""


def run(text, **more):
    return CliRunner().invoke(cli, ["import", "-"], input=text, **more)


@pytest.mark.parametrize(
    "entry",
    [
        {"url": "http://127.0.0.1:8080/mcp"},
        {"url": "http://localhost:8080/sse"},
        {"command": "npx", "args": ["-y", "mcp-remote", "http://127.0.0.1:8080/mcp"]},
        {"command": "mcp-hub", "args": ["stdio"]},
    ],
)
def test_the_hub_itself_is_left_out(entry):
    result = run(json.dumps({"mcpServers": {"mine": entry, "other": {"url": "https://a.example/mcp"}}}))
    assert list(load(result.stdout, environ={}).upstreams) == ["other"]
    assert "mine: left out as a comment: it is the hub" in result.stderr


@pytest.mark.promise("E40", "T31")
def test_what_is_printed_loads_once_the_variables_are_set():
    result = run(CURSOR)
    assert result.exit_code == Exit.DONE
    assert "canary" not in result.output
    listed = [line.split()[0] for line in result.stderr.partition("Set these")[2].splitlines()[1:]]
    assert listed == ["GITHUB_TOKEN", "LOCAL_ONE_API_KEY", "OWN_KEY", "OFF_PATH", "FILES_ARG_4", "FILES_KEY"]
    config = load(result.stdout, environ={name: f"v-{name}" for name in listed})
    assert list(config.upstreams) == ["github", "local-one", "off", "old", "files", "me"]
    github, local, off, old, files, me = config.upstreams.values()
    assert github.headers["Authorization"].open() == "Bearer v-GITHUB_TOKEN"
    assert github.title == "GitHub"
    assert local.url == "http://localhost:3000/mcp?api_key=v-LOCAL_ONE_API_KEY"
    assert local.headers["X-Key"].open() == "v-OWN_KEY"
    assert (off.enabled, off.url, off.description) == (False, "https://off.example/s/v-OFF_PATH/mcp", "It's $5")
    assert (old.url, old.transport) == ("https://old.example/sse", "sse")
    assert [word.open() for word in files.command] == ["npx", "-y", "server-files", "--token", "v-FILES_ARG_4"]
    assert files.env["KEY"].open() == "v-FILES_KEY"
    assert me.url == "https://me.example/mcp"


@pytest.mark.promise("E40")
def test_what_is_left_out_stands_in_comments_and_is_said():
    result = run(CURSOR)
    comments = [line for line in result.stdout.splitlines() if line.startswith("#")]
    assert comments == [
        "#  plain:  # plain http is for ranges in network.allow_private only; use https",
        '#    url: "http://plain.example/mcp"',
    ]
    assert "me: user name and password were taken out of the url" in result.stderr


@pytest.mark.promise("E40")
def test_the_servers_of_vs_code_are_read():
    entry = {"type": "http", "url": "https://a.example/", "headers": {"X": "${input:k}"}}
    text = json.dumps({"inputs": [{"id": "k"}], "servers": {"a": entry}})
    assert load(run(text).stdout, environ={"K": "v"}).upstreams["a"].headers["X"].open() == "v"


def test_a_list_without_a_usable_server_is_a_configuration_without_any():
    assert load(run('{"mcpServers": {}}').stdout, environ={}).upstreams == {}
    assert load(run('{"mcpServers": {"a": {"url": "http://a.example"}}}').stdout, environ={}).upstreams == {}


def test_a_file_that_is_no_list_is_refused_with_a_sentence(tmp_path):
    for name, content, why in [
        ("a.json", b"{", "this is not JSON"),
        ("b.json", b"{}", "there is neither 'mcpServers' nor 'servers' in it"),
        ("c.json", b"\xff\xfe{", "it is not UTF-8 text"),
    ]:
        (tmp_path / name).write_bytes(content)
        result = CliRunner().invoke(cli, ["import", str(tmp_path / name)])
        assert result.exit_code == Exit.USAGE
        assert why in result.stderr
        assert result.stdout == ""
    assert CliRunner().invoke(cli, ["import", str(tmp_path / "gone.json")]).exit_code == Exit.USAGE


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_quoted_text_is_one_line_and_the_same_text_again(text):
    said = quoted(text)
    assert len(said.splitlines()) == 1
    assert yaml.safe_load(f"a: {said}") == {"a": text}


VALUES = st.text(max_size=10) | st.sampled_from(
    ["${A}", "${env:B}", "${input:c-d}", "$", "$$", "Bearer x", "\u2028", "'", "#"]
)
URLS = st.one_of(
    st.builds("https://a.example/{}?{}={}".format, VALUES, VALUES, VALUES),
    st.builds("http://localhost:{}/".format, st.integers(0, 70_000)),
    st.sampled_from(
        ["http://10.0.0.1/", "http://[::1]/", "https://${H}/", "${U}/x", "http://a.example/", "https://1.1.1.1/"]
    ),
    VALUES,
)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "url": URLS,
        "headers": st.dictionaries(st.sampled_from(["Authorization", "X-Key", "x-key", "Host", "a b", "$x"]), VALUES),
        "description": VALUES,
        "type": st.sampled_from(["http", "sse"]),
        "command": VALUES,
        "args": st.lists(VALUES, max_size=3),
        "env": st.dictionaries(VALUES, VALUES, max_size=2),
        "disabled": st.booleans(),
    },
)


class AnyVariable(dict):
    """An environment in which every variable is set to something that fits."""

    def __missing__(self, name):
        return "https://v.example"

    def get(self, name, default=None):
        return self[name]


@pytest.mark.promise("E40")
@settings(max_examples=300, deadline=None)
@given(st.dictionaries(VALUES, ENTRIES, max_size=4))
def test_whatever_a_client_has_what_is_printed_loads(entries):
    result = run(json.dumps({"mcpServers": entries}))
    assert result.exit_code == Exit.DONE, result.output
    load(result.stdout, environ=AnyVariable())
