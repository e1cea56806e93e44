"""How a client shows at the token endpoint who it is.

Rule: it shows it in exactly one way, and in the way that is known of it. A secret is compared by its digest; an
assertion is signed by the client's own key, is for this hub, short-lived, and good once.
Sources: RFC 6749 section 2.3, RFC 7521 section 4.2, RFC 7523 section 3.
"""

import re
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final, Literal, Protocol, cast, final
from urllib.parse import unquote_plus

from joserfc.util import urlsafe_b64decode

from mcp_hub.authserver.clients import Client, ClientKind
from mcp_hub.authserver.errors import OAuthError
from mcp_hub.identity.jose import KeySets, KeysUnavailable
from mcp_hub.identity.signatures import LEEWAY, LONGEST_TOKEN, Claims, Expected, TokenRefused, verify_inline
from mcp_hub.identity.tokens import digest
from mcp_hub.secret import Secret
from mcp_hub.wire.jsonrpc import Malformed, value

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_ASSERTION_LIFE: Final = 300.0
"""Seconds between the making and the end of an assertion, at most."""
_BASIC: Final = 'Basic realm="mcp_hub", charset="UTF-8"'
_ESCAPES: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ONCE: Final = "jti"
_TYPES: Final = frozenset({"", "jwt", "client-authentication+jwt"})


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request shows. `secrets` are the ways in which its one secret can be read."""

    client_id: str
    way: Literal["none", "basic", "post", "assertion"]
    secrets: tuple[Secret, ...] = ()
    assertion: str = ""


class OnceStore(Protocol):
    """Where what may be used once is noted; see `GrantStore`."""

    async def use_once(self, kind: str, digest: bytes, *, at: float, expires_at: float) -> bool:
        """See `GrantStore`."""
        ...


def shown(form: Mapping[str, str], authorizations: Sequence[str]) -> Shown:
    """What a request shows. `form` has no empty values; `authorizations` are its `Authorization` headers.

    Raises:
        OAuthError: it cannot be read, shows nothing, or shows more than one thing.
    """
    if len(authorizations) > 1:
        raise OAuthError("invalid_request", "There is more than one Authorization header.")
    in_body = [name for name in ("client_secret", "client_assertion") if name in form]
    if len(authorizations) + len(in_body) > 1:
        raise OAuthError("invalid_request", "The client shows in more than one way who it is.")
    if authorizations:
        return _basic(authorizations[0], form.get("client_id"))
    if "client_assertion" in form:
        return _assertion(form)
    client_id = form.get("client_id")
    if client_id is None:
        raise refused_client("client_id is missing.")
    if "client_secret" in form:
        return Shown(client_id, "post", secrets=(Secret(form["client_secret"]),))
    return Shown(client_id, "none")


def refused_client(sentence: str, *, basic: bool = False) -> OAuthError:
    """The answer to who did not show who it is."""
    return OAuthError("invalid_client", sentence, 401, _BASIC if basic else "")


def _basic(header: str, client_id: str | None) -> Shown:
    scheme, _, encoded = header.partition(" ")
    try:
        user, colon, password = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        user = colon = password = ""
    if scheme.lower() != "basic" or not colon or _ESCAPES.search(user):
        raise refused_client("The Authorization header cannot be read.", basic=True)
    # Both are sent percent-encoded (RFC 6749 section 2.3.1), which many clients forget.
    known = unquote_plus(user)
    if client_id not in (None, known):
        raise OAuthError("invalid_request", "client_id is not the one of the Authorization header.")
    return Shown(known, "basic", secrets=tuple({Secret(unquote_plus(password)), Secret(password)}))


def _assertion(form: Mapping[str, str]) -> Shown:
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise OAuthError("invalid_request", f"client_assertion_type has to be {ASSERTION_TYPE}.")
    assertion = form["client_assertion"]
    client_id = form.get("client_id") or _unverified_subject(assertion)
    return Shown(client_id, "assertion", assertion=assertion)


def _unverified_subject(assertion: str) -> str:
    """Who it says it is: only to find the keys that it is then verified with."""
    try:
        claims = value(urlsafe_b64decode(assertion[:LONGEST_TOKEN].split(".")[1].encode()))
        subject = cast("dict[str, Any]", claims)["sub"]
    except (Malformed, ValueError, IndexError, KeyError, TypeError):
        subject = None
    if not isinstance(subject, str) or not subject:
        raise refused_client("The assertion cannot be read.")
    return subject


@final
class ClientProofs:
    """Checks what clients show. `issuer` and `token_endpoint` are as the metadata names them.

    `keys` says by which door the keys of a kind of clients are fetched. They are those of clients and of nobody else:
    who makes up clients must not push out the keys of an issuer, and must not lead the hub where only its operator may.
    """

    def __init__(
        self,
        issuer: str,
        token_endpoint: str,
        keys: Mapping[ClientKind, KeySets],
        store: OnceStore,
        now: Callable[[], float],
    ) -> None:
        self._audiences = frozenset({issuer, token_endpoint})
        self._keys = keys
        self._store = store
        self._now = now

    async def check(self, client: Client, proof: Shown) -> None:
        """Whether it is this client.

        Raises:
            OAuthError: `invalid_client`; 503 where its keys cannot be had just now.
            StoreFailed: nobody can tell now.
        """
        match client.auth_method:
            case "none":
                _require(proof.way == "none", proof)
            case "client_secret_basic" | "client_secret_post":
                _require(_is_secret(client, proof), proof)
            case "private_key_jwt":
                _require(proof.way == "assertion", proof)
                await self._use(client, await self._claims(client, proof))

    async def _claims(self, client: Client, proof: Shown) -> Claims:
        required = frozenset({"sub", "jti"})
        expected = Expected(client.id, self._audiences, required=required, types=_TYPES)
        try:
            if client.details.jwks_url is not None:
                return await self._keys[client.kind].verify(proof.assertion, client.details.jwks_url, expected)
            return verify_inline(proof.assertion, client.details.jwks, expected, self._now())
        except TokenRefused as refused:
            raise refused_client(f"The assertion is refused: {refused}.") from refused
        except KeysUnavailable as unavailable:
            raise OAuthError(
                "temporarily_unavailable", "The keys of the client cannot be had just now. Try again later.", 503
            ) from unavailable

    async def _use(self, client: Client, claims: Claims) -> None:
        at, ends, jti = self._now(), claims["exp"], claims["jti"]
        if claims["sub"] != client.id or not isinstance(jti, str):
            raise refused_client("The assertion is refused: sub and iss have to be the client_id, jti a text.")
        longest = LONGEST_ASSERTION_LIFE
        if ends > at + longest + LEEWAY or claims.get("iat", at + LEEWAY) < ends - longest:
            raise refused_client("The assertion is refused: it is good for longer than five minutes.")
        # As long as it would be taken, and by nobody's name but the client's own.
        used = sha256(f"{client.id}\0{jti}".encode("utf-8", "surrogatepass")).digest()
        if not await self._store.use_once(_ONCE, used, at=at, expires_at=ends + LEEWAY + 1):
            raise refused_client("The assertion is refused: it was used before.")


def _is_secret(client: Client, proof: Shown) -> bool:
    known = client.secret
    return known is not None and any(compare_digest(known, digest(secret)) for secret in proof.secrets)


def _require(is_so: object, proof: Shown) -> None:
    if not is_so:
        raise refused_client("The client did not show who it is.", basic=proof.way == "basic")
