"""The identity providers that the hub is tried with are what they claim to be: OpenID providers of two makes."""

from collections.abc import Iterator

import pytest

from rig.browser import ADA, BOB, Person, Stuck
from rig.identity_providers import MAKERS, IdentityProvider, running
from rig.relying_party import claims_of, signed_in

pytestmark = pytest.mark.promise("C24")


@pytest.fixture(scope="module", params=sorted(MAKERS))
def provider(request: pytest.FixtureRequest) -> Iterator[IdentityProvider]:
    with running(request.param) as started:
        yield started
    assert started.process.complaints() == []


@pytest.mark.parametrize(("person", "groups"), [(ADA, {"engineers", "admins"}), (BOB, {"engineers"})])
async def test_a_person_signs_in_and_the_token_says_who_that_is(
    provider: IdentityProvider, person: Person, groups: set[str]
):
    relying, tokens = await signed_in(provider, person)
    claims = claims_of(relying, tokens)
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (provider.issuer, relying.client.id, relying.nonce)
    assert (claims["email"], claims["email_verified"], set(claims["groups"])) == (person.email, True, groups)


async def test_the_two_people_have_subjects_of_their_own(provider: IdentityProvider):
    found = [claims_of(*(await signed_in(provider, person)))["sub"] for person in (ADA, BOB, ADA)]
    assert found[0] == found[2] != found[1]


async def test_claims_can_be_left_to_the_userinfo_endpoint(provider: IdentityProvider):
    provider.put_claims(in_id_token=False)
    try:
        relying, tokens = await signed_in(provider, ADA)
    finally:
        provider.put_claims(in_id_token=True)
    assert "email" not in claims_of(relying, tokens)
    assert relying.userinfo(tokens["access_token"])["email"] == ADA.email


async def test_a_wrong_password_signs_nobody_in(provider: IdentityProvider):
    with pytest.raises(Stuck):
        await signed_in(provider, Person(ADA.email, "a guess"))


async def test_a_disabled_account_signs_in_no_longer(provider: IdentityProvider):
    provider.disable(BOB)
    try:
        with pytest.raises(Stuck):
            await signed_in(provider, BOB)
    finally:
        provider.disable(BOB, disabled=False)
    await signed_in(provider, BOB)


async def test_a_rotated_key_signs_from_then_on_and_the_old_one_is_gone(provider: IdentityProvider):
    relying, tokens = await signed_in(provider, ADA)
    before = {key.kid for key in relying.keys().keys}
    assert claims_of(relying, tokens)
    provider.rotate_keys()
    assert before.isdisjoint(key.kid for key in relying.keys().keys)
    assert claims_of(*(await signed_in(provider, ADA)))
