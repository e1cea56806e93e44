"""Attacks by authorization servers, and by upstreams that name them: what they say leads a running hub nowhere."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from rig.browser import ADA, Browser, Page, Stuck, connect
from rig.hub_here import HubHere, serving
from rig.misbehaving_as import OMIT, UNTOLD, MisbehavingAS, redirecting
from rig.places import Places

RESOURCE = "/.well-known/oauth-protected-resource/mcp"
METADATA = "/.well-known/oauth-authorization-server"


@dataclass
class Scene:
    """A hub that may go to 127.0.0.1, an upstream and its server there, and a canary at 127.0.0.2."""

    hub: HubHere
    server: MisbehavingAS
    canary: Places
    browser: Browser

    async def connect(self) -> str:
        """Somebody opens the link that a call gave them, and goes on as far as it goes. What stands there."""
        try:
            page = await connect(self.browser, f"{self.hub.base}/connect/gh", ADA)
        except Stuck as stuck:
            return str(stuck)
        return page.document.text

    async def card(self) -> str:
        """What the first page says of the upstream."""
        page = await self.browser.open(self.hub.base)
        assert isinstance(page, Page)
        return page.document.text


@asynccontextmanager
async def scene(auth: str = "{type: oauth}") -> AsyncIterator[Scene]:
    async with (
        asyncio.timeout(20),
        MisbehavingAS() as server,
        Places("127.0.0.2") as canary,
        Browser() as browser,
    ):
        config = (
            "login: none\nnetwork: {allow_private: [127.0.0.1/32]}\n"
            f"upstreams:\n  gh: {{url: '{server.resource}', title: GitHub, auth: {auth}}}\n"
        )
        async with serving(config) as hub:
            yield Scene(hub, server, canary, browser)


Attack = Callable[[Scene], None]


def says(**metadata: object) -> Attack:
    """The authorization server says this of itself; `{canary}` is where nobody may go."""

    def attack(on: Scene) -> None:
        for name, each in metadata.items():
            on.server.say[name] = each.format(canary=on.canary.origin) if isinstance(each, str) else each

    return attack


def names(server: str) -> Attack:
    """The upstream names this authorization server."""

    def attack(on: Scene) -> None:
        on.server.resource_says = {"authorization_servers": [server.format(canary=on.canary.origin)]}

    return attack


def leads(place: str) -> Attack:
    """What is asked there leads on to the canary."""

    def attack(on: Scene) -> None:
        on.server.answers[place] = redirecting(f"{on.canary.origin}/x?SECRET")

    return attack


def spells(form: str) -> Attack:
    """The authorization server spells its own name in another way."""

    def attack(on: Scene) -> None:
        on.server.say["issuer"] = form.format(issuer=on.server.issuer)

    return attack


def answers(iss: str) -> Attack:
    """What the browser brings back is said to be of somebody else."""

    def attack(on: Scene) -> None:
        on.server.iss = iss  # type: ignore[assignment] - one of its words

    return attack


ATTACKS: list[object] = [
    pytest.param(names("{canary}"), marks=pytest.mark.promise("T2"), id="a server inside"),
    pytest.param(names("http://169.254.169.254"), marks=pytest.mark.promise("T2"), id="a server of the cloud"),
    pytest.param(names("https://2130706434/x"), marks=pytest.mark.promise("T2", "T6"), id="a server in disguise"),
    pytest.param(says(registration_endpoint="{canary}/r"), marks=pytest.mark.promise("T2"), id="registration inside"),
    pytest.param(says(token_endpoint="{canary}/t"), marks=pytest.mark.promise("T2"), id="tokens inside"),
    pytest.param(leads(METADATA), marks=pytest.mark.promise("T8"), id="metadata of the server lead on"),
    pytest.param(leads("/register"), marks=pytest.mark.promise("T8"), id="registration leads on"),
    pytest.param(leads("/token"), marks=pytest.mark.promise("T8"), id="tokens lead on"),
    pytest.param(says(authorization_endpoint="javascript:x"), marks=pytest.mark.promise("T42"), id="a script"),
    pytest.param(says(authorization_endpoint="a:$(x)"), marks=pytest.mark.promise("T42"), id="a command"),
    pytest.param(says(authorization_endpoint="{canary}/a"), marks=pytest.mark.promise("T42"), id="a page elsewhere"),
    pytest.param(spells("{issuer}/"), marks=pytest.mark.promise("T44"), id="a slash"),
    pytest.param(spells("HTTP{issuer}"), marks=pytest.mark.promise("T44"), id="a scheme"),
    pytest.param(spells("https://honest.example"), marks=pytest.mark.promise("T44"), id="somebody else"),
    pytest.param(
        says(code_challenge_methods_supported=OMIT), marks=pytest.mark.promise("T45"), id="pkce is not announced"
    ),
    pytest.param(
        says(code_challenge_methods_supported=["plain"]), marks=pytest.mark.promise("T45"), id="pkce is plain"
    ),
    pytest.param(answers("wrong"), marks=pytest.mark.promise("T43"), id="an answer of somebody else"),
    pytest.param(answers("missing"), marks=pytest.mark.promise("T43"), id="an answer of nobody"),
]


@pytest.mark.promise("T10")
@pytest.mark.parametrize("attack", ATTACKS)
async def test_nothing_is_connected_nothing_inside_is_reached_and_a_page_says_so(attack, caplog, capsys):
    async with scene() as on:
        attack(on)
        said = await on.connect()
        assert on.canary.connections == 0
        assert "GitHub" in said
        assert UNTOLD not in said
        assert "SECRET" not in said
        assert "Not connected" in await on.card()
        assert all(each.path != "/token" or "access_token" not in str(each.form) for each in on.server.seen)
    logged = caplog.text + "".join(capsys.readouterr())
    assert UNTOLD not in logged
    assert "SECRET" not in logged


@pytest.mark.promise("T8")
async def test_metadata_that_lead_elsewhere_are_as_good_as_none():
    async with scene() as on:
        leads(RESOURCE)(on)
        await on.connect()
        assert on.canary.connections == 0


@pytest.mark.promise("T10")
async def test_the_same_scene_connects_where_nobody_attacks():
    async with scene() as on:
        await on.connect()
        assert "Not connected" not in await on.card()
        assert on.server.count("/token", grant_type="authorization_code") == 1
