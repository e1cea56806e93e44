"""Connections at a whole hub: its pages, its JSON and its endpoint agree on how somebody stands."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest

from rig.browser import Arrival, Browser, Page
from rig.hub_here import HubHere, serving
from rig.misbehaving_as import OMIT, MisbehavingAS

pytestmark = pytest.mark.promise("E37")
CONFIG = """\
version: 1
login: none
network: {{allow_private: [127.0.0.0/8]}}
upstreams:
  github: {{url: "{at}", title: GitHub, auth: {{type: oauth}}}}
  warehouse: {{url: "{at}", title: Warehouse, auth: {{type: header, name: X-API-Key, per_user: true}}}}
  off: {{url: "https://off.example.com/mcp", enabled: false}}
"""


@dataclass
class Whole:
    """A private hub, and the authorization server before one of its upstreams."""

    hub: HubHere
    at: MisbehavingAS
    http: httpx2.AsyncClient

    async def state(self, name: str) -> str:
        """How the one user stands, as programs are told."""
        listed = (await self.http.get("/api/v1/connections")).json()["connections"]
        return next(each["state"] for each in listed if each["name"] == name)


@pytest.fixture
async def whole() -> AsyncIterator[Whole]:
    async with (
        MisbehavingAS() as at,
        serving(CONFIG.format(at=at.resource)) as hub,
        httpx2.AsyncClient(base_url=hub.base, trust_env=False) as http,
    ):
        yield Whole(hub, at, http)


def page_of(screen: Page | Arrival) -> Page:
    assert isinstance(screen, Page)
    return screen


async def test_the_user_of_a_private_hub_connects_checks_and_disconnects(whole):
    async with Browser() as browser:
        home = page_of(await browser.open(whole.hub.base))
        assert "2 are not connected." in home.document.text
        assert "Disabled" in home.document.text
        asked = page_of(await browser.follow(home, "Connect GitHub"))
        assert "this hub, which registers itself there when you go on" in asked.document.text
        back = page_of(await browser.press(asked, "Connect GitHub"))
        assert back.url == f"{whole.hub.base}/?said=connected&about=github#upstream-github"
        assert "GitHub is connected." in back.document.text
        assert await whole.state("github") == "ready"
        checked = page_of(await browser.press(back, "Check GitHub now"))
        assert "GitHub:" in checked.document.text
        home = page_of(await browser.follow(checked, "To your connections"))
        going = page_of(await browser.follow(home, "Disconnect GitHub"))
        gone = page_of(await browser.press(going, "Disconnect GitHub"))
        assert "confirmed that the hub has no access any more" in gone.document.text
    assert await whole.state("github") == "not_connected"


async def test_a_program_of_the_user_ends_what_the_user_began(whole):
    async with Browser() as browser:
        asked = page_of(await browser.open(f"{whole.hub.base}/connect/github"))
        await browser.press(asked, "Connect GitHub")
    ended = await whole.http.delete("/api/v1/connections/github")
    assert ended.json() == {"name": "github", "ending": "confirmed"}
    assert await whole.state("github") == "not_connected"
    assert (await whole.http.delete("/api/v1/connections/off")).status_code == 404


async def test_a_key_is_checked_as_soon_as_it_is_saved(whole):
    async with Browser() as browser:
        home = page_of(await browser.open(whole.hub.base))
        checked = page_of(await browser.press(home, "Save and check", {"key": "wh-9f3c-f00d"}))
        assert "Your key is saved" in checked.document.text
        assert "wh-9f3c" not in checked.document.text
    assert await whole.state("warehouse") == "ready"


@pytest.mark.promise("T33", "T35")
async def test_a_page_of_another_site_reaches_nothing_of_it(whole):
    evil = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    for method, path in (
        ("DELETE", "/api/v1/connections/github"),
        ("POST", "/connect/github"),
        ("POST", "/disconnect/github"),
        ("GET", "/api/v1/connections"),
    ):
        assert (await whole.http.request(method, path, headers=evil)).status_code == 403
    rebound = await whole.http.get("/", headers={"host": "evil.example", "accept": "text/html"})
    assert rebound.status_code == 421


async def test_what_the_hub_publishes_of_itself_may_be_read_from_anywhere(whole):
    anywhere = {"origin": "https://elsewhere.example"}
    keys = await whole.http.get("/oauth/jwks.json", headers=anywhere)
    assert keys.headers["access-control-allow-origin"] == "*"
    assert all("d" not in key for key in keys.json()["keys"])
    document = await whole.http.get("/oauth/client/github.json", headers=anywhere)
    assert document.json()["redirect_uris"] == [f"{whole.hub.base}/oauth/callback/github"]
    assert (await whole.http.get("/oauth/client/off.json", headers=anywhere)).status_code == 404


async def test_a_server_that_cannot_be_asked_is_said_to_be_so_with_what_was_tried(whole):
    whole.at.say["code_challenge_methods_supported"] = OMIT
    async with Browser() as browser:
        page = page_of(await browser.open(f"{whole.hub.base}/connect/github"))
    assert page.status == 502
    assert "GitHub cannot be connected now" in page.document.text
    assert "Try again" in page.document.links
