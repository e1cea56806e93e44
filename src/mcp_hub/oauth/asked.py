"""What is asked for at an authorization server: scopes, the resource, and the address that a browser is sent to.

Rule: pure. Nothing that the operator adds replaces what protects the flow. Sources: MCP 2026-07-28
basic/authorization "Scope Selection Strategy"; RFC 8707; OpenID Connect Core 1.0 section 11.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from mcp_hub.config.model import OAuth
from mcp_hub.oauth.pkce import METHOD, challenge_of
from mcp_hub.oauth.resources import canonical
from mcp_hub.oauth.scope_words import written
from mcp_hub.oauth.server import Found
from mcp_hub.store.connections import Grant, Registration

OFFLINE: Final = "offline_access"
_OPENID: Final = "openid"


@dataclass(frozen=True, slots=True)
class Asked:
    """What one connection is asked for. `resource` is `None` where none is sent."""

    scopes: frozenset[str]
    resource: str | None
    further: Mapping[str, str]


def asked(said: OAuth, found: Found, url: str, grant: Grant | None) -> Asked:
    """What to ask for an upstream at `url`, for somebody who has this grant already."""
    scopes = _scopes(said, found, grant)
    further = dict(said.extra_params)
    if OFFLINE in scopes and _OPENID in found.server.scopes:
        further.setdefault("prompt", "consent")  # without which OpenID Connect does not give it
    return Asked(scopes, _resource(said, found, url), further)


def _scopes(said: OAuth, found: Found, grant: Grant | None) -> frozenset[str]:
    if said.scopes is not None:
        scopes = frozenset(said.scopes)  # the operator's word is also the limit
    else:
        scopes = frozenset(found.scopes or ())
        if grant is not None and grant.authorization_server == found.server.issuer:
            scopes |= grant.scopes | grant.wanted
    # Alone it would take the place of what the server gives where nothing is asked for.
    return scopes | {OFFLINE} if scopes and OFFLINE in found.server.scopes else scopes


def _resource(said: OAuth, found: Found, url: str) -> str | None:
    if said.resource is not None:
        return said.resource or None
    return found.resource or canonical(url)


def address(endpoint: str, registration: Registration, what: Asked, *, state: str, verifier: str) -> str:
    """Where the browser is sent."""
    parameters = {
        **what.further,
        "response_type": "code",
        "client_id": registration.client_id,
        "redirect_uri": registration.redirect_uri,
        "state": state,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": METHOD,
    }
    if what.scopes:
        parameters["scope"] = written(what.scopes)
    if what.resource:
        parameters["resource"] = what.resource
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"
