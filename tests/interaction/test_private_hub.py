"""`mcp-hub serve` where there is no configuration: a hub for one person, whom it wants to know nevertheless."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner, Result

from interaction.whole_hub import PROGRAM
from mcp_hub.cli.main import cli
from processes import Running, running
from rig.browser import ADA, Browser, Page, sign_in

pytestmark = pytest.mark.promise("C24")
DONE, SIGN_IN = 0, 3
ABOUT = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
HELLO = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": ABOUT}
LAST = re.compile(r"claude mcp add --transport http hub (\S+)")
SET_UP = re.compile(r"Set up\s+(\S+)    \(works once, for 10 minutes\)")


@dataclass
class Private:
    """A hub that somebody started in an empty directory; its commands find its data."""

    process: Running
    directory: Path

    @property
    def url(self) -> str:
        return self.process.url

    @property
    def base(self) -> str:
        return self.url.removesuffix("/mcp")

    def types(self, *words: str, told: str = "", **env: str) -> Result:
        """A command, in this process, since there are many of them."""
        environ = {"NO_COLOR": "1", "MCP_HUB_DATA": str(self.directory / "data"), "MCP_HUB_TOKEN": None, **env}
        return CliRunner().invoke(cli, words, input=told, env=environ)

    def calls(self, token: str = "") -> httpx2.Response:
        headers = {"Accept": "application/json, text/event-stream"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return httpx2.post(self.url, json=HELLO, headers=headers, trust_env=False)

    def person(self, email: str, *more: str) -> str:
        """A token of a new account."""
        added = self.types("user", "add", email, "--password-stdin", *more, told="a long enough one\n")
        assert added.exit_code == DONE, added.stderr
        return self.types("token", "create", "--user", email).stdout.strip()


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Private]:
    directory = tmp_path_factory.mktemp("private")
    command = ["sh", "-c", f"cd '{directory}' && exec '{PROGRAM}' serve --port 0 --log-level debug"]
    with running(command, env={"MCP_HUB_DATA": str(directory / "data")}, announcement=LAST) as process:
        yield Private(process, directory)
    assert process.complaints() == []


@pytest.mark.promise("D33", "E38")
async def test_it_says_what_it_is_and_whoever_opens_its_link_becomes_its_admin(hub: Private):
    printed = hub.process.log
    assert "this is a private hub for you on this computer, without upstreams" in printed
    assert "mcp-hub init" in printed
    [link] = SET_UP.findall(printed)
    assert printed.count(link.partition("code=")[2]) == 1, "the code stands in the one line, and in no line of the log"
    async with Browser() as browser:
        page = await browser.open(link)
        assert isinstance(page, Page)
        filled = {"email": ADA.email, "password": ADA.password, "again": ADA.password}
        first = await browser.press(page, "Make the account", filled)
        assert isinstance(first, Page)
        assert f"Signed in as {ADA.email}" in first.document.text
        again = await browser.open(link)
        assert isinstance(again, Page)
        assert again.status == 403
    async with Browser() as another:
        assert f"Signed in as {ADA.email}" in (await sign_in(another, hub.base, ADA)).document.text
    listed = await asyncio.to_thread(lambda: json.loads(hub.types("user", "list", "--json").stdout))
    assert [(each["email"], each["role"]) for each in listed] == [(ADA.email, "admin")]


@pytest.mark.promise("T62", "C23")
def test_other_programs_on_this_computer_may_not_use_it(hub: Private):
    for answer in (hub.calls(), hub.calls("mcphub_pat_" + "A" * 43), hub.calls("x")):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer ")
    for path in ("/api/v1/status", "/sse"):
        assert httpx2.get(hub.base + path, trust_env=False).status_code == 401
    data = hub.directory / "data"
    assert [path.name for path in [data, *data.iterdir()] if path.stat().st_mode & 0o077] == []


def test_commands_use_it_with_a_token(hub: Private):
    token = hub.person("eve@example.com", "--admin")
    without = hub.types("status", "--url", hub.url)
    assert (without.exit_code, without.stdout) == (SIGN_IN, "")
    assert "Make a token with 'mcp-hub token create --user EMAIL'" in without.stderr
    for words in (("status",), ("tools",), ("upstream", "list")):
        said = hub.types(*words, "--url", hub.url, MCP_HUB_TOKEN=token)
        assert said.exit_code == DONE, said.stderr
        assert token not in said.stdout + said.stderr
    assert hub.calls(token).status_code == 200


@pytest.mark.promise("T59")
@pytest.mark.parametrize("words", [("user", "disable"), ("user", "remove"), ("token", "revoke")])
def test_what_a_command_takes_away_is_gone_at_the_running_hub(hub: Private, words):
    name = f"{words[1]}@example.com"
    token = hub.person(name)
    assert hub.calls(token).status_code == 200
    listed = json.loads(hub.types("token", "list", "--json").stdout)
    number = next(each["id"] for each in listed if each["user"] == name)
    assert hub.types(*words, number if words[0] == "token" else name).exit_code == DONE
    ends = time.monotonic() + 5
    while (status := hub.calls(token).status_code) != 401:
        assert time.monotonic() < ends, f"{status} all the time"


@pytest.mark.promise("T53")
async def test_wrong_passwords_at_once_are_few_checks_and_little_memory(hub: Private):
    async with Browser() as browser:
        page = await browser.open(f"{hub.base}/login")
        assert isinstance(page, Page)
        sent = {**page.document.forms[0].fields, "email": "eve@example.com", "password": "guess guess"}
        before = most_memory(hub)

        async def guess() -> int:
            return (await browser.http.post(f"{hub.base}/login", data=sent, timeout=60)).status_code

        statuses = await asyncio.gather(*(guess() for _ in range(200)))
        assert set(statuses) <= {403, 429}
        assert statuses.count(403) <= 10
        assert most_memory(hub) - before < 200 * 1024, "two hashes of 64 MiB at a time, however many are asked for"
        assert (await browser.http.get(f"{hub.base}/healthz")).status_code == 200


def most_memory(hub: Private) -> int:
    """The most that the hub ever used, in KiB."""
    status = Path(f"/proc/{hub.process.process.pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])
