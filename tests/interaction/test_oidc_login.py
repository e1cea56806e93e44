"""People sign in at the hub with the identity provider that they have, of whichever make, and nobody else gets in."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from interaction.signing import Desk, Known, python_sdk
from rig import identity_providers, login_hub
from rig.browser import ADA, BOB, Browser, Person, Stuck, sign_in, until_arrival
from rig.identity_providers import MAKERS, Client, IdentityProvider
from rig.login_hub import LoginHub
from rig.relying_party import signed_in

pytestmark = pytest.mark.promise("C24", "T59")

TOOL = "reference__test_simple_text"
HUB = Client()
CONFIG = """\
version: 1
login:
  type: oidc
  issuer: {issuer}
  client_id: {client.id}
  client_secret: {client.secret}
  admin_groups: [admins]
network:
  allow_private: [127.0.0.0/8]
upstreams:
  reference:
    url: {upstream}
"""
ADA_THERE, BOB_THERE = replace(ADA, provider=True), replace(BOB, provider=True)


@pytest.fixture(scope="module", params=sorted(MAKERS))
def provider(request: pytest.FixtureRequest) -> Iterator[IdentityProvider]:
    with identity_providers.running(request.param) as started:
        yield started
    assert started.process.complaints() == []


@pytest.fixture(scope="module")
def hub(provider: IdentityProvider, reference: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoginHub]:
    config = CONFIG.format(issuer=provider.issuer, client=HUB, upstream=reference)
    with login_hub.serving(config, tmp_path_factory.mktemp("hub")) as started:
        provider.admit(HUB, f"{started.issuer}/login/callback")
        yield started
    assert started.process.complaints() == []


async def _called(hub: LoginHub, person: Person, folder: Path) -> str:
    """What a client that this person sent to sign in gets from a tool."""
    async with Desk(person) as desk, python_sdk("auto")(hub.url, Known(), desk, folder) as visitor:
        return await visitor.call(TOOL, {})


def _people(hub: LoginHub) -> list[tuple[str, str]]:
    """Everybody who has an account: address and role."""
    return [(each["email"], each["role"]) for each in json.loads(hub.command("user", "list", "--json"))]


async def test_a_client_gets_to_a_tool_through_the_provider_and_its_groups_say_what_its_user_may_do(
    hub: LoginHub, tmp_path: Path
):
    assert "simple text" in await _called(hub, ADA_THERE, tmp_path)
    assert "simple text" in await _called(hub, BOB_THERE, tmp_path)
    assert sorted(_people(hub)) == [(ADA.email, "admin"), (BOB.email, "user")]


async def test_one_who_signs_in_twice_is_one_person(hub: LoginHub):
    for _ in range(2):
        async with Browser() as browser:
            assert (await sign_in(browser, f"{hub.issuer}/login", BOB_THERE)).status == 200
    assert [email for email, _ in _people(hub)].count(BOB.email) == 1


async def test_claims_that_only_the_userinfo_endpoint_tells_are_known_as_well(
    provider: IdentityProvider, hub: LoginHub, tmp_path: Path
):
    provider.put_claims(in_id_token=False)
    try:
        assert "simple text" in await _called(hub, ADA_THERE, tmp_path)
    finally:
        provider.put_claims(in_id_token=True)
    assert (ADA.email, "admin") in _people(hub)


@pytest.mark.promise("T56")
async def test_the_providers_keys_may_change_while_the_hub_runs(
    provider: IdentityProvider, hub: LoginHub, tmp_path: Path
):
    assert "simple text" in await _called(hub, ADA_THERE, tmp_path)
    provider.rotate_keys()
    assert "simple text" in await _called(hub, ADA_THERE, tmp_path)


async def test_who_is_disabled_at_the_provider_does_not_get_in(
    provider: IdentityProvider, hub: LoginHub, tmp_path: Path
):
    provider.disable(BOB)
    try:
        with pytest.raises(Stuck):
            async with Browser() as browser:
                await sign_in(browser, f"{hub.issuer}/login", BOB_THERE)
    finally:
        provider.disable(BOB, disabled=False)
    assert "simple text" in await _called(hub, BOB_THERE, tmp_path)


@pytest.mark.promise("T35", "T37")
async def test_a_sign_in_counts_only_in_the_browser_that_began_it(hub: LoginHub):
    callback = f"{hub.issuer}/login/callback"
    async with Browser() as attacker, Browser() as victim:
        begun = await attacker.open(f"{hub.issuer}/login", until=callback)
        arrival = await until_arrival(attacker, begun, BOB_THERE, "Allow", callback)
        await victim.open(f"{hub.issuer}/login")
        for _ in range(2):
            answered = await victim.http.get(arrival.url)
            assert answered.status_code in (400, 403)
            assert "location" not in answered.headers
        assert (await victim.http.get(f"{hub.issuer}/account/clients")).status_code == 303


@pytest.mark.promise("T35", "T40")
@pytest.mark.parametrize("query", ["", "?code=guess", "?code=guess&state=guess", "?error=<script>alert(1)</script>"])
async def test_an_answer_that_was_not_asked_for_signs_nobody_in(query: str, hub: LoginHub):
    async with Browser() as browser:
        answered = await browser.http.get(f"{hub.issuer}/login/callback{query}")
        assert answered.status_code in (400, 403)
        assert "alert(1)" not in answered.text
        assert (await browser.http.get(f"{hub.issuer}/account/clients")).status_code == 303


@pytest.mark.promise("T14")
async def test_what_the_provider_gives_other_clients_opens_nothing_at_the_hub(
    provider: IdentityProvider, hub: LoginHub
):
    _, tokens = await signed_in(provider, ADA)
    for kind in ("access_token", "id_token"):
        assert hub.status_with(tokens[kind]).status_code == 401, kind


async def test_a_provider_that_is_down_lets_nobody_in_and_keeps_nobody_out(reference: str, tmp_path: Path):
    with identity_providers.running("oidc-provider") as provider:
        config = CONFIG.format(issuer=provider.issuer, client=HUB, upstream=reference)
        with login_hub.serving(config, tmp_path / "hub") as hub:
            provider.admit(HUB, f"{hub.issuer}/login/callback")
            async with Desk(ADA_THERE) as desk, python_sdk("auto")(hub.url, Known(), desk, tmp_path) as visitor:
                said = await visitor.call(TOOL, {})
                provider.process.stop()
                assert await visitor.call(TOOL, {}) == said
                with pytest.raises((Stuck, httpx2.ConnectError)):
                    async with Browser() as browser:
                        await sign_in(browser, f"{hub.issuer}/login", BOB_THERE)
                assert hub.status_with("guess").status_code == 401
    assert hub.process.complaints() == []
