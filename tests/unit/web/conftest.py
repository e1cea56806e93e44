"""Ada and Bo in browsers of their own, before the pages of a hub with connections in memory."""

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest

from mcp_hub.identity.principals import principal_of
from rig.connections import FakeConnections
from rig.household import People
from rig.site import site_of
from unit.web.screens import URL, Sitting


@pytest.fixture
async def people() -> AsyncIterator[People]:
    people = People()
    yield people
    await people.aclose()


@pytest.fixture
def fake() -> FakeConnections:
    return FakeConnections()


@pytest.fixture
async def site(people, fake):
    return site_of(people, URL, own=fake.own(people.store)).app()


@pytest.fixture
async def ada(people, site) -> Sitting:
    return await signed_in(people, site, await people.add("Ada"))


@pytest.fixture
async def bo(people, site) -> Sitting:
    return await signed_in(people, site, await people.add("Bo"))


async def signed_in(people, site, user) -> Sitting:
    """A browser of its own in which somebody is signed in."""
    return Sitting(site, await people.sign_in(user), caller=principal_of(user))


async def on_the_way(sitting, query="") -> str:
    """The state that an authorization server was given, by somebody who pressed the button."""
    page = await sitting.look(f"/connect/github{query}")
    leaving = await sitting.press(page, "Connect GitHub")
    return parse_qs(urlsplit(leaving.document.links["Continue to login.example.com"]).query)["state"][0]
