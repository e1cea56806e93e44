"""Whether a code or a refresh token may become tokens, for this client and this request.

Rule: pure. What was granted is compared with what is sent as literal strings, and nothing a client sends now gives it
more than what its user agreed to. Every "no" is one of the RFC's errors with a sentence of ours.
Sources: RFC 6749 sections 4.1.3, 5.2 and 6; RFC 7636 section 4.6; RFC 8707 section 2.2; RFC 9700 section 4.14.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from hmac import compare_digest
from typing import Final

from mcp_hub.authserver.errors import OAuthError
from mcp_hub.identity.scopes import reach
from mcp_hub.oauth.pkce import challenge_of
from mcp_hub.store.grants import Code, Family, RefreshToken

GRACE: Final = 30.0
"""Seconds for which a refresh token that was used may be used again, with the same result: clients whose requests
cross, or whose answer was lost, are no thieves."""

_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_IGNORED: Final = frozenset({"", "offline_access"})
"""Scopes that are no fault: refresh tokens are given to whoever registered for them, not to who asks here."""


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """What is sent with a code."""

    client: str
    redirect_uri: str | None
    verifier: str | None
    resource: str | None


class Standing(StrEnum):
    """What a refresh token is good for."""

    USABLE = "usable"
    """Successors can be made of it."""
    REPEATED = "repeated"
    """It has just been used: its successors are the answer once more."""
    REPLAYED = "replayed"
    """It was used long ago: one of those who have it stole it."""
    ENDED = "ended"
    """Its time is over, or its family's."""


def check_code(code: Code, asked: CodeRequest, at: float) -> None:
    """Whether a code that is unused may be redeemed by this request.

    Raises:
        OAuthError: it may not.
    """
    if asked.client != code.client:
        raise refused_code()
    if code.expires_at <= at:
        raise refused_code()
    if (asked.redirect_uri or "") != code.redirect_uri:
        raise OAuthError("invalid_grant", "redirect_uri is not the one that the code was asked for with.")
    _check_verifier(code.challenge, asked.verifier)
    check_resource(code.resource, asked.resource)


def refused_code() -> OAuthError:
    """The one answer to codes that do not exist, have ended, were used, or are somebody else's."""
    return OAuthError("invalid_grant", "The code is not valid (any more). Send the user to the hub again.")


def _check_verifier(challenge: str, verifier: str | None) -> None:
    if verifier is None:
        raise OAuthError("invalid_request", "code_verifier is missing: this hub requires PKCE.")
    # To a code without a challenge no verifier belongs: it cannot be redeemed.
    if not _VERIFIER.fullmatch(verifier) or not compare_digest(challenge_of(verifier), challenge):
        raise OAuthError("invalid_grant", "code_verifier does not belong to the code.")


def check_resource(granted: str, asked: str | None) -> None:
    """Whether the resource of this request is the one that was granted, if it names one.

    Raises:
        OAuthError: `invalid_target`.
    """
    if asked is not None and asked != granted:
        raise OAuthError("invalid_target", "resource is not the one that was granted.")


def narrowed(granted: frozenset[str], asked: str | None) -> frozenset[str]:
    """The scopes of a new access token: what is asked for if it was granted, all that was granted if nothing is.

    Raises:
        OAuthError: `invalid_scope`, if more is asked for.
    """
    wanted = frozenset((asked or "").split(" ")) - _IGNORED
    if not wanted <= reach(granted):
        raise OAuthError("invalid_scope", "scope goes beyond what was granted. Send the user to the hub for more.")
    return wanted or granted


def standing(token: RefreshToken, family: Family, at: float) -> Standing:
    """What a refresh token of this family is good for."""
    if token.superseded_at is not None:
        return Standing.REPEATED if at < token.superseded_at + GRACE else Standing.REPLAYED
    return Standing.ENDED if min(token.expires_at, family.expires_at) <= at else Standing.USABLE


def refused_refresh() -> OAuthError:
    """The one answer to refresh tokens that do not exist, have ended, were used, or are somebody else's."""
    return OAuthError("invalid_grant", "The refresh token is not valid (any more). Send the user to the hub again.")
