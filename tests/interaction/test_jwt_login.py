"""A hub that is only a resource server: clients sign in at the organisation's own authorization server.

That is one of another make, which registers clients by itself and signs JWTs for the resource they name.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from joserfc import jwt

from interaction.signing import Desk, Known, Visit, python_sdk, typescript
from rig import identity_providers, login_hub, signing
from rig.browser import ADA
from rig.identity_providers import IdentityProvider
from rig.login_hub import LoginHub
from rig.relying_party import keys_of, signed_in

pytestmark = pytest.mark.promise("C23", "F2")

TOOL = "reference__test_simple_text"
CONFIG = """\
version: 1
login:
  type: jwt
  issuer: {issuer}
  scopes: [mcp]
  admin_groups: [admins]
network:
  allow_private: [127.0.0.0/8]
upstreams:
  reference:
    url: {upstream}
"""
VISITS: dict[str, Visit] = {
    "python-2.x": python_sdk("auto"),
    "typescript-2.x": typescript("2.x"),
    "typescript-1.x": typescript("1.x"),
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[IdentityProvider]:
    with identity_providers.running("oidc-provider") as started:
        yield started
    assert started.process.complaints() == []


@pytest.fixture(scope="module")
def hub(issuer: IdentityProvider, reference: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoginHub]:
    config = CONFIG.format(issuer=issuer.issuer, upstream=reference)
    with login_hub.serving(config, tmp_path_factory.mktemp("hub")) as started:
        yield started
    assert started.process.complaints() == []


@pytest.mark.parametrize("visit", VISITS.values(), ids=VISITS)
async def test_a_client_signs_in_at_the_other_server_and_calls(visit: Visit, hub: LoginHub, tmp_path: Path):
    async with Desk(ADA) as desk, visit(hub.url, Known(), desk, tmp_path) as visitor:
        assert "simple text" in await visitor.call(TOOL, {})
        (asked,) = desk.requests
        assert asked["resource"] == hub.url


@pytest.mark.promise("T56")
async def test_the_servers_keys_may_change_while_the_hub_runs(issuer: IdentityProvider, hub: LoginHub, tmp_path: Path):
    issuer.rotate_keys()
    async with Desk(ADA) as desk, python_sdk("auto")(hub.url, Known(), desk, tmp_path) as visitor:
        assert "simple text" in await visitor.call(TOOL, {})


@pytest.mark.promise("T14", "T56")
async def test_a_token_that_is_not_as_the_server_made_it_opens_nothing(
    issuer: IdentityProvider, hub: LoginHub, tmp_path: Path
):
    async with Desk(ADA) as desk, python_sdk("auto")(hub.url, Known(), desk, tmp_path) as visitor:
        good = (await visitor.held()).access
    assert hub.status_with(good).status_code != 401
    claims = jwt.decode(good, keys_of(issuer), algorithms=["ES256"]).claims
    bad = {
        "signed by somebody else": signing.sign(claims, signing.key_pair("stranger"), typ="at+jwt"),
        "not signed": signing.unsigned(claims),
        "changed": f"{good.rpartition('.')[0]}.{'A' * 86}",
        "for another resource": await _for_another_resource(issuer),
    }
    for name, token in bad.items():
        refused = hub.status_with(token)
        assert refused.status_code == 401, name
        assert 'error="invalid_token"' in refused.headers["www-authenticate"], name


async def _for_another_resource(issuer: IdentityProvider) -> str:
    """A token of the same server and the same person, and as good, but at another place."""
    _, tokens = await signed_in(issuer, ADA, resource="https://elsewhere.example/mcp", scope="openid mcp")
    return tokens["access_token"]
