"""`tools` and `call` where somebody has to connect first: the link, and how the command ends."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from mcp_hub.cli.main import cli
from mcp_hub.cli.output import Exit

pytestmark = pytest.mark.promise("B20", "E38")
LINK = "https://hub.test/connect/github"
SENTENCE = f"GitHub is not connected for ada@example.com. Open {LINK}, then try again."
ABSENT = {"github": {"state": "not_connected", "message": SENTENCE, "link": LINK}}
ECHO = {"name": "notes__echo", "inputSchema": {"type": "object"}}


class Hub:
    """What the hub answers to a method: a result, or an error where it holds a code. `called` are the tools."""

    def __init__(self) -> None:
        self.says: dict[str, dict] = {}
        self.called: list[str] = []
        self.url = ""

    def answer(self, message: dict) -> dict:
        if message["method"] == "tools/call":
            self.called.append(message["params"]["name"])
        said = self.says[message["method"]]
        return {"jsonrpc": "2.0", "id": message["id"], "error" if "code" in said else "result": said}


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.dumps(hub.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        hub.url = f"http://127.0.0.1:{listening.server_address[1]}"
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield hub
        listening.shutdown()


@pytest.fixture
def hub(server, tmp_path, monkeypatch) -> Hub:
    monkeypatch.chdir(tmp_path)
    server.called.clear()
    server.says = {"tools/list": {"tools": [ECHO], "_meta": {"io.mcp-hub/upstreams": ABSENT}}}
    return server


def run(hub: Hub, *words: str):
    return CliRunner().invoke(cli, [*words, "--url", hub.url], env={"NO_COLOR": "1"})


def failed(told: dict) -> dict:
    (said,) = told.values()
    text = [{"type": "text", "text": said["message"]}]
    return {"content": text, "isError": True, "_meta": {"io.mcp-hub/upstreams": told}}


def test_what_is_missing_is_listed_with_the_page_that_cures_it(hub):
    result = run(hub, "tools")
    assert result.exit_code == Exit.DONE
    assert result.stdout == "notes__echo\n"
    assert result.stderr == f"github (not_connected): {SENTENCE}\n  ↳ open:  {LINK}\n"


@pytest.mark.parametrize("state", ["not_connected", "reconnect_needed"])
def test_a_call_that_needs_a_connection_ends_as_one_that_needs_a_sign_in(hub, state):
    hub.says["tools/call"] = failed({"github": {**ABSENT["github"], "state": state}})
    result = run(hub, "call", "github__search", "q=x")
    assert result.exit_code == Exit.SIGN_IN
    assert SENTENCE in result.stdout
    assert hub.called == ["github__search"], "though it stands in no list yet"


def test_a_call_whose_upstream_is_away_ends_as_ever(hub):
    hub.says["tools/call"] = failed({"notes": {"state": "unreachable", "message": "notes could not be reached."}})
    assert run(hub, "call", "notes__echo").exit_code == Exit.UNREACHABLE


def test_a_name_that_nobody_has_is_not_called_where_nobody_has_to_connect(hub):
    del hub.says["tools/list"]["_meta"]
    result = run(hub, "call", "github__search")
    assert result.exit_code == Exit.USAGE
    assert "No tool is called 'github__search' here." in result.stderr
    assert hub.called == []


def test_an_error_that_names_a_page_shows_it(hub):
    data = {"upstream": "github", "state": "reconnect_needed", "url": LINK}
    hub.says["tools/list"] = {"code": -32603, "message": SENTENCE, "data": data}
    result = run(hub, "tools")
    assert (result.exit_code, result.stderr) == (Exit.SIGN_IN, f"{SENTENCE}\n  ↳ open:  {LINK}\n")


@pytest.mark.parametrize("data", [None, 7, {"upstream": "github", "state": "of the future", "url": LINK}])
def test_any_other_error_is_its_sentence(hub, data):
    hub.says["tools/list"] = {"code": -32603, "message": "No.", "data": data}
    result = run(hub, "tools")
    assert (result.exit_code, result.stderr) == (Exit.USAGE, "No.\n")


def test_no_link_of_an_upstreams_own_is_shown(hub):
    forged = {"github": {"state": "not_connected", "message": "x", "link": "https://evil.test"}}
    hub.says["tools/call"] = failed(forged)
    result = run(hub, "call", "notes__echo")
    assert "evil.test" not in result.output
