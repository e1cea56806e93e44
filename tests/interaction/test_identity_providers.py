"""The identity providers that the hub is tried with are what they claim to be: OpenID providers of two makes."""

import base64
import hashlib
import secrets
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from rig.browser import ADA, BOB, Browser, Person, Stuck, authorize
from rig.identity_providers import MAKERS, Client, IdentityProvider, running

pytestmark = pytest.mark.promise("C24")

REDIRECT = "http://127.0.0.1:9/login/callback"


@pytest.fixture(scope="module", params=sorted(MAKERS))
def provider(request: pytest.FixtureRequest) -> Iterator[IdentityProvider]:
    with running(request.param) as started:
        yield started
    assert started.process.complaints() == []


def _got(url: str, headers: dict[str, str] | None = None) -> Any:
    return httpx2.get(url, headers=headers, trust_env=False, verify=False).raise_for_status().json()


class Relying:
    """The least that a relying party does."""

    def __init__(self, provider: IdentityProvider, client: Client) -> None:
        self.provider, self.client = provider, client
        self.verifier, self.state, self.nonce = (secrets.token_urlsafe(32) for _ in range(3))
        self.metadata = _got(f"{provider.issuer}/.well-known/openid-configuration")

    def request(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        told = {
            "response_type": "code",
            "client_id": self.client.id,
            "redirect_uri": REDIRECT,
            "scope": "openid profile email",
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        return str(httpx2.URL(self.metadata["authorization_endpoint"], params=told))

    def redeem(self, code: str) -> dict[str, Any]:
        told = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
        response = httpx2.post(
            self.metadata["token_endpoint"],
            data={**told, "code_verifier": self.verifier},
            auth=(self.client.id, self.client.secret),
            verify=False,
        )
        return response.raise_for_status().json()

    def keys(self) -> KeySet:
        return KeySet.import_key_set(_got(self.metadata["jwks_uri"]))

    def userinfo(self, token: str) -> dict[str, Any]:
        return _got(self.metadata["userinfo_endpoint"], {"Authorization": f"Bearer {token}"})


async def _signed_in(provider: IdentityProvider, person: Person) -> tuple[Relying, dict[str, Any]]:
    relying = Relying(provider, provider.client(REDIRECT, "relying party"))
    async with Browser() as browser:
        arrival = await authorize(browser, relying.request(), person)
    assert arrival.answer["state"] == relying.state
    return relying, relying.redeem(arrival.answer["code"])


def _claims(relying: Relying, tokens: dict[str, Any]) -> dict[str, Any]:
    return jwt.decode(tokens["id_token"], relying.keys(), algorithms=["ES256", "RS256"]).claims


@pytest.mark.parametrize(("person", "groups"), [(ADA, {"engineers", "admins"}), (BOB, {"engineers"})])
async def test_a_person_signs_in_and_the_token_says_who_that_is(
    provider: IdentityProvider, person: Person, groups: set[str]
):
    relying, tokens = await _signed_in(provider, person)
    claims = _claims(relying, tokens)
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (provider.issuer, relying.client.id, relying.nonce)
    assert (claims["email"], claims["email_verified"], set(claims["groups"])) == (person.email, True, groups)


async def test_the_two_people_have_subjects_of_their_own(provider: IdentityProvider):
    found = [_claims(*(await _signed_in(provider, person)))["sub"] for person in (ADA, BOB, ADA)]
    assert found[0] == found[2] != found[1]


async def test_claims_can_be_left_to_the_userinfo_endpoint(provider: IdentityProvider):
    provider.put_claims(in_id_token=False)
    try:
        relying, tokens = await _signed_in(provider, ADA)
    finally:
        provider.put_claims(in_id_token=True)
    assert "email" not in _claims(relying, tokens)
    assert relying.userinfo(tokens["access_token"])["email"] == ADA.email


async def test_a_wrong_password_signs_nobody_in(provider: IdentityProvider):
    with pytest.raises(Stuck):
        await _signed_in(provider, Person(ADA.email, "a guess"))


async def test_a_disabled_account_signs_in_no_longer(provider: IdentityProvider):
    provider.disable(BOB)
    try:
        with pytest.raises(Stuck):
            await _signed_in(provider, BOB)
    finally:
        provider.disable(BOB, disabled=False)
    await _signed_in(provider, BOB)


async def test_a_rotated_key_signs_from_then_on_and_the_old_one_is_gone(provider: IdentityProvider):
    relying, tokens = await _signed_in(provider, ADA)
    before = {key.kid for key in relying.keys().keys}
    assert _claims(relying, tokens)
    provider.rotate_keys()
    assert before.isdisjoint(key.kid for key in relying.keys().keys)
    assert _claims(*(await _signed_in(provider, ADA)))
