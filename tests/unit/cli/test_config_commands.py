"""`init`, `validate`, `config show`, `config schema`."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcp_hub.cli.main import cli
from mcp_hub.cli.output import Exit
from mcp_hub.config.load import load
from mcp_hub.config.schema import json_schema

pytestmark = pytest.mark.promise("E38")

VARIABLES = ("SEARCH_API_KEY", "WIKI_KEY", "HUB_OIDC_SECRET", "GITHUB_ID", "GITHUB_SECRET")
GOOD = "upstreams:\n  a: {url: 'https://a.example/', headers: {X-Key: canary}}\n  b: {url: 'https://b.example/'}\n"
BAD = "server: {prot: 1}\nupstreams: {a: {url: '${CANARY}', auth: {type: api_key, value: canary}, timeout: canary}}\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words):
    return CliRunner().invoke(cli, words)


@pytest.mark.promise("E38")
def test_a_good_file_is_said_to_be_fine_with_what_to_know(here):
    (here / "hub.yaml").write_text(GOOD, encoding="utf-8")
    result = run("validate")
    assert result.exit_code == Exit.DONE
    assert result.stdout == "hub.yaml is fine: 2 upstreams, 1 thing to know\n"
    assert result.stderr.startswith("hub.yaml:2:")
    assert "no sign-in (OAuth) is looked for" in result.stderr


@pytest.mark.promise("E39")
def test_a_bad_file_is_refused_with_every_problem(here):
    (here / "bad.yaml").write_text(BAD, encoding="utf-8")
    result = run("validate", "-c", "bad.yaml")
    assert result.exit_code == Exit.USAGE
    assert result.stdout == ""
    assert result.stderr.endswith("3 problems\n")
    assert "canary" not in result.output


@pytest.mark.promise("E38", "E39")
def test_programs_get_the_same_as_json(here):
    (here / "hub.yaml").write_text(GOOD, encoding="utf-8")
    (here / "bad.yaml").write_text(BAD, encoding="utf-8")
    good = json.loads(run("validate", "--json").stdout)
    assert (good["source"], good["ok"], good["problems"]) == ("hub.yaml", True, [])
    assert [warning["path"] for warning in good["warnings"]] == ["upstreams.a.headers"]
    result = run("validate", "--json", "-c", "bad.yaml")
    bad = json.loads(result.stdout)
    assert result.exit_code == Exit.USAGE
    assert (bad["ok"], len(bad["problems"])) == (False, 3)
    assert set(bad["problems"][0]) == {"line", "column", "path", "message", "hint"}


def test_without_a_file_the_next_step_is_said(here):
    assert not list(here.iterdir())
    result = run("validate")
    assert result.exit_code == Exit.USAGE
    assert "hub.yaml: there is no such file here" in result.stderr
    assert "mcp-hub init" in result.stderr
    assert run("validate", "-c", "gone.yaml").exit_code == Exit.USAGE
    assert run("validate", "-c", ".").exit_code == Exit.USAGE


def test_the_file_in_config_is_found(here):
    (here / "config").mkdir()
    (here / "config" / "hub.yaml").write_text(GOOD, encoding="utf-8")
    assert run("validate").stdout.startswith(str(Path("config/hub.yaml")))


def test_online_asks_the_upstreams_and_ends_as_they_do(here, monkeypatch):
    (here / "hub.yaml").write_text(GOOD, encoding="utf-8")
    asked = []

    def check_online(config, as_json):
        asked.append((list(config.upstreams), as_json))
        return Exit.UNREACHABLE

    monkeypatch.setattr("mcp_hub.cli.upstream.check_online", check_online)
    assert run("validate", "--online", "--json").exit_code == Exit.UNREACHABLE
    assert asked == [(["a", "b"], True)]


def test_online_asks_nobody_while_the_file_is_wrong(here, monkeypatch):
    (here / "hub.yaml").write_text(BAD, encoding="utf-8")
    asked = []
    monkeypatch.setattr("mcp_hub.cli.upstream.check_online", lambda *_: asked.append(1))
    assert run("validate", "--online").exit_code == Exit.USAGE
    assert asked == []


@pytest.mark.promise("E38")
def test_init_writes_a_file_that_is_fine(here):
    result = run("init")
    assert result.exit_code == Exit.DONE
    text = (here / "hub.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=./hub.schema.json\n")
    assert run("validate").exit_code == Exit.DONE


def test_what_init_has_in_comments_is_fine_too(here):
    run("init")
    text = (here / "hub.yaml").read_text(encoding="utf-8").replace("upstreams: {}", "upstreams:")
    uncommented = re.sub(r"^# ?(?=[a-z]+:|  +[a-z_]+:)", "", text.partition("version")[2], flags=re.MULTILINE)
    config = load(f"version{uncommented}", environ=dict.fromkeys(VARIABLES, "x"))
    assert list(config.upstreams) == ["docs", "search", "wiki", "billing", "warehouse", "github", "time"]
    assert config.network.allow_private
    assert config.login.provider is not None


def test_init_never_overwrites(here):
    (here / "hub.yaml").write_text("mine", encoding="utf-8")
    result = run("init")
    assert result.exit_code == Exit.USAGE
    assert "exists already and was left as it is" in result.stderr
    assert (here / "hub.yaml").read_text(encoding="utf-8") == "mine"


def test_init_writes_where_it_is_told(here):
    (here / "folder").mkdir()
    assert run("init", "folder").exit_code == Exit.DONE
    assert (here / "folder" / "hub.yaml").exists()
    assert run("init", "other.yaml").exit_code == Exit.DONE
    result = run("init", "gone/hub.yaml")
    assert result.exit_code == Exit.USAGE
    assert "could not be written" in result.stderr


@pytest.mark.promise("E38", "T31")
def test_show_prints_every_value_with_its_origin_and_no_secret(here):
    (here / "hub.yaml").write_text(GOOD, encoding="utf-8")
    result = run("config", "show")
    assert result.exit_code == Exit.DONE
    lines = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
    shown = {path: " ".join(rest.split()) for path, rest in lines}
    assert shown["server.port"] == "8080 (default)"
    assert shown["upstreams.a.headers.X-Key"] == "*** (hub.yaml, line 2)"
    assert shown["upstreams.a.enabled"] == "true (default)"
    assert shown["upstreams.a.title"] == "- (default)"
    assert shown["network.allow_private"] == "[] (default)"
    assert "canary" not in result.output
    found = json.loads(run("config", "show", "--json").stdout)
    assert {"path": "upstreams.a.headers.X-Key", "value": "***", "origin": "hub.yaml, line 2"} in found["values"]


def test_show_without_a_file_shows_the_defaults(here):
    assert not list(here.iterdir())
    result = run("config", "show", "--json")
    found = json.loads(result.stdout)
    assert found["source"] == "defaults"
    said = {one["path"]: one["value"] for one in found["values"] if one["origin"] != "default"}
    assert said == {"login.type": "local"}, "which is what 'serve' has without a file"


def test_show_refuses_a_bad_file(here):
    (here / "hub.yaml").write_text(BAD, encoding="utf-8")
    assert run("config", "show").exit_code == Exit.USAGE


@pytest.mark.promise("E39")
def test_schema_prints_the_schema():
    assert json.loads(run("config", "schema").stdout) == json_schema()
