"""A client that does each step of OAuth when it is told to, right or wrong; what comes back is given as it came."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2

from rig.browser import ADA, Arrival, Browser, Person, authorize

REDIRECT = "http://127.0.0.1:9/callback"


@dataclass
class OAuthClient:
    """One client at one hub. A parameter given as `None` is left out of what is sent."""

    issuer: str
    id: str
    redirect: str = REDIRECT
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    http: httpx2.AsyncClient = field(
        default_factory=lambda: httpx2.AsyncClient(trust_env=False, verify=False, timeout=30)
    )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.http.aclose()

    @property
    def resource(self) -> str:
        return f"{self.issuer}/mcp"

    @property
    def challenge(self) -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).decode().rstrip("=")

    def request(self, **changed: str | None) -> str:
        """The address to which it sends a browser."""
        told = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": self.redirect,
            "state": self.state,
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
            "resource": self.resource,
        }
        return str(httpx2.URL(f"{self.issuer}/authorize", params=_changed(told, changed)))

    async def code(self, person: Person = ADA, browser: Browser | None = None) -> str:
        """A code that this person let it have."""
        return (await self.arrival(person, browser)).answer["code"]

    async def arrival(self, person: Person = ADA, browser: Browser | None = None) -> Arrival:
        if browser is not None:
            return await authorize(browser, self.request(), person)
        async with Browser() as own:
            return await authorize(own, self.request(), person)

    async def redeem(self, code: str, **changed: str | None) -> httpx2.Response:
        told = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect,
            "client_id": self.id,
            "code_verifier": self.verifier,
        }
        return await self.post("/token", _changed(told, changed))

    async def refresh(self, token: str, **changed: str | None) -> httpx2.Response:
        told = {"grant_type": "refresh_token", "refresh_token": token, "client_id": self.id}
        return await self.post("/token", _changed(told, changed))

    async def post(self, path: str, told: dict[str, str]) -> httpx2.Response:
        return await self.http.post(f"{self.issuer}{path}", data=told)

    async def tokens(self, person: Person = ADA, browser: Browser | None = None) -> dict[str, Any]:
        """What it is given once this person let it."""
        response = await self.redeem(await self.code(person, browser))
        assert response.status_code == 200, response.text
        return response.json()

    async def call(self, token: str) -> httpx2.Response:
        """A request at the hub's endpoint with this token."""
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
        body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": OPENING}
        return await self.http.post(self.resource, json=body, headers=headers)


OPENING = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "plain", "version": "1"}}


def _changed(told: dict[str, str], changed: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in {**told, **changed}.items() if value is not None}
