"""Tokens that somebody else signed (RFC 7519): whose signature counts, and what has to stand in them.

Rule: a token is signed by one of the keys it was expected from, with an asymmetric algorithm that was expected, or it
is refused. Nothing in its header is believed: `kid` only narrows down which of the known keys are tried, and a key, a
certificate or an address that it brings along is not looked at. What it must say has to be there; nothing is optional
by being left out. Sources: RFC 8725; RFC 7515 section 4.1.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from joserfc import jws
from joserfc.errors import ClaimError, JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, JWKRegistry, Key, OKPKey, RSAKey
from joserfc.jwt import JWTClaimsRegistry
from joserfc.util import urlsafe_b64decode

from mcp_hub.wire.jsonrpc import Malformed, value

Claims = dict[str, Any]

ASYMMETRIC: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
"""Every algorithm that may be expected at all. Whoever can check one of these signatures cannot make one."""

LEEWAY: Final = 60
"""Seconds by which the clock of whoever signed may differ from ours."""
LONGEST_TOKEN: Final = 16 * 1024
MOST_KEYS: Final = 32
"""How many keys of a set are read; what comes after is not."""
_MOST_TRIED: Final = 8
_PUBLIC: Final = {
    "RSA": frozenset({"n", "e"}),
    "EC": frozenset({"crv", "x", "y"}),
    "OKP": frozenset({"crv", "x"}),
}
_RSA_LETTERS: Final = range(342, 1367)
"""A modulus of 2048 to 8192 bits, in base64url: less is no protection, more costs time for whoever checks."""
_TEXT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_FAILURES: Final = (JoseError, ValueError, TypeError, KeyError, OverflowError, RecursionError)
"""What the library lets through of what a stranger wrote, besides its own errors."""


class TokenRefused(Exception):
    """This token proves nothing. The text says why, in words of ours: nothing of the token stands in it."""


class UnknownKey(TokenRefused):
    """No key that is known signed it; one that is not known yet may have."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token has to say.

    Each audience it names has to be one of `audiences`: one that is good for somebody else as well can be taken from
    there and used here. `types` are the values of `typ` that are taken, in lower case and without `application/`;
    a token may leave it out only if "" is one of them, and where there are none it is not looked at. `exp`, `iss` and
    `aud` are always `required`.
    """

    issuer: str
    audiences: frozenset[str]
    required: frozenset[str] = frozenset({"sub"})
    types: frozenset[str] = frozenset()
    algorithms: Sequence[str] = ASYMMETRIC


@dataclass(frozen=True, slots=True)
class Heading:
    """What the header of a token says, before anything of it is believed."""

    algorithm: str
    key: str | None
    type: str


@dataclass(frozen=True, slots=True)
class Keys:
    """The public keys of one signer."""

    all: tuple[Key, ...]

    def fit(self, heading: Heading) -> list[Key]:
        """Those that the token may be signed with: of that name, and those that have none; all if it names none."""
        named = [key for key in self.all if heading.key is None or key.get("kid") in (None, heading.key)]
        return named[:_MOST_TRIED]


class _Registry(jws.JWSRegistry):
    """The library's rules without two of them: unknown members of a header are ignored (some issuers add theirs), and
    a header may hold a certificate. An algorithm is allowed where it was expected, also under its older name."""

    max_header_length = 8 * 1024
    max_signature_length = 2048

    def get_alg(self, name: str) -> Any:
        if name not in (self.allowed or ()) or name not in ASYMMETRIC:
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


def read_keys(document: object) -> Keys:
    """The keys of a JWK Set that can check signatures; what cannot is left out (RFC 7517 section 5).

    Raises:
        ValueError: this is no JWK Set.
    """
    keys = cast("Mapping[str, object]", document).get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        raise ValueError("no JWK Set")  # noqa: TRY004 - what is wrong is a value of somebody else's
    read = (_key(each) for each in cast("list[object]", keys)[:MOST_KEYS])
    return Keys(tuple(key for key in read if key is not None))


def _key(given: object) -> RSAKey | ECKey | OKPKey | None:
    if not isinstance(given, dict):
        return None
    jwk = cast("dict[str, Any]", given)
    needed = _PUBLIC.get(str(jwk.get("kty")))
    if needed is None or jwk.get("use", "sig") != "sig" or not all(isinstance(jwk.get(each), str) for each in needed):
        return None
    if "n" in needed and (len(jwk["n"]) not in _RSA_LETTERS or len(jwk["e"]) > 8):  # noqa: PLR2004 - 48 bits
        return None
    public = {name: jwk[name] for name in (*needed, "kty", "kid", "alg") if isinstance(jwk.get(name), str)}
    try:
        return cast("RSAKey | ECKey | OKPKey", JWKRegistry.import_key(public))
    except _FAILURES:
        return None


def heading(token: str) -> Heading:
    """The header of a token.

    Raises:
        TokenRefused: it is none, or demands something of whoever reads it.
    """
    if len(token) > LONGEST_TOKEN or not _TEXT.fullmatch(token):
        raise TokenRefused("it is not a signed JWT")
    try:
        header = value(urlsafe_b64decode(token.partition(".")[0].encode()))
    except (Malformed, ValueError) as error:
        raise TokenRefused("its header cannot be read") from error
    if not isinstance(header, dict):
        raise TokenRefused("its header cannot be read")
    said = cast("dict[str, Any]", header)
    algorithm, key, kind = said.get("alg"), said.get("kid"), said.get("typ", "")
    if not isinstance(algorithm, str) or not isinstance(key, str | None) or not isinstance(kind, str):
        raise TokenRefused("its header cannot be read")
    if "crit" in said or "b64" in said:
        raise TokenRefused("its header demands an extension that is not known here")
    return Heading(algorithm, key, kind.lower().removeprefix("application/"))


def verified(token: str, head: Heading, keys: Iterable[Key], expected: Expected, now: float) -> Claims:
    """What the token says, if one of these keys signed it and it says what is expected.

    Raises:
        TokenRefused: it does not; `UnknownKey` if that is because none of these keys signed it.
    """
    if head.algorithm not in expected.algorithms or head.algorithm not in ASYMMETRIC:
        raise TokenRefused("its algorithm is not one that is taken")
    if expected.types and head.type not in expected.types:
        raise TokenRefused("it is of another type than is needed here")
    registry = _Registry(algorithms=expected.algorithms, strict_check_header=False)
    payload = next((found for key in keys if (found := _payload(token, key, registry)) is not None), None)
    if payload is None:
        raise UnknownKey("none of the known keys signed it")
    return _checked(payload, expected, now)


def verify_inline(token: str, jwks: object, expected: Expected, now: float) -> Claims:
    """The same with keys that are at hand, such as the `jwks` of a client's metadata.

    Raises:
        TokenRefused: it does not hold, or there are no such keys.
    """
    head = heading(token)
    try:
        keys = read_keys(jwks)
    except ValueError as error:
        raise TokenRefused("there are no keys to check it with") from error
    return verified(token, head, keys.fit(head), expected, now)


def _payload(token: str, key: Key, registry: jws.JWSRegistry) -> bytes | None:
    try:
        return jws.deserialize_compact(token, key, registry=registry).payload
    except _FAILURES:
        return None


def _checked(payload: bytes, expected: Expected, now: float) -> Claims:
    try:
        decoded = value(payload)
    except Malformed as error:
        raise TokenRefused("what it says cannot be read") from error
    if not isinstance(decoded, dict):
        raise TokenRefused("what it says cannot be read")
    claims = cast("Claims", decoded)
    missing = sorted(each for each in {"exp", "iss", "aud", *expected.required} if claims.get(each) in (None, "", []))
    if missing:
        raise TokenRefused(f"it does not say {', '.join(missing)}")
    judge = JWTClaimsRegistry(now=int(now), leeway=LEEWAY, iss={"essential": True, "value": expected.issuer})
    try:
        judge.validate({name: claims[name] for name in ("iss", "sub", "exp", "nbf", "iat") if name in claims})
    except ClaimError as error:
        raise TokenRefused(_SENTENCES.get(error.claim, "it cannot be judged")) from error
    if not _named(claims["aud"]) <= expected.audiences:
        raise TokenRefused("it is for somebody else")
    return claims


_SENTENCES: Final = {
    "iss": "somebody else issued it",
    "sub": "it does not say whose it is",
    "exp": "it has expired",
    "nbf": "it is not valid yet",
    "iat": "it was issued in the future",
}


def _named(audience: object) -> frozenset[object]:
    # Something that is neither a text nor a list of texts is an audience that nobody expects.
    several = cast("list[object]", audience) if isinstance(audience, list) else [audience]
    return frozenset(each if isinstance(each, str) else None for each in several)
