"""What an OpenID Connect provider says of somebody, fetched for a code and checked.

Rule: who somebody is, is said by a signed ID token alone, made for this client and this login. Everything else that
the provider answers is bounded, and none of it is shown. Sources: OpenID Connect Core 1.0 sections 3.1.3 and 5.3; RFC
6749 sections 2.3.1 and 5.2.
"""

import base64
import hmac
import logging
import re
from collections.abc import Mapping
from typing import Any, Final, cast, final
from urllib.parse import quote_plus

from mcp_hub.config.model import Provider
from mcp_hub.egress.fetch import Document, Fetch, FetchFailed
from mcp_hub.identity.jose import KeySets
from mcp_hub.identity.roles import groups_of
from mcp_hub.identity.signatures import ASYMMETRIC, Claims, Expected, TokenRefused
from mcp_hub.oauth.metadata import Discovery, IssuerUnavailable, Metadata, safe_url
from mcp_hub.oauth.pkce import METHOD
from mcp_hub.wire.jsonrpc import Malformed, value

TYPES: Final = frozenset({"", "jwt"})
_OK: Final = 200
_FAULTS: Final = 500
_ERROR: Final = re.compile(r"[a-z_]{1,64}")
_LONGEST_SUBJECT: Final = 255
_DEFAULT_ALGORITHM: Final = ("RS256",)
_DEFAULT_METHOD: Final = ("client_secret_basic",)

_log: Final = logging.getLogger(__name__)


class ProviderUnavailable(Exception):
    """The provider does not answer, or not so that anything could be done with it. The text is safe to show."""


class ProofRefused(Exception):
    """The provider's answer proves nothing. The text says why, for the log; nothing of the answer stands in it."""


