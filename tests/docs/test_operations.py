"""What docs/operations.md says of a running hub."""

import http.client
import json
import signal
from urllib.parse import urlsplit

import pytest

import processes
from docs.pages import page
from mcp_hub.identity.events import Kind
from mcp_hub.identity.limits import DEFAULTS

pytestmark = pytest.mark.promise("F4", "D33")
PAGE = page("docs/operations.md")


def ask(url: str, verb: str, path: str) -> str:
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    try:
        connection.request(verb, path)
        answer = connection.getresponse()
        assert answer.status == 200, path
        return answer.read().decode()
    finally:
        connection.close()


def test_every_address_answers_as_its_row_says(tmp_path):
    rows = {row[0]: row[1] for row in PAGE.table("Health")}
    with processes.hub(
        "upstreams: {gone: {url: https://127.0.0.1:1}}\nnetwork: {allow_private: [127.0.0.1]}", tmp_path
    ) as hub:
        for path in ("/healthz", "/readyz"):
            assert ask(hub.url, "GET", path).strip() == rows.pop(path)
        shown = json.loads(ask(hub.url, "GET", "/api/v1/status"))
        assert {"state", "reason"} <= set(shown["upstreams"][0])
        rows.pop("/api/v1/status")
        assert json.loads(ask(hub.url, "GET", "/api/v1/connections"))
        rows.pop("/api/v1/connections")
        refresh, check = rows
        assert json.loads(ask(hub.url, "POST", refresh.replace("NAME", "gone")))["state"] == "unreachable"
        assert json.loads(ask(hub.url, "POST", check.replace("NAME", "gone")))["status"] == "Failed"
    assert hub.complaints() == []


def test_the_files_are_those_it_names_and_for_their_owner_only(tmp_path):
    with processes.hub("{}", tmp_path) as hub:
        found = {path.name for path in (tmp_path / "data").iterdir()}
        assert found <= {name.strip() for row in PAGE.table("Data") for name in row[0].split(",")}
        assert (tmp_path / "data" / "hub.db").stat().st_mode & 0o777 == 0o600
    assert hub.complaints() == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_both_signals_end_it_with_0(name, tmp_path):
    assert name in PAGE.table("Starting and stopping")[0][0]
    with processes.hub("{}", tmp_path) as hub:
        hub.process.send_signal(signal.Signals[name])
        assert hub.process.wait(processes.STOP_SECONDS) == 0
    assert hub.complaints() == []


@pytest.mark.promise("D32")
def test_every_kind_of_event_has_its_row():
    named = [name.strip() for row in PAGE.table("What happened to access") for name in row[0].split(",")]
    assert sorted(named) == sorted(Kind)


@pytest.mark.promise("C24")
def test_every_limit_has_its_row():
    said = [row[1] for row in page("docs/security.md").table("How often")]
    assert sorted(said) == sorted(DEFAULTS.values())
