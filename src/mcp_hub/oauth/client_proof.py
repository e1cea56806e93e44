"""How the hub proves at a token endpoint that it is the client it says it is.

Rule: a secret goes into the request it is for and is seen nowhere else; an assertion is made for one authorization
server and one request, and ends after a minute. Sources: RFC 6749 section 2.3.1; RFC 7521 section 4.2; RFC 7523
section 3 with draft-ietf-oauth-rfc7523bis (the audience is the issuer).
"""

import base64
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, final
from urllib.parse import quote_plus

from mcp_hub.oauth.server import Client

Audience = Literal["issuer", "token_endpoint"]

ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
METHODS: Final = ("private_key_jwt", "client_secret_basic", "client_secret_post", "none")
"""What is spoken here, the best first; the words of RFC 7591 `token_endpoint_auth_method`."""
LASTS: Final = 60
"""Seconds for which an assertion is good."""


class CannotProve(Exception):
    """The hub has not what this client proves itself with. The text is safe to show, and for the admin."""


class SigningKey(Protocol):
    """A private key that never leaves its owner."""

    def sign(self, claims: Mapping[str, Any], /) -> str:
        """A signed JWT that says this; its header names the algorithm and the key."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Proof:
    """What is added to a request."""

    headers: Mapping[str, str]
    form: Mapping[str, str]


@final
class Prover:
    """Makes proofs. `key` is what `private_key_jwt` signs with; `audience`, for whom: the issuer, or its token
    endpoint where a server takes nothing else."""

    def __init__(
        self, key: SigningKey | None = None, *, audience: Audience = "issuer", now: Callable[[], float] = time.time
    ) -> None:
        self._key = key
        self._audience: Audience = audience
        self._now = now

    def proof(self, client: Client, token_endpoint: str) -> Proof:
        """What proves this client in one request, to be sent once.

        Raises:
            CannotProve: it has no secret or key, or a method that is not spoken here.
        """
        name = client.registration.client_id
        match client.registration.auth_method:
            case "none":
                return Proof({}, {"client_id": name})
            case "client_secret_basic":
                pair = f"{quote_plus(name)}:{quote_plus(_secret(client))}".encode()
                return Proof({"Authorization": f"Basic {base64.b64encode(pair).decode()}"}, {})
            case "client_secret_post":
                return Proof({}, {"client_id": name, "client_secret": _secret(client)})
            case "private_key_jwt":
                return Proof({}, self._asserted(client, token_endpoint))
            case _:
                raise CannotProve("it is registered with a way to prove itself that the hub does not know")

    def _asserted(self, client: Client, token_endpoint: str) -> Mapping[str, str]:
        if self._key is None:
            raise CannotProve("there is no key to sign with")
        name, at = client.registration.client_id, int(self._now())
        audience = token_endpoint if self._audience == "token_endpoint" else client.registration.issuer
        claims = {
            "iss": name,
            "sub": name,
            "aud": audience,
            "iat": at,
            "exp": at + LASTS,
            "jti": secrets.token_urlsafe(24),
        }
        return {"client_id": name, "client_assertion_type": ASSERTION, "client_assertion": self._key.sign(claims)}


def _secret(client: Client) -> str:
    if client.secret is None:
        raise CannotProve("its client secret is missing")
    return client.secret.open()
