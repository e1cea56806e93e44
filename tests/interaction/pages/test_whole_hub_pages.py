"""From the printed link to a token that works, and to its end, at a hub as people run it."""

import re
import sysconfig
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Page, expect

import processes
from interaction.pages.conftest import Stranger

pytestmark = pytest.mark.promise("E37", "C24")
SET_UP = re.compile(r"\bSet up\s+(http\S+)")
PASSWORD = "a quiet green lamp"
CODE = "c0de-that-nobody-may-log"
CONFIG = """\
version: 1
login:
  type: local
"""
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "script", "version": "1"},
    },
}


@pytest.fixture
def set_up(tmp_path):
    """The address that a fresh hub prints for whoever started it."""
    (tmp_path / "hub.yaml").write_text(CONFIG, "utf-8")
    program = Path(sysconfig.get_path("scripts")) / "mcp-hub"
    command = [program, "serve", "-c", tmp_path / "hub.yaml", "--port", "0"]
    with processes.running(command, env={"MCP_HUB_DATA": str(tmp_path / "data")}, announcement=SET_UP) as hub:
        yield hub.url
    assert hub.complaints() == []
    assert PASSWORD not in hub.log
    assert CODE not in hub.log


def says_hello(url: str, token: str) -> int:
    headers = {"accept": "application/json, text/event-stream", "authorization": f"Bearer {token}"}
    return httpx2.post(f"{url}/mcp", json=HELLO, headers=headers, timeout=10).status_code


def make_account(page: Page) -> None:
    page.get_by_label("Email address").fill("eve@example.com")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("The same password again").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()


def make_token(page: Page) -> str:
    page.get_by_role("link", name="Clients and tokens").click()
    page.get_by_label("What it is for").fill("script")
    page.get_by_role("button", name="Make the token").click()
    return page.get_by_role("group", name="script").inner_text()


def ended_by(stranger: Stranger, page: Page, url: str) -> int:
    """The status that a form of somebody else's gets, which would end the token."""
    number = page.locator("input[name=token]").get_attribute("value")
    stranger.html = (
        f"<form method=post action='{url}/account/tokens/end'><input name=token value='{number}'>"
        "<button>Win a prize</button></form>"
    )
    page.goto(stranger.url)
    with page.expect_navigation() as navigation:
        page.get_by_role("button").click()
    return navigation.value.status


def under_another_name(url: str) -> set[int]:
    """The statuses of pages that are asked for by a name that a stranger made resolve to the hub."""
    paths = ("/", "/login", "/setup", "/authorize", "/account/clients", "/admin/users")
    headers = {"host": "evil.example", "accept": "text/html"}
    return {httpx2.get(f"{url}{path}", headers=headers, timeout=10).status_code for path in paths}


@pytest.mark.promise("T33", "T22")
def test_whoever_starts_a_hub_gets_in_makes_a_token_and_ends_it(set_up, browser, stranger):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(set_up)
    make_account(page)
    expect(page.get_by_role("heading", name="Connections")).to_be_visible()
    url = page.url.rstrip("/")
    assert httpx2.get(f"{url}/oauth/callback/github?code={CODE}&state={CODE}", timeout=10).status_code == 404
    assert under_another_name(url) == {421}
    assert says_hello(url, "mcphub_pat_" + "x" * 43) == 401
    token = make_token(page)
    assert says_hello(url, token) == 200
    page.get_by_role("link", name="I have copied it").click()
    assert ended_by(stranger, page, url) == 403
    assert says_hello(url, token) == 200
    page.goto(f"{url}/account/clients")
    page.get_by_role("button", name="Revoke script").click()
    expect(page.get_by_role("status")).to_contain_text("Done.")
    assert says_hello(url, token) == 401
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.goto(f"{url}/admin/users")
    page.get_by_label("Email address").fill("EVE@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Users")).to_be_visible()