@final
class ProviderClient:
    """The hub as a client of one provider. `redirect_uri` is where the provider sends people back to."""

    def __init__(
        self,
        provider: Provider,
        redirect_uri: str,
        *,
        fetch: Fetch,
        discovery: Discovery,
        keys: KeySets,
    ) -> None:
        self.issuer = provider.issuer
        self.redirect_uri = redirect_uri
        self._provider = provider
        self._fetch = fetch
        self._discovery = discovery
        self._keys = keys

    async def metadata(self) -> Metadata:
        """What the provider publishes of itself, with what a login needs of it.

        Raises:
            ProviderUnavailable: it cannot be asked, or does not offer what a login needs.
        """
        try:
            metadata = await self._discovery.metadata()
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if safe_url(metadata, name, self.issuer) is None:
                    raise ProviderUnavailable(f"its metadata name no {name}")
        except IssuerUnavailable as error:
            raise ProviderUnavailable(str(error)) from error
        if METHOD not in _texts(metadata, "code_challenge_methods_supported", (METHOD,)):
            raise ProviderUnavailable(f"it does not offer PKCE with {METHOD}")
        return metadata

    async def proof(self, code: str, verifier: str, nonce: str) -> Claims:
        """What the provider says of whoever came back with this code, in a login that was begun with these.

        Raises:
            ProviderUnavailable: it cannot be asked.
            ProofRefused: it does not say who it is, or not in a way that proves it.
        """
        metadata = await self.metadata()
        answer = await self._redeemed(metadata, code, verifier)
        claims = await self._checked(metadata, answer.get("id_token"), nonce)
        if not self._lacks(claims):
            return claims
        further = await self._user_info(metadata, answer.get("access_token"), claims["sub"])
        # Whether an address is verified is said of the address beside it, and of no other.
        said = {name: each for name, each in claims.items() if name != "email_verified" or "email" in claims}
        return {**further, **said}

    async def _redeemed(self, metadata: Metadata, code: str, verifier: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": verifier,
        }
        headers = self._authenticated(metadata, form)
        try:
            answer = await self._fetch.post(metadata["token_endpoint"], form, headers=headers)
        except FetchFailed as error:
            raise ProviderUnavailable(str(error)) from error
        said = _object(answer)
        if answer.status != _OK:
            _log.warning("the identity provider refused a code: status %d, %s", answer.status, _error(said))
            if answer.status >= _FAULTS:
                raise ProviderUnavailable(f"it answered with status {answer.status}")
            raise ProofRefused("it refused the code")
        if str(said.get("token_type", "")).lower() != "bearer":
            raise ProofRefused("it gave a token of an unknown type")
        return said

    def _authenticated(self, metadata: Metadata, form: dict[str, str]) -> dict[str, str]:
        """The headers that say who we are; or the form says it."""
        name, secret = self._provider.client_id, self._provider.client_secret
        if secret is None:
            form["client_id"] = name
            return {}
        offered = _texts(metadata, "token_endpoint_auth_methods_supported", _DEFAULT_METHOD)
        if "client_secret_basic" in offered:
            pair = f"{quote_plus(name)}:{quote_plus(secret.open())}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        if "client_secret_post" not in offered:
            raise ProviderUnavailable("it takes no client secret")
        form |= {"client_id": name, "client_secret": secret.open()}
        return {}

    async def _checked(self, metadata: Metadata, token: object, nonce: str) -> Claims:
        if not isinstance(token, str):
            raise ProofRefused("it gave no ID token")
        offered = _texts(metadata, "id_token_signing_alg_values_supported", _DEFAULT_ALGORITHM)
        expected = Expected(
            self.issuer,
            frozenset({self._provider.client_id}),
            required=frozenset({"sub", "iat", "nonce"}),
            types=TYPES,
            algorithms=[each for each in ASYMMETRIC if each in offered],
        )
        try:
            claims = await self._keys.verify(token, metadata["jwks_uri"], expected)
        except TokenRefused as error:
            raise ProofRefused(f"its ID token was refused: {error}") from error
        if not isinstance(claims["nonce"], str) or not _same(claims["nonce"], nonce):
            raise ProofRefused("its ID token is for another login")
        if len(claims["sub"]) > _LONGEST_SUBJECT:
            raise ProofRefused("its ID token names somebody in a way that is too long")
        if claims.get("azp", self._provider.client_id) != self._provider.client_id:
            raise ProofRefused("its ID token was made for another client")
        return claims

    def _lacks(self, claims: Claims) -> bool:
        provider = self._provider
        needs_groups = bool(provider.admin_groups or provider.allowed_groups)
        return ("email" in provider.scopes and "email" not in claims) or (
            needs_groups and not groups_of(claims, provider.groups_claim)
        )

    async def _user_info(self, metadata: Metadata, token: object, subject: str) -> Claims:
        """The further claims, of the same person or none."""
        try:
            url = safe_url(metadata, "userinfo_endpoint", self.issuer)
            if url is None or not isinstance(token, str) or not token.isascii() or not token.isprintable():
                return {}
            answer = await self._fetch.get(url, headers={"Authorization": f"Bearer {token}"})
        except (IssuerUnavailable, FetchFailed) as error:
            raise ProviderUnavailable(str(error)) from error
        if answer.status != _OK:
            raise ProviderUnavailable(f"it answered with status {answer.status} when asked for your name")
        said = dict(_object(answer))
        if said.get("sub") != subject:
            raise ProofRefused("its user info are somebody else's")
        return said


def _same(said: str, expected: str) -> bool:
    return hmac.compare_digest(said.encode("utf-8", "surrogatepass"), expected.encode())


def _object(answer: Document) -> Mapping[str, Any]:
    try:
        said = value(answer.body)
    except Malformed:
        return {}
    return cast("Mapping[str, Any]", said) if isinstance(said, dict) else {}


def _error(said: Mapping[str, Any]) -> str:
    # The code of the error alone: what a provider writes beside it may repeat what it was sent.
    code = said.get("error")
    return code if isinstance(code, str) and _ERROR.fullmatch(code) else "no error code"


def _texts(metadata: Metadata, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    said = metadata.get(name)
    if not isinstance(said, list):
        return default
    return tuple(each for each in cast("list[object]", said) if isinstance(each, str))
