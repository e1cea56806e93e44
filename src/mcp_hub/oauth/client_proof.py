"""How the hub proves at a token endpoint that it is the client it says it is.

Rule: a secret goes into the request it is for and is seen nowhere else; an assertion is made for one authorization
server and one request, and ends after a minute. Sources: RFC 6749 section 2.3.1; RFC 7521 section 4.2; RFC 7523
section 3 with draft-ietf-oauth-rfc7523bis (the audience is the issuer).
"""

import base64
import secrets
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, cast, final
from urllib.parse import quote_plus

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from mcp_hub.oauth.server import Client
from mcp_hub.secret import Secret

Audience = Literal["issuer", "token_endpoint"]

ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
METHODS: Final = ("private_key_jwt", "client_secret_basic", "client_secret_post", "none")
"""What is spoken here, the best first; the words of RFC 7591 `token_endpoint_auth_method`."""
LASTS: Final = 60
"""Seconds for which an assertion is good."""
_LEAST_RSA: Final = 2048
_CURVES: Final = {
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA", "Ed25519"),  # the older name first, which more servers know (RFC 9864)
}


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


class _Registry(jws.JWSRegistry):
    """The library's algorithms, without its complaint about the older name of Ed25519."""

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


_REGISTRY: Final = _Registry()


@final
class PemKey:
    """A private key in PEM; `repr()` shows nothing of it.

    Raises:
        ValueError: it cannot be read, or is too weak; the sentence repeats nothing of it.
    """

    __slots__ = ("_algorithm", "_key", "_name")

    def __init__(self, pem: Secret, algorithms: tuple[str, ...] | None = None) -> None:
        """`algorithms` are those that the other side takes, where it says so."""
        self._key = _read(pem)
        self._algorithm = _algorithm(self._key, algorithms)
        self._name = str(self._key.thumbprint())

    def sign(self, claims: Mapping[str, Any], /) -> str:
        """See `SigningKey`."""
        header = {"alg": self._algorithm, "typ": "JWT", "kid": self._name}
        return jwt.encode(header, dict(claims), self._key, registry=_REGISTRY)


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


def _read(pem: Secret) -> RSAKey | ECKey | OKPKey:
    for kind in ("RSA", "EC", "OKP"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a key that is too short is refused below
                key = cast("RSAKey | ECKey | OKPKey", JWKRegistry.import_key(pem.open(), kind))
        except (JoseError, ValueError, TypeError):
            continue
        if key.is_private:
            return key
    # Outside of the handler: what the library says may repeat what it could not read.
    raise ValueError("this is no private key in PEM, or one of a kind that is not known here")


def _algorithm(key: RSAKey | ECKey | OKPKey, taken: tuple[str, ...] | None) -> str:
    if isinstance(key, RSAKey):
        if key.raw_value.key_size < _LEAST_RSA:
            raise ValueError(f"this RSA key is too short: {_LEAST_RSA} bits are the least")
        able = ("PS256", "RS256") if taken is not None and "RS256" not in taken else ("RS256",)
    else:
        able = _CURVES.get(str(key.as_dict(private=False).get("crv")), ())
    algorithm = next((each for each in able if taken is None or each in taken), None)
    if algorithm is None:
        raise ValueError("this key is of a kind that is not known here, or that the other side does not take")
    return algorithm
