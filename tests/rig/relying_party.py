"""The least that a relying party of OpenID Connect does, to see what an identity provider tells one."""

import base64
import hashlib
import secrets
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.jwk import KeySet

from rig.browser import Browser, Person, authorize
from rig.identity_providers import Client, IdentityProvider

REDIRECT = "http://127.0.0.1:9/login/callback"
RELYING = Client("relying party")


def _got(url: str, headers: dict[str, str] | None = None) -> Any:
    return httpx2.get(url, headers=headers, trust_env=False, verify=False).raise_for_status().json()


def metadata_of(provider: IdentityProvider) -> dict[str, Any]:
    """What it publishes of itself."""
    return _got(f"{provider.issuer}/.well-known/openid-configuration")


def keys_of(provider: IdentityProvider) -> KeySet:
    """With which it signs now."""
    return KeySet.import_key_set(_got(metadata_of(provider)["jwks_uri"]))


class Relying:
    """One client of one provider."""

    def __init__(self, provider: IdentityProvider, client: Client) -> None:
        self.provider, self.client = provider, client
        self.verifier, self.state, self.nonce = (secrets.token_urlsafe(32) for _ in range(3))
        self.metadata = metadata_of(provider)

    def request(self, **more: str) -> str:
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
            **more,
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
        return keys_of(self.provider)

    def userinfo(self, token: str) -> dict[str, Any]:
        return _got(self.metadata["userinfo_endpoint"], {"Authorization": f"Bearer {token}"})


async def signed_in(
    provider: IdentityProvider, person: Person, client: Client = RELYING, **more: str
) -> tuple[Relying, dict[str, Any]]:
    """Who asked, and the tokens it got, once this person signed in."""
    provider.admit(client, REDIRECT)
    relying = Relying(provider, client)
    async with Browser() as browser:
        arrival = await authorize(browser, relying.request(**more), person)
    assert arrival.answer["state"] == relying.state
    return relying, relying.redeem(arrival.answer["code"])


def claims_of(relying: Relying, tokens: dict[str, Any]) -> dict[str, Any]:
    """What the ID token says, its signature checked."""
    return jwt.decode(tokens["id_token"], relying.keys(), algorithms=["ES256", "RS256"]).claims
