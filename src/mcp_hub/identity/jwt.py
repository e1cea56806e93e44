"""Access tokens of an authorization server of somebody else's (`login: {type: jwt}`).

Rule: a token counts if this issuer signed it, as an access token, for this hub and for nobody else, and says until
when and for whom. What it says of groups and scopes decides what its bearer may do here; the hub itself gives out
nothing. Sources: RFC 9068 section 4; RFC 8725; MCP 2026-07-28 basic/authorization "Token Handling".
"""

import time
from collections.abc import Callable, Iterable
from typing import Final, cast, final

from mcp_hub.config.model import Issuer
from mcp_hub.egress.fetch import Fetch
from mcp_hub.identity.jose import KeySets, KeysUnavailable
from mcp_hub.identity.judge import Undecided
from mcp_hub.identity.roles import MOST_GROUPS, USER, group_roles, groups_of
from mcp_hub.identity.scopes import ADMIN, USE
from mcp_hub.identity.signatures import LEEWAY, Claims, Expected, TokenRefused, heading
from mcp_hub.oauth.metadata import Discovery, IssuerUnavailable, metadata_urls, safe_url
from mcp_hub.principal import Principal

TYPES: Final = frozenset({"", "jwt", "at+jwt", "okta-internal-at+jwt"})
"""The types that access tokens have. Many issuers give theirs no type of its own; what is none is found out below."""
_LONGEST: Final = 255
_LAST: Final = 2**53
_DECLARED: Final = frozenset({"at+jwt", "okta-internal-at+jwt"})
"""The types that say by themselves that a token is an access token (RFC 9068 section 2.1)."""
_ID_TOKEN: Final = ("nonce", "at_hash", "c_hash", "s_hash")
"""Claims that stand in ID tokens (OpenID Connect Core section 2)."""
_ACCESS_TOKEN: Final = ("scope", "scp", "client_id", "cid", "appid", "azpacr", "idtyp", "gty")
"""Claims of which access tokens have one, of whatever make, and ID tokens none."""
_CLIENT: Final = ("client_id", "azp", "cid", "appid")
_NAMES: Final = ("email", "preferred_username", "name")


@final
class ExternalTokens:
    """Judges the tokens of one issuer; see `judge.Outside`."""

    def __init__(self, issuer: Issuer, fetch: Fetch, now: Callable[[], float] = time.time) -> None:
        self._issuer = issuer
        self._discovery = Discovery(fetch, now, issuer.issuer, metadata_urls(issuer.issuer))
        self._keys = KeySets(fetch, now)

    async def aclose(self) -> None:
        """End what is being fetched."""
        await self._discovery.aclose()
        await self._keys.aclose()

    async def judge(self, token: str, resource: str) -> tuple[Principal, float]:
        """See `judge.Outside`."""
        head = heading(token)  # what is no token at all asks nobody
        audience = self._issuer.audience or resource
        expected = Expected(self._issuer.issuer, frozenset({audience}), types=TYPES)
        try:
            claims = await self._keys.verify(token, await self._jwks_url(), expected)
        except (IssuerUnavailable, KeysUnavailable) as error:
            raise Undecided(
                f"The hub cannot check your token now: {self._issuer.issuer} does not answer as it should ({error}). "
                "Try again in a moment; if it lasts, ask the hub's operator."
            ) from error
        if head.type not in _DECLARED:
            _require_access_token(claims)
        if "cnf" in claims:
            raise TokenRefused("it is bound to a key of its sender, which is not checked here")
        return self._principal(claims), float(min(claims["exp"], _LAST)) + LEEWAY

    async def _jwks_url(self) -> str:
        if self._issuer.jwks_url is not None:
            return self._issuer.jwks_url
        url = safe_url(await self._discovery.metadata(), "jwks_uri", self._issuer.issuer)
        if url is None:
            raise IssuerUnavailable("its metadata do not say where its keys are")
        return url

    def _principal(self, claims: Claims) -> Principal:
        subject = claims["sub"]
        if len(subject) > _LONGEST:
            raise TokenRefused("it names its owner in a way that is too long")
        groups = groups_of(claims, self._issuer.groups_claim)
        given = _scopes(claims)
        scopes = given - {USE, ADMIN}
        if given >= frozenset(self._issuer.scopes):
            scopes |= {USE, ADMIN}  # which limit the hub's own tokens; here the role alone says what they may
        return Principal(
            issuer=self._issuer.issuer,
            subject=subject,
            roles=group_roles(groups, self._issuer.admin_groups) or frozenset({USER}),
            label=_first(claims, _NAMES),
            email=_first(claims, ("email",)),
            email_verified=claims.get("email_verified") is True or claims.get("email_verified") == "true",
            groups=groups,
            client=_first(claims, _CLIENT),
            scopes=scopes,
        )


def _require_access_token(claims: Claims) -> None:
    """Tell an access token from an ID token or another of the same issuer's, which says the same of its owner.

    Raises:
        TokenRefused: it is none, or does not show it.
    """
    use = str(claims.get("token_use", claims.get("typ", ""))).lower()
    is_shown = use in ("access", "bearer") or any(name in claims for name in _ACCESS_TOKEN)
    is_other = use not in ("", "access", "bearer") or (use == "" and any(name in claims for name in _ID_TOKEN))
    if is_other or not is_shown:
        raise TokenRefused("it is no access token")


def _scopes(claims: Claims) -> frozenset[str]:
    said = claims.get("scope", claims.get("scp", ""))
    several = said.split(" ") if isinstance(said, str) else said
    if not isinstance(several, list):
        return frozenset()
    return frozenset(each for each in cast("list[object]", several)[:MOST_GROUPS] if isinstance(each, str) and each)


def _first(claims: Claims, names: Iterable[str]) -> str:
    found = (claims.get(name) for name in names)
    return next((each for each in found if isinstance(each, str) and 0 < len(each) <= _LONGEST), "")
