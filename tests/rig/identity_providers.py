"""Identity providers of two makers, as real processes: the same two accounts, and the same side door for tests.

Each test gives the provider a client of its own, so that one provider serves many hubs at once.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

import idp_tools
import node_tools
import processes
from rig.browser import ADA, BOB, Person, origin_of

PROGRAMS = Path(__file__).parents[1] / "idp"
ACCOUNTS = [
    {"sub": "ada-0001", "email": ADA.email, "password": ADA.password, "name": "Ada", "groups": ["engineers", "admins"]},
    {"sub": "bob-0002", "email": BOB.email, "password": BOB.password, "name": "Bob", "groups": ["engineers"]},
]


@dataclass(frozen=True, slots=True)
class Client:
    """How a hub is known to the provider: a hub needs it before it has an address."""

    id: str = "hub"
    secret: str = "a-secret-of-the-hub-and-its-provider"


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """One that runs. Its issuer is the exact string that its metadata and its tokens name."""

    issuer: str
    process: processes.Running

    def admit(self, client: Client, redirect_uri: str, *, refreshes: bool = False) -> None:
        """Know a confidential client from now on, at this redirect address; whatever was known of it is forgotten."""
        told = {"client_id": client.id, "client_secret": client.secret, "redirect_uris": [redirect_uri]}
        more = {"grant_types": ["authorization_code", "refresh_token"]} if refreshes else {}
        self._turn("clients", {**told, **more})

    def disable(self, person: Person, *, disabled: bool = True) -> None:
        """The account signs in no longer; or again."""
        self._turn("accounts", {"email": person.email, "disabled": disabled})

    def rotate_keys(self) -> None:
        """From now on it signs with a new key, and no longer publishes the old one."""
        self._turn("keys", {})

    def put_claims(self, *, in_id_token: bool) -> None:
        """Whether the ID token tells more than the subject, or only the userinfo endpoint does."""
        self._turn("claims", {"in_id_token": in_id_token})

    def shorten(self, seconds: int) -> None:
        """How long access tokens last from now on. `oidc-provider` only."""
        self._turn("lifetime", {"seconds": seconds})

    def seen(self) -> list[dict[str, Any]]:
        """What which client sent to `authorization` and to `token`, and what the latter gave. `oidc-provider` only."""
        return self._turn("seen", {})

    def _turn(self, door: str, told: dict[str, object]) -> Any:
        address = f"{origin_of(self.issuer)}/side-door/{door}"
        return httpx2.post(address, json=told, trust_env=False, verify=False).raise_for_status().json()


def through_oidc_provider() -> Sequence[str | Path]:
    """The command of the one made of npm `oidc-provider`."""
    return [node_tools.install(), PROGRAMS / "oidc_provider.mjs"]


def through_django() -> Sequence[str | Path]:
    """The command of the one made of `django-oauth-toolkit`."""
    return [idp_tools.install(), "-E", "-s", PROGRAMS / "django_provider.py"]


MAKERS = {"oidc-provider": through_oidc_provider, "django-oauth-toolkit": through_django}


@contextmanager
def running(maker: str) -> Iterator[IdentityProvider]:
    """A provider of this maker, from its start to the end of the block. Raises: DidNotStart."""
    with processes.running([*MAKERS[maker](), json.dumps(ACCOUNTS)]) as started:
        yield IdentityProvider(started.url, started)


if __name__ == "__main__":
    with running(sys.argv[1]) as provider:
        print(f"Endpoint {provider.issuer}", flush=True)
        provider.process.process.wait()
