"""`mcp-hub client NAME`."""

import base64
import json
import re
import shlex

import pytest
from click.testing import CliRunner

from mcp_hub.cli.main import cli
from mcp_hub.cli.output import Exit
from mcp_hub.config.snippets import CLIENTS

pytestmark = pytest.mark.promise("E40")

URL = "https://hub.example.com/mcp"
LOCAL = "http://127.0.0.1:8080/mcp"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words):
    return CliRunner().invoke(cli, ["client", *words])


def paste(*words):
    result = run(*words)
    assert result.exit_code == Exit.DONE, result.output
    return result.stdout.strip()


@pytest.mark.promise("E40")
def test_claude_code_gets_a_command():
    assert shlex.split(paste("claude-code")) == ["claude", "mcp", "add", "--transport", "http", "hub", LOCAL]


@pytest.mark.promise("E40")
def test_claude_gets_the_url_or_a_bridge_to_this_computer():
    assert paste("claude", "--url", URL) == URL
    assert json.loads(paste("claude"))["mcpServers"]["hub"] == {"command": "npx", "args": ["-y", "mcp-remote", LOCAL]}


@pytest.mark.promise("E40")
def test_chatgpt_gets_the_url_and_is_not_sent_to_this_computer():
    assert paste("chatgpt", "--url", URL) == URL
    for url in (LOCAL, "http://hub.example.com/mcp", "https://localhost/mcp"):
        result = run("chatgpt", "--url", url)
        assert result.exit_code == Exit.USAGE
        assert "server.public_url" in result.stderr


@pytest.mark.promise("E40")
def test_vscode_gets_its_file_and_a_command():
    result = run("vscode")
    assert json.loads(result.stdout) == {"servers": {"hub": {"type": "http", "url": LOCAL}}}
    command = shlex.split(result.stderr.splitlines()[0].removeprefix("Run: "))
    assert command[:2] == ["code", "--add-mcp"]
    assert json.loads(command[2]) == {"name": "hub", "type": "http", "url": LOCAL}


@pytest.mark.promise("E40")
def test_cursor_gets_its_file_and_a_link():
    result = run("cursor")
    assert json.loads(result.stdout) == {"mcpServers": {"hub": {"url": LOCAL}}}
    link = re.search(r"cursor://anysphere\.cursor-deeplink/mcp/install\?name=hub&config=([A-Za-z0-9%]+)", result.stderr)
    assert link is not None
    encoded = link[1].replace("%3D", "=").replace("%2B", "+").replace("%2F", "/")
    assert json.loads(base64.b64decode(encoded)) == {"url": LOCAL}


@pytest.mark.promise("E40")
def test_the_inspector_gets_a_command():
    words = ["npx", "@modelcontextprotocol/inspector", "--cli", URL, "--transport", "http", "--method", "tools/list"]
    assert shlex.split(paste("inspector", "--url", URL)) == words


def test_the_url_comes_from_the_configuration(here):
    (here / "hub.yaml").write_text("server: {port: 9000}\n", encoding="utf-8")
    assert paste("claude-code").endswith("http://127.0.0.1:9000/mcp")
    (here / "other.yaml").write_text("server: {public_url: https://hub.example.com/}\n", encoding="utf-8")
    assert paste("claude-code", "-c", "other.yaml").endswith(URL)


def test_a_wrong_configuration_matters_only_if_it_is_needed(here):
    (here / "hub.yaml").write_text("x: 1\n", encoding="utf-8")
    assert run("claude-code").exit_code == Exit.USAGE
    assert paste("claude", "--url", "https://hub.example.com") == URL


@pytest.mark.parametrize("url", ["hub.example.com", "ftp://x", "https://me:pw@hub.example.com/", "https://a b/"])
def test_what_is_no_address_is_refused(url):
    assert run("claude-code", "--url", url).exit_code == Exit.USAGE


def test_a_url_is_quoted_for_the_shell():
    assert (
        shlex.split(paste("claude-code", "--url", "https://a.example/x;rm$(y)&z"))[-1] == "https://a.example/x;rm$(y)&z"
    )


@pytest.mark.parametrize("name", CLIENTS)
def test_every_client_is_answered_as_json_too(name):
    answer = json.loads(paste(name, "--url", URL, "--json"))
    assert (answer["client"], answer["url"]) == (name, URL)
    assert URL in answer["paste"]
    assert answer["where"]
