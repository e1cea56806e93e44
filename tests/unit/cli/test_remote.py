"""Commands that speak to a hub which wants to know who asks."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from mcp_hub.cli.main import cli
from mcp_hub.cli.output import Exit

pytestmark = pytest.mark.promise("C24", "E38")
TOKEN = "mcphub_pat_canary"
COMMANDS = [("tools",), ("call", "x"), ("status",), ("upstream", "refresh", "docs")]


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@dataclass
class Strict:
    """A hub that answers everybody with one status, and remembers what they brought."""

    status: int = 401
    brought: list[str | None] = field(default_factory=list)
    url: str = ""


@pytest.fixture(scope="module")
def server() -> Iterator[Strict]:
    strict = Strict()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            strict.brought.append(self.headers["Authorization"])
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b'{"error": "This is for admins."}'
            self.send_response(strict.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        strict.url = f"http://127.0.0.1:{listening.server_address[1]}"
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield strict
        listening.shutdown()


@pytest.fixture
def strict(server) -> Strict:
    server.status = 401
    server.brought.clear()
    return server


def run(url, *words, token=None):
    return CliRunner().invoke(cli, [*words, "--url", url], env={"MCP_HUB_TOKEN": token, "NO_COLOR": "1"})


@pytest.mark.parametrize("words", COMMANDS)
def test_without_a_token_the_way_to_one_is_named(strict, words):
    result = run(strict.url, *words)
    assert result.exit_code == Exit.SIGN_IN
    assert result.stderr == (
        f"The hub at {strict.url} wants to know who asks."
        " Make a token with 'mcp-hub token create --user EMAIL', and put it into MCP_HUB_TOKEN.\n"
    )
    assert set(strict.brought) == {None}


@pytest.mark.parametrize("words", COMMANDS)
def test_the_token_of_the_environment_is_sent_and_never_shown(strict, words):
    result = run(strict.url, *words, token=TOKEN)
    assert set(strict.brought) == {f"Bearer {TOKEN}"}
    assert result.exit_code == Exit.SIGN_IN
    assert "does not take the token in MCP_HUB_TOKEN" in result.stderr
    assert "canary" not in result.output


def test_what_is_for_others_is_told_with_the_words_of_the_hub(strict):
    strict.status = 403
    result = run(strict.url, "status", token=TOKEN)
    assert (result.exit_code, result.stderr) == (Exit.SIGN_IN, "This is for admins.\n")


@pytest.mark.promise("T31")
@pytest.mark.parametrize("url", ["http://hub.example.com", "http://192.0.2.1:8080/mcp"])
def test_a_token_is_not_sent_where_others_could_read_it(url):
    result = run(url, "status", token=TOKEN)
    assert result.exit_code == Exit.USAGE
    assert "not sent over plain http" in result.stderr
    assert "canary" not in result.output


@pytest.mark.parametrize("token", ["two words", "caf\u00e9", "x\r\nX-Evil: 1"])
def test_what_is_no_token_is_not_sent(strict, token):
    result = run(strict.url, "status", token=token)
    assert result.exit_code == Exit.USAGE
    assert "is no token" in result.stderr
    assert strict.brought == []


@pytest.mark.parametrize("words", COMMANDS)
def test_a_name_that_leads_nowhere_is_not_taken_for_a_hub_that_does_not_run(words):
    result = run("https://nowhere.invalid", *words)
    assert result.exit_code == Exit.UNREACHABLE
    assert result.stderr.startswith("No hub answers at https://nowhere.invalid. nowhere.invalid does not resolve")
    assert "mcp-hub serve" not in result.stderr
