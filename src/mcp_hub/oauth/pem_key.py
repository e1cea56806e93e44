"""A private key that the operator configured, to prove with that the hub is the client it says it is.

Rule: it signs, and shows nothing of itself, not even where it cannot be read. Source: RFC 7523.
"""

import warnings
from collections.abc import Mapping
from typing import Any, Final, cast, final

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from mcp_hub.secret import Secret

_LEAST_RSA: Final = 2048
_CURVES: Final = {
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA", "Ed25519"),  # the older name first, which more servers know (RFC 9864)
}


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
